"""Outputs of stateless steps for all images, cached in memory and optionally on disk."""

import os
from collections import OrderedDict
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.metaestimators import available_if

from imgfeat._compat.sklearn import get_output_config, num_samples, safe_indexing
from imgfeat._pipelines import is_passthrough
from imgfeat._protocols import Estimator, Transformer
from imgfeat.batching import Batched
from imgfeat.caching.fingerprints import find_fingerprint
from imgfeat.caching.image_digests import hash_samples
from imgfeat.caching.row_store import RowStore
from imgfeat.stateless import reads_content_alone

# Largest share of the cache for outputs of intermediate steps, such as decoded images. Larger
# outputs are not cached: they are computed in batches, together with the next step.
UPSTREAM_SHARE = 0.5


# Row numbers, or a pandas object whose index holds them.
Rows: TypeAlias = NDArray[np.integer] | pd.DataFrame | pd.Series


class Chain(NamedTuple):
    """Stateless steps, applied one after another to the given columns of X, or to X."""

    steps: tuple[Any, ...] = ()
    columns: Any = None

    def extend(self, step: Estimator | str | None) -> "Chain":
        """Return the chain with one more step; pipelines are flattened, passthrough is omitted."""
        if is_passthrough(step):
            return self
        if isinstance(step, Batched) and step.out is not None:
            raise ValueError(
                f"out={os.fspath(step.out)!r} of Batched cannot be used in a search, which would "
                "write the features of several sets of images to it: use memory=... instead."
            )
        if isinstance(step, Batched) and step.memory is None:
            return self.extend(_unwrap(step))
        if not isinstance(step, Pipeline):
            return self._replace(steps=(*self.steps, step))
        chain = self
        for _, part in step.steps:
            chain = chain.extend(part)
        return chain

    def build(self) -> Pipeline:
        """Return a pipeline of unfitted copies of the steps."""
        return clone(Pipeline([(str(k), step) for k, step in enumerate(self.steps)]))


class StepOutput(NamedTuple):
    """Output of a chain for all images, with column names if it is a DataFrame."""

    values: NDArray[Any]
    columns: list[str] | None = None


def _has_names(look_up: "LookUp") -> bool:
    return look_up.output.columns is not None


