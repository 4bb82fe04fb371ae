"""Batched: stateless transformers run batch by batch, in parallel, with cache and resumption."""

import os
from collections.abc import Iterator
from numbers import Integral
from typing import Any, Protocol, Self

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from imgfeat._batches import (
    Batch,
    BatchTransformer,
    hash_batch,
    list_spans,
    make_pattern,
    take_images,
)
from imgfeat._compat.sklearn import HasMethods, Interval, validate_params
from imgfeat._files import write_paths_as_text
from imgfeat._protocols import Transformer
from imgfeat.caching.fingerprints import find_fingerprint
from imgfeat.caching.resumable import ResumableArray
from imgfeat.caching.row_store import RowStore
from imgfeat.images.decoding import check_sequence
from imgfeat.images.rows import Frame, Rows, attach_index, concatenate_frames, find_index
from imgfeat.images.sources import ImageBatch
from imgfeat.images.training_hashes import find_reader, hash_inputs, record_hashes, sort_hashes
from imgfeat.stateless import find_learner, reads_content_alone


class FeatureTransformer(Transformer, Protocol):
    """A transformer that names its features."""

    def get_feature_names_out(self) -> NDArray[np.object_]:
        """Return the names of the features."""
        ...

    def set_output(self, *, transform: str | None = None) -> Self:
        """Set the container of the features, such as "pandas"."""
        ...


