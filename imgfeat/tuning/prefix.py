"""What steps that learn nothing make of the images: computed once for each setting of theirs."""

from collections import OrderedDict
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from imgfeat.batching import Batched
from imgfeat.caching.fingerprints import fingerprint, hash_samples
from imgfeat.caching.row_store import RowStore
from imgfeat.stateless import find_learner

# Share of the cache that images on their way to features may take; larger ones are streamed.
UPSTREAM_SHARE = 0.5


class Chain(NamedTuple):
    """Steps that learn nothing, one after another, and the columns of X that they start from."""

    steps: tuple[Any, ...] = ()
    columns: Any = None

    def extend(self, step: Any) -> "Chain":
        """Return the chain with one more step, pipelines taken apart."""
        if isinstance(step, Batched) and step.memory is None:
            return self.extend(step.transformer)
        if not isinstance(step, Pipeline):
            return self._replace(steps=(*self.steps, step))
        chain = self
        for _, part in step.steps:
            chain = chain if _is_idle(part) else chain.extend(part)
        return chain

    def build(self) -> Pipeline:
        """Return the steps as a pipeline, unfitted copies."""
        return clone(Pipeline([(str(k), step) for k, step in enumerate(self.steps)]))


class Block(NamedTuple):
    """What a chain makes of all images; with names of columns, where it makes frames."""

    values: NDArray[Any]
    columns: list[str] | None = None


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

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the features, where they are a frame's columns."""
        if self.block.columns is None:
            raise AttributeError("These features have no names.")
        return np.array(self.block.columns, dtype=object)


