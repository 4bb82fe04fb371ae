"""Trees as nodes: all trees of an ensemble become one TreeEnsembleRegressor."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import numpy_helper

from imgfeat.export.converters.base_head import Head


@dataclass(frozen=True)
class Tree:
    """A binary tree, each leaf of which adds numbers to columns of the result.

    Parameters
    ----------
    feature : ndarray of n ints
        Column that a node compares; unused in leaves.
    threshold : ndarray of shape (n,)
        Values at or below it go left or, with ``add_trees(strict=True)``, only those below it.
    left, right : ndarray of n ints
        Indices of children; -1 for leaves.
    missing_left : ndarray of n bools
        Whether NaN goes left.
    values : ndarray of shape (n, k)
        Numbers that leaves add; zeros are omitted from the graph.
    columns : ndarray of k ints
        Columns of the result that they are added to.
    """

    feature: NDArray[np.integer]
    threshold: NDArray[np.float64]
    left: NDArray[np.integer]
    right: NDArray[np.integer]
    missing_left: NDArray[Any]
    values: NDArray[np.float64]
    columns: ArrayLike = field(default=(0,))


def add_trees(
    head: Head,
    trees: list[Tree],
    n_columns: int,
    base: ArrayLike | None = None,
    *,
    single: bool = False,
    strict: bool = False,
) -> str:
    """Return the sums over the trees, (n, n_columns), in the float type of the features.

    Comparisons are exact: if features are float32, thresholds are rounded down to the next float32,
    which separates float32 values in the same way.

    Parameters
    ----------
    head : Head
        The head whose features the trees compare.
    trees : list of Tree
    n_columns : int
    base : array-like of shape (n_columns,), default=None
        Initial values of the sums.
    single : bool, default=False
        Round features to float32 before they are compared, as libraries that store float32 do.
    strict : bool, default=False
        Whether only values below a threshold go left.
    """
    features, double = head.features, head.dtype == np.float64 and not single
    if single and head.dtype == np.float64:
        features = head.nodes.cast(features, np.float32)
    attributes = _flatten(trees, strict)
    numbers = {
        "nodes_values": attributes.pop("nodes_values"),
        "target_weights": attributes.pop("target_weights"),
    }
    if base is not None:
        numbers["base_values"] = np.asarray(base, np.float64)
    for name, values in numbers.items():
        if double:
            attributes[f"{name}_as_tensor"] = numpy_helper.from_array(values, name)
        else:
            rounded = _round_down(values) if name == "nodes_values" else values.astype(np.float32)
            attributes[name] = rounded
    sums = head.add(
        "TreeEnsembleRegressor",
        features,
        domain="ai.onnx.ml",
        op_version=3,
        n_targets=n_columns,
        aggregate_function="SUM",
        post_transform="NONE",
        **{k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in attributes.items()},
    )
    # The operator returns float32 also for float64 features.
    return head.nodes.cast(sums, np.float64) if head.dtype == np.float64 else sums


def _flatten(trees: list[Tree], strict: bool) -> dict[str, Any]:
    """Return the attributes of the operator for all trees."""
    parts: dict[str, list[NDArray[Any]]] = {}

    def put(name: str, values: NDArray[Any]) -> None:
        parts.setdefault(name, []).append(values)

    for number, tree in enumerate(trees):
        n_nodes = len(tree.left)
        leaf = tree.left < 0
        put("nodes_treeids", np.full(n_nodes, number))
        put("nodes_nodeids", np.arange(n_nodes))
        put("nodes_featureids", np.where(leaf, 0, tree.feature))
        put("nodes_values", np.where(leaf, 0.0, tree.threshold))
        put("nodes_truenodeids", np.where(leaf, 0, tree.left))
        put("nodes_falsenodeids", np.where(leaf, 0, tree.right))
        put("nodes_missing_value_tracks_true", np.where(leaf, 0, tree.missing_left).astype(int))
        branch = b"BRANCH_LT" if strict else b"BRANCH_LEQ"
        put("nodes_modes", np.where(leaf, b"LEAF", branch))
        wanted = leaf[:, np.newaxis] & (tree.values != 0)
        # The operator needs at least one number for each leaf, even if it is 0.
        wanted[leaf & ~wanted.any(axis=1), 0] = True
        rows, columns = np.nonzero(wanted)
        put("target_treeids", np.full(len(rows), number))
        put("target_nodeids", rows)
        put("target_ids", np.asarray(tree.columns)[columns])
        put("target_weights", tree.values[rows, columns])
    return {name: np.concatenate(values) for name, values in parts.items()}


def _round_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest float32 values that are not above the thresholds."""
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(np.float32)
    above = rounded > thresholds
    rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
    return rounded
