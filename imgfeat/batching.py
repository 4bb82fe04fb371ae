"""Streaming a chain of transformers that learn nothing, batch by batch, several at a time."""

import os
from collections.abc import Iterator
from numbers import Integral
from typing import Any, NamedTuple, Self

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from imgfeat._seen_images import find_reader, hash_inputs, record_hashes, sort_hashes
from imgfeat.caching.fingerprints import fingerprint, hash_samples
from imgfeat.caching.resumable import ResumableArray, join_digests
from imgfeat.caching.row_store import RowStore
from imgfeat.loading import ImageLoader
from imgfeat.stateless import find_learner


class Batched(TransformerMixin, BaseEstimator):
    """Run a chain that learns nothing over batches: in bounded memory, in parallel, resumable.

    A pipeline of its own decodes all images, then describes all. This one describes one batch
    while it decodes the next, and holds no more than a few batches of images at a time.

    Parameters
    ----------
    transformer : transformer
        One that learns nothing (tagged ``requires_fit=False``), or a Pipeline, FeatureUnion or
        ColumnTransformer of such.
    batch_size : int, default=256
        Images at a time.
    n_jobs : int, default=None
        Batches at the same time, in threads, since decoders, kernels and networks release the
        GIL; a backend chosen with ``joblib.parallel_config`` is used instead. None means 1 unless
        inside such a context, -1 all cores.
    memory : str, path-like or joblib.Memory, default=None
        Folder where rows are kept by the content of the image: only images that no earlier call
        with the same transformer saw are described, whatever they are called now.
    progress : bool, default=False
        Show how far it is, how fast, and the time left.
    out : str or path-like, default=None
        A .npy file to write, where the result would not fit into memory; `transform` returns a
        read-only memory map of it. Until all is done it is called ``NAME.partial``. After a kill,
        the next call goes on where it stopped, if transformer and images are still the same; a file
        that is complete is never replaced.

    Attributes
    ----------
    transformer_ : transformer
        A copy, fitted on the first image, which decides nothing but the names of the features.
    training_hashes_ : ndarray of dtype uint64
        Hashes of the images that `fit_transform` read, unless they went into `out`; see
        `ImageLoader`.

    Raises
    ------
    ValueError
        If a step learns from its data: then batches would differ from the whole. If `memory` is no
        folder, or `out` is there already or cannot be made, before any work starts.

    See Also
    --------
    ImageLoader : The usual first step.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from skimage.data import astronaut, coffee
    >>> from imgfeat import HOG, Batched, ImageLoader
    >>> stream = Batched(make_pipeline(ImageLoader(64), HOG()), batch_size=2, n_jobs=2)
    >>> stream.fit_transform([astronaut(), coffee()] * 3).shape
    (6, 1764)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "transformer": [HasMethods(["fit", "transform"])],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "memory": [str, os.PathLike, HasMethods(["cache"]), None],
        "progress": ["boolean"],
        "out": [str, os.PathLike, None],
    }

    def __init__(
        self,
        transformer: Any,
        batch_size: int = 256,
        n_jobs: int | None = None,
        memory: Any = None,
        progress: bool = False,
        out: str | os.PathLike | None = None,
    ):
        self.transformer = transformer
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.memory = memory
        self.progress = progress
        self.out = out

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check that nothing in the chain learns, and fit a copy on the first image.

        Parameters
        ----------
        X : sequence, array or frame of n images
            What the first step takes.
        y : ignored
            Present for scikit-learn's sake.

        Returns
        -------
        self : object
            The transformer itself.
        """
        self._validate_params()
        self.transformer_ = self._prepare(X)
        return self

    def transform(self, X: Any) -> Any:
        """Transform every image.

        Parameters
        ----------
        X : sequence, array or frame of n images
            What the first step takes. Of other sequences, ``len(X)`` and ``X[i]`` are enough: those
            that make their images when asked are never held as a whole.

        Returns
        -------
        output : ndarray or DataFrame of shape (n, ...)
            What the chain makes of them, in their order; a frame where it makes frames. With `out`,
            a memory map.
        """
        if not hasattr(self, "transformer_"):
            self._validate_params()
        transformer = getattr(self, "transformer_", None) or self._prepare(X)
        store = self._open_store()
        array = None
        if self.out is not None:
            array = ResumableArray(self.out, fingerprint(self.transformer), len(X))
        spans = [
            slice(k, min(k + self.batch_size, len(X))) for k in range(0, len(X), self.batch_size)
        ]
        parallel = joblib.Parallel(n_jobs=self.n_jobs, prefer="threads", return_as="generator")
        batches = parallel(
            joblib.delayed(_describe)(transformer, X, span, store, _find_digest(array, span))
            for span in spans or [slice(0, 0)]
        )
        return self._collect(len(X), spans or [slice(0, 0)], batches, array)

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Transform every image, and remember a hash of each.

        Parameters
        ----------
        X : sequence, array or frame of n images
            What the first step takes.
        y : ignored
            Present for scikit-learn's sake.
        **fit_params : dict
            None are known.

        Returns
        -------
        output : ndarray or DataFrame of shape (n, ...)
            As of `transform`.
        """
        self.fit(X, y, **fit_params)
        reader = find_reader(self.transformer_)
        if reader is None or self.out is not None:  # a file of features is no model
            return self.transform(X)
        with record_hashes(reader) as recorded:
            output = self.transform(X)
        hashes = np.concatenate([np.empty(0, np.uint64), *recorded])
        if len(hashes) != len(X):  # rows came from the cache, or from other processes
            hashes = self._look_up_hashes(X)
        self.training_hashes_ = sort_hashes(hashes)
        return output

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names that the chain gives its features.

        Parameters
        ----------
        input_features : ignored
            Pixels have no names that a feature could carry on.

        Returns
        -------
        names : ndarray of shape (d,), dtype object
        """
        check_is_fitted(self, "transformer_")
        return self.transformer_.get_feature_names_out()

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose the container of features; do nothing where the chain ends in images.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            See ``sklearn.utils.set_output``.

        Returns
        -------
        self : object
            The transformer itself.
        """
        last = self.transformer[-1] if isinstance(self.transformer, Pipeline) else self.transformer
        if isinstance(last, ImageLoader):
            return self
        return super().set_output(transform=transform)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags = get_tags(self.transformer).input_tags
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _prepare(self, X: Any) -> Any:
        learner = find_learner(self.transformer)
        if learner is not None:
            raise ValueError(
                f"Batched takes steps that learn nothing, but {type(learner).__name__} does: its "
                "result would hang on the batch. Put it behind Batched, in a Pipeline."
            )
        if len(X) == 0:
            raise ValueError("Batched needs at least 1 image to fit, got 0 sample(s).")
        return clone(self.transformer).fit(_take(X, slice(0, 1)))

    def _hash_inputs(self, X: Any) -> NDArray[np.uint64]:
        if find_reader(self.transformer_) is None:
            return np.empty(0, np.uint64)
        return hash_inputs(self.transformer_, X)

    def _look_up_hashes(self, X: Any) -> NDArray[np.uint64]:
        """Return the hashes of images' pixels, read once for as long as `memory` is kept."""
        folder = getattr(self.memory, "location", self.memory)
        name = f"{fingerprint(self.transformer)}-pixels"
        store = None if folder is None else RowStore(folder, name)
        starts = range(0, len(X), self.batch_size)
        parts = joblib.Parallel(n_jobs=self.n_jobs, prefer="threads")(
            joblib.delayed(_hash_batch)(self, X, slice(k, min(k + self.batch_size, len(X))), store)
            for k in starts
        )
        return np.concatenate(parts)

    def _open_store(self) -> RowStore | None:
        if self.memory is None:
            return None
        folder = getattr(self.memory, "location", self.memory)
        return None if folder is None else RowStore(folder, fingerprint(self.transformer))

    def _collect(
        self, n: int, spans: list[slice], batches: Iterator["_Batch"], array: ResumableArray | None
    ) -> Any:
        output: Any = None
        columns = None
        with tqdm(total=n, unit="image", disable=not self.progress) as bar:
            for span, batch in zip(spans, batches, strict=True):
                if array is None:
                    if output is None:
                        columns = getattr(batch.rows, "columns", None)
                        rows = np.asarray(batch.rows)
                        output = np.empty((n, *rows.shape[1:]), rows.dtype)
                    output[span] = batch.rows
                elif batch.rows is not None:
                    array.write(span, batch.digest, np.asarray(batch.rows))
                bar.update(span.stop - span.start)
        if array is not None:
            return array.finish()
        return output if columns is None else pd.DataFrame(output, columns=columns)


