"""Converter for FamilyPool: one matrix product with the weights, and a softmax."""

from functools import cached_property

import numpy as np

from imgfeat.export.converters.base_head import Head, is_multilabel, register_head
from imgfeat.heads.family_pool import FamilyPool


class FamilyPoolHead(Head):
    """A weighted sum of the heads' outputs, with one weight for all columns of a head."""

    def _add_decision(self) -> str:
        return self._sum_up(self._weights, self.estimator.bias_)

    def _add_probabilities(self) -> str:
        if is_multilabel(self.estimator):
            return self.add("Sigmoid", self.decision)
        return self.add("Softmax", self._logits, axis=1)

    def _add_codes(self) -> str:
        if is_multilabel(self.estimator):
            return self.is_positive(self.decision)
        return self.argmax(self._logits)

    @property
    def _weights(self) -> np.ndarray:
        return np.kron(self.estimator.weights_[:, np.newaxis], np.eye(len(self.estimator.bias_)))

    @cached_property
    def _logits(self) -> str:
        """The sums of all classes; for two classes, that of the first is 0."""
        if len(self.estimator.bias_) > 1:
            return self.decision
        return self._sum_up(
            np.pad(self._weights, ((0, 0), (1, 0))), np.pad(self.estimator.bias_, (1, 0))
        )

    def _sum_up(self, weights: np.ndarray, bias: np.ndarray) -> str:
        return self.add("Gemm", self.features, self.floats(weights), self.floats(bias))


register_head(FamilyPool, FamilyPoolHead)
