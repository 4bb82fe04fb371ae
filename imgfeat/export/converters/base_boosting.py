"""Base class of converters for boosting: sums of trees, and probabilities from these sums."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.converters.base_head import Head
from imgfeat.export.converters.base_trees import Tree, add_trees


class BoostingHead(Head):
    """Sums of trees, one column for each class or one in all for two classes, and their softmax.

    Subclasses implement `_read`, which returns the trees.
    """

    #: Whether features are compared in float32, and whether values equal to a threshold go right.
    single = False
    strict = False

    def _read(self) -> tuple[list[Tree], NDArray[np.float64]]:
        """Return the trees, and the initial value of the sum of each column."""
        raise NotImplementedError

    def _add_decision(self) -> str:
        if len(self.estimator.classes_) == 2:
            return self.nodes.slice(self._logits, 1, 1, 2)
        return self._logits

    def _add_probabilities(self) -> str:
        return self.add("Softmax", self._logits, axis=1)

    def _add_codes(self) -> str:
        return self.argmax(self._logits)

    @cached_property
    def _logits(self) -> str:
        """The sums of all classes; for two classes, that of the first is 0."""
        trees, base = self._read()
        if len(base) == 1:
            trees = [Tree(**{**vars(tree), "columns": [1]}) for tree in trees]
            base = np.pad(base, (1, 0))
        return add_trees(self, trees, len(base), base, single=self.single, strict=self.strict)
