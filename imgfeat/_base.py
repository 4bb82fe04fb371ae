"""Base class of image transformers: validation, threads, feature names, tags."""

import operator
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from typing import Any, Self
from weakref import WeakKeyDictionary

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from imgfeat._compat.sklearn import validate_params
from imgfeat.images.training_hashes import (
    add_record,
    find_registered_hashes,
    hash_images,
    sort_hashes,
)
from imgfeat.images.validation import ImageShape, check_images

# Limits the memory for intermediate images, such as luma.
PIXELS_AT_ONCE = 1 << 20

# More features, half a gigabyte for one image, are taken for a mistake in the parameters.
MAX_FEATURES = 1 << 27

# The last valid parameters and fitted attributes of each transformer, kept here because `transform`
# must not change attributes.
_VALID: WeakKeyDictionary[BaseEstimator, tuple[Any, ...]] = WeakKeyDictionary()


class ImageTransformer(TransformerMixin, BaseEstimator, ABC):
    """Base class of transformers from images to float32 features, one image at a time.

    The transformer is stateless unless a subclass overrides the tag ``requires_fit``. A subclass
    assigns its parameters in ``__init__`` (`image_shape` and `n_jobs` among them), lists their
    constraints in ``_parameter_constraints``, and implements `_count_features`, `_name_features`
    and `_extract`. ``imgfeat.testing.check_image_estimator`` checks it.
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "image_shape": ["array-like", None],
        "n_jobs": [Integral, None],
    }

    # Attributes that `_check_fitted` validates.
    _fitted_attributes: tuple[str, ...] = ("image_shape_",)

    image_shape: ImageShape | None
    n_jobs: int | None

    @abstractmethod
    def _count_features(self, height: int, width: int) -> int:
        """Return the number of features; raise ValueError if the image is too small."""

    @abstractmethod
    def _name_features(self, height: int, width: int) -> list[str]:
        """Return the names of the features."""

    @abstractmethod
    def _extract(self, images: NDArray[Any], out: NDArray[np.float32]) -> None:
        """Fill `out`, of shape (n, d), from `images`, of shape (n, h, w, c) with c in {1, 3}.

        Called from several threads at once, so that it must not change attributes.
        """

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Check the parameters and the images, and store the shape of the images.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            Images; see `imgfeat.images.validation.check_images`.
        y : ignored
            Present for scikit-learn's sake.

        Returns
        -------
        self : object
            The transformer itself.
        """
        validate_params(self)
        images = check_images(X, image_shape=self.image_shape)
        if len(images) == 0:
            raise ValueError(
                f"{type(self).__name__} needs at least 1 image to fit, got an array of shape "
                f"{np.shape(X)} with 0 sample(s)."
            )
        self._check_tabular(X, reset=True)
        self._n_features_out = self._measure_row(*images.shape[1:3])
        self.image_shape_ = images.shape[1:]
        return self

    def fit_transform(self, X: ArrayLike, y: object = None, **fit_params: object) -> Any:
        """Fit, compute the features of every image, and store a hash of each image.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            Images.
        y : ignored
            Present for scikit-learn's sake.
        **fit_params : dict
            Ignored.

        Returns
        -------
        features : ndarray of shape (n, d), dtype float32, or a frame
        """
        features = super().fit_transform(X, y, **fit_params)
        shared = find_registered_hashes(X)
        self.training_hashes_ = sort_hashes(self._hash_inputs(X)) if shared is None else shared
        return features

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the features of every image.

        Works without `fit`; after it, images of another size are refused.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            Images; n may be 0.

        Returns
        -------
        features : ndarray of shape (n, d), dtype float32, C-contiguous
            One row per image, which does not depend on the batch, the order or `n_jobs`.
        """
        self._check_state()
        images = check_images(X, image_shape=self.image_shape)
        self._check_same_size(images)
        self._check_tabular(X, reset=False)
        features = np.empty((len(images), self._measure_row(*images.shape[1:3])), np.float32)
        self._fill(images, features)
        add_record(self, images)
        return features

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the features.

        Parameters
        ----------
        input_features : ignored
            Ignored, since pixels have no names.

        Returns
        -------
        names : ndarray of shape (d,), dtype object
            One name per column.
        """
        check_is_fitted(self, "image_shape_")
        return np.array(self._name_features(*self.image_shape_[:2]), dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = self.image_shape is not None
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "image_shape_")

    def _hash_inputs(self, X: ArrayLike) -> NDArray[np.uint64]:
        return hash_images(check_images(X, image_shape=self.image_shape))

    def _measure_row(self, height: int, width: int) -> int:
        """Return the number of features; raise ValueError if it exceeds `MAX_FEATURES`."""
        length = self._count_features(height, width)
        if length > MAX_FEATURES:
            raise ValueError(
                f"{self!r} has {length:,} features for an image of {height} x {width} pixels, more "
                f"than {MAX_FEATURES:,}. Use a coarser grid, fewer bins, or smaller images."
            )
        return length

    def _check_state(self) -> None:
        """Validate parameters and fitted attributes, unless they are unchanged since the last call.

        Compiled kernels do not validate them, but they may be set after `fit` or read from a file.

        Raises
        ------
        ValueError
            If one is invalid.
        """
        values = self.__dict__
        state = (
            *map(values.get, self._parameter_constraints),
            *map(values.get, self._fitted_attributes),
        )
        valid = _VALID.get(self)
        if valid is not None and all(map(operator.is_, state, valid)):
            return
        validate_params(self)
        self._check_fitted()
        _VALID[self] = state

    def _check_fitted(self) -> None:
        """Raise ValueError if a fitted attribute has not the form in which `fit` stores it."""
        shape = getattr(self, "image_shape_", (1, 1, 1))
        if not (
            isinstance(shape, (tuple, list))
            and len(shape) == 3
            and all(isinstance(length, Integral) and int(length) >= 1 for length in shape)
        ):
            raise ValueError(
                f"{type(self).__name__}.image_shape_ must be three whole numbers of at least 1, "
                f"(height, width, channels), got {shape!r}. Fit it again."
            )

    def _check_same_size(self, images: NDArray[Any]) -> None:
        fitted = getattr(self, "image_shape_", images.shape[1:])
        if images.shape[1:3] != fitted[:2]:
            raise ValueError(
                f"{type(self).__name__} was fitted on images of {_times(fitted)} pixels, got "
                f"{_times(images.shape[1:])}. Resize them, for example with "
                f"ImageLoader(size={tuple(fitted[:2])})."
            )

    def _check_tabular(self, X: ArrayLike, *, reset: bool) -> None:
        """Set or check scikit-learn's n_features_in_ and feature_names_in_ for flat arrays."""
        if np.ndim(X) == 2 and (reset or hasattr(self, "n_features_in_")):
            validate_data(self, X, reset=reset, skip_check_array=True)

    def _fill(self, images: NDArray[Any], features: NDArray[np.float32]) -> None:
        """Fill all rows, with `n_jobs` threads."""
        spans = self._split(len(images))
        if len(spans) == 1:
            self._extract_span(images, features)
            return
        # Not joblib.Parallel, whose overhead is the time for thousands of images.
        with ThreadPoolExecutor(len(spans)) as pool:
            list(pool.map(lambda s: self._extract_span(images[s], features[s]), spans))

    def _split(self, n: int) -> list[slice]:
        """Split a batch into one span for each thread."""
        n_threads = 1 if self.n_jobs == 1 else joblib.effective_n_jobs(self.n_jobs)
        step = max(1, -(-n // n_threads))
        return [slice(start, start + step) for start in range(0, max(n, 1), step)]

    def _extract_span(self, images: NDArray[Any], out: NDArray[np.float32]) -> None:
        step = max(1, PIXELS_AT_ONCE // (images.shape[1] * images.shape[2]))
        for start in range(0, len(images), step):
            self._extract(images[start : start + step], out[start : start + step])


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape[:2])
