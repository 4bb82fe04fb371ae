"""Checks of decision trees in model files, whose node indices scikit-learn does not check."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from imgfeat._compat.model_files import NODE_DTYPE, PREDICTOR_RECORD_DTYPE, Tree, TreePredictor
from imgfeat._models.conditions import require

# A leaf's children, in scikit-learn's trees.
NO_CHILD = -1


def build_tree(arguments: tuple[Any, Any, Any], state: dict[str, Any]) -> Tree:
    """Return a decision tree of scikit-learn, after checking that its arrays are consistent.

    Parameters
    ----------
    arguments : tuple (n_features, n_classes, n_outputs)
        Arguments of its constructor.
    state : dict
        Argument of its ``__setstate__``.

    Raises
    ------
    ValueError
        If the arrays are inconsistent.
    """
    n_features, n_classes, n_outputs = arguments
    nodes, values = state["nodes"], state["values"]
    require(type(n_features) is int and 1 <= n_features < 2**31, "Tree: n_features")
    require(is_array(n_classes, 1, np.integer) and len(n_classes) == n_outputs > 0, "Tree: outputs")
    require(n_classes.min() >= 1, "Tree: n_classes")
    require(is_array(nodes, 1, np.void) and nodes.dtype == np.dtype(NODE_DTYPE), "Tree: nodes")
    count, depth = state["node_count"], state["max_depth"]
    require(type(count) is int and count == len(nodes) > 0, "Tree: node_count")
    require(type(depth) is int and 0 <= depth <= count, "Tree: max_depth")
    shape = (len(nodes), n_outputs, int(n_classes.max()))
    require(is_array(values, 3, np.float64) and values.shape == shape, "Tree: values")
    left, right = nodes["left_child"], nodes["right_child"]
    inner = left != NO_CHILD
    require(bool((inner == (right != NO_CHILD)).all()), "Tree: children")
    check_children(left, right, inner)
    check_features(nodes["feature"][inner], n_features)
    tree = Tree(n_features, n_classes.astype(np.intp), n_outputs)
    tree.__setstate__(
        {**state, "nodes": np.ascontiguousarray(nodes), "values": np.ascontiguousarray(values)}
    )
    return tree


def check_predictor(predictor: TreePredictor, n_features: int) -> None:
    """Raise ValueError if a tree of histogram gradient boosting has invalid nodes.

    Parameters
    ----------
    predictor : TreePredictor
    n_features : int
        Number of features of the input.
    """
    require(type(predictor) is TreePredictor, "TreePredictor: type")
    nodes = predictor.nodes
    known = is_array(nodes, 1, np.void) and nodes.dtype == PREDICTOR_RECORD_DTYPE
    require(known and len(nodes) > 0, "TreePredictor: nodes")
    inner = nodes["is_leaf"] == 0
    check_children(nodes["left"].astype(np.int64), nodes["right"].astype(np.int64), inner)
    check_features(nodes["feature_idx"][inner], n_features)
    require(not nodes["is_categorical"].any(), "TreePredictor: categories")


def check_children(left: NDArray[Any], right: NDArray[Any], inner: NDArray[np.bool_]) -> None:
    """Raise ValueError unless each node but the first is the child of exactly one earlier node."""
    children = np.concatenate([left[inner], right[inner]])
    parents = np.tile(np.flatnonzero(inner), 2)
    require(bool((children > parents).all()), "Tree: children precede their parents")
    once = np.array_equal(np.sort(children), np.arange(1, len(inner)))
    require(once, "Tree: children are missing, or have several parents")


def check_features(features: NDArray[Any], n_features: int) -> None:
    """Raise ValueError if a split uses a feature that does not exist."""
    require(bool(((features >= 0) & (features < n_features)).all()), "Tree: features out of range")


def is_array(value: object, n_dimensions: int, dtype: DTypeLike) -> bool:
    """Return whether an object is an ndarray of the given dimension and dtype."""
    return (
        type(value) is np.ndarray
        and value.ndim == n_dimensions
        and np.issubdtype(value.dtype, dtype)
    )
