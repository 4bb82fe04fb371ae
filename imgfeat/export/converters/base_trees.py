"""Trees as nodes: however many there are, one TreeEnsembleRegressor."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import numpy_helper

from imgfeat.export.converters.base_head import Head


@dataclass(frozen=True)
class Tree:
    """A binary tree whose leaves add numbers to columns of the result.

    Parameters
    ----------
    feature : ndarray of n ints
        Column that a node looks at; unused in leaves.
    threshold : ndarray of shape (n,)
        Images at or below it go left, or below it only: see `add_trees`.
    left, right : ndarray of n ints
        Children; those of leaves are -1.
    missing_left : ndarray of n bools
        Where NaN goes.
    values : ndarray of shape (n, k)
        What leaves add; zeros cost nothing.
    columns : ndarray of k ints
        To which columns.
    """

    feature: NDArray[np.integer]
    threshold: NDArray[np.float64]
    left: NDArray[np.integer]
    right: NDArray[np.integer]
    missing_left: NDArray
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
    """Return the sums of what the leaves add, (n, n_columns), in the float type of the features.

    Comparisons are exact: thresholds between two floats are rounded to the one on whose side they
    are.

    Parameters
    ----------
    head : Head
        Whose features the trees look at.
    trees : list of Tree
    n_columns : int
    base : array-like of shape (n_columns,), default=None
        Where the sums start.
    single : bool, default=False
        Round features to floats before they are compared, as libraries do that hold them so.
    strict : bool, default=False
        Whether only what is below a threshold goes left.
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
    # The operator gives floats, also of doubles.
    return head.nodes.cast(sums, np.float64) if head.dtype == np.float64 else sums


def _flatten(trees: list[Tree], strict: bool) -> dict:
    """Return the attributes of the trees, one after another."""
    parts: dict[str, list[NDArray]] = {}

    def put(name: str, values: NDArray) -> None:
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
        # Each leaf adds something, be it 0.
        wanted[leaf & ~wanted.any(axis=1), 0] = True
        rows, columns = np.nonzero(wanted)
        put("target_treeids", np.full(len(rows), number))
        put("target_nodeids", rows)
        put("target_ids", np.asarray(tree.columns)[columns])
        put("target_weights", tree.values[rows, columns])
    return {name: np.concatenate(values) for name, values in parts.items()}


def _round_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest floats that are not above: they part floats in the same way."""
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(np.float32)
    above = rounded > thresholds
    rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
    return rounded
