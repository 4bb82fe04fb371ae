"""Converter for HistGradientBoostingClassifier: one operator for all trees, and a softmax."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from imgfeat._compat.sklearn_fitted import read_histogram_trees
from imgfeat.export.converters.base_boosting import BoostingHead
from imgfeat.export.converters.base_head import register_head
from imgfeat.export.converters.base_trees import Tree
from imgfeat.heads.midpoints import MidpointBoosting


class HistBoostingHead(BoostingHead):
    """Sums of trees that compare float64 features; missing values go where they did in training."""

    def _read(self) -> tuple[list[Tree], NDArray[np.float64]]:
        model = self.estimator
        if model.is_categorical_ is not None:
            raise NotImplementedError(
                "HistGradientBoostingClassifier with categorical features cannot be converted: "
                "use categorical_features=None."
            )
        fitted = read_histogram_trees(model)
        trees = [
            _read_tree(predictor.nodes, column)
            for predictors in fitted.predictors
            for column, predictor in enumerate(predictors)
        ]
        return trees, fitted.baseline[0]


def _read_tree(nodes: NDArray[Any], column: int) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        feature=nodes["feature_idx"],
        threshold=nodes["num_threshold"],
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        missing_left=nodes["missing_go_to_left"],
        values=nodes["value"][:, np.newaxis],
        columns=[column],
    )


for _kind in (HistGradientBoostingClassifier, MidpointBoosting):
    register_head(_kind, HistBoostingHead)
