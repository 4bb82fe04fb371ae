"""Converter for GradientBoostingClassifier: one operator for all trees, and a softmax."""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier

from imgfeat._compat.sklearn_fitted import predict_initial_values
from imgfeat.export.converters.base_boosting import BoostingHead
from imgfeat.export.converters.base_head import register_head
from imgfeat.export.converters.base_trees import Tree


class GradientBoostingHead(BoostingHead):
    """Sums of trees that compare float32 features."""

    single = True

    def _read(self) -> tuple[list[Tree], NDArray[np.float64]]:
        model = self.estimator
        if model.loss != "log_loss" or not (model.init is None or model.init == "zero"):
            raise NotImplementedError(
                f"GradientBoostingClassifier(loss={model.loss!r}, init={model.init!r}) cannot be "
                "converted: use loss='log_loss' and init=None or 'zero'."
            )
        trees = [
            Tree(
                feature=np.maximum(tree.feature, 0),
                threshold=tree.threshold,
                left=tree.children_left,
                right=tree.children_right,
                missing_left=tree.missing_go_to_left,
                values=model.learning_rate * tree.value[:, 0],
                columns=[column],
            )
            for row in model.estimators_
            for column, tree in enumerate(part.tree_ for part in row)
        ]
        zeros = np.zeros((1, model.n_features_in_), np.float32)
        return trees, predict_initial_values(model, zeros)[0].astype(np.float64)


register_head(GradientBoostingClassifier, GradientBoostingHead)
