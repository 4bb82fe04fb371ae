"""Features of all images, by the steps that make them: kept in memory, and on disk if asked."""

import os
from collections import OrderedDict
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.metaestimators import available_if

from imgfeat._compat.sklearn import get_output_config, num_samples, safe_indexing
from imgfeat._pipelines import is_passthrough
from imgfeat.batching import Batched
from imgfeat.caching.fingerprints import find_fingerprint
from imgfeat.caching.row_store import RowStore
from imgfeat.caching.samples import hash_samples
from imgfeat.stateless import reads_content_alone

# Share of the cache that images on their way to features may take; larger ones are streamed.
UPSTREAM_SHARE = 0.5


class Chain(NamedTuple):
    """Steps that learn nothing, one after another, and the columns of X that they start from."""

    steps: tuple[Any, ...] = ()
    columns: Any = None

    def extend(self, step: Any) -> "Chain":
        """Return the chain with one more step, pipelines taken apart and idle ones left out."""
        if is_passthrough(step):
            return self
        if isinstance(step, Batched) and step.out is not None:
            raise ValueError(
                f"out={os.fspath(step.out)!r} of Batched is for the features of one set of images, "
                "and a search fits many: use memory=... instead."
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
        """Return the steps as a pipeline, unfitted copies."""
        return clone(Pipeline([(str(k), step) for k, step in enumerate(self.steps)]))


class Block(NamedTuple):
    """What a chain makes of all images; with names of columns, where it makes frames."""

    values: NDArray[Any]
    columns: list[str] | None = None


def _has_names(look_up: "LookUp") -> bool:
    return look_up.block.columns is not None


class LookUp(BaseEstimator):
    """Takes rows instead of images: their numbers, or a frame whose index has them."""

    def __init__(self, block: Block):
        self.block = block

    def __sklearn_clone__(self) -> Self:
        # A copy would copy all features.
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, rows: Any, y: Any = None) -> Self:
        """Learn nothing."""
        return self

    def transform(self, rows: Any) -> Any:
        """Return the features of these rows."""
        index = rows.index if hasattr(rows, "iloc") else None
        part = self.block.values[np.asarray(rows if index is None else index)]
        if self.block.columns is None:
            return part
        return pd.DataFrame(part, columns=self.block.columns, index=index)

    def fit_transform(self, rows: Any, y: Any = None) -> Any:
        """Return the features of these rows."""
        return self.transform(rows)

    @available_if(_has_names)
    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the features, where they are a frame's columns."""
        return np.array(self.block.columns, dtype=object)


class CannotKeepError(Exception):
    """Features that are no array: sparse ones are quick to make again, and rarely of images."""


class Blocks:
    """What chains made of some images.

    Parameters
    ----------
    X : sequence, array or frame of n images
        What the first step takes.
    memory : str, path-like or None
        Folder where features outlive the process.
    cache_bytes : float
        Bytes of features and decoded images to keep; what is least recently used goes first.
    n_jobs : int or None
        Batches computed at the same time.
    """

    def __init__(self, X: Any, *, memory: Any = None, cache_bytes: float, n_jobs: int | None):
        self.X = X
        self.memory = memory
        self.cache_bytes = cache_bytes
        self.n_jobs = n_jobs
        self._kept: OrderedDict[str, Block] = OrderedDict()
        self._digests: dict[str, list[bytes | None]] = {}

    def compute(self, chain: Chain) -> Block:
        """Return what a chain makes of all images.

        Raises
        ------
        CannotKeepError
            If that is sparse.
        """
        made_by = find_fingerprint(chain.build())
        key = f"{chain.columns!r} {made_by}"
        if made_by is not None and key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        images = self.X
        if chain.columns is not None:
            images = safe_indexing(self.X, chain.columns, axis=1)
        one = self._run_one(chain, images)
        if scipy.sparse.issparse(one):
            raise CannotKeepError
        if self.memory is None or not chain.steps or made_by is None:
            block = _read_block(self._run(chain, images))
        else:
            block = self._remember(chain, images, RowStore(self.memory, made_by))
            block = block._replace(columns=_read_block(one).columns)
        if made_by is not None:
            self._keep(key, block)
        return block

    def _run(self, chain: Chain, images: Any) -> Any:
        """Run a chain over all images, from what its steps but the last made of them if kept."""
        if not chain.steps:
            return _as_array(images)
        upstream, last = chain._replace(steps=chain.steps[:-1]), chain.steps[-1]
        if isinstance(last, FeatureUnion):
            union = self._look_up_parts(last, upstream)
            return union.fit_transform(np.arange(num_samples(images)))
        if upstream.steps and self._fits(upstream, images):
            return self._stream(last, self.compute(upstream).values)
        return self._stream(chain.build() if upstream.steps else last, images)

    def _look_up_parts(self, union: FeatureUnion, upstream: Chain) -> FeatureUnion:
        """Return a union of look-ups: parts are kept one by one."""
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

    def _stream(self, transformer: Any, images: Any) -> Any:
        batched = Batched(clone(transformer), n_jobs=self.n_jobs)
        # Images and features without names make no frame, whatever scikit-learn is set to.
        with config_context(transform_output="default"):
            # Not fit_transform, which also hashes the images: no trial needs that.
            output = batched.fit(images).transform(images)
        framed = get_config()["transform_output"] != "default"
        if not framed or hasattr(output, "columns") or np.ndim(output) != 2:
            return output
        try:
            return pd.DataFrame(output, columns=batched.get_feature_names_out())
        except (AttributeError, ValueError):  # no names
            return output

    def _remember(self, chain: Chain, images: Any, store: RowStore) -> Block:
        """Take from the folder the features that are there, and add those that are not."""
        by_name = not reads_content_alone(chain.build())
        root = f"{chain.columns!r} {by_name}"
        if root not in self._digests:
            self._digests[root] = hash_samples(images, by_name=by_name)
        digests = self._digests[root]
        rows: list[Any] = store.get(digests)
        missing = [number for number, row in enumerate(rows) if row is None]
        if not missing:
            return Block(np.stack(rows))
        if len(missing) == len(rows):
            block = new = _read_block(self._run(chain, images))
        else:
            new = _read_block(self._stream(chain.build(), safe_indexing(images, missing)))
            for number, row in zip(missing, new.values, strict=True):
                rows[number] = row
            block = Block(np.stack(rows))
        # Images are quickly decoded again, and take more room than their features.
        if new.values.ndim == 2:
            store.put([digests[number] for number in missing], list(new.values))
        return block

    def _keep(self, key: str, block: Block) -> None:
        self._kept[key] = block
        total = sum(kept.values.nbytes for kept in self._kept.values())
        while total > self.cache_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            total -= oldest.values.nbytes


def _unwrap(batched: Batched) -> Any:
    """Return what runs in batches, with the output that was set around it."""
    output = get_output_config(batched).get("transform")
    if output is None or not hasattr(batched.transformer, "set_output"):
        return batched.transformer
    return clone(batched.transformer).set_output(transform=output)


def _read_block(output: Any) -> Block:
    if hasattr(output, "columns"):
        return Block(output.to_numpy(), list(output.columns))
    return Block(np.asarray(output))


def _as_array(images: Any) -> NDArray[Any]:
    if isinstance(images, np.ndarray):
        return images
    array = np.empty(num_samples(images), dtype=object)
    array[:] = list(images)
    return array
