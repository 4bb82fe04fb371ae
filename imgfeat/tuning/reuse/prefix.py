"""Pipelines whose leading stateless steps are replaced by precomputed features."""

import copy
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from imgfeat._compat.sklearn import num_samples, safe_indexing
from imgfeat._pipelines import is_passthrough
from imgfeat._protocols import Estimator
from imgfeat.stateless import find_learner
from imgfeat.tuning.reuse.step_outputs import (
    Chain,
    LookUp,
    SparseOutputError,
    StepOutputs,
)


class Prefix:
    """Replaces the leading stateless steps of pipelines by look-ups of features, and reverses it.

    Parameters
    ----------
    X : sequence, array or frame of n images
        Input of the first step.
    **options : dict
        Passed to `imgfeat.tuning.reuse.step_outputs.StepOutputs`.
    """

    def __init__(self, X: Any, **options: Any):
        self.X = X
        self.outputs = StepOutputs(X, **options)
        self._rows: Any = None
        self._framed = False

    def rewrite(self, estimator: Estimator) -> tuple[Any, Any]:
        """Return an estimator that takes row numbers instead of images, and all row numbers.

        Parameters
        ----------
        estimator : estimator
            With the parameters of a trial; not changed.

        Returns
        -------
        rewritten : estimator
            A copy whose leading stateless steps are replaced by look-ups, or `estimator` itself if
            it does not begin with stateless steps.
        rows : ndarray of shape (n,), or DataFrame
            Input of `rewritten` for all images, to be split into folds. This is X if `rewritten` is
            `estimator`.
        """
        if not _begins_stateless(estimator):
            return estimator, self.X
        if self._rows is None:
            self._rows = self._number_rows(estimator)
        try:
            return self._rewrite_pipeline(estimator, Chain()), self._rows
        except SparseOutputError:
            return estimator, self.X

    def restore(self, estimator: Estimator, rewritten: Estimator) -> Any | None:
        """Return the fitted `estimator`, with the fitted steps of `rewritten`.

        Parameters
        ----------
        estimator : estimator
            As passed to `rewrite`.
        rewritten : estimator
            Fitted.

        Returns
        -------
        fitted : estimator or None
            None if it contains a ColumnTransformer, which has to be fitted itself.
        """
        if rewritten is estimator:
            return estimator
        first = safe_indexing(self.X, slice(0, 1))
        try:
            return _merge(clone(estimator), rewritten, first)
        except _CannotMergeError:
            return None

    def _number_rows(self, estimator: Pipeline) -> Any:
        if hasattr(self.X, "columns") and not hasattr(self.X, "iloc"):  # polars has no index
            table = {name: self.X[name].to_numpy() for name in self.X.columns}
            flat = {k: v if v.ndim == 1 else list(v) for k, v in table.items()}
            self.X = self.outputs.X = pd.DataFrame(flat)
        tabular = isinstance(_find_first(estimator), ColumnTransformer)
        if tabular and isinstance(self.X, np.ndarray) and self.X.ndim == 2:
            self.X = self.outputs.X = pd.DataFrame(self.X)
        self._framed = hasattr(self.X, "iloc")
        numbers = np.arange(num_samples(self.X))
        return self.X.set_axis(numbers, axis=0) if self._framed else numbers

    def _rewrite(self, node: Estimator | str | None, chain: Chain) -> Any:
        """Return a copy of `node` that takes row numbers instead of the output of `chain`."""
        if is_passthrough(node) or find_learner(node) is None:
            return LookUp(
                self.outputs.compute(chain if is_passthrough(node) else chain.extend(node))
            )
        if isinstance(node, Pipeline):
            return self._rewrite_pipeline(node, chain)
        if isinstance(node, FeatureUnion):
            return self._rewrite_union(node, chain)
        if self._framed and not chain.steps:
            # The index of a DataFrame holds the row numbers, and its columns are the input itself.
            rewritable = isinstance(node, ColumnTransformer) and chain.columns is None
            return self._rewrite_columns(node) if rewritable else clone(node)
        return Pipeline([("rows", LookUp(self.outputs.compute(chain))), ("learner", clone(node))])

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
            # The learner keeps its position and name, which fit parameters and metadata refer to.
            new, look_up = new.steps[1][1], new.steps[0]
            if first > 0:
                steps[first - 1] = (steps[first - 1][0], look_up[1])
            else:
                steps, first = [look_up, *steps], 1
        steps[first] = (name, new)
        # Copied, to keep the class: imbalanced-learn's Pipeline, for one, fits differently.
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
    """Raised for a ColumnTransformer, whose fitted state is more than that of its parts."""


def _merge(node: Estimator, fitted: Estimator, first: Any) -> Any:
    """Insert the fitted learners into `node`, and fit its stateless steps on one image."""
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


def _begins_stateless(estimator: Estimator) -> bool:
    """Return whether an estimator is a pipeline of stateless steps followed by a learner."""
    if not isinstance(estimator, Pipeline) or find_learner(estimator) is None:
        return False
    return _has_stateless_start(estimator)


def _has_stateless_start(node: Estimator | str | None) -> bool:
    if isinstance(node, Pipeline):
        first = _find_first(node)
        return first is not None and _has_stateless_start(first)
    if isinstance(node, FeatureUnion):
        return any(_has_stateless_start(part) for _, part in node.transformer_list)
    if isinstance(node, ColumnTransformer):
        return any(
            _has_stateless_start(part)
            for _, part, where in node.transformers
            if not callable(where)
        )
    return not isinstance(node, str) and node is not None and find_learner(node) is None


def _find_first(pipeline: Pipeline) -> Any:
    return next((step for _, step in pipeline.steps if not is_passthrough(step)), None)