class Batched(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Run a stateless transformer in batches: in bounded memory, in parallel, resumable.

    A Pipeline decodes all images before it computes features. Batched computes the features of one
    batch while it decodes the next, and holds only a few batches of images at a time.

    Parameters
    ----------
    transformer : transformer
        A stateless transformer (with the tag ``requires_fit=False``), or a Pipeline, FeatureUnion
        or ColumnTransformer of stateless transformers.
    batch_size : int, default=256
        Number of images in a batch.
    n_jobs : int, default=None
        Number of batches at the same time, in threads, since decoders, kernels and networks release
        the GIL; a backend chosen with ``joblib.parallel_config`` is used instead. None means 1
        unless inside such a context, -1 all cores.
    memory : str, path-like or joblib.Memory, default=None
        Folder of a cache of features by the content of the images: features are computed only for
        images that are new to the transformer, even if files were renamed. Nothing is cached if the
        content of a parameter cannot be hashed, such as that of an open file.
    progress : bool, default=False
        Whether to show a progress bar with speed and remaining time.
    out : str or path-like, default=None
        A .npy file for results that do not fit into memory; `transform` returns a read-only memory
        map of it. An incomplete file is named ``NAME.partial``. After an interruption, the next
        call resumes if transformer and images are the same; a complete file is never replaced. In
        a pipeline fitted with `y`, the file holds the features of the training images; those of
        other images are returned in memory.

    Attributes
    ----------
    transformer_ : transformer
        A copy, fitted on the first image, which determines only the names of the features.
    training_hashes_ : ndarray of dtype uint64
        Hashes of the images that `fit_transform` read as a step of a model; see `ImageLoader`.

    Raises
    ------
    ValueError
        If a step is not stateless, so that its result depends on the batch. Before any work starts,
        if `memory` is not a folder, or `out` exists or cannot be created.

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
        transformer: FeatureTransformer,
        batch_size: int = 256,
        n_jobs: int | None = None,
        memory: str | os.PathLike[str] | joblib.Memory | None = None,
        progress: bool = False,
        out: str | os.PathLike[str] | None = None,
    ):
        self.transformer = transformer
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.memory = memory
        self.progress = progress
        self.out = out

    def fit(self, X: ImageBatch, y: object = None) -> Self:
        """Check that all steps are stateless, and fit a copy on the first image.

        Parameters
        ----------
        X : sequence, array or frame of n images
            Input of the first step.
        y : ignored
            Present for scikit-learn's sake.

        Returns
        -------
        self : object
            The transformer itself.
        """
        validate_params(self)
        self.transformer_ = self._prepare(X)
        self._is_trained_step = False
        return self

    def transform(self, X: ImageBatch) -> Any:
        """Transform every image.

        Parameters
        ----------
        X : sequence, array or frame of n images
            Input of the first step. Other sequences need only ``len(X)`` and ``X[i]``, so that they
            can create their images on access.

        Returns
        -------
        output : ndarray or DataFrame of shape (n, ...)
            Output of the transformer in the order of the images; a frame if the transformer returns
            frames. With `out`, a memory map.
        """
        if not hasattr(self, "transformer_"):
            validate_params(self)
        return self._run(X, None if getattr(self, "_is_trained_step", False) else self.out)

    def fit_transform(self, X: ImageBatch, y: ArrayLike | None = None) -> Any:
        """Fit, and transform every image.

        Parameters
        ----------
        X : sequence, array or frame of n images
            Input of the first step.
        y : array-like of shape (n,), default=None
            Values are ignored. If given, `out` is used only for these images, not in later calls.

        Returns
        -------
        output : ndarray or DataFrame of shape (n, ...)
            See `transform`.
        """
        reader = find_reader(self.fit(X).transformer_)
        if reader is None or (self.out is not None and y is None):  # not a step of a model
            output = self._run(X, self.out)
        else:
            with record_hashes(reader) as recorded:
                output = self._run(X, self.out)
            hashes = np.concatenate([np.empty(0, np.uint64), *recorded])
            if len(hashes) != len(X):  # some rows are from the cache or from other processes
                hashes = self._fetch_hashes(X)
            self.training_hashes_ = sort_hashes(hashes)
        self._is_trained_step = y is not None
        return output

    def _run(self, X: ImageBatch, out: str | os.PathLike[str] | None) -> Rows:
        check_sequence(X, "Batched")
        transformer = getattr(self, "transformer_", None) or self._prepare(X)
        store = array = None
        if self.memory is not None or out is not None:
            identity = find_fingerprint(self.transformer)
            store = self._open_store(identity)
            # Without an identity, no incomplete file is resumed.
            array = None if out is None else ResumableArray(out, identity, len(X))
        run_batch = BatchTransformer(
            transformer,
            store,
            by_name=not reads_content_alone(self.transformer),
            hashes=store is not None or array is not None,
            pattern=None if store is None else make_pattern(transformer, X),
        )
        spans = list_spans(len(X), self.batch_size) or [slice(0, 0)]
        # scikit-learn's Parallel passes its configuration to the threads.
        parallel = Parallel(n_jobs=self.n_jobs, prefer="threads", return_as="generator")
        batches = parallel(delayed(run_batch)(X, span, _find_digest(array, span)) for span in spans)
        return self._collect(X, spans, batches, array)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the features of the transformer.

        Parameters
        ----------
        input_features : ignored
            Ignored, since pixels have no names.

        Returns
        -------
        names : ndarray of shape (d,), dtype object
        """
        check_is_fitted(self, "transformer_")
        return self.transformer_.get_feature_names_out()

    def set_output(self, *, transform: str | None = None) -> Self:
        """Set the output container of the transformer.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            See ``sklearn.utils.set_output``. Images remain arrays.

        Returns
        -------
        self : object
            The transformer itself.
        """
        for chain in (self.transformer, getattr(self, "transformer_", None)):
            if chain is not None:
                chain.set_output(transform=transform)
        return self

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state["memory"] = getattr(self.memory, "location", self.memory)
        return write_paths_as_text(state)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags = get_tags(self.transformer).input_tags
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _prepare(self, X: ImageBatch) -> FeatureTransformer:
        check_sequence(X, "Batched")
        learner = find_learner(self.transformer)
        if learner is not None:
            raise ValueError(
                f"Batched takes stateless steps, but {type(learner).__name__} learns from its "
                "input: its result would depend on the batch. Put it after Batched, in a Pipeline."
            )
        if len(X) == 0:
            raise ValueError("Batched needs at least 1 image to fit, got 0 sample(s).")
        return clone(self.transformer).fit(take_images(X, slice(0, 1)))

    def _hash_inputs(self, X: ImageBatch) -> NDArray[np.uint64]:
        if find_reader(self.transformer_) is None:
            return np.empty(0, np.uint64)
        return hash_inputs(self.transformer_, X)

    def _fetch_hashes(self, X: ImageBatch) -> NDArray[np.uint64]:
        """Return the hashes of images' pixels, from the cache in `memory` if there is one."""
        identity = None if self.memory is None else find_fingerprint(self.transformer)
        store = self._open_store(identity and f"{identity}-pixels")
        by_name = not reads_content_alone(self.transformer)
        parts = Parallel(n_jobs=self.n_jobs, prefer="threads")(
            delayed(hash_batch)(X, span, self._hash_inputs, store, by_name=by_name)
            for span in list_spans(len(X), self.batch_size)
        )
        return np.concatenate(parts)

    def _open_store(self, identity: str | None) -> RowStore | None:
        folder = getattr(self.memory, "location", self.memory)
        return None if folder is None or identity is None else RowStore(folder, identity)

    def _collect(
        self,
        X: ImageBatch,
        spans: list[slice],
        batches: Iterator[Batch],
        array: ResumableArray | None,
    ) -> Rows:
        output: Any = None
        frames: list[Frame] = []
        with tqdm(total=len(X), unit="image", disable=not self.progress) as bar:
            for span, batch in zip(spans, batches, strict=True):
                if array is not None:
                    if batch.rows is not None:
                        array.write(span, batch.digest, np.asarray(batch.rows))
                elif isinstance(batch.rows, np.ndarray):
                    if output is None:
                        output = np.empty((len(X), *batch.rows.shape[1:]), batch.rows.dtype)
                    output[span] = batch.rows
                elif batch.rows is not None:
                    frames.append(batch.rows)
                bar.update(span.stop - span.start)
        if array is not None:
            return array.finish()
        index = find_index(X)
        if frames:
            return concatenate_frames(frames, index)
        return attach_index(output, index) if output.ndim > 2 else output


def _find_digest(array: ResumableArray | None, span: slice) -> str | None:
    """Return the digest of a batch whose rows are already written, or None."""
    return None if array is None else array.finished.get((span.start, span.stop))
