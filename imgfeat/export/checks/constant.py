"""Limits on the size of tensors that are computed from constants alone.

ONNX Runtime computes them when it loads a file.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.checks.operators import ELEMENTWISE, SIZE_INPUTS, SIZE_PRESERVING
from imgfeat.export.checks.wire_format import WireError

if TYPE_CHECKING:
    from imgfeat.export.checks.file import Node

# Limits on the number of elements of a computed constant, and on the padding of one side.
MAX_ELEMENTS = 2**28
MAX_PADDING = 2**16


class Constant(NamedTuple):
    """A tensor that does not depend on the input images.

    Attributes
    ----------
    shape : tuple of int
        For a computed tensor, (count,) with an upper bound of the number of elements.
    values : ndarray or None
        The elements, if the file holds them and they are few enough to be sizes or scales.
    """

    shape: tuple[int, ...]
    values: NDArray[np.float64] | None = None

    @property
    def size(self) -> int:
        """An upper bound of the number of elements."""
        return math.prod(self.shape)


def check_node(node: "Node", constants: dict[str, Constant]) -> None:
    """Raise WireError if a node computes too large a tensor from constants; else add its results.

    Parameters
    ----------
    node : imgfeat.export.checks.file.Node
    constants : dict
        By name; results of the node are added if all its inputs are constants. Nodes must be given
        in the order in which they run.
    """
    places = () if node.domain else SIZE_INPUTS.get(node.kind, ())
    sizes = [node.inputs[place] for place in places if place < len(node.inputs)]
    factor = 1
    for size in filter(None, sizes):
        if size in constants:
            factor *= _read_size(node.kind, constants[size])
    inputs = [name for name in node.inputs if name]
    if not all(name in constants for name in inputs):
        return
    shape = _bound([constants[name] for name in inputs if name not in sizes], node.kind)
    if math.prod(shape) * factor > MAX_ELEMENTS:
        raise WireError(f"{node.kind} makes a huge tensor from constants")
    for name in node.outputs:
        constants[name] = Constant(shape if factor == 1 else (math.prod(shape) * factor,))


def _read_size(kind: str, constant: Constant) -> int:
    """Return an upper bound of the number of elements that a size in a constant requests."""
    if constant.values is None:
        raise WireError(f"{kind} makes a tensor of a size that is computed from constants")
    sides = np.ceil(np.abs(constant.values))
    if kind == "Pad":
        huge, factor = sides.max(initial=0) > MAX_PADDING, 1 + sides.max(initial=0)
    else:
        with np.errstate(over="ignore"):
            factor = np.prod(np.maximum(sides, 1))
        huge = factor > MAX_ELEMENTS
    if huge or not np.isfinite(sides).all():
        raise WireError(f"{kind} makes a tensor of size {constant.values[:8].tolist()}")
    return int(factor)


def _bound(inputs: list[Constant], kind: str) -> tuple[int, ...]:
    """Return the shape of a result or, if it is not known, (count,) with an upper bound."""
    if not inputs:
        return (1,)
    if kind in SIZE_PRESERVING:
        return inputs[0].shape
    if kind == "Concat":
        return (sum(constant.size for constant in inputs),)
    if kind in ELEMENTWISE:
        try:
            return np.broadcast_shapes(*(constant.shape for constant in inputs))
        except ValueError:
            pass
    return (math.prod(max(constant.size, 1) for constant in inputs),)
