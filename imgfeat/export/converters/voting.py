"""Converter for VotingClassifier: the weighted mean of probabilities, or the votes."""

from functools import cached_property

import numpy as np
from sklearn.ensemble import VotingClassifier

from imgfeat._compat.sklearn_fitted import get_voting_weights
from imgfeat.export.converters.base_head import Head, register_head


class VotingHead(Head):
    """Weighted means; with voting="hard", `decision` holds shares of votes, only for the labels."""

    def _add_decision(self) -> str:
        n_classes = len(self.estimator.classes_)
        return self._average([self.one_hot(part.codes, n_classes) for part in self._parts])

    def _add_probabilities(self) -> str:
        return self._average([part.probabilities for part in self._parts])

    def _add_codes(self) -> str:
        soft = self.estimator.voting == "soft"
        return self.argmax(self.probabilities if soft else self.decision)

    @cached_property
    def _parts(self) -> list[Head]:
        return [self.inner(part) for part in self.estimator.estimators_]

    def _average(self, parts: list[str]) -> str:
        weights = get_voting_weights(self.estimator)
        weights = np.ones(len(parts)) if weights is None else np.asarray(weights, float)
        if (weights == weights[0]).all():
            return self.add("Div", self.add_sum(parts), self.floats(len(parts)))
        weighted = [
            self.add("Mul", part, self.floats(weight / weights.sum()))
            for part, weight in zip(parts, weights, strict=True)
        ]
        return self.add_sum(weighted)


register_head(VotingClassifier, VotingHead)
