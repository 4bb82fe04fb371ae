"""Converter for XGBClassifier, if XGBoost is installed: one operator for all trees, a softmax."""

import contextlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from imgfeat.export.converters.base_boosting import BoostingHead
from imgfeat.export.converters.base_head import register_head
from imgfeat.export.converters.base_trees import Tree


class XGBoostHead(BoostingHead):
    """Sums of trees that compare float32 features; values equal to a threshold go right."""

    single = True
    strict = True

    def _read(self) -> tuple[list[Tree], NDArray[np.float64]]:
        booster = self.estimator.get_booster()
        if getattr(self.estimator, "early_stopping_rounds", None) is not None:
            booster = booster[: booster.best_iteration + 1]
        learner = json.loads(booster.save_raw("json"))["learner"]
        objective = learner["objective"]["name"]
        kind = learner["gradient_booster"]["name"]
        if objective not in ("binary:logistic", "multi:softprob") or kind != "gbtree":
            raise NotImplementedError(
                f"XGBClassifier(objective={objective!r}, booster={kind!r}) cannot be converted: "
                "use objective='binary:logistic' or 'multi:softprob', and booster='gbtree'."
            )
        model = learner["gradient_booster"]["model"]
        trees = [
            _read_tree(tree, column)
            for tree, column in zip(model["trees"], model["tree_info"], strict=True)
        ]
        base = np.atleast_1d(json.loads(learner["learner_model_param"]["base_score"]))
        if objective == "binary:logistic":
            return trees, logit(base)
        n_classes = len(self.estimator.classes_)
        return trees, np.broadcast_to(base, n_classes).astype(float)


def _read_tree(tree: dict[str, Any], column: int) -> Tree:
    if any(tree["split_type"]):
        raise NotImplementedError(
            "XGBClassifier with categorical features cannot be converted: use "
            "enable_categorical=False."
        )
    conditions = np.array(tree["split_conditions"], np.float32).astype(np.float64)
    return Tree(
        feature=np.array(tree["split_indices"]),
        threshold=conditions,
        left=np.array(tree["left_children"]),
        right=np.array(tree["right_children"]),
        missing_left=np.array(tree["default_left"]),
        values=conditions[:, np.newaxis],
        columns=[column],
    )


with contextlib.suppress(ImportError):
    from xgboost import XGBClassifier

    register_head(XGBClassifier, XGBoostHead)
