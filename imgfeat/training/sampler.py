"""A sampler that adds augmented copies to the images on which later steps are fitted."""

from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d
from tqdm import tqdm

from imgfeat._compat.sklearn import Interval, safe_indexing, validate_params
from imgfeat._optional import import_optional
from imgfeat.heads.classes import read_labels
from imgfeat.images.validation import ImageShape, check_images
from imgfeat.training.augment import Augment, Augmentation, build_augmentation

IMAGES_AT_ONCE = 64


class AugmentedSampler(BaseEstimator):
    """Add augmented copies of images, each with the label of its original, in fit only.

    A step for the Pipeline of imbalanced-learn, which calls `fit_resample` when it is fitted, and
    leaves the step out when it predicts. In a cross-validation only the training images of each
    fold get copies. Place it after ImageLoader, before the first step that computes features.

    A later step that splits its own training images, such as a calibrated or stacked head, has
    copies of one image on both sides of its split: its out-of-fold outputs are then optimistic.
    Use heads that are fitted once, such as ``svm()`` without probabilities.

    Parameters
    ----------
    augment : None, str, list of str or callable, default="light"
        Random changes; see `build_augmentation`. None adds copies that are not changed.
    copies : int, default=1
        Number of copies of each image. Ignored if `balance` is True.
    balance : bool, default=False
        Add copies to the classes that have fewer images than the largest, until all have as many.
        The images of a class are copied equally often, up to one.
    image_shape : tuple (h, w) or (h, w, c), default=None
        Shape of one image, for flat arrays of shape (n, h * w * c).
    random_state : int, RandomState or None, default=None
        An int gives the same copies each time.

    Attributes
    ----------
    sample_indices_ : ndarray of shape (n_resampled,), dtype intp
        For each image of the result, the position of its original in the input.
    image_shape_ : tuple (h, w, c)
        Shape of one image.

    Examples
    --------
    >>> from imblearn.pipeline import make_pipeline
    >>> from imgfeat import HOG
    >>> from imgfeat.datasets import load_digits
    >>> from imgfeat.heads import svm
    >>> from imgfeat.training import AugmentedSampler
    >>> digits = load_digits()
    >>> few, labels = digits.images[:50], digits.target[:50]
    >>> model = make_pipeline(
    ...     AugmentedSampler("light", copies=5, random_state=0), HOG(pixels_per_cell=2), svm()
    ... ).fit(few, labels)
    >>> model.predict(digits.images[50:52]).shape
    (2,)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "augment": [str, list, tuple, callable, None],
        "copies": [Interval(Integral, 0, None, closed="left")],
        "balance": ["boolean"],
        "image_shape": ["array-like", None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        augment: Augment = "light",
        *,
        copies: int = 1,
        balance: bool = False,
        image_shape: ImageShape | None = None,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.augment = augment
        self.copies = copies
        self.balance = balance
        self.image_shape = image_shape
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Check the parameters and the images; `fit_resample` does so as well.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            Images.
        y : array-like of shape (n,) or (n, n_labels)
            Labels.

        Returns
        -------
        self : object
            The sampler itself.
        """
        images = self._check(X, y)
        self._build(images, 0)
        return self

    def fit_resample(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], Any]:
        """Return the images, followed by augmented copies of them, and their labels.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            Images, uint8 or floating point in [0, 1], c in {1, 3, 4}. An alpha channel is blended
            onto white.
        y : array-like of shape (n,) or (n, n_labels)
            Labels of any kind, or an indicator matrix if `balance` is False.

        Returns
        -------
        X_resampled : ndarray of shape (n_resampled, h, w), (n_resampled, h, w, c) or flat
            Of the dtype of `X`; its first n images are those of `X`.
        y_resampled : as y, of n_resampled labels
            A Series or a frame gets a new index.

        Raises
        ------
        ValueError
            If images, labels or parameters are not as described.
        MissingExtraError
            If torch is not installed.
        """
        images = self._check(X, y)
        rng = check_random_state(self.random_state)
        rows = self._choose_rows(len(images), y, rng)
        augmentation = self._build(images, int(rng.randint(2**31 - 1)))
        resampled = np.empty((len(images) + len(rows), *images.shape[1:]), images.dtype)
        resampled[: len(images)] = images
        _fill_with_copies(resampled[len(images) :], images, rows, augmentation)
        self.sample_indices_ = np.concatenate([np.arange(len(images)), rows])
        labels = safe_indexing(y, self.sample_indices_)
        if hasattr(labels, "reset_index"):
            labels = labels.reset_index(drop=True)
        ndim = np.ndim(X)
        if ndim == 2:
            return resampled.reshape(len(resampled), -1), labels
        return (resampled[..., 0] if ndim == 3 else resampled), labels

    def _check(self, X: ArrayLike, y: Any) -> NDArray[Any]:
        validate_params(self)
        if y is None:
            raise ValueError("AugmentedSampler requires y, the labels of the images; got None.")
        images = check_images(X, image_shape=self.image_shape)
        check_consistent_length(images, y)
        if len(images) == 0:
            raise ValueError("AugmentedSampler needs at least 1 image, got none.")
        self.image_shape_ = images.shape[1:]
        return images

    def _build(self, images: NDArray[Any], seed: int) -> Augmentation:
        return build_augmentation(self.augment, image_shape=images.shape[1:], seed=seed)

    def _choose_rows(self, n: int, y: Any, rng: np.random.RandomState) -> NDArray[np.intp]:
        """Return the positions of the images to be copied, one for each copy."""
        if not self.balance:
            return np.tile(np.arange(n), self.copies)
        labels = read_labels(y, warn=False)
        if labels.ndim != 1:
            raise ValueError(
                "balance=True needs one label an image, got an indicator matrix of shape "
                f"{labels.shape}. Use balance=False."
            )
        check_classification_targets(labels)
        _, codes, counts = np.unique(column_or_1d(labels), return_inverse=True, return_counts=True)
        rows = []
        for code, count in enumerate(counts):
            shuffled = rng.permutation(np.flatnonzero(codes == code))
            rows.append(np.resize(shuffled, counts.max() - count))
        return np.concatenate(rows)


def _fill_with_copies(
    out: NDArray[Any], images: NDArray[Any], rows: NDArray[np.intp], augmentation: Augmentation
) -> None:
    """Fill `out`, of shape (n_copies, h, w, c), with augmented copies of the images at `rows`."""
    torch = import_optional("torch")
    with tqdm(total=len(rows), unit="image", delay=2, disable=None, leave=False) as progress:
        for start in range(0, len(rows), IMAGES_AT_ONCE):
            part = images[rows[start : start + IMAGES_AT_ONCE]]
            pixels = torch.from_numpy(np.ascontiguousarray(part.transpose(0, 3, 1, 2)))
            pixels = pixels.float() / 255 if part.dtype == np.uint8 else pixels
            changed = augmentation(pixels).clamp(0, 1).permute(0, 2, 3, 1).numpy()
            if out.dtype == np.uint8:
                changed = np.rint(changed * 255)
            out[start : start + len(part)] = changed
            progress.update(len(part))