class _Batch(NamedTuple):
    rows: Any
    digest: str


def _describe(
    transformer: Any, X: Any, span: slice, store: RowStore | None, finished: str | None
) -> _Batch:
    """Describe a batch, unless its images are the ones of which the rows are written already."""
    images = _take(X, span)
    if span.start == span.stop or (store is None and finished is None):
        return _Batch(_transform(transformer, images), "")
    digests = hash_samples(images)
    digest = join_digests(digests)
    if digest == finished:
        return _Batch(None, digest)
    if store is None:
        return _Batch(_transform(transformer, images), digest)
    return _Batch(_remember(transformer, images, store, digests), digest)


def _remember(transformer: Any, images: Any, store: RowStore, digests: list[bytes | None]) -> Any:
    """Take rows from the store, and describe those images that it does not have."""
    rows: list[Any] = store.get(digests)
    missing: dict[Any, int] = {}
    for place, (row, digest) in enumerate(zip(rows, digests, strict=True)):
        if row is None:
            # Files that cannot be read are no copies of one another.
            missing.setdefault(place if digest is None else digest, place)
    columns = store.get_columns()
    if missing:
        places = list(missing.values())
        part = _transform(transformer, _take(images, places))
        columns = getattr(part, "columns", None)
        new = np.asarray(part)
        store.put([digests[place] for place in places], list(new))
        if columns is not None:
            store.put_columns(list(columns))
        found = dict(zip(missing, new, strict=True))
        rows = [
            found[place if digests[place] is None else digests[place]] if row is None else row
            for place, row in enumerate(rows)
        ]
    values = np.stack(rows)
    return values if columns is None else pd.DataFrame(values, columns=columns)


