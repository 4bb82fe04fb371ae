"""How large what is computed of constants alone becomes: ONNX Runtime computes it on loading."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.checks.operators import ELEMENTWISE, KEEPING, SIZES
from imgfeat.export.checks.wire_format import WireError

# The most that constants may make of themselves, in numbers, and a pad on one side.
MOST_NUMBERS = 2**28
MOST_PADDING = 2**16


class Constant(NamedTuple):
    """A tensor that does not depend on images.

    Attributes
    ----------
    shape : tuple of int
        Of a computed one, (count,) with a bound of how many numbers there are.
    values : ndarray or None
        Of a short one in the file, which may be a size or a scale.
    """

    shape: tuple[int, ...]
    values: NDArray[np.float64] | None = None

    @property
    def size(self) -> int:
        """How many numbers it has, at most."""
        return math.prod(self.shape)


def check_node(node: Any, constants: dict[str, Constant]) -> None:
    """Raise WireError if a node makes too much of constants; else add its results to them.

    Parameters
    ----------
    node : imgfeat.export.checks.file.Node
    constants : dict
        By name; nodes come in the order in which they run.
    """
    places = () if node.domain else SIZES.get(node.kind, ())
    sizes = [node.inputs[place] for place in places if place < len(node.inputs)]
    factor = 1
    for size in filter(None, sizes):
        if size in constants:
            factor *= _read_size(node.kind, constants[size])
    inputs = [name for name in node.inputs if name]
    if not all(name in constants for name in inputs):
        return
    shape = _bound([constants[name] for name in inputs if name not in sizes], node.kind)
    if math.prod(shape) * factor > MOST_NUMBERS:
        raise WireError(f"{node.kind} makes a huge tensor of constants")
    for name in node.outputs:
        constants[name] = Constant(shape if factor == 1 else (math.prod(shape) * factor,))


def _read_size(kind: str, constant: Constant) -> int:
    """Return how many numbers a constant asks for, at most."""
    if constant.values is None:
        raise WireError(f"{kind} makes a tensor of a size that is computed of constants")
    sides = np.ceil(np.abs(constant.values))
    if kind == "Pad":
        huge, factor = sides.max(initial=0) > MOST_PADDING, 1 + sides.max(initial=0)
    else:
        with np.errstate(over="ignore"):
            factor = np.prod(np.maximum(sides, 1))
        huge = factor > MOST_NUMBERS
    if huge or not np.isfinite(sides).all():
        raise WireError(f"{kind} makes a tensor of {constant.values[:8].tolist()}")
    return int(factor)


def _bound(inputs: list[Constant], kind: str) -> tuple[int, ...]:
    """Return the shape of a result, or that of a row of as many numbers at most."""
    if not inputs:
        return (1,)
    if kind in KEEPING:
        return inputs[0].shape
    if kind == "Concat":
        return (sum(constant.size for constant in inputs),)
    if kind in ELEMENTWISE:
        try:
            return np.broadcast_shapes(*(constant.shape for constant in inputs))
        except ValueError:
            pass
    return (math.prod(max(constant.size, 1) for constant in inputs),)
