"""Hashes of a model's training images, by which training images in a test set are detected.

The first step that reads images stores the hashes as `training_hashes_` in `fit_transform`, which
Pipelines call. `imgfeat.evaluation.evaluate` compares them with those of its images.
"""

import contextlib
import functools
import weakref
from collections.abc import Iterator
from typing import Any, Protocol, cast

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer

from imgfeat._compat.sklearn import num_samples, safe_indexing
from imgfeat._protocols import Estimator
from imgfeat.images.sources import ImageBatch

BATCH = 256
# Number of pixel values hashed at once, so that they fit in the processor's cache.
CHUNK = 1 << 18
NO_HASH = np.uint64(0)
_ODD = np.uint64(0x9E3779B97F4A7C15)

# Hashes of arrays that an ImageLoader returned, for the next steps, which take the same arrays.
_known: dict[int, tuple[weakref.ref[NDArray[Any]], NDArray[np.uint64]]] = {}


class ImageReader(Protocol):
    """A step that reads images, such as `ImageLoader` or `HOG`.

    Attributes
    ----------
    training_hashes_ : ndarray of dtype uint64
        Hashes of the training images.
    """

    training_hashes_: NDArray[np.uint64]
    _recorder: list[NDArray[np.uint64]]

    def _hash_inputs(self, X: ImageBatch) -> NDArray[np.uint64]:
        """Return a hash of the pixels of each image."""
        ...


