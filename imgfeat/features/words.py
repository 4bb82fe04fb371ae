"""Bags of visual words: frequencies of the words of a codebook of local descriptors."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans

from imgfeat._compat.sklearn import Interval, StrOptions
from imgfeat.features._local_features import Grid, LocalFeatures, scale_to_one
from imgfeat.features._words_kernel import add_activations, count_nearest
from imgfeat.images.validation import ImageShape

# Coates and Ng's constant, which limits noise in directions of little variance.
WHITENING_CONSTANT = 0.1

# Passes over the descriptors for the codebook: 20 were not more accurate on Fashion-MNIST.
PASSES = 5


class BagOfVisualWords(LocalFeatures):
    """Frequencies of the visual words of a codebook in each cell of a grid [1]_.

    The words are cluster centres of local descriptors of the training images. With
    descriptor="patch", stride=1 and assignment="triangle" these are the single-layer features of
    Coates, Lee and Ng [2]_, with which a linear classifier comes close to small networks;
    standardise them first.

    Parameters
    ----------
    descriptor : {"patch", "sift", "orb"}, default="patch"
        The local descriptor:

        - "patch": the pixels themselves, minus their mean and divided by their deviation, then
          whitened (ZCA);
        - "sift": OpenCV's SIFT, square-rooted [3]_;
        - "orb": the 256 bits of OpenCV's ORB, as numbers.
    n_words : int, default=256
        Number of words in the codebook.
    patch_size : int, default=8
        Side of a patch, or of the square that dense SIFT describes, in pixels; 6 is good for
        patches in small images, 16 for SIFT. Dense ORB always describes 31.
    stride : int, default=4
        Distance in pixels between dense descriptors.
    grid : int or sequence of int, default=1
        The image is cut into `grid` x `grid` cells, with the words of each. Several make a
        spatial pyramid [4]_.
    assignment : {"hard", "triangle"}, default="hard"
        - "hard": each descriptor counts for the nearest word;
        - "triangle": each descriptor adds to each word the amount by which the word's distance is
          below the mean distance of all words, or 0.
    color : bool, default=False
        For descriptor="patch": patches of all three channels, instead of luma.
    keypoints : {"dense", "detect"}, default="dense"
        For SIFT and ORB: use the points of a lattice, or the keypoints that they detect. The
        features of an image without keypoints are zeros.
    norm : {None, "l2", "power"}, default=None
        With None, features are means over the descriptors of the cell, for "hard" the frequency
        of each word.
        "l2" scales the features of each cell to length 1; "power" takes square roots first.
    n_samples : int, default=100_000
        Maximal number of descriptors, chosen at random, from which the codebook is learnt.
    random_state : int, RandomState or None, default=None
        Controls the choice of descriptors and the initialisation of the clusters.
    image_shape : tuple (h, w) or (h, w, c), default=None
        Shape of one image, for flat input of shape (n, h * w * c).
    n_jobs : int, default=None
        Number of threads; None is 1 unless in a ``joblib.parallel_config`` context, -1 all cores.

    Attributes
    ----------
    words_ : ndarray of shape (n_words, d), dtype float32
        The words, in the space of projected descriptors.
    center_ : ndarray of shape (d,), dtype float32
        Mean of the descriptors.
    projection_ : ndarray of shape (d, d), dtype float32, or None
        Whitens patches: ``(patches - center_) @ projection_``. None for SIFT and ORB.
    image_shape_ : tuple (h, w, c)
        Shape of the images seen in `fit`.
    n_features_in_ : int
        Number of pixels; only for flat input.

    Raises
    ------
    ValueError
        If the images are too small for `patch_size` or `grid`, there are fewer descriptors than
        words, or `color` or `keypoints` cannot be combined with `descriptor`.

    See Also
    --------
    FisherVector : Describe deviations of descriptors from a smaller codebook.

    Notes
    -----
    Grids divide the lattice of dense descriptors, or the pixels if keypoints are detected.

    References
    ----------
    .. [1] G. Csurka et al., "Visual Categorization with Bags of Keypoints", ECCV Workshop on
           Statistical Learning in Computer Vision, 2004.
    .. [2] A. Coates, H. Lee and A. Ng, "An Analysis of Single-Layer Networks in Unsupervised
           Feature Learning", AISTATS 2011.
    .. [3] R. Arandjelović and A. Zisserman, "Three Things Everyone Should Know to Improve Object
           Retrieval", CVPR 2012, :doi:`10.1109/CVPR.2012.6248018`.
    .. [4] S. Lazebnik, C. Schmid and J. Ponce, "Beyond Bags of Features", CVPR 2006,
           :doi:`10.1109/CVPR.2006.68`.

    Examples
    --------
    >>> from skimage.data import brick
    >>> from imgfeat import BagOfVisualWords
    >>> patches = brick().reshape(8, 64, 8, 64).swapaxes(1, 2).reshape(64, 64, 64)
    >>> words = BagOfVisualWords(n_words=20, grid=2, random_state=0).fit(patches)
    >>> words.transform(patches).shape
    (64, 80)
    >>> words.get_feature_names_out()[[0, 79]].tolist()
    ['word_y0_x0_0', 'word_y1_x1_19']
    """

    _parameter_constraints = {
        **LocalFeatures._parameter_constraints,
        "n_words": [Interval(Integral, 1, None, closed="left")],
        "assignment": [StrOptions({"hard", "triangle"})],
        "norm": [StrOptions({"l2", "power"}), None],
    }
    _fitted_attributes = (*LocalFeatures._fitted_attributes, "words_")
    _prefix = "word"

    def __init__(
        self,
        descriptor: str = "patch",
        n_words: int = 256,
        patch_size: int = 8,
        stride: int = 4,
        grid: Grid = 1,
        assignment: str = "hard",
        color: bool = False,
        keypoints: str = "dense",
        norm: str | None = None,
        n_samples: int = 100_000,
        random_state: int | RandomState | None = None,
        image_shape: ImageShape | None = None,
        n_jobs: int | None = None,
    ):
        self.descriptor = descriptor
        self.n_words = n_words
        self.patch_size = patch_size
        self.stride = stride
        self.grid = grid
        self.assignment = assignment
        self.color = color
        self.keypoints = keypoints
        self.norm = norm
        self.n_samples = n_samples
        self.random_state = random_state
        self.image_shape = image_shape
        self.n_jobs = n_jobs

    def _count_needed(self) -> tuple[str, int]:
        return f"n_words={self.n_words}", self.n_words

    def _check_fitted(self) -> None:
        super()._check_fitted()
        if hasattr(self, "projection_"):
            self._check_array("words_", (self.n_words, len(self.center_)), np.float32)

    def _name_statistics(self) -> list[str]:
        return [str(k) for k in range(self.n_words)]

    def _learn(self, samples: NDArray[np.float32], random: RandomState) -> None:
        patch = self.descriptor == "patch"
        self.projection_ = _whiten(*self._find_axes(samples)) if patch else None
        # No early stopping: it depends on sums whose rounding depends on the number of cores.
        kmeans = MiniBatchKMeans(
            self.n_words,
            max_iter=PASSES,
            batch_size=4096,
            max_no_improvement=None,
            compute_labels=False,
            random_state=random,
        )
        self.words_ = kmeans.fit(self._project(samples)).cluster_centers_

    def _prepare(self) -> Any:
        return np.ascontiguousarray(self.words_.T), (self.words_**2).sum(axis=1)

    def _accumulate(
        self,
        descriptors: NDArray[np.float32],
        cells: NDArray[np.int64],
        codebook: Any,
        totals: NDArray[np.float64],
    ) -> None:
        words, norms = codebook
        products = descriptors @ words
        sums = np.zeros(totals.shape, np.float32)
        if self.assignment == "hard":
            count_nearest(products, norms, cells, sums)
        else:
            add_activations(descriptors, products, norms, cells, sums)
        totals += sums

    def _finish(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.norm is None:
            return means
        return scale_to_one(np.sqrt(means) if self.norm == "power" else means)


def _whiten(variances: NDArray[np.float64], axes: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the ZCA whitening matrix."""
    scales = 1 / np.sqrt(np.maximum(variances, 0) + WHITENING_CONSTANT)
    return (axes * scales @ axes.T).astype(np.float32)
