"""Gabor as nodes: convolutions along rows and down columns, for many filters at once."""

import numpy as np
from numpy.typing import NDArray

from imgfeat.features.gabor import Gabor, SplitFilter, split_gabor
from imgfeat.ops.cells import cut_cells
from imgfeat.ops.gray import to_gray
from imgfeat.ops.nodes import Nodes, Shape


def emit_gabor(nodes: Nodes, gabor: Gabor, images: str, shape: Shape) -> str:
    """Add the nodes of a `Gabor`; see `imgfeat.ops.nodes.Emit`."""
    gray = to_gray(nodes, images, shape)
    angles = [np.pi * k / gabor.orientations for k in range(gabor.orientations)]
    # One frequency at a time: its filters have about the same length.
    parts = [
        _respond(nodes, gray, shape, [split_gabor(f, angle, gabor.bandwidth) for angle in angles])
        for f in gabor._list_frequencies()
    ]
    responses = nodes.add("Concat", *parts, axis=1)
    n_filters = len(gabor._list_frequencies()) * gabor.orientations
    pooled = [
        _pool(nodes, cell, pooling)
        for cell in cut_cells(nodes, responses, (shape[0], shape[1]), gabor.grid, 2)
        for pooling in gabor._list_poolings()
    ]
    # (n, filters, cells * poolings)
    features = nodes.add("Concat", *pooled, axis=2)
    return nodes.reshape(features, -1, n_filters * len(pooled))


def _respond(nodes: Nodes, gray: str, shape: Shape, filters: list[SplitFilter]) -> str:
    """Return the moduli of the responses to filters: (n, filters, h, w)."""
    reach = max(len(split.across) for split in filters) // 2
    for axis in (1, 2):
        # OpenCV's BORDER_REFLECT repeats the outermost pixels, which no mode of Pad does.
        mirrored = np.pad(np.arange(shape[axis - 1]), reach, mode="symmetric")
        gray = nodes.add("Gather", gray, nodes.constant(mirrored, np.int64), axis=axis)
    sides = (shape[0] + 2 * reach, shape[1] + 2 * reach)
    values = nodes.reshape(nodes.cast(gray, np.float32), -1, 1, *sides)
    across = np.array([_extend(split.across, reach) for split in filters]) / 255
    down = np.array([_extend(split.down, reach) for split in filters])
    # Two channels for each filter: the real and the imaginary part.
    rows = np.stack([across.real, across.imag], axis=1).reshape(-1, 1, 1, 2 * reach + 1)
    columns = np.stack(
        [np.stack([down.real, -down.imag], axis=1), np.stack([down.imag, down.real], axis=1)],
        axis=1,
    ).reshape(-1, 2, 2 * reach + 1, 1)
    values = nodes.add("Conv", values, nodes.constant(rows, np.float32))
    values = nodes.add("Conv", values, nodes.constant(columns, np.float32), group=len(filters))
    squares = nodes.add("Mul", values, values)
    squares = nodes.reshape(squares, -1, len(filters), 2, shape[0], shape[1])
    axes = nodes.constant([2], np.int64)
    return nodes.add("Sqrt", nodes.add("ReduceSum", squares, axes, keepdims=0))


def _extend(factor: NDArray[np.complex128], reach: int) -> NDArray[np.complex128]:
    return np.pad(factor, reach - len(factor) // 2)


def _pool(nodes: Nodes, cell: str, pooling: str) -> str:
    """Return one number for each filter: (n, filters, 1)."""
    axes = nodes.constant([2, 3], np.int64)
    if pooling == "max":
        value = nodes.add("ReduceMax", cell, axes, keepdims=1)
    else:
        value = nodes.add("ReduceMean", cell, axes, keepdims=1)
    if pooling == "std":
        excess = nodes.add("Sub", cell, value)
        square = nodes.add("Mul", excess, excess)
        value = nodes.add("Sqrt", nodes.add("ReduceMean", square, axes, keepdims=1))
    return nodes.add("Squeeze", value, nodes.constant([3], np.int64))
