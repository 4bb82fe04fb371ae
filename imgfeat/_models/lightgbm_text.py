"""A strict parser of LightGBM's text format, which keeps only trees."""

import re
from collections.abc import Iterator

import numpy as np

from imgfeat._models.conditions import require
from imgfeat._models.trees import check_children, check_features

NUMBER = re.compile(r"-?(\d+(\.\d*)?([eE][+-]?\d+)?|inf)")
NAME = re.compile(r"[^\s,:\"\[\]{}]{1,500}")
OBJECTIVE = re.compile(r"(regression|binary sigmoid:1|multiclass num_class:\d{1,6})")
# Entries of a tree that have one value for each split, one for each leaf, and one in all.
SPLITS = (
    "split_feature",
    "split_gain",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "internal_value",
    "internal_weight",
    "internal_count",
)
LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
SINGLE = ("num_leaves", "num_cat", "is_linear", "shrinkage")
LEAST = {"split_feature", "threshold", "decision_type", "left_child", "right_child", "leaf_value"}
# The bit of decision_type that marks a categorical split.
CATEGORICAL = 1
MOST_CLASSES = 1 << 16


def rewrite_lightgbm(text: str) -> str:
    """Return a copy of LightGBM's text of a model that contains only validated trees.

    Raises
    ------
    ValueError
        If a tree is invalid.
    """
    head, *trees = text.partition("\nend of trees")[0].split("\n\nTree=")
    header = _read_pairs(head.split("\n")[1:])
    n_classes = _read_count(header["num_class"], MOST_CLASSES)
    per_round = _read_count(header["num_tree_per_iteration"], MOST_CLASSES)
    n_features = 1 + int(header["max_feature_idx"])
    names = header["feature_names"].split(" ")
    require(header["version"] == "v4" and n_classes == per_round, "LightGBM: header")
    require(OBJECTIVE.fullmatch(header["objective"]) is not None, "LightGBM: objective")
    if n_classes > 1:
        require(header["objective"] == f"multiclass num_class:{n_classes}", "LightGBM: classes")
    require(len(names) == n_features >= 1, "LightGBM: feature_names")
    require(all(NAME.fullmatch(name) for name in names), "LightGBM: feature_names")
    require(len(trees) % per_round == 0, "LightGBM: trees a round")
    lines = [
        "tree",
        "version=v4",
        f"num_class={n_classes}",
        f"num_tree_per_iteration={per_round}",
        "label_index=0",
        f"max_feature_idx={n_features - 1}",
        f"objective={header['objective']}",
        f"feature_names={' '.join(names)}",
        # The ranges of features, which do not affect predictions.
        f"feature_infos={' '.join(['[-inf:inf]'] * n_features)}",
        "",
    ]
    for number, tree in enumerate(trees):
        lines += [f"Tree={number}", *_rewrite_tree(tree, n_features), "", ""]
    return "\n".join([*lines, "end of trees", "", "pandas_categorical:null", ""])


def _rewrite_tree(text: str, n_features: int) -> Iterator[str]:
    pairs = _read_pairs(text.split("\n")[1:])
    n_leaves = _read_count(pairs["num_leaves"], 1 << 24)
    require(pairs["num_cat"] == "0" and pairs["is_linear"] == "0", "LightGBM: kind of tree")
    yield from (f"{name}={_join(pairs[name].split(' '), 1)}" for name in SINGLE)
    if n_leaves == 1:
        yield f"leaf_value={_join(pairs['leaf_value'].split(' '), 1)}"
        return
    require(set(pairs) >= LEAST, "LightGBM: tree")
    for names, count in ((SPLITS, n_leaves - 1), (LEAVES, n_leaves)):
        for name in names:
            if name in pairs:
                yield f"{name}={_join(pairs[name].split(' '), count)}"
    kinds = np.array(pairs["decision_type"].split(" "), np.int64)
    require(
        bool(((kinds & CATEGORICAL == 0) & (kinds >= 0) & (kinds < 16)).all()), "LightGBM: splits"
    )
    check_features(np.array(pairs["split_feature"].split(" "), np.int64), n_features)
    left, right = (np.array(pairs[n].split(" "), np.int64) for n in ("left_child", "right_child"))
    # Leaves have the numbers -1, -2, ...; they are renumbered to follow the splits.
    left, right = (np.where(c < 0, n_leaves - 2 - c, c) for c in (left, right))
    inner = np.arange(2 * n_leaves - 1) < n_leaves - 1
    room = np.zeros(n_leaves, np.int64)
    check_children(np.concatenate([left, room]), np.concatenate([right, room]), inner)


def _read_pairs(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines if line)
    return {key: value for key, _, value in pairs}


def _read_count(text: str, most: int) -> int:
    count = int(text)
    require(1 <= count <= most, "LightGBM: counts")
    return count


def _join(values: list[str], count: int) -> str:
    require(len(values) == count, "LightGBM: number of values")
    require(all(NUMBER.fullmatch(value) for value in values), "LightGBM: numbers")
    return " ".join(values)