def hash_images(images: NDArray[Any]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of the pixels of each image, the same on every machine.

    Parameters
    ----------
    images : ndarray of shape (n, ...)
        uint8, or floating point in [0, 1], which is first converted to uint8.

    Returns
    -------
    hashes : ndarray of shape (n,), dtype uint64

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.images.training_hashes import hash_images
    >>> images = np.array([[[0, 255]], [[255, 0]], [[0, 255]]], np.uint8)
    >>> first, second, third = hash_images(images)
    >>> bool(first == third), bool(first == second), bool((hash_images(images / 255)[0] == first))
    (True, False, True)
    """
    hashes = np.empty(len(images), np.uint64)
    if images.size == 0:
        hashes[:] = 0
        return hashes
    flat = images.reshape(len(images), -1)
    length = flat.shape[1]
    keys = _make_keys(-(-length // 8))
    step = max(1, CHUNK // length)
    for start in range(0, len(flat), step):
        pixels = flat[start : start + step]
        if pixels.dtype != np.uint8:
            pixels = (pixels * 255 + 0.5).astype(np.uint8)
        padded = np.pad(pixels, ((0, 0), (0, -length % 8))) if length % 8 else pixels
        # Bits are mixed, since a sum of products hardly depends on the highest bits of a word.
        words = np.ascontiguousarray(padded).view("<u8") * _ODD
        words ^= words >> np.uint64(32)
        words *= _ODD
        words ^= words >> np.uint64(29)
        hashes[start : start + step] = words @ keys + _ODD  # a black image is not NO_HASH
    return hashes


@functools.lru_cache(maxsize=8)
def _make_keys(n: int) -> NDArray[np.uint64]:
    # The raw stream is the same in all versions of numpy.
    return np.random.PCG64(0).random_raw(n) | np.uint64(1)


def register_hashes(images: NDArray[Any], hashes: NDArray[np.uint64]) -> None:
    """Register the hashes of an array, so that steps that take the same array reuse them."""
    key = id(images)
    _known[key] = (weakref.ref(images, lambda _: _known.pop(key, None)), hashes)


def find_registered_hashes(images: object) -> NDArray[np.uint64] | None:
    """Return the hashes of an array passed to `register_hashes`, or None for other arrays."""
    found = _known.get(id(images))
    return found[1] if found is not None and found[0]() is images else None


def find_reader(model: Estimator) -> ImageReader | None:
    """Return the first step of a fitted model that reads images, if there is one.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from imgfeat import HOG, ImageLoader
    >>> from imgfeat.images.training_hashes import find_reader
    >>> find_reader(make_pipeline(ImageLoader(32), HOG()))
    ImageLoader(size=32)
    """
    model = getattr(model, "best_estimator_", model)
    if hasattr(model, "_hash_inputs"):
        return cast(ImageReader, model)
    readers = (find_reader(part) for part, _ in _list_parts(model))
    return next((reader for reader in readers if reader is not None), None)


def hash_inputs(model: Estimator, X: ImageBatch) -> NDArray[np.uint64]:
    """Return the hashes of images as they reach the step that `find_reader` returns."""
    model = getattr(model, "best_estimator_", model)
    if hasattr(model, "_hash_inputs"):
        return model._hash_inputs(X)
    for part, columns in _list_parts(model):
        if find_reader(part) is not None:
            return hash_inputs(part, X if columns is None else safe_indexing(X, columns, axis=1))
        if hasattr(model, "steps") and hasattr(part, "transform"):
            X = part.transform(X)
    raise ValueError(f"No step of {type(model).__name__} reads images.")


def _list_parts(model: Estimator) -> list[tuple[Any, Any]]:
    """Return the fitted parts of a composite estimator, each with its columns or None.

    Composite estimators are Pipeline, FeatureUnion, ColumnTransformer, and ensembles such as
    VotingClassifier.
    """
    if isinstance(model, ColumnTransformer):
        return [(part, columns) for _, part, columns in getattr(model, "transformers_", ())]
    for name in ("steps", "transformer_list"):
        if hasattr(model, name):
            return [(part, None) for _, part in getattr(model, name)]
    estimators = getattr(model, "estimators_", None)
    return [(part, None) for part in estimators] if isinstance(estimators, list) else []


def record_training_images(model: Estimator, X: ImageBatch, n_jobs: int | None = None) -> None:
    """Store the hashes of training images in a model whose first steps did not see all of them.

    Parameters
    ----------
    model : estimator
        Fitted.
    X : sequence, array or frame of n images
        The training images.
    n_jobs : int, default=None
        Number of threads that read images.
    """
    reader = find_reader(model)
    if reader is not None:
        reader.training_hashes_ = sort_hashes(_hash_all(model, X, n_jobs))


@contextlib.contextmanager
def record_hashes(reader: ImageReader | None) -> Iterator[list[NDArray[np.uint64]]]:
    """Collect the hashes of the images that a step reads in a ``with`` block.

    Yields
    ------
    recorded : list of ndarray
        Hashes in arbitrary order, since several threads may use the step; those of images read
        in other processes are missing.
    """
    recorded: list[NDArray[np.uint64]] = []
    if reader is None:
        yield recorded
        return
    reader._recorder = recorded
    try:
        yield recorded
    finally:
        del reader._recorder


def add_record(reader: ImageReader, images: NDArray[Any], blank: list[int] | None = None) -> None:
    """Record the hashes of images that a step has read, within `record_hashes` only.

    Blank images, which replace unreadable ones, get `NO_HASH`.
    """
    recorder = getattr(reader, "_recorder", None)
    if recorder is not None:
        hashes = hash_images(images)
        hashes[blank or []] = NO_HASH
        recorder.append(hashes)


def sort_hashes(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the sorted distinct hashes, without `NO_HASH`, as a model stores them."""
    return np.unique(hashes[hashes != NO_HASH])


def count_seen(model: Estimator, X: ImageBatch, recorded: list[NDArray[np.uint64]]) -> int:
    """Return how many of the images are among a model's training images.

    Parameters
    ----------
    model : estimator
    X : sequence of n images
    recorded : list of ndarray
        From `record_hashes`. If it does not have one hash for each image, all images are read
        again.
    """
    known = getattr(find_reader(model), "training_hashes_", None)
    if known is None:
        return 0
    hashes = np.concatenate([np.empty(0, np.uint64), *recorded])
    if len(hashes) != num_samples(X):
        hashes = _hash_all(model, X)
    return int(np.isin(hashes, known).sum())


def forget_training_images(model: Estimator) -> None:
    """Remove the hashes of the training images from a model.

    The hashes do not reveal the content of the images, but anyone who has the model and an image
    can find out whether the image was among the training images.

    Parameters
    ----------
    model : estimator
        Changed in place.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat import ImageLoader
    >>> from imgfeat.evaluation import forget_training_images
    >>> loader = ImageLoader(8)
    >>> images = loader.fit_transform(np.zeros((1, 8, 8)))
    >>> forget_training_images(loader)
    >>> hasattr(loader, "training_hashes_")
    False
    """
    part: Any = model
    if isinstance(part, BaseEstimator):
        vars(part).pop("training_hashes_", None)
        part = vars(part)
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, list | tuple):
        for inner in part:
            forget_training_images(inner)


def _hash_all(model: Estimator, X: ImageBatch, n_jobs: int | None = None) -> NDArray[np.uint64]:
    starts = range(0, num_samples(X), BATCH)
    parts = joblib.Parallel(n_jobs=n_jobs, require="sharedmem")(
        joblib.delayed(hash_inputs)(model, safe_indexing(X, slice(k, k + BATCH))) for k in starts
    )
    return np.concatenate(parts)
