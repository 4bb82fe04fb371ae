"""Trees from files: checked before scikit-learn follows their nodes, which it does unchecked."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat._compat.model_files import NODE_DTYPE, PREDICTOR_RECORD_DTYPE, Tree, TreePredictor
from imgfeat._models.conditions import require

# A leaf's children, in scikit-learn's trees.
NO_CHILD = -1


def build_tree(arguments: Any, state: Any) -> Tree:
    """Return one of scikit-learn's decision trees, once its arrays are known to fit together.

    Parameters
    ----------
    arguments : tuple (n_features, n_classes, n_outputs)
        What its constructor takes.
    state : dict
        What its ``__setstate__`` takes.

    Raises
    ------
    ValueError
        If they do not.
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


def check_predictor(predictor: Any, n_features: int) -> None:
    """Raise ValueError where a tree of histogram gradient boosting has nodes that lead nowhere.

    Parameters
    ----------
    predictor : TreePredictor
    n_features : int
        Of the data that it gets.
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
    """Raise ValueError unless each node but the first is the child of one that stands before it."""
    children = np.concatenate([left[inner], right[inner]])
    parents = np.tile(np.flatnonzero(inner), 2)
    require(bool((children > parents).all()), "Tree: children stand before their parents")
    once = np.array_equal(np.sort(children), np.arange(1, len(inner)))
    require(once, "Tree: children are absent, or have several parents")


def check_features(features: NDArray[Any], n_features: int) -> None:
    """Raise ValueError where a split looks at a feature that there is not."""
    require(bool(((features >= 0) & (features < n_features)).all()), "Tree: features out of range")


def is_array(value: Any, n_dimensions: int, dtype: Any) -> bool:
    """Tell whether something is an array of so many dimensions and such a dtype."""
    return (
        type(value) is np.ndarray
        and value.ndim == n_dimensions
        and np.issubdtype(value.dtype, dtype)
    )
