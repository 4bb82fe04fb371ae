"""Converters for decision trees and forests: one operator for all trees."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from imgfeat.export.converters.base_head import Head, is_multilabel, register_head
from imgfeat.export.converters.base_trees import Tree, add_trees

TREES = (DecisionTreeClassifier, ExtraTreeClassifier)


class ForestHead(Head):
    """The mean of the trees' probabilities, from their sums, which are exact for pure leaves."""

    def _add_probabilities(self) -> str:
        n_trees = len(self._trees)
        return self.add("Div", self._sums, self.floats(n_trees)) if n_trees > 1 else self._sums

    def _add_codes(self) -> str:
        if is_multilabel(self.estimator):
            half = self.floats(len(self._trees) / 2)
            return self.nodes.cast(self.add("Greater", self._sums, half), np.int64)
        return self.argmax(self._sums)

    @cached_property
    def _sums(self) -> str:
        return add_trees(self, self._trees, len(self.estimator.classes_), single=True)

    @cached_property
    def _trees(self) -> list[Tree]:
        parts = getattr(self.estimator, "estimators_", [self.estimator])
        # The labels of a forest's trees are positions in `classes_`.
        classes = self.estimator.classes_
        return [read_tree(part, labels=classes) for part in parts]


def read_tree(
    estimator: DecisionTreeClassifier,
    features: NDArray[Any] | None = None,
    labels: NDArray[Any] | list[NDArray[Any]] | None = None,
) -> Tree:
    """Return a fitted tree whose leaves add probabilities.

    Parameters
    ----------
    estimator : DecisionTreeClassifier or ExtraTreeClassifier
    features : ndarray of ints, default=None
        Positions of the tree's columns among all features; None for all of them.
    labels : list of ndarray, default=None
        For an indicator matrix, the values of each of its columns; leaves then add the
        probabilities that labels are present.
    """
    tree = estimator.tree_
    feature = np.maximum(tree.feature, 0)
    if isinstance(labels, list):
        ones = [np.isin(classes, [1]) for classes in labels]
        values = np.column_stack([tree.value[:, k, : len(one)] @ one for k, one in enumerate(ones)])
    else:
        values = tree.value[:, 0]
    return Tree(
        feature=feature if features is None else np.asarray(features)[feature],
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        missing_left=tree.missing_go_to_left,
        values=values,
        columns=np.arange(values.shape[1]),
    )


for _kind in (*TREES, RandomForestClassifier, ExtraTreesClassifier):
    register_head(_kind, ForestHead)
