"""Converter for stacking: the outputs of the base classifiers, and the final estimator."""

from functools import cached_property

from sklearn.base import BaseEstimator
from sklearn.ensemble import StackingClassifier

from imgfeat.export.converters.base_head import (
    DelegatingHead,
    Head,
    add_labels,
    is_multilabel,
    register_head,
)
from imgfeat.heads.stack import FamilyStack


class StackHead(DelegatingHead):
    """The final estimator, whose labels are positions in `classes_`, on the heads' outputs."""

    @cached_property
    def _delegate(self) -> Head:
        model = self.estimator
        outputs = [
            self._add_output(part, method)
            for part, method in zip(model.estimators_, model.stack_method_, strict=True)
        ]
        if model.passthrough:
            outputs.append(self.features)
        return self.inner(model.final_estimator_, self.declare(self.join(outputs)))

    def _add_output(self, estimator: BaseEstimator, method: str) -> str:
        head = self.inner(estimator)
        if method == "decision_function":
            return head.decision
        if method == "predict_proba":
            # Of two classes only the second is kept, by StackingClassifier also of two labels.
            both = len(self.estimator.classes_) == 2
            if isinstance(self.estimator, FamilyStack):
                both = both and not is_multilabel(self.estimator)
            return self.nodes.slice(head.probabilities, 1, 1, 2) if both else head.probabilities
        labels = self.add("Gather", add_labels(self.nodes, estimator.classes_), head.codes)
        return self.nodes.reshape(self.nodes.cast(labels, self.dtype), -1, 1)


register_head(StackingClassifier, StackHead)
register_head(FamilyStack, StackHead)
