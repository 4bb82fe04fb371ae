"""Converter for AdaBoostClassifier: weighted votes of its classifiers, and a softmax."""

from functools import cached_property

import numpy as np
from sklearn.ensemble import AdaBoostClassifier

from imgfeat.export.converters.base_head import Head, register_head


class AdaBoostHead(Head):
    """Each classifier votes with 1 for its label, and with -1 / (n_classes - 1) for all others."""

    def _add_decision(self) -> str:
        if len(self.estimator.classes_) > 2:
            return self._votes
        return self.add("MatMul", self._votes, self.floats([[-1], [1]]))

    def _add_probabilities(self) -> str:
        n_classes = len(self.estimator.classes_)
        if n_classes == 2:
            logits = self.add("MatMul", self.decision, self.floats([[-0.5, 0.5]]))
        else:
            logits = self.add("Div", self._votes, self.floats(n_classes - 1))
        return self.add("Softmax", logits, axis=1)

    def _add_codes(self) -> str:
        binary = len(self.estimator.classes_) == 2
        return self.threshold_at_zero(self.decision) if binary else self.argmax(self._votes)

    @cached_property
    def _votes(self) -> str:
        model = self.estimator
        n_classes = len(model.classes_)
        if n_classes == 1:
            raise NotImplementedError(
                "AdaBoostClassifier with one class cannot be converted: fit it on two or more."
            )
        weights = model.estimator_weights_[: len(model.estimators_)]
        parts = []
        for part, weight in zip(model.estimators_, weights, strict=True):
            votes = np.where(
                part.classes_[:, np.newaxis] == model.classes_, 1, -1 / (n_classes - 1)
            )
            chosen = self.one_hot(self.inner(part).codes, len(part.classes_))
            share = votes * weight / model.estimator_weights_.sum()
            parts.append(self.add("MatMul", chosen, self.floats(share)))
        return self.add_sum(parts)


register_head(AdaBoostClassifier, AdaBoostHead)
