"""Check that the attributes of a tree ensemble operator describe trees."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.checks.wire_format import WireError

_NODES = (
    "nodes_nodeids", "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_modes",
)  # fmt: skip
_OPTIONAL = ("nodes_values", "nodes_missing_value_tracks_true", "nodes_hitrates")


def check_trees(kind: str, attributes: dict[str, Any]) -> None:
    """Raise WireError if nodes refer to nodes that do not exist, or to each other in a cycle.

    Parameters
    ----------
    kind : str
        The operator; any other than a tree ensemble passes.
    attributes : dict
    """
    if not kind.startswith("TreeEnsemble"):
        return
    prefix = "class" if kind == "TreeEnsembleClassifier" else "target"
    trees = _take(attributes, "nodes_treeids")
    for name in _NODES:
        if len(_take(attributes, name)) != len(trees):
            raise WireError(f"{kind} whose {name} does not have one entry for each node")
    for name in _OPTIONAL:
        if attributes.get(name) is not None and len(attributes[name]) not in (0, len(trees)):
            raise WireError(f"{kind} whose {name} does not have one entry for each node")
    ids, owners = _take(attributes, "nodes_nodeids"), _take(attributes, f"{prefix}_treeids")
    owned, columns = _take(attributes, f"{prefix}_nodeids"), _take(attributes, f"{prefix}_ids")
    if not len(owners) == len(owned) == len(columns):
        raise WireError(f"{kind} whose leaf attributes differ in length")
    nodes = list(zip(trees.tolist(), ids.tolist(), strict=True))
    places = {node: place for place, node in enumerate(nodes)}
    leaves = zip(owners.tolist(), owned.tolist(), strict=True)
    if len(places) != len(nodes) or not set(leaves) <= set(places):
        raise WireError(f"{kind} whose leaves are not among its nodes")
    features = _take(attributes, "nodes_featureids")
    if min(columns.min(initial=0), features.min(initial=0)) < 0:
        raise WireError(f"{kind} with columns below 0")
    n_columns = attributes.get("n_targets")
    if n_columns is not None and columns.max(initial=0) >= max(n_columns, 1):
        raise WireError(f"{kind} with columns beyond its n_targets")
    leaf = np.array([bytes(mode) == b"LEAF" for mode in attributes["nodes_modes"]], bool)
    _check_children(kind, attributes, places, trees, leaf)


def _check_children(
    kind: str,
    attributes: dict[str, Any],
    places: dict[tuple[int, int], int],
    trees: NDArray[np.int64],
    leaf: NDArray[np.bool_],
) -> None:
    """Check that each node except the root of a tree is the child of exactly one other node."""
    parents = np.zeros(len(trees), np.int64)
    branches = np.flatnonzero(~leaf)
    for name in ("nodes_truenodeids", "nodes_falsenodeids"):
        children = attributes[name][branches].tolist()
        for tree, child in zip(trees[branches].tolist(), children, strict=True):
            place = places.get((tree, child))
            if place is None:
                raise WireError(f"{kind} with a child that is not a node")
            parents[place] += 1
    first = np.unique(trees, return_index=True)[1]
    expected = np.ones(len(trees), np.int64)
    expected[first] = 0
    if not np.array_equal(parents, expected):
        raise WireError(f"{kind} whose nodes do not form trees")


def _take(attributes: dict[str, Any], name: str) -> Any:
    value = attributes.get(name)
    return np.zeros(0, np.int64) if value is None else value
