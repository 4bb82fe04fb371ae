"""Converter for BaggingClassifier: the mean of its classifiers' probabilities, or votes."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import BaggingClassifier
from sklearn.tree import DecisionTreeClassifier

from imgfeat._compat.skl2onnx_types import Variable
from imgfeat.export.converters.base_head import Head, register_head
from imgfeat.export.converters.base_trees import Tree
from imgfeat.export.converters.forests import TREES, ForestHead, read_tree
from imgfeat.ops.nodes import Nodes


class BagHead(Head):
    """A bag of classifiers, whose labels are positions in `classes_` and may lack some of these."""

    def _add_probabilities(self) -> str:
        return self.add("Div", self._sums, self.floats(len(self.estimator.estimators_)))

    def _add_codes(self) -> str:
        return self.argmax(self._sums)

    def _add_decision(self) -> str:
        parts = [head.decision for head in self._heads]
        return self.add("Div", self.add_sum(parts), self.floats(len(parts)))

    @cached_property
    def _sums(self) -> str:
        return self.add_sum([self._vote(head) for head in self._heads])

    @cached_property
    def _heads(self) -> list[Head]:
        bag = self.estimator
        return [
            self.inner(part, self._select_features(columns))
            for part, columns in zip(bag.estimators_, bag.estimators_features_, strict=True)
        ]

    def _select_features(self, columns: NDArray[np.intp]) -> Variable:
        everything = np.array_equal(columns, np.arange(self.estimator.n_features_in_))
        return self.X if everything else self.declare(self.select(columns))

    def _vote(self, head: Head) -> str:
        known, n_classes = head.estimator.classes_, len(self.estimator.classes_)
        if hasattr(head.estimator, "predict_proba"):
            votes = head.probabilities
        else:
            votes = self.one_hot(head.codes, len(known))
        if len(known) == n_classes:
            return votes
        return self.add("MatMul", votes, self.floats(np.eye(n_classes)[known]))


class TreeBagHead(ForestHead):
    """A forest whose trees may be fitted on some of the columns and lack some of the labels."""

    @cached_property
    def _trees(self) -> list[Tree]:
        bag = self.estimator
        return [
            _read(part, columns)
            for part, columns in zip(bag.estimators_, bag.estimators_features_, strict=True)
        ]


def _read(estimator: DecisionTreeClassifier, columns: NDArray[np.intp]) -> Tree:
    tree = read_tree(estimator, columns)
    return Tree(**{**vars(tree), "columns": estimator.classes_})


def _find_head(nodes: Nodes, estimator: BaggingClassifier, X: Variable) -> Head:
    trees = all(type(part) in TREES for part in estimator.estimators_)
    return (TreeBagHead if trees else BagHead)(nodes, estimator, X)


register_head(BaggingClassifier, _find_head)
