"""One batch of images: its features, those of images in the cache, and its digest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from imgfeat._compat.sklearn import OUTPUT_CONFIG, safe_indexing
from imgfeat._protocols import Transformer
from imgfeat.caching.image_digests import hash_samples, join_digests
from imgfeat.caching.row_store import RowStore
from imgfeat.images.decoding import ImageReadError
from imgfeat.images.rows import Frame, Rows, refill_frame
from imgfeat.images.sources import ImageBatch


class Batch(NamedTuple):
    """The features of a batch.

    Attributes
    ----------
    rows : ndarray or frame of n rows, or None
        None if the rows are already written.
    digest : str
        Digest of the images, empty if none was requested.
    """

    rows: Rows | None
    digest: str


@dataclass
class BatchTransformer:
    """Transforms one batch per call, with cache and digests.

    Attributes
    ----------
    transformer : transformer
    store : RowStore or None
    by_name : bool
        Whether digests include names of files.
    hashes : bool
        Whether digests are needed.
    pattern : DataFrame or None
        The features of an image as a frame, if rows from the store are returned as frames.
    """

    transformer: Transformer
    store: RowStore | None
    by_name: bool
    hashes: bool
    pattern: Frame | None

    def __call__(self, X: ImageBatch, span: slice, finished: str | None) -> Batch:
        """Transform a batch, unless its rows are already written, with the digest `finished`."""
        images, rows = take_images(X, span), range(span.start, span.stop)
        if len(images) == 0 or not self.hashes:
            return Batch(_transform(self.transformer, images, rows), "")
        digests = hash_samples(images, by_name=self.by_name)
        digest = join_digests(digests)
        if digest == finished and None not in digests:
            return Batch(None, digest)
        if self.store is None:
            return Batch(_transform(self.transformer, images, rows), digest)

        def compute(places: list[int]) -> NDArray[Any]:
            positions = [rows[place] for place in places]
            part = _transform(self.transformer, take_images(images, places), positions)
            return np.asarray(part)

        values = np.stack(_get_or_compute(self.store, digests, compute))
        return Batch(values if self.pattern is None else refill_frame(self.pattern, values), digest)


def hash_batch(
    X: ImageBatch,
    span: slice,
    compute: Callable[[ImageBatch], NDArray[np.uint64]],
    store: RowStore | None,
    *,
    by_name: bool,
) -> NDArray[np.uint64]:
    """Return the hashes of a batch from the store; compute those that it does not have."""
    images = take_images(X, span)
    if store is None:
        return compute(images)
    digests = hash_samples(images, by_name=by_name)
    rows = _get_or_compute(
        store, digests, lambda places: compute(take_images(images, places))[:, None]
    )
    return np.concatenate(rows)


def make_pattern(transformer: Transformer, X: ImageBatch) -> Frame | None:
    """Return the features of the first image if they are a frame, else None."""
    parts = [transformer, *transformer.get_params(deep=True).values()]
    chosen = any(hasattr(part, OUTPUT_CONFIG) for part in parts)
    if len(X) == 0 or not (chosen or get_config()["transform_output"] != "default"):
        return None
    rows = _transform(transformer, take_images(X, slice(0, 1)), [0])
    return rows if hasattr(rows, "columns") else None


def list_spans(n: int, batch_size: int) -> list[slice]:
    """Divide the positions of `n` images into batches."""
    return [slice(start, min(start + batch_size, n)) for start in range(0, n, batch_size)]


def take_images(X: ImageBatch, key: slice | list[int]) -> ImageBatch:
    """Index a sequence, also one that has only ``len(X)`` and ``X[i]``."""
    if hasattr(X, "iloc") or hasattr(X, "shape"):
        return safe_indexing(X, key)
    return [X[place] for place in (range(key.start, key.stop) if isinstance(key, slice) else key)]


def _get_or_compute(
    store: RowStore,
    digests: Sequence[bytes | None],
    compute: Callable[[list[int]], NDArray[Any]],
) -> list[NDArray[Any]]:
    """Return the row of each image from the store; compute and store those that it does not have.

    Parameters
    ----------
    store : RowStore
    digests : sequence of n bytes or None
        Images with the same digest are computed once.
    compute : callable
        Returns the rows of the images at the given positions.
    """
    rows = store.get(digests)
    missing: dict[bytes | int, int] = {}
    for place, (row, digest) in enumerate(zip(rows, digests, strict=True)):
        if row is None:
            # Files without digest are not treated as equal.
            missing.setdefault(place if digest is None else digest, place)
    new: NDArray[Any] | list[NDArray[Any]] = []
    if missing:
        places = list(missing.values())
        new = compute(places)
        store.put([digests[place] for place in places], list(new))
    found = dict(zip(missing, new, strict=True))
    return [
        found[place if digest is None else digest] if row is None else row
        for place, (row, digest) in enumerate(zip(rows, digests, strict=True))
    ]


def _transform(transformer: Transformer, images: ImageBatch, rows: Sequence[int]) -> Rows:
    """Transform images; an error names the row of an image in the whole input."""
    try:
        part = transformer.transform(images)
    except ImageReadError as error:
        if error.row is None:
            raise
        raise error.move_to_row(rows[error.row]) from error
    return part if hasattr(part, "columns") else np.asarray(part)
