"""What the boosting libraries share as nodes: sums of trees, and probabilities of them."""

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.heads import Head
from imgfeat.export.stability import SLACK
from imgfeat.export.trees import Tree, add_trees

ALMOST_INFINITE = 1e30


class BoostingHead(Head):
    """Sums of trees, a column a class or one for two classes, and their softmax.

    Subclasses say what the trees are.
    """

    #: Whether features are compared as floats, whether what equals a threshold goes right, and
    #: whether thresholds are features of training images, not half-way between two.
    single = False
    strict = False
    on_data = True

    def _read(self) -> tuple[list[Tree], NDArray[np.float64]]:
        """Return the trees, and where the sums of each column start."""
        raise NotImplementedError

    def _decide(self) -> str:
        if len(self.estimator.classes_) == 2:
            return self.nodes.slice(self._logits, 1, 1, 2)
        return self._logits

    def _estimate(self) -> str:
        return self.add("Softmax", self._logits, axis=1)

    def _choose(self) -> str:
        return self.find_largest(self._logits)

    @cached_property
    def _logits(self) -> str:
        """The sums, which two classes get a 0 for."""
        trees, base = self._read()
        if self.on_data:
            trees = _give_slack(trees, -SLACK if self.strict else SLACK)
        if len(base) == 1:
            trees = [Tree(**{**vars(tree), "columns": [1]}) for tree in trees]
            base = np.pad(base, (1, 0))
        return add_trees(self, trees, len(base), base, single=self.single, strict=self.strict)


def _give_slack(trees: list[Tree], share: float) -> list[Tree]:
    """Move thresholds a little to the side on which what equals them is.

    They are features of training images, where a graph that rounds otherwise would fall on either
    side.
    """
    largest = np.zeros(1 + max(int(tree.feature.max()) for tree in trees))
    for tree in trees:
        # What parts NaN from the rest is infinite, or all but.
        inner = (tree.left >= 0) & (np.abs(tree.threshold) < ALMOST_INFINITE)
        np.maximum.at(largest, tree.feature[inner], np.abs(tree.threshold[inner]))
    return [replace(t, threshold=t.threshold + share * largest[t.feature]) for t in trees]