class Prefix:
    """The features of some images, by the steps that make them.

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
        self._blocks: OrderedDict[str, Block] = OrderedDict()
        self._digests: dict[str, list[bytes | None]] = {}
        self._rows: Any = None
        self._framed = False

    def rewrite(self, estimator: Any) -> tuple[Any, Any]:
        """Return an estimator that takes rows of the features, and what to cut them from.

        Parameters
        ----------
        estimator : estimator
            With the parameters of a trial; left as it is.

        Returns
        -------
        rewritten : estimator
            The same, its leading steps replaced by look-ups, learners by copies; or `estimator`,
            if it does not begin with steps that learn nothing.
        rows : ndarray of shape (n,), or DataFrame
            To be cut into folds and handed to `rewritten`; X for `estimator` itself.
        """
        if not _begins_stateless(estimator):
            return estimator, self.X
        if self._rows is None:
            self._rows = self._number_rows(estimator)
        try:
            return self._rewrite_pipeline(estimator, Chain()), self._rows
        except _CannotKeepError:
            return estimator, self.X

    def restore(self, estimator: Any, rewritten: Any) -> Any | None:
        """Return what fitting `estimator` would have given, from `rewritten`, which was fitted.

        Parameters
        ----------
        estimator : estimator
            As it was handed to `rewrite`.
        rewritten : estimator
            Fitted.

        Returns
        -------
        fitted : estimator or None
            None where it must be fitted itself: around a ColumnTransformer.
        """
        if rewritten is estimator:
            return estimator
        first = _safe_indexing(self.X, slice(0, 1))
        try:
            return _merge(clone(estimator), rewritten, first)
        except _CannotMergeError:
            return None

    def _number_rows(self, estimator: Pipeline) -> Any:
        tabular = isinstance(_find_first(estimator), ColumnTransformer)
        if tabular and isinstance(self.X, np.ndarray) and self.X.ndim == 2:
            self.X = pd.DataFrame(self.X)
        self._framed = hasattr(self.X, "iloc")
        numbers = np.arange(_num_samples(self.X))
        return self.X.set_axis(numbers, axis=0) if self._framed else numbers

    def _rewrite(self, node: Any, chain: Chain) -> Any:
        """Return a node that takes rows where `node` takes what the chain makes of them."""
        if _is_idle(node) or find_learner(node) is None:
            return LookUp(self._compute(chain if _is_idle(node) else chain.extend(node)))
        if isinstance(node, Pipeline):
            return self._rewrite_pipeline(node, chain)
        if isinstance(node, FeatureUnion):
            return self._rewrite_union(node, chain)
        if self._framed and not chain.steps:
            # Frames carry the numbers of their rows, and are what learners want.
            alike = isinstance(node, ColumnTransformer) and chain.columns is None
            return self._rewrite_columns(node) if alike else clone(node)
        return Pipeline([("rows", LookUp(self._compute(chain))), ("learner", clone(node))])

    def _rewrite_pipeline(self, node: Pipeline, chain: Chain) -> Pipeline:
        steps = [(name, "passthrough" if _is_idle(step) else step) for name, step in node.steps]
        first = next(
            place
            for place, (_, step) in enumerate(steps)
            if step != "passthrough" and find_learner(step) is not None
        )
        for place, (name, step) in enumerate(steps[:first]):
            if step != "passthrough":
                chain = chain.extend(step)
            steps[place] = (name, "passthrough")
        name, learner = steps[first]
        steps = [(name, step if step == "passthrough" else clone(step)) for name, step in steps]
        new = self._rewrite(learner, chain)
        if isinstance(new, Pipeline) and not isinstance(learner, Pipeline):
            # A learner of its own: it keeps its place and its name, for whom parameters are meant.
            new, look_up = new.steps[1][1], new.steps[0]
            if first > 0:
                steps[first - 1] = (steps[first - 1][0], look_up[1])
            else:
                steps, first = [look_up, *steps], 1
        steps[first] = (name, new)
        return Pipeline(steps, memory=node.memory)

    def _rewrite_union(self, node: FeatureUnion, chain: Chain) -> FeatureUnion:
        union = clone(node)
        union.transformer_list = [
            (name, part if part == "drop" else self._rewrite(part, chain))
            for name, part in node.transformer_list
        ]
        return union

    def _rewrite_columns(self, node: ColumnTransformer) -> ColumnTransformer:
        columns = clone(node)
        columns.transformers = [
            (name, part, where)
            if _is_idle(part) or part == "drop" or callable(where)
            else (name, self._rewrite(part, Chain(columns=where)), where)
            for name, part, where in node.transformers
        ]
        return columns

    def _compute(self, chain: Chain) -> Block:
        key = f"{chain.columns!r} {fingerprint(chain.build())}"
        if key in self._blocks:
            self._blocks.move_to_end(key)
            return self._blocks[key]
        images = self.X
        if chain.columns is not None:
            images = _safe_indexing(self.X, chain.columns, axis=1)
        if scipy.sparse.issparse(self._run_one(chain, images)):
            raise _CannotKeepError
        if self.memory is None or not chain.steps:
            block = _read_block(self._run(chain, images))
        else:
            block = self._remember(chain, images)
        self._keep(key, block)
        return block

    def _run(self, chain: Chain, images: Any) -> Any:
        """Run a chain over all images, from what its steps but the last made of them if kept."""
        if not chain.steps:
            return _as_array(images)
        upstream, last = chain._replace(steps=chain.steps[:-1]), chain.steps[-1]
        if isinstance(last, FeatureUnion):
            union = self._rewrite_union(last, upstream)
            return union.fit_transform(np.arange(_num_samples(images)))
        if upstream.steps and self._fits(upstream, images):
            return self._stream(last, self._compute(upstream).values)
        return self._stream(chain.build() if upstream.steps else last, images)

    def _fits(self, chain: Chain, images: Any) -> bool:
        size = np.asarray(self._run_one(chain, images)).nbytes * _num_samples(images)
        return size <= UPSTREAM_SHARE * self.cache_bytes

    def _run_one(self, chain: Chain, images: Any) -> Any:
        one = _safe_indexing(images, slice(0, 1))
        return chain.build().fit_transform(one) if chain.steps else one

    def _stream(self, transformer: Any, images: Any) -> Any:
        return Batched(clone(transformer), n_jobs=self.n_jobs).fit_transform(images)

    def _remember(self, chain: Chain, images: Any) -> Block:
        """Take from the folder the features that are there, and add those that are not."""
        store = RowStore(self.memory, fingerprint(chain.build()))
        root = repr(chain.columns)
        if root not in self._digests:
            self._digests[root] = hash_samples(images)
        digests = self._digests[root]
        rows: list[Any] = store.get(digests)
        missing = [number for number, row in enumerate(rows) if row is None]
        if not missing:
            return Block(np.stack(rows), store.get_columns())
        if len(missing) == len(rows):
            block = new = _read_block(self._run(chain, images))
        else:
            new = _read_block(self._stream(chain.build(), _safe_indexing(images, missing)))
            for number, row in zip(missing, new.values, strict=True):
                rows[number] = row
            block = Block(np.stack(rows), new.columns)
        # Images are quickly decoded again, and take more room than their features.
        if new.values.ndim == 2:
            store.put([digests[number] for number in missing], list(new.values))
            if new.columns is not None:
                store.put_columns(new.columns)
        return block

    def _keep(self, key: str, block: Block) -> None:
        self._blocks[key] = block
        total = sum(kept.values.nbytes for kept in self._blocks.values())
        while total > self.cache_bytes and len(self._blocks) > 1:
            _, oldest = self._blocks.popitem(last=False)
            total -= oldest.values.nbytes


class _CannotMergeError(Exception):
    """A ColumnTransformer remembers more of its fit than its parts do."""


class _CannotKeepError(Exception):
    """Features that are no array: sparse ones are quick to make again, and rarely of images."""


def _merge(node: Any, fitted: Any, first: Any) -> Any:
    """Put fitted learners into their places, and fit the steps that learn nothing on one image."""
    if isinstance(fitted, LookUp):
        return node.fit(first)
    if isinstance(fitted, ColumnTransformer):
        raise _CannotMergeError
    if isinstance(node, FeatureUnion) and isinstance(fitted, FeatureUnion):
        counterparts = dict(fitted.transformer_list)
        node.transformer_list = [
            (name, part if isinstance(part, str) else _merge(part, counterparts[name], first))
            for name, part in node.transformer_list
        ]
        return node
    if isinstance(node, Pipeline) and isinstance(fitted, Pipeline):
        return _merge_pipeline(node, fitted, first)
    if isinstance(fitted, Pipeline) and isinstance(fitted.steps[0][1], LookUp):
        return fitted.steps[1][1]
    return fitted


def _merge_pipeline(node: Pipeline, fitted: Pipeline, first: Any) -> Pipeline:
    counterparts = dict(fitted.steps)
    for place, (name, step) in enumerate(node.steps):
        counterpart = counterparts[name]
        if _is_idle(step):
            continue
        if _is_idle(counterpart) or isinstance(counterpart, LookUp):
            first = step.fit(first).transform(first)
            continue
        node.steps[place] = (name, _merge(step, counterpart, first))
        for later in range(place + 1, len(node.steps)):
            node.steps[later] = (node.steps[later][0], counterparts[node.steps[later][0]])
        break
    return node


def _begins_stateless(estimator: Any) -> bool:
    """Tell whether anything that comes first in a pipeline with a learner learns nothing."""
    if not isinstance(estimator, Pipeline) or find_learner(estimator) is None:
        return False
    return _has_stateless_head(estimator)


def _has_stateless_head(node: Any) -> bool:
    if isinstance(node, Pipeline):
        first = _find_first(node)
        return first is not None and _has_stateless_head(first)
    if isinstance(node, FeatureUnion):
        return any(_has_stateless_head(part) for _, part in node.transformer_list)
    if isinstance(node, ColumnTransformer):
        return any(
            _has_stateless_head(part) for _, part, where in node.transformers if not callable(where)
        )
    return not isinstance(node, str) and node is not None and find_learner(node) is None


def _find_first(pipeline: Pipeline) -> Any:
    return next((step for _, step in pipeline.steps if not _is_idle(step)), None)


def _is_idle(step: Any) -> bool:
    return step is None or (isinstance(step, str) and step == "passthrough")


def _read_block(output: Any) -> Block:
    if hasattr(output, "columns"):
        return Block(output.to_numpy(), list(output.columns))
    return Block(np.asarray(output))


def _as_array(images: Any) -> NDArray[Any]:
    if isinstance(images, np.ndarray):
        return images
    array = np.empty(_num_samples(images), dtype=object)
    array[:] = list(images)
    return array