def _hash_batch(stream: Batched, X: Any, span: slice, store: RowStore | None) -> NDArray[np.uint64]:
    """Take the hashes of images from the store, and read those images that it does not have."""
    images = _take(X, span)
    if store is None:
        return stream._hash_inputs(images)
    digests = hash_samples(images)
    rows: list[Any] = store.get(digests)
    missing = [place for place, row in enumerate(rows) if row is None]
    if missing:
        new = stream._hash_inputs(_take(images, missing))[:, None]
        store.put([digests[place] for place in missing], list(new))
        for place, row in zip(missing, new, strict=True):
            rows[place] = row
    return np.concatenate(rows)


def _find_digest(array: ResumableArray | None, span: slice) -> str | None:
    """Return of what a batch was written: none at all, nothing yet, or its digest."""
    return None if array is None else array.finished.get((span.start, span.stop), "")


def _transform(transformer: Any, images: Any) -> Any:
    part = transformer.transform(images)
    return part if hasattr(part, "columns") else np.asarray(part)


def _take(X: Any, key: slice | list[int]) -> Any:
    """Cut from a sequence, also from one that only knows its length and single images."""
    if hasattr(X, "iloc") or hasattr(X, "shape"):
        return _safe_indexing(X, key)
    return [X[place] for place in (range(key.start, key.stop) if isinstance(key, slice) else key)]
