"""k-d trees and ball trees in model files, which are rebuilt from their points."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import BallTree, KDTree

from imgfeat._models.conditions import require
from imgfeat._models.trees import is_array

# Positions in the state of a tree; all other entries are recomputed when the tree is built.
POINTS, LEAF_SIZE, METRIC, WEIGHTS = 0, 4, 11, 12
# Metrics by the name of their compiled class. Metrics with parameters are not supported.
METRICS = {
    "EuclideanDistance64": "euclidean",
    "ManhattanDistance64": "manhattan",
    "ChebyshevDistance64": "chebyshev",
}
METRIC_REMEDY = f"neighbours: metrics are {', '.join(METRICS.values())}, or algorithm='brute'"


def build_kd_tree(state: tuple[Any, ...]) -> KDTree:
    """Build a k-d tree from the points in the state of a saved one.

    Parameters
    ----------
    state : tuple
        As returned by ``__getstate__``, with the metric replaced by the name of its class.

    Raises
    ------
    ValueError
        If the points are invalid, or the metric is not supported.
    """
    return KDTree(*_read_state(state))


def build_ball_tree(state: tuple[Any, ...]) -> BallTree:
    """Build a ball tree from the points in the state of a saved one; see `build_kd_tree`."""
    return BallTree(*_read_state(state))


def _read_state(state: tuple[Any, ...]) -> tuple[NDArray[np.float64], int, str]:
    points, leaf_size, metric = state[POINTS], state[LEAF_SIZE], state[METRIC]
    require(is_array(points, 2, np.float64), "neighbours: points")
    require(type(leaf_size) is int and leaf_size >= 1, "neighbours: leaf_size")
    require(metric in METRICS, METRIC_REMEDY)
    require(state[WEIGHTS] is None, "neighbours: weights cannot be kept")
    return points, leaf_size, METRICS[metric]