class LookUp(BaseEstimator):
    """A transformer that looks up precomputed outputs, given row numbers instead of images.

    Rows are an array of numbers, or a DataFrame whose index holds them.
    """

    def __init__(self, output: StepOutput):
        self.output = output

    def __sklearn_clone__(self) -> Self:
        # The default would copy all features.
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, rows: Rows, y: Any = None) -> Self:
        """Do nothing; the transformer is stateless."""
        return self

    def transform(self, rows: Rows) -> Any:
        """Return the features of these rows."""
        index = getattr(rows, "index", None)
        part = self.output.values[np.asarray(rows if index is None else index)]
        if self.output.columns is None:
            return part
        return pd.DataFrame(part, columns=self.output.columns, index=index)

    def fit_transform(self, rows: Rows, y: Any = None) -> Any:
        """Return the features of these rows."""
        return self.transform(rows)

    @available_if(_has_names)
    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Return the column names, if the precomputed output is a DataFrame."""
        return np.array(self.output.columns, dtype=object)


class SparseOutputError(Exception):
    """Raised for sparse outputs, which are not cached: the estimator gets images instead."""


class StepOutputs:
    """A cache of the outputs of chains of stateless steps, for one set of images.

    Parameters
    ----------
    X : sequence, array or frame of n images
        Input of the first step.
    memory : str, path-like or None
        Folder in which features are kept for later processes.
    cache_bytes : float
        Maximum size of features and decoded images in memory; the least recently used are dropped.
    n_jobs : int or None
        Number of batches computed in parallel.
    """

    def __init__(
        self,
        X: Any,
        *,
        memory: str | os.PathLike | None = None,
        cache_bytes: float,
        n_jobs: int | None,
    ):
        self.X = X
        self.memory = memory
        self.cache_bytes = cache_bytes
        self.n_jobs = n_jobs
        self._kept: OrderedDict[str, StepOutput] = OrderedDict()
        self._digests: dict[str, list[bytes | None]] = {}

    def compute(self, chain: Chain) -> StepOutput:
        """Return the output of a chain for all images, from the cache if possible.

        Raises
        ------
        SparseOutputError
            If the output is sparse.
        """
        fingerprint = find_fingerprint(chain.build())
        key = f"{chain.columns!r} {fingerprint}"
        if fingerprint is not None and key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        images = self.X
        if chain.columns is not None:
            images = safe_indexing(self.X, chain.columns, axis=1)
        one = self._run_one(chain, images)
        if scipy.sparse.issparse(one):
            raise SparseOutputError
        if self.memory is None or not chain.steps or fingerprint is None:
            output = _read_output(self._run(chain, images))
        else:
            output = self._load_or_compute(chain, images, RowStore(self.memory, fingerprint))
            output = output._replace(columns=_read_output(one).columns)
        if fingerprint is not None:
            self._keep(key, output)
        return output

    def _run(self, chain: Chain, images: Any) -> Any:
        """Apply a chain to all images, starting from a cached output of all steps but the last."""
        if not chain.steps:
            return _as_array(images)
        upstream, last = chain._replace(steps=chain.steps[:-1]), chain.steps[-1]
        if isinstance(last, FeatureUnion):
            union = self._compute_parts(last, upstream)
            return union.fit_transform(np.arange(num_samples(images)))
        if upstream.steps and self._fits(upstream, images):
            return self._stream(last, self.compute(upstream).values)
        return self._stream(chain.build() if upstream.steps else last, images)

    def _compute_parts(self, union: FeatureUnion, upstream: Chain) -> FeatureUnion:
        """Return a union of look-ups, with each part computed and cached separately."""
        parts = clone(union)
        parts.transformer_list = [
            (name, part if part == "drop" else LookUp(self.compute(upstream.extend(part))))
            for name, part in union.transformer_list
        ]
        return parts

    def _fits(self, chain: Chain, images: Any) -> bool:
        size = np.asarray(self._run_one(chain, images)).nbytes * num_samples(images)
        return size <= UPSTREAM_SHARE * self.cache_bytes

    def _run_one(self, chain: Chain, images: Any) -> Any:
        one = safe_indexing(images, slice(0, 1))
        return chain.build().fit_transform(one) if chain.steps else one

    def _stream(self, transformer: Transformer, images: Any) -> Any:
        batched = Batched(clone(transformer), n_jobs=self.n_jobs)
        # With transform_output="pandas", images and features without names would be an error.
        with config_context(transform_output="default"):
            # fit_transform would also hash the images, which trials do not need.
            output = batched.fit(images).transform(images)
        framed = get_config()["transform_output"] != "default"
        if not framed or hasattr(output, "columns") or np.ndim(output) != 2:
            return output
        try:
            return pd.DataFrame(output, columns=batched.get_feature_names_out())
        except (AttributeError, ValueError):  # no names
            return output

    def _load_or_compute(self, chain: Chain, images: Any, store: RowStore) -> StepOutput:
        """Load features from the folder, and compute and store those that are missing."""
        by_name = not reads_content_alone(chain.build())
        root = f"{chain.columns!r} {by_name}"
        if root not in self._digests:
            self._digests[root] = hash_samples(images, by_name=by_name)
        digests = self._digests[root]
        rows: list[Any] = store.get(digests)
        missing = [number for number, row in enumerate(rows) if row is None]
        if not missing:
            return StepOutput(np.stack(rows))
        if len(missing) == len(rows):
            output = new = _read_output(self._run(chain, images))
        else:
            new = _read_output(self._stream(chain.build(), safe_indexing(images, missing)))
            for number, row in zip(missing, new.values, strict=True):
                rows[number] = row
            output = StepOutput(np.stack(rows))
        # Only features are stored: images take more space and are fast to decode again.
        if new.values.ndim == 2:
            store.put([digests[number] for number in missing], list(new.values))
        return output

    def _keep(self, key: str, output: StepOutput) -> None:
        self._kept[key] = output
        total = sum(kept.values.nbytes for kept in self._kept.values())
        while total > self.cache_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            total -= oldest.values.nbytes


def _unwrap(batched: Batched) -> Any:
    """Return the transformer inside Batched, with the set_output configuration of Batched."""
    output = get_output_config(batched).get("transform")
    if output is None or not hasattr(batched.transformer, "set_output"):
        return batched.transformer
    return clone(batched.transformer).set_output(transform=output)


def _read_output(output: Any) -> StepOutput:
    if hasattr(output, "columns"):
        return StepOutput(output.to_numpy(), list(output.columns))
    return StepOutput(np.asarray(output))


def _as_array(images: Any) -> NDArray[Any]:
    if isinstance(images, np.ndarray):
        return images
    array = np.empty(num_samples(images), dtype=object)
    array[:] = list(images)
    return array
