"""Converters for two-class classifiers with a threshold of their own."""

from functools import cached_property
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

from imgfeat._compat.sklearn_fitted import find_positive_label, find_response_method
from imgfeat.export.converters.base_head import DelegatingHead, Head, register_head


class ThresholdHead(DelegatingHead):
    """The inner classifier's outputs, with labels by a threshold on the positive class."""

    @cached_property
    def _delegate(self) -> Head:
        model = self.estimator
        return self.inner(getattr(model, "estimator_", model.estimator))

    def _add_codes(self) -> str:
        classes, positive = self.estimator.classes_, _find_positive_label(self.estimator)
        column = 1 if positive is None else int(np.flatnonzero(classes == positive)[0])
        method = find_response_method(self.estimator)
        methods = [method] if isinstance(method, str) else method
        probable = (
            next(m for m in methods if hasattr(self._delegate.estimator, m)) == "predict_proba"
        )
        if probable:
            score = self.nodes.slice(self.probabilities, 1, column, column + 1)
        else:
            score = self.decision if column else self.add("Neg", self.decision)
        threshold = getattr(self.estimator, "best_threshold_", None)
        if threshold is None:
            threshold = self.estimator.threshold
        if isinstance(threshold, str):  # "auto"
            threshold = 0.5 if probable else 0.0
        reached = self.add("GreaterOrEqual", score, self.floats(threshold))
        codes = self.nodes.reshape(self.nodes.cast(reached, np.int64), -1)
        one = self.nodes.constant(1, np.int64)
        return codes if column else self.add("Sub", one, codes)


def _find_positive_label(model: BaseEstimator) -> Any:
    if isinstance(model, FixedThresholdClassifier):
        return model.pos_label
    return find_positive_label(model)


for _kind in (FixedThresholdClassifier, TunedThresholdClassifierCV):
    register_head(_kind, ThresholdHead)
