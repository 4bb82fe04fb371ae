"""Trees of neighbours from files: built anew, of the points that they hold."""

from typing import Any

import numpy as np
from sklearn.neighbors import BallTree, KDTree

from imgfeat._models.conditions import require
from imgfeat._models.trees import is_array

# Places of what is used in the state of a tree; the rest is what building it finds again.
POINTS, LEAF_SIZE, METRIC, WEIGHTS = 0, 4, 11, 12
# By the names of the compiled classes. Those with parameters of their own are left out.
METRICS = {
    "EuclideanDistance64": "euclidean",
    "ManhattanDistance64": "manhattan",
    "ChebyshevDistance64": "chebyshev",
}
METRIC_REMEDY = f"neighbours: metrics are {', '.join(METRICS.values())}, or algorithm='brute'"


def build_kd_tree(state: Any) -> KDTree:
    """Return a k-d tree of the points in the state of another.

    Parameters
    ----------
    state : tuple
        As its ``__getstate__`` returns it, with the name of the metric's class in its place.

    Raises
    ------
    ValueError
        If there are no such points, or the metric is none of the three without parameters.
    """
    return KDTree(*_read_state(state))


def build_ball_tree(state: Any) -> BallTree:
    """Return a ball tree of the points in the state of another; see `build_kd_tree`."""
    return BallTree(*_read_state(state))


def _read_state(state: Any) -> tuple[Any, int, str]:
    points, leaf_size, metric = state[POINTS], state[LEAF_SIZE], state[METRIC]
    require(is_array(points, 2, np.float64), "neighbours: points")
    require(type(leaf_size) is int and leaf_size >= 1, "neighbours: leaf_size")
    require(metric in METRICS, METRIC_REMEDY)
    require(state[WEIGHTS] is None, "neighbours: weights cannot be kept")
    return points, leaf_size, METRICS[metric]
