"""VotingClassifier as nodes: the weighted mean of probabilities, or the votes."""

from functools import cached_property

import numpy as np
from sklearn.ensemble import VotingClassifier

from imgfeat._compat.sklearn_fitted import get_voting_weights
from imgfeat.export.converters.base_head import Head, register_head


class VotingHead(Head):
    """Where votes are counted, their shares stand in for the decision function, which it lacks."""

    def _decide(self) -> str:
        n_classes = len(self.estimator.classes_)
        return self._average([self.mark(part.codes, n_classes) for part in self._parts])

    def _estimate(self) -> str:
        return self._average([part.probabilities for part in self._parts])

    def _choose(self) -> str:
        soft = self.estimator.voting == "soft"
        return self.find_largest(self.probabilities if soft else self.decision)

    @cached_property
    def _parts(self) -> list[Head]:
        return [self.inner(part) for part in self.estimator.estimators_]

    def _average(self, parts: list[str]) -> str:
        weights = get_voting_weights(self.estimator)
        weights = np.ones(len(parts)) if weights is None else np.asarray(weights, float)
        if (weights == weights[0]).all():
            return self.add("Div", self.add_up(parts), self.floats(len(parts)))
        weighted = [
            self.add("Mul", part, self.floats(weight / weights.sum()))
            for part, weight in zip(parts, weights, strict=True)
        ]
        return self.add_up(weighted)


register_head(VotingClassifier, VotingHead)
