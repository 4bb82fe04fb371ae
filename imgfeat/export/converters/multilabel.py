"""Converters for one classifier per label or class: OneVsRestClassifier, PerLabel and others."""

from functools import cached_property

import numpy as np
from sklearn.base import is_classifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier

from imgfeat._compat.skl2onnx_types import Variable
from imgfeat._compat.sklearn_fitted import ConstantPredictor
from imgfeat.export.converters.base_head import HEADS, Head, find_head, is_multilabel, register_head
from imgfeat.heads.multilabel import PerLabel
from imgfeat.ops.nodes import Nodes


class ConstantHead(Head):
    """scikit-learn's constant predictor, for a label that all training images have, or none."""

    def _add_decision(self) -> str:
        return self._repeat([self.estimator.y_[0]])

    def _add_probabilities(self) -> str:
        return self._repeat([1 - self.estimator.y_[0], self.estimator.y_[0]])

    def _add_codes(self) -> str:
        return self.threshold_at_zero(self.decision)

    def _repeat(self, row: list[float]) -> str:
        n = self.add("Shape", self.features, start=0, end=1)
        shape = self.add("Concat", n, self.nodes.constant([1], np.int64), axis=0)
        return self.add("Expand", self.floats([row]), shape)


class OneVsRestHead(Head):
    """One column for each classifier: that of its positive class."""

    def _add_decision(self) -> str:
        return self.join([part.decision for part in self.parts])

    def _add_probabilities(self) -> str:
        columns = self.join([self._find_positive_class(part) for part in self.parts])
        if len(self.parts) == 1:
            return self.pair(columns)
        if self.estimator.multilabel_:
            return columns
        return self.normalize(columns, np.zeros(len(self.parts)))

    def _add_codes(self) -> str:
        scores = self.join([self._score(part) for part in self.parts])
        first = self.estimator.estimators_[0]
        decides = hasattr(first, "decision_function") and is_classifier(first)
        shifted = scores if decides else self.add("Sub", scores, self.floats(0.5))
        if self.estimator.multilabel_:
            return self.is_positive(shifted)
        return self.threshold_at_zero(shifted) if len(self.parts) == 1 else self.argmax(scores)

    @cached_property
    def parts(self) -> list[Head]:
        """Heads of the classifiers, each with two classes."""
        return [self.inner(part) for part in self.estimator.estimators_]

    def _score(self, part: Head) -> str:
        decides = hasattr(part.estimator, "decision_function")
        return part.decision if decides else self._find_positive_class(part)

    def _find_positive_class(self, part: Head) -> str:
        return self.nodes.slice(part.probabilities, 1, 1, 2)


class PerLabelHead(OneVsRestHead):
    """One label for each classifier, predicted with the classifier's own threshold."""

    def _add_codes(self) -> str:
        return self.join([self.nodes.reshape(part.codes, -1, 1) for part in self.parts])


class MultiOutputHead(PerLabelHead):
    """One classifier for each label, which is 0 or 1."""

    def __init__(self, nodes: Nodes, estimator: MultiOutputClassifier, X: Variable):
        super().__init__(nodes, estimator, X)
        if any(list(classes) != [0, 1] for classes in estimator.classes_):
            raise NotImplementedError(
                "MultiOutputClassifier is converted only if each label is 0 for some training "
                "images and 1 for others."
            )

    def _add_probabilities(self) -> str:
        return self.join([self._find_positive_class(part) for part in self.parts])


def _find_head(nodes: Nodes, estimator: PerLabel, X: Variable) -> Head:
    if is_multilabel(estimator):
        return PerLabelHead(nodes, estimator.classifier_, X)
    return find_head(nodes, estimator.classifier_, X)


HEADS[ConstantPredictor] = ConstantHead
register_head(OneVsRestClassifier, OneVsRestHead)
register_head(MultiOutputClassifier, MultiOutputHead)
register_head(PerLabel, _find_head)
