"""Pipelines that look features up: their leading steps that learn nothing are computed apart."""

import copy
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from imgfeat._compat.sklearn import num_samples, safe_indexing
from imgfeat._pipelines import is_passthrough
from imgfeat.stateless import find_learner
from imgfeat.tuning.reuse.blocks import Blocks, CannotKeepError, Chain, LookUp


class Prefix:
    """Turns pipelines that take images into such that take rows of features, and back.

    Parameters
    ----------
    X : sequence, array or frame of n images
        What the first step takes.
    **options : dict
        Of `imgfeat.tuning.reuse.blocks.Blocks`.
    """

    def __init__(self, X: Any, **options: Any):
        self.X = X
        self.blocks = Blocks(X, **options)
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
        except CannotKeepError:
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
        first = safe_indexing(self.X, slice(0, 1))
        try:
            return _merge(clone(estimator), rewritten, first)
        except _CannotMergeError:
            return None

    def _number_rows(self, estimator: Pipeline) -> Any:
        if hasattr(self.X, "columns") and not hasattr(self.X, "iloc"):  # of polars: no index
            table = {name: self.X[name].to_numpy() for name in self.X.columns}
            flat = {k: v if v.ndim == 1 else list(v) for k, v in table.items()}
            self.X = self.blocks.X = pd.DataFrame(flat)
        tabular = isinstance(_find_first(estimator), ColumnTransformer)
        if tabular and isinstance(self.X, np.ndarray) and self.X.ndim == 2:
            self.X = self.blocks.X = pd.DataFrame(self.X)
        self._framed = hasattr(self.X, "iloc")
        numbers = np.arange(num_samples(self.X))
        return self.X.set_axis(numbers, axis=0) if self._framed else numbers

    def _rewrite(self, node: Any, chain: Chain) -> Any:
        """Return a node that takes rows where `node` takes what the chain makes of them."""
        if is_passthrough(node) or find_learner(node) is None:
            return LookUp(
                self.blocks.compute(chain if is_passthrough(node) else chain.extend(node))
            )
        if isinstance(node, Pipeline):
            return self._rewrite_pipeline(node, chain)
        if isinstance(node, FeatureUnion):
            return self._rewrite_union(node, chain)
        if self._framed and not chain.steps:
            # Frames carry the numbers of their rows, and are what learners want.
            alike = isinstance(node, ColumnTransformer) and chain.columns is None
            return self._rewrite_columns(node) if alike else clone(node)
        return Pipeline([("rows", LookUp(self.blocks.compute(chain))), ("learner", clone(node))])

    def _rewrite_pipeline(self, node: Pipeline, chain: Chain) -> Pipeline:
        steps = [
            (name, "passthrough" if is_passthrough(step) else step) for name, step in node.steps
        ]
        first = next(
            place
            for place, (_, step) in enumerate(steps)
            if not is_passthrough(step) and find_learner(step) is not None
        )
        for place, (name, step) in enumerate(steps[:first]):
            if not is_passthrough(step):
                chain = chain.extend(step)
            steps[place] = (name, "passthrough")
        name, learner = steps[first]
        steps = [(name, step if is_passthrough(step) else clone(step)) for name, step in steps]
        new = self._rewrite(learner, chain)
        if isinstance(new, Pipeline) and not isinstance(learner, Pipeline):
            # A learner of its own: it keeps its place and its name, for whom parameters are meant.
            new, look_up = new.steps[1][1], new.steps[0]
            if first > 0:
                steps[first - 1] = (steps[first - 1][0], look_up[1])
            else:
                steps, first = [look_up, *steps], 1
        steps[first] = (name, new)
        # Of the same class: others fit otherwise, such as those that take samplers.
        rewritten = copy.copy(node)
        rewritten.steps = steps
        return rewritten

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
            if is_passthrough(part) or part == "drop" or callable(where)
            else (name, self._rewrite(part, Chain(columns=where)), where)
            for name, part, where in node.transformers
        ]
        return columns


class _CannotMergeError(Exception):
    """A ColumnTransformer remembers more of its fit than its parts do."""


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
        if is_passthrough(step):
            continue
        if is_passthrough(counterpart) or isinstance(counterpart, LookUp):
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
    return next((step for _, step in pipeline.steps if not is_passthrough(step)), None)
