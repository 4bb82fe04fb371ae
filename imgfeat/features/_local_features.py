"""Base class of bags of visual words and Fisher vectors, which pool local descriptors."""

from abc import abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import joblib
import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from imgfeat._base import ImageTransformer
from imgfeat._blas import limit_openmp, one_blas_thread
from imgfeat._compat.sklearn import Interval, StrOptions
from imgfeat.features._grid import check_grid, name_cells
from imgfeat.features._patches import (
    Describer,
    choose_describer,
    number_cells,
    sample_descriptors,
)
from imgfeat.images.validation import check_images

# Number of values in one block of products with a codebook: 4 MB.
PRODUCTS_AT_ONCE = 1 << 20

# Number of descriptors converted to double precision at a time.
SAMPLES_AT_ONCE = 1 << 13

Grid = int | Sequence[int]


class LocalFeatures(ImageTransformer):
    """Base class of transformers that pool local descriptors over grids with a learnt codebook.

    A subclass learns a codebook from a sample of descriptors, and sums statistics of descriptors
    in each cell.
    """

    _parameter_constraints = {
        **ImageTransformer._parameter_constraints,
        "descriptor": [StrOptions({"patch", "sift", "orb"})],
        "patch_size": [Interval(Integral, 1, None, closed="left")],
        "stride": [Interval(Integral, 1, 1_000_000, closed="both")],
        "color": ["boolean"],
        "keypoints": [StrOptions({"dense", "detect"})],
        "grid": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    _fitted_attributes = (*ImageTransformer._fitted_attributes, "center_", "projection_")

    # Prefix of feature names.
    _prefix: str

    descriptor: str
    patch_size: int
    stride: int
    color: bool
    keypoints: str
    grid: Grid
    n_samples: int
    random_state: int | RandomState | None

    center_: NDArray[np.float32]
    projection_: NDArray[np.float32] | None

    @abstractmethod
    def _learn(self, samples: NDArray[np.float32], random: RandomState) -> None:
        """Learn the codebook from descriptors of shape (m, d); `center_` is their mean."""

    @abstractmethod
    def _count_needed(self) -> tuple[str, int]:
        """Return how many descriptors `_learn` needs, after the parameter that determines it."""

    @abstractmethod
    def _name_statistics(self) -> list[str]:
        """Return the names of the features of a cell."""

    @abstractmethod
    def _prepare(self) -> Any:
        """Return values computed once from the codebook, as `_accumulate` takes them."""

    @abstractmethod
    def _accumulate(
        self,
        descriptors: NDArray[np.float32],
        cells: NDArray[np.int64],
        codebook: Any,
        totals: NDArray[np.float64],
    ) -> None:
        """Add descriptors (m, d), each in its cells (m, levels), to totals (n_cells, s)."""

    @abstractmethod
    def _finish(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn the means over the descriptors of each cell, (n_cells, s), into features."""

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn from the local descriptors of images.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            Images; see `imgfeat.images.validation.check_images`.
        y : ignored
            Present for scikit-learn's sake.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If a parameter or an image is invalid, or there are too few descriptors.
        """
        super().fit(X)
        images = check_images(X, image_shape=self.image_shape)
        random = check_random_state(self.random_state)
        n_threads = joblib.effective_n_jobs(self.n_jobs)
        with one_blas_thread(), limit_openmp(n_threads):
            samples = sample_descriptors(
                images, self._choose_describer(), self.n_samples, random, n_threads
            )
            self._check_enough(len(samples), len(images))
            self.center_ = samples.mean(axis=0, dtype=np.float64).astype(np.float32)
            self._learn(samples, random)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the features of every image.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            Images of the size seen in `fit`; n may be 0.

        Returns
        -------
        features : ndarray of shape (n, d), dtype float32, C-contiguous
            One row per image, which does not depend on the batch, the order or `n_jobs`.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        """
        check_is_fitted(self)
        with one_blas_thread():
            return super().transform(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "projection_")

    def _check_fitted(self) -> None:
        super()._check_fitted()
        if not hasattr(self, "projection_"):
            return
        length = self._choose_describer().length
        self._check_array("center_", (length,), np.float32)
        if self.projection_ is not None:
            self._check_array("projection_", (length, self._count_projected()), np.float32)

    def _count_projected(self) -> int:
        """Return the length of a descriptor after the projection."""
        return self._choose_describer().length

    def _check_array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        """Raise ValueError unless a fitted attribute is a finite array of a shape and dtype."""
        array: Any = getattr(self, name, None)
        if not isinstance(array, np.ndarray) or (array.shape, array.dtype) != (shape, dtype):
            found = (
                f"shape {np.shape(array)}, dtype {getattr(array, 'dtype', type(array).__name__)}"
            )
            raise ValueError(
                f"{type(self).__name__}.{name} must have shape {shape} and dtype "
                f"{np.dtype(dtype).name} to match its parameters, got {found}. Fit it again "
                "after a change of parameters."
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{type(self).__name__}.{name} holds NaN or infinity. Fit it again.")

    def _choose_describer(self) -> Describer:
        return choose_describer(
            self.descriptor, self.patch_size, self.stride, self.color, self.keypoints
        )

    def _grids(self) -> tuple[int, ...]:
        grids = tuple(self.grid) if isinstance(self.grid, (tuple, list)) else (self.grid,)
        distinct = len(set(grids)) == len(grids) > 0
        if not distinct or not all(isinstance(g, Integral) and int(g) >= 1 for g in grids):
            raise ValueError(
                "grid must be a positive whole number or a sequence of different ones, got "
                f"{self.grid!r}."
            )
        return tuple(int(g) for g in grids)

    def _count_features(self, height: int, width: int) -> int:
        lattice = self._choose_describer().measure(height, width)
        unit = "pixels" if self.keypoints == "detect" else "descriptors"
        check_grid(type(self).__name__, max(self._grids()), *lattice, unit)
        return sum(grid**2 for grid in self._grids()) * len(self._name_statistics())

    def _name_features(self, height: int, width: int) -> list[str]:
        grids = self._grids()
        return [
            f"{self._prefix}_{f'{grid}x{grid}_' if len(grids) > 1 else ''}{cell}_{name}"
            for grid in grids
            for cell in name_cells(grid)
            for name in self._name_statistics()
        ]

    def _check_enough(self, n_samples: int, n_images: int) -> None:
        setting, needed = self._count_needed()
        if n_samples >= needed:
            return
        if self.n_samples < needed:
            remedy = f"a larger n_samples than {self.n_samples}"
        else:
            remedy = "more images" + ("" if self.keypoints == "detect" else " or a smaller stride")
        raise ValueError(
            f"{setting} needs at least {needed} local descriptors to learn from, got {n_samples} "
            f"from {n_images} image(s). Use {remedy}, or decrease {setting.split('=')[0]}."
        )

    def _find_axes(
        self, samples: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the variances along the principal axes, ascending, and the axes as columns."""
        total = np.zeros((len(self.center_), len(self.center_)))
        for start in range(0, len(samples), SAMPLES_AT_ONCE):
            excess = samples[start : start + SAMPLES_AT_ONCE].astype(np.float64) - self.center_
            total += excess.T @ excess
        variances, axes = np.linalg.eigh(total / len(samples))
        return variances, axes

    def _project(self, descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.projection_ is None:
            return descriptors
        return np.matmul(descriptors - self.center_, self.projection_)

    def _extract(self, images: NDArray[Any], out: NDArray[np.float32]) -> None:
        describer, grids = self._choose_describer(), self._grids()
        cells = number_cells(*describer.measure(*images.shape[1:3]), grids)
        n_cells = sum(grid**2 for grid in grids)
        at_once = max(64, PRODUCTS_AT_ONCE // max(self._count_needed()[1], describer.length))
        codebook = self._prepare()
        for image, row in zip(images, out, strict=True):
            totals = np.zeros((n_cells, len(row) // n_cells))
            counts = np.zeros((n_cells, 1))
            for descriptors, places in describer.describe(image, at_once):
                self._accumulate(self._project(descriptors), cells[places], codebook, totals)
                counts[:, 0] += np.bincount(cells[places].ravel(), minlength=n_cells)
            features = self._finish(totals / np.maximum(counts, 1))
            row[:] = np.where(counts > 0, features, 0).ravel()


def scale_to_one(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale each row to length 1; rows of zeros stay zero."""
    # Validation of input in scikit-learn's normalize would take longer than the computation.
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)
