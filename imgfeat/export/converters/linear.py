"""Converters for linear classifiers: one matrix product, and a softmax for probabilities."""

from functools import cached_property

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.svm import LinearSVC

from imgfeat.export.converters.base_head import Head, register_head


class LinearHead(Head):
    """The decision function from `coef_`, (1, d) for two classes, else (n_classes, d)."""

    def _add_decision(self) -> str:
        coefficients = np.atleast_2d(self.estimator.coef_)
        intercepts = self.estimator.intercept_
        return self.add(
            "Gemm",
            self.features,
            self.floats(coefficients.T),
            self.floats(np.broadcast_to(intercepts, len(coefficients))),
        )

    def _add_codes(self) -> str:
        binary = len(self.estimator.classes_) == 2
        return self.threshold_at_zero(self.decision) if binary else self.argmax(self.decision)


class SoftmaxHead(LinearHead):
    """Probabilities are the softmax of the decision function; of two classes, the first has 0."""

    def _add_probabilities(self) -> str:
        return self.add("Softmax", self._logits, axis=1)

    def _add_codes(self) -> str:
        return self.argmax(self._logits)

    @cached_property
    def _logits(self) -> str:
        coefficients, intercepts = self.estimator.coef_, self.estimator.intercept_
        if len(coefficients) > 1:
            return self.decision
        pair = np.vstack([np.zeros_like(coefficients), coefficients])
        return self.add(
            "Gemm",
            self.features,
            self.floats(pair.T),
            self.floats([0, np.ravel(intercepts)[0]]),
        )


class SGDHead(LinearHead):
    """An SGDClassifier, which maps each decision value to a probability, as its loss defines."""

    def _add_probabilities(self) -> str:
        n_classes = len(self.estimator.classes_)
        if self.estimator.loss == "log_loss":
            columns = self.add("Sigmoid", self.decision)
        else:
            bounded = self.add("Clip", self.decision, self.floats(-1), self.floats(1))
            columns = self.add("Mul", self.add("Add", bounded, self.floats(1)), self.floats(0.5))
        if n_classes == 2:
            return self.pair(columns)
        return self.normalize(columns, np.full(n_classes, 1 / n_classes))


register_head(SGDClassifier, SGDHead)
for _kind in (LinearSVC, Perceptron, RidgeClassifier, RidgeClassifierCV):
    register_head(_kind, LinearHead)
for _kind in (LogisticRegression, LogisticRegressionCV, LinearDiscriminantAnalysis):
    register_head(_kind, SoftmaxHead)
