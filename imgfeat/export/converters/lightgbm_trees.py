"""Converter for LGBMClassifier, if LightGBM is installed: one operator for all trees, a softmax."""

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.converters.base_boosting import BoostingHead
from imgfeat.export.converters.base_head import register_head
from imgfeat.export.converters.base_trees import Tree


class LightGBMHead(BoostingHead):
    """Sums of trees that compare float64 features."""

    def _read(self) -> tuple[list[Tree], NDArray[np.float64]]:
        model = self.estimator.booster_.dump_model()
        objective = model["objective"].split()[0]
        if objective not in ("binary", "multiclass") or model["average_output"]:
            raise NotImplementedError(
                f"LGBMClassifier(objective={objective!r}, "
                f"boosting_type={self.estimator.boosting_type!r}) cannot be converted: use "
                "objective='binary' or 'multiclass', and a boosting_type other than 'rf'."
            )
        n_columns = model["num_tree_per_iteration"]
        trees = [
            _read_tree(tree["tree_structure"], number % n_columns)
            for number, tree in enumerate(model["tree_info"])
        ]
        return trees, np.zeros(n_columns)


def _read_tree(root: dict[str, Any], column: int) -> Tree:
    """Number nodes breadth first, and return them as a tree."""
    nodes, left, right = [root], [], []
    for node in nodes:
        children = [node[side] for side in ("left_child", "right_child") if side in node]
        left.append(len(nodes) if children else -1)
        right.append(len(nodes) + 1 if children else -1)
        nodes.extend(children)
    splits = [node for node in nodes if "left_child" in node]
    if any(node["decision_type"] != "<=" or node["missing_type"] == "Zero" for node in splits):
        raise NotImplementedError(
            "LGBMClassifier with categorical features or zero_as_missing=True cannot be converted: "
            "fit it without categorical_feature and with zero_as_missing=False."
        )
    return Tree(
        feature=np.array([node.get("split_feature", 0) for node in nodes]),
        threshold=np.array([node.get("threshold", 0.0) for node in nodes]),
        left=np.array(left),
        right=np.array(right),
        missing_left=np.array([_takes_missing(node) for node in nodes]),
        values=np.array([[node.get("leaf_value", 0.0)] for node in nodes]),
        columns=[column],
    )


def _takes_missing(node: dict[str, Any]) -> bool:
    """Return whether NaN goes left: without missing values in training, it is treated as 0."""
    if node.get("missing_type") == "NaN":
        return node["default_left"]
    return node.get("threshold", 0.0) >= 0


with contextlib.suppress(ImportError):
    from lightgbm import LGBMClassifier

    register_head(LGBMClassifier, LightGBMHead)
