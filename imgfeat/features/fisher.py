"""Fisher vectors: deviations of local descriptors from a fitted mixture of Gaussians."""

import warnings
from numbers import Integral
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from imgfeat._compat.sklearn import Interval
from imgfeat.features._local_features import Grid, LocalFeatures, scale_to_one
from imgfeat.images.validation import ImageShape


class FisherVector(LocalFeatures):
    """Fisher vectors of the local descriptors in each cell of a grid [1]_.

    A mixture of Gaussians with diagonal covariances is fitted to descriptors of the training
    images. The features are the gradients of its log-likelihood with respect to weights, means and
    variances, as in ``skimage.feature.fisher_vector``.

    Parameters
    ----------
    descriptor : {"patch", "sift", "orb"}, default="sift"
        The local descriptor:

        - "patch": the pixels themselves, minus their mean and divided by their deviation;
        - "sift": OpenCV's SIFT, square-rooted;
        - "orb": the 256 bits of OpenCV's ORB, as numbers.
    n_modes : int, default=16
        Number of Gaussians.
    n_components : int, default=64
        Number of principal components to which descriptors are reduced, at most their length.
    patch_size : int, default=16
        Side of a patch, or of the square that dense SIFT describes, in pixels. Dense ORB always
        describes 31.
    stride : int, default=4
        Distance in pixels between dense descriptors.
    grid : int or sequence of int, default=1
        The image is cut into `grid` x `grid` cells, with a Fisher vector of each. Several make a
        spatial pyramid.
    color : bool, default=False
        For descriptor="patch": patches of all three channels, instead of luma.
    keypoints : {"dense", "detect"}, default="dense"
        For SIFT and ORB: use the points of a lattice, or the keypoints that they detect. The
        features of a cell without keypoints are zeros.
    improved : bool, default=True
        Whether to take signed square roots, and scale the vector of each cell to length 1 [2]_.
    n_samples : int, default=100_000
        Maximal number of descriptors, chosen at random, to which the mixture is fitted.
    random_state : int, RandomState or None, default=None
        Controls the choice of descriptors and the initialisation of the mixture.
    image_shape : tuple (h, w) or (h, w, c), default=None
        Shape of one image, for flat input of shape (n, h * w * c).
    n_jobs : int, default=None
        Number of threads; None is 1 unless in a ``joblib.parallel_config`` context, -1 all cores.

    Attributes
    ----------
    weights_ : ndarray of shape (n_modes,), dtype float64
        Weights of the Gaussians.
    means_, covariances_ : ndarrays of shape (n_modes, c), dtype float64
        Means and variances of the Gaussians; c is `n_components`, or the length of
        a descriptor if that is less.
    center_ : ndarray of shape (d,), dtype float32
        Mean of the descriptors.
    projection_ : ndarray of shape (d, c), dtype float32
        The principal components: ``(descriptors - center_) @ projection_``.
    image_shape_ : tuple (h, w, c)
        Shape of the images seen in `fit`.
    n_features_in_ : int
        Number of pixels; only for flat input.

    Raises
    ------
    ValueError
        If the images are too small for `patch_size` or `grid`, there are fewer descriptors than
        Gaussians, or `color` or `keypoints` cannot be combined with `descriptor`.

    See Also
    --------
    BagOfVisualWords : Count the words of a larger codebook.

    Notes
    -----
    Fitting stops after 100 iterations without a ConvergenceWarning, since a mixture that has not
    quite converged is sufficient.

    References
    ----------
    .. [1] F. Perronnin and C. Dance, "Fisher Kernels on Visual Vocabularies for Image
           Categorization", CVPR 2007, :doi:`10.1109/CVPR.2007.383266`.
    .. [2] F. Perronnin, J. Sánchez and T. Mensink, "Improving the Fisher Kernel for Large-Scale
           Image Classification", ECCV 2010, :doi:`10.1007/978-3-642-15561-1_11`.

    Examples
    --------
    >>> from skimage.data import brick
    >>> from imgfeat import FisherVector
    >>> patches = brick().reshape(8, 64, 8, 64).swapaxes(1, 2).reshape(64, 64, 64)
    >>> fisher = FisherVector(n_modes=4, n_components=8, random_state=0).fit(patches)
    >>> fisher.transform(patches).shape
    (64, 68)
    >>> fisher.get_feature_names_out()[[0, 4, 67]].tolist()
    ['fisher_y0_x0_weight0', 'fisher_y0_x0_mean0_0', 'fisher_y0_x0_variance3_7']
    """

    _parameter_constraints = {
        **LocalFeatures._parameter_constraints,
        "n_modes": [Interval(Integral, 1, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "improved": ["boolean"],
    }
    _fitted_attributes = (
        *LocalFeatures._fitted_attributes,
        "weights_",
        "means_",
        "covariances_",
    )
    _prefix = "fisher"

    def __init__(
        self,
        descriptor: str = "sift",
        n_modes: int = 16,
        n_components: int = 64,
        patch_size: int = 16,
        stride: int = 4,
        grid: Grid = 1,
        color: bool = False,
        keypoints: str = "dense",
        improved: bool = True,
        n_samples: int = 100_000,
        random_state: int | RandomState | None = None,
        image_shape: ImageShape | None = None,
        n_jobs: int | None = None,
    ):
        self.descriptor = descriptor
        self.n_modes = n_modes
        self.n_components = n_components
        self.patch_size = patch_size
        self.stride = stride
        self.grid = grid
        self.color = color
        self.keypoints = keypoints
        self.improved = improved
        self.n_samples = n_samples
        self.random_state = random_state
        self.image_shape = image_shape
        self.n_jobs = n_jobs

    def _count_needed(self) -> tuple[str, int]:
        # The variance of a single Gaussian needs two descriptors as well.
        return f"n_modes={self.n_modes}", max(self.n_modes, 2)

    def _count_components(self) -> int:
        return min(self.n_components, self._choose_describer().length)

    def _count_projected(self) -> int:
        return self._count_components()

    def _check_fitted(self) -> None:
        super()._check_fitted()
        if not hasattr(self, "projection_"):
            return
        shape = (self.n_modes, self._count_components())
        self._check_array("weights_", shape[:1], np.float64)
        self._check_array("means_", shape, np.float64)
        self._check_array("covariances_", shape, np.float64)
        if min(self.weights_.min(), self.covariances_.min()) <= 0:
            raise ValueError(
                "FisherVector.weights_ and FisherVector.covariances_ must be above 0. Fit it again."
            )

    def _name_statistics(self) -> list[str]:
        modes, components = range(self.n_modes), range(self._count_components())
        return [f"weight{k}" for k in modes] + [
            f"{what}{k}_{c}" for what in ("mean", "variance") for k in modes for c in components
        ]

    def _learn(self, samples: NDArray[np.float32], random: RandomState) -> None:
        _, axes = self._find_axes(samples)
        components = axes[:, ::-1][:, : self._count_components()]
        self.projection_ = np.ascontiguousarray(components, np.float32)
        mixture = GaussianMixture(self.n_modes, covariance_type="diag", random_state=random)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(self._project(samples).astype(np.float64))
        self.weights_ = mixture.weights_
        self.means_ = mixture.means_
        self.covariances_ = mixture.covariances_

    def _prepare(self) -> Any:
        """Return the log-likelihood as a polynomial: constants, factors of x and of x ** 2."""
        precisions = 1 / self.covariances_
        constants = (self.means_**2 * precisions + np.log(2 * np.pi * self.covariances_)).sum(
            axis=1
        )
        constants = np.log(self.weights_) - constants / 2
        return constants, (self.means_ * precisions).T, -precisions.T / 2

    def _accumulate(
        self,
        descriptors: NDArray[np.float32],
        cells: NDArray[np.int64],
        codebook: Any,
        totals: NDArray[np.float64],
    ) -> None:
        constants, linear, square = codebook
        values = descriptors.astype(np.float64)
        squares = values**2
        posteriors = softmax(values @ linear + squares @ square + constants, axis=1)
        for level in range(cells.shape[1]):
            for cell in np.unique(cells[:, level]):
                inside = cells[:, level] == cell
                weights = posteriors[inside].T
                totals[cell] += np.concatenate(
                    [
                        weights.sum(axis=1),
                        (weights @ values[inside]).ravel(),
                        (weights @ squares[inside]).ravel(),
                    ]
                )

    def _finish(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the gradients from mean posteriors and the means of x and x ** 2 under them."""
        shape = (len(means), *self.means_.shape)
        posteriors, values, squares = np.split(
            means, np.cumsum([self.n_modes, self.means_.size]), axis=1
        )
        first, second = values.reshape(shape), squares.reshape(shape)
        roots = np.sqrt(self.weights_)
        part = posteriors[..., np.newaxis]
        by_weight = (posteriors - self.weights_) / roots
        by_mean = (first - part * self.means_) / (roots[:, np.newaxis] * np.sqrt(self.covariances_))
        by_variance = part * (self.covariances_ - self.means_**2) + 2 * first * self.means_ - second
        by_variance /= np.sqrt(2) * roots[:, np.newaxis] * self.covariances_
        flat = (len(means), -1)
        vectors = np.hstack([by_weight, by_mean.reshape(flat), by_variance.reshape(flat)])
        if not self.improved:
            return vectors
        return scale_to_one(np.sign(vectors) * np.sqrt(np.abs(vectors)))
