"""Whether the attributes of an ensemble of trees describe trees."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.checks.wire_format import WireError

_NODES = (
    "nodes_nodeids", "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_modes",
)  # fmt: skip
_OPTIONAL = ("nodes_values", "nodes_missing_value_tracks_true", "nodes_hitrates")


def check_trees(kind: str, attributes: dict[str, Any]) -> None:
    """Raise WireError if nodes refer to what is not there, or to each other in a circle.

    Parameters
    ----------
    kind : str
        Of the operator; others than ensembles of trees are let through.
    attributes : dict
    """
    if not kind.startswith("TreeEnsemble"):
        return
    prefix = "class" if kind == "TreeEnsembleClassifier" else "target"
    trees = _take(attributes, "nodes_treeids")
    for name in _NODES:
        if len(_take(attributes, name)) != len(trees):
            raise WireError(f"{kind} with {name} that do not go with its nodes")
    for name in _OPTIONAL:
        if attributes.get(name) is not None and len(attributes[name]) not in (0, len(trees)):
            raise WireError(f"{kind} with {name} that do not go with its nodes")
    ids, owners = _take(attributes, "nodes_nodeids"), _take(attributes, f"{prefix}_treeids")
    owned, columns = _take(attributes, f"{prefix}_nodeids"), _take(attributes, f"{prefix}_ids")
    if not len(owners) == len(owned) == len(columns):
        raise WireError(f"{kind} whose leaves are damaged")
    nodes = list(zip(trees.tolist(), ids.tolist(), strict=True))
    places = {node: place for place, node in enumerate(nodes)}
    leaves = zip(owners.tolist(), owned.tolist(), strict=True)
    if len(places) != len(nodes) or not set(leaves) <= set(places):
        raise WireError(f"{kind} whose leaves are no nodes")
    features = _take(attributes, "nodes_featureids")
    if min(columns.min(initial=0), features.min(initial=0)) < 0:
        raise WireError(f"{kind} with columns below 0")
    n_columns = attributes.get("n_targets")
    if n_columns is not None and columns.max(initial=0) >= max(n_columns, 1):
        raise WireError(f"{kind} with columns beyond its own")
    leaf = np.array([bytes(mode) == b"LEAF" for mode in attributes["nodes_modes"]], bool)
    _check_children(kind, attributes, places, trees, leaf)


def _check_children(
    kind: str,
    attributes: dict[str, Any],
    places: dict[tuple[int, int], int],
    trees: NDArray[np.int64],
    leaf: NDArray[np.bool_],
) -> None:
    """Check that each node but the first of a tree is the child of one other."""
    parents = np.zeros(len(trees), np.int64)
    branches = np.flatnonzero(~leaf)
    for name in ("nodes_truenodeids", "nodes_falsenodeids"):
        children = attributes[name][branches].tolist()
        for tree, child in zip(trees[branches].tolist(), children, strict=True):
            place = places.get((tree, child))
            if place is None:
                raise WireError(f"{kind} with a child that is no node")
            parents[place] += 1
    first = np.unique(trees, return_index=True)[1]
    expected = np.ones(len(trees), np.int64)
    expected[first] = 0
    if not np.array_equal(parents, expected):
        raise WireError(f"{kind} whose nodes are no trees")


def _take(attributes: dict[str, Any], name: str) -> Any:
    value = attributes.get(name)
    return np.zeros(0, np.int64) if value is None else value
