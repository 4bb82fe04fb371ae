"""Linear classifiers as nodes: one product, and a softmax where there are probabilities."""

from functools import cached_property

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
)
from sklearn.svm import LinearSVC

from imgfeat.export.heads import Head, register_head


class LinearHead(Head):
    """`coef_` and `intercept_`: (1, d) for two classes, else (n_classes, d)."""

    def _decide(self) -> str:
        coefficients = np.atleast_2d(self.estimator.coef_)
        intercepts = self.estimator.intercept_
        return self.add(
            "Gemm",
            self.features,
            self.floats(coefficients.T),
            self.floats(np.broadcast_to(intercepts, len(coefficients))),
        )

    def _choose(self) -> str:
        binary = len(self.estimator.classes_) == 2
        return self.find_side(self.decision) if binary else self.find_largest(self.decision)


class SoftmaxHead(LinearHead):
    """Probabilities are the softmax of the decision function, which two classes get a 0 for."""

    def _estimate(self) -> str:
        return self.add("Softmax", self._logits, axis=1)

    def _choose(self) -> str:
        return self.find_largest(self._logits)

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


for _kind in (LinearSVC, Perceptron, RidgeClassifier, RidgeClassifierCV):
    register_head(_kind, LinearHead)
for _kind in (LogisticRegression, LogisticRegressionCV, LinearDiscriminantAnalysis):
    register_head(_kind, SoftmaxHead)
