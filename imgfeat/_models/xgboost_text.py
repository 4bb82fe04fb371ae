"""A strict parser of XGBoost's JSON format, which keeps only trees."""

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat._models.conditions import require
from imgfeat._models.trees import check_children, check_features

MULTICLASS = ("multi:softprob", "multi:softmax")
OTHERS = ("binary:logistic", "reg:squarederror")
FLOATS = ("base_weights", "loss_changes", "split_conditions", "sum_hessian")
NO_CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
NO_PARENT = 2**31 - 1
MOST_CLASSES = 1 << 16


def rewrite_xgboost(text: str) -> str:
    """Return a copy of XGBoost's JSON of a model that contains only validated trees.

    Raises
    ------
    ValueError
        If a tree is invalid.
    """
    model = json.loads(text)
    learner = model["learner"]
    given = learner["learner_model_param"]
    n_features, n_classes = int(given["num_feature"]), int(given["num_class"])
    require(1 <= n_features < 2**31 and 0 <= n_classes <= MOST_CLASSES, "XGBoost: sizes")
    require(given["num_target"] == "1", "XGBoost: targets")
    objective = learner["objective"]["name"]
    require(objective in (MULTICLASS if n_classes > 1 else OTHERS), "XGBoost: objective")
    trees = learner["gradient_booster"]
    require(trees["name"] == "gbtree", "XGBoost: kind of booster")
    base = json.loads(given["base_score"])
    require(_are_finite(base if isinstance(base, list) else [base]), "XGBoost: base_score")
    require(not isinstance(base, list) or len(base) == max(n_classes, 1), "XGBoost: base_score")
    names = learner["feature_names"]
    require(len(names) in (0, n_features), "XGBoost: feature_names")
    require(all(isinstance(name, str) for name in names), "XGBoost: feature_names")
    parameters: dict[str, Any] = {"reg_loss_param": {"scale_pos_weight": "1"}}
    if n_classes > 1:
        parameters = {"softmax_multiclass_param": {"num_class": str(n_classes)}}
    version = [int(part) for part in model["version"]]
    require(len(version) == 3, "XGBoost: version")
    rewritten = {
        "attributes": _read_attributes(learner["attributes"]),
        "feature_names": names,
        "feature_types": ["float"] * len(names),
        "gradient_booster": {
            "model": _rewrite_trees(trees["model"], n_features, max(n_classes, 1)),
            "name": "gbtree",
        },
        "learner_model_param": {
            "base_score": given["base_score"],
            "boost_from_average": "1",
            "num_class": str(n_classes),
            "num_feature": str(n_features),
            "num_target": "1",
        },
        "objective": {"name": objective, **parameters},
    }
    return json.dumps({"learner": rewritten, "version": version}, separators=(",", ":"))


def _read_attributes(attributes: dict[str, str]) -> dict[str, str]:
    """Return the best iteration and score of early stopping, without other attributes."""
    kept = {}
    if "best_iteration" in attributes:
        best = int(attributes["best_iteration"])
        require(best >= 0, "XGBoost: best_iteration")
        kept = {"best_iteration": str(best), "best_score": str(float(attributes["best_score"]))}
    return kept


def _rewrite_trees(model: dict[str, Any], n_features: int, n_groups: int) -> dict[str, Any]:
    trees, groups, ends = model["trees"], model["tree_info"], model["iteration_indptr"]
    require(model["gbtree_model_param"]["num_parallel_tree"] == "1", "XGBoost: parallel trees")
    require(groups == [k % n_groups for k in range(len(trees))], "XGBoost: tree_info")
    require(ends == list(range(0, len(trees) + 1, n_groups)), "XGBoost: iteration_indptr")
    rewritten = {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(len(trees))},
        "iteration_indptr": ends,
        "tree_info": groups,
        "trees": [_rewrite_tree(tree, k, n_features) for k, tree in enumerate(trees)],
    }
    if "cats" in model:
        require(not any(model["cats"].values()), "XGBoost: categories")
        rewritten["cats"] = {"enc": [], "feature_segments": [], "sorted_idx": []}
    return rewritten


def _rewrite_tree(tree: dict[str, Any], number: int, n_features: int) -> dict[str, Any]:
    n_nodes = int(tree["tree_param"]["num_nodes"])
    require(tree["tree_param"]["num_deleted"] == "0", "XGBoost: deleted nodes")
    require(tree["tree_param"]["size_leaf_vector"] in ("0", "1"), "XGBoost: leaf vectors")
    require(not any(tree[name] for name in NO_CATEGORIES), "XGBoost: categories")
    require(tree["split_type"] == [0] * n_nodes, "XGBoost: categories")
    for name in FLOATS:
        require(len(tree[name]) == n_nodes and _are_finite(tree[name]), f"XGBoost: {name}")
    left, right, features, default = (
        _read_integers(tree[name], n_nodes)
        for name in ("left_children", "right_children", "split_indices", "default_left")
    )
    inner = left != -1
    require(bool((inner == (right != -1)).all()), "XGBoost: children")
    check_children(left, right, inner)
    check_features(features[inner], n_features)
    parents = np.full(n_nodes, NO_PARENT)
    for children in (left, right):
        parents[children[inner]] = np.flatnonzero(inner)
    require(bool(np.isin(default, (0, 1)).all()), "XGBoost: default_left")
    return {
        **{name: tree[name] for name in FLOATS},
        **{name: [] for name in NO_CATEGORIES},
        "default_left": default.tolist(),
        "id": number,
        "left_children": left.tolist(),
        "parents": parents.tolist(),
        "right_children": right.tolist(),
        "split_indices": np.where(inner, features, 0).tolist(),
        "split_type": [0] * n_nodes,
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(n_features),
            "num_nodes": str(n_nodes),
            "size_leaf_vector": tree["tree_param"]["size_leaf_vector"],
        },
    }


def _read_integers(values: Any, count: int) -> NDArray[np.int64]:
    require(isinstance(values, list) and len(values) == count >= 1, "XGBoost: nodes")
    require(all(type(value) in (int, bool) for value in values), "XGBoost: nodes")
    return np.array(values, np.int64)


def _are_finite(values: list[Any]) -> bool:
    return all(type(value) in (int, float) and math.isfinite(value) for value in values)
