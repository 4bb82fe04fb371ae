"""Histograms as nodes: every pixel adds its weight to the slot given by its index."""

import numpy as np

from imgfeat.ops.nodes import Nodes

# Whole numbers up to this one are exact in float32.
EXACT = 2**24


def count(nodes: Nodes, slots: str, weights: str | None, n_slots: int) -> str:
    """Sum weights by slot.

    Parameters
    ----------
    nodes : Nodes
    slots : str
        Name of a tensor (n, pixels) of whole numbers from 0 to `n_slots` - 1, of any dtype.
    weights : str or None
        Name of a tensor of the same shape, float32; None counts pixels.
    n_slots : int

    Returns
    -------
    sums : str
        Name of a tensor (n, n_slots), float32.

    Raises
    ------
    NotImplementedError
        If there are more slots than float32 can number exactly.
    """
    if n_slots > EXACT:
        raise NotImplementedError(
            f"a histogram of {n_slots} bins an image: in ONNX, at most {EXACT} can be numbered in "
            "float32"
        )
    slots = nodes.cast(slots, np.int32)
    weights = weights or _fill(nodes, nodes.add("Shape", slots), 1)
    n_images = nodes.add("Shape", slots, end=1)
    shape = nodes.add("Concat", n_images, nodes.constant([n_slots], np.int64), axis=0)
    zeros = _fill(nodes, shape, 0)
    return nodes.add("ScatterElements", zeros, slots, weights, axis=1, reduction="add")


def _fill(nodes: Nodes, shape: str, value: float) -> str:
    return nodes.add("Expand", nodes.constant([value], np.float32), shape)
