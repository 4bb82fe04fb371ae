"""HOG as nodes.

Gradients of 8-bit images are whole numbers. Between any two directions that such a gradient can
have lies another of whole numbers, below 512: that serves as edge between orientation bins. So
the sign of every cross product is exact in float32, and no gradient lies on an edge. The bin is
the number of edges passed; a histogram over slots (cell, half plane, bin) is folded onto cells
and bins in one small product.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.histogram import count
from imgfeat.export.nodes import Nodes
from imgfeat.features._hog_kernel import CLIP, EPS
from imgfeat.features.hog import HOG

# A rotation that takes floating-point gradients off the edges that they lie on.
TURN = 1e-11


def emit_hog(nodes: Nodes, hog: HOG, images: str, shape: tuple[int, ...]) -> str:
    """Add what `HOG` computes of uint8 images (n, *shape); return the name of (n, d) float32."""
    channels = shape[2] if len(shape) == 3 else 1
    cell_rows, cell_cols = hog._cell_shape()
    n_rows, n_cols = shape[0] // cell_rows, shape[1] // cell_cols
    size = (n_rows * cell_rows, n_cols * cell_cols)
    down, across = hog._count_blocks(*shape[:2])

    planes = _surround(nodes, _to_planes(nodes, images, shape), shape[:2], size)
    real: Any = np.float64 if hog.transform_sqrt else np.float32
    planes = nodes.cast(planes, real)
    if hog.transform_sqrt:
        planes = nodes.add("Sqrt", planes)
    gradient = _differentiate(nodes, planes, channels, size)
    if channels > 1:
        gradient = _longest(nodes, gradient, channels, real)
    length = nodes.add("Sqrt", _squared_length(nodes, gradient))
    passed = _compare(nodes, gradient, hog.orientations, real)
    slot = _number_slots(nodes, passed, hog.orientations, size, (cell_rows, cell_cols))
    n_slots = 2 * hog.orientations
    votes = count(nodes, slot, nodes.cast(length, np.float32), n_rows * n_cols * n_slots)
    fold = _fold_half_planes(hog.orientations) / (cell_rows * cell_cols)
    cells = nodes.add(
        "MatMul",
        nodes.reshape(votes, -1, n_rows * n_cols, n_slots),
        nodes.constant(fold, np.float32),
    )
    corners = _block_cells((n_rows, n_cols), hog._block_shape())
    blocks = nodes.add("Gather", cells, nodes.constant(corners, np.int64), axis=1)
    n_values = corners.shape[1] * hog.orientations
    normed = _normalize(
        nodes, nodes.reshape(blocks, -1, down * across, n_values), hog.block_norm, n_values
    )
    return nodes.reshape(normed, -1, down * across * n_values)


def _to_planes(nodes: Nodes, images: str, shape: tuple[int, ...]) -> str:
    """(n, h, w) or (n, h, w, c) to (n, c, h, w)."""
    height, width, *channels = shape
    if channels and channels[0] > 1:
        return nodes.add("Transpose", images, perm=[0, 3, 1, 2])
    return nodes.reshape(images, -1, 1, height, width)


def _surround(nodes: Nodes, planes: str, shape: tuple[int, ...], size: tuple[int, int]) -> str:
    """Add a border whose mirror symmetry makes the gradients across it vanish; cut to `size`."""
    for axis, length in ((2, shape[0]), (3, shape[1])):
        pads = nodes.constant([int(a == axis) for a in range(4)] * 2, np.int64)
        planes = nodes.add("Pad", planes, pads, mode="reflect" if length > 1 else "edge")
    return nodes.crop(planes, (2, 3), (0, 0), (size[0] + 2, size[1] + 2))


def _differentiate(nodes: Nodes, planes: str, channels: int, size: tuple[int, int]) -> str:
    """Central differences of (n, c, h + 2, w + 2), across and down: (n, 2 * c, h * w)."""
    height, width = size
    right, left, below, above = (
        nodes.crop(planes, (2, 3), (y, x), (y + height, x + width))
        for y, x in ((1, 2), (1, 0), (2, 1), (0, 1))
    )
    gradients = (nodes.add("Sub", right, left), nodes.add("Sub", below, above))
    flat = [nodes.reshape(g, -1, channels, 1, height * width) for g in gradients]
    return nodes.reshape(nodes.add("Concat", *flat, axis=2), -1, 2 * channels, height * width)


def _squared_length(nodes: Nodes, gradient: str) -> str:
    """Of gradients (n, 2, pixels): (n, pixels)."""
    axis = nodes.constant([1], np.int64)
    return nodes.add("ReduceSum", nodes.add("Mul", gradient, gradient), axis, keepdims=0)


def _longest(nodes: Nodes, gradient: str, channels: int, real: Any) -> str:
    """Take, at each pixel, the longest of the channels' gradients, the first of equals."""
    # What differs by rounding alone is equal; whole numbers are exact.
    margin = nodes.constant(0 if real is np.float32 else 1e-12, real)
    one = nodes.constant([1], np.int64)
    best, longest = "", ""
    for channel in range(channels):
        candidate = nodes.slice(gradient, 1, 2 * channel, 2 * channel + 2)
        squared = _squared_length(nodes, candidate)
        if not channel:
            best, longest = candidate, squared
            continue
        excess = nodes.add("Sub", squared, longest)
        longer = nodes.add("Greater", excess, nodes.add("Mul", longest, margin))
        best = nodes.add("Where", nodes.add("Unsqueeze", longer, one), candidate, best)
        longest = nodes.add("Max", longest, squared)
    return best


def _compare(nodes: Nodes, gradient: str, orientations: int, real: Any) -> str:
    """Tell which edges the gradients (n, 2, pixels) have passed: (n, orientations, pixels)."""
    if real is np.float32:
        edges = whole_edges(orientations)
        weights = np.stack([-edges[:, 1], edges[:, 0]], axis=1)[..., np.newaxis]
        cross = nodes.add("Conv", gradient, nodes.constant(weights, real))
        return nodes.add("Clip", cross, nodes.constant(0, real), nodes.constant(1, real))
    angles = np.deg2rad((180 / orientations * np.arange(orientations)).astype(np.float32)) - TURN
    weights = np.stack([-np.sin(angles), np.cos(angles)], axis=1)
    cross = nodes.add("MatMul", nodes.constant(weights, real), gradient)
    return nodes.cast(nodes.add("Greater", cross, nodes.constant(0, real)), np.float32)


def _number_slots(
    nodes: Nodes, passed: str, orientations: int, size: tuple[int, int], cell: tuple[int, int]
) -> str:
    """Count edges passed and add where the half plane and the cell begin: (n, pixels)."""
    weights = np.ones((1, orientations, 1))
    weights[0, 0] = orientations
    y, x = np.indices(size)
    start = (y // cell[0] * (size[1] // cell[1]) + x // cell[1]) * (2 * orientations)
    slot = nodes.add("Conv", passed, nodes.constant(weights, np.float32))
    slot = nodes.reshape(slot, -1, size[0] * size[1])
    return nodes.add("Add", slot, nodes.constant(start.reshape(1, -1), np.float32))


def _fold_half_planes(orientations: int) -> NDArray[np.float64]:
    """Gradients that point up pass the edges in the opposite order."""
    unit = np.eye(orientations)
    return np.concatenate([unit[::-1], unit])


@functools.lru_cache(maxsize=32)
def whole_edges(orientations: int) -> NDArray[np.int64]:
    """Return a direction (across, down) on each edge, that of 0 degrees first, whole numbers.

    Parameters
    ----------
    orientations : int

    Returns
    -------
    edges : ndarray of shape (orientations, 2)
        Gradients of 8-bit images are in bin k or higher if they lie clockwise of edge k, as rows
        go down; `imgfeat.features.hog.HOG` and scikit-image put them in the same bins.
    """
    down, across = np.mgrid[0:256, -255:256]
    upper = (np.gcd(down, across) == 1) & ((down > 0) | (across > 0))
    directions = np.stack([across[upper], down[upper]], axis=1)
    degrees = np.rad2deg(np.arctan2(directions[:, 1], directions[:, 0]))
    order = np.argsort(degrees)
    limits = (180.0 / orientations * np.arange(1, orientations)).astype(np.float32)
    first = np.searchsorted(degrees[order], limits.astype(np.float64))
    around = np.concatenate([directions[order], [[-1, 0]]])
    # The sum of two neighbours lies between them; what follows the last is the first, mirrored.
    return np.concatenate(
        [-(around[-2] + around[-1])[np.newaxis], around[first - 1] + around[first]]
    )


def _block_cells(cells: tuple[int, int], block: tuple[int, int]) -> NDArray[np.int64]:
    """The cells of every block, row by row: (blocks, cells of a block)."""
    numbers = np.arange(cells[0] * cells[1]).reshape(cells)
    windows = np.lib.stride_tricks.sliding_window_view(numbers, block)
    return windows.reshape(-1, block[0] * block[1])


def _normalize(nodes: Nodes, blocks: str, block_norm: str, n_values: int) -> str:
    """Normalise the last axis of (n, blocks, values)."""
    if block_norm in ("L2", "L2-Hys"):
        normed = _divide_by_length(nodes, blocks, n_values)
        if block_norm == "L2":
            return normed
        clipped = nodes.add("Min", normed, nodes.constant(CLIP, np.float32))
        return _divide_by_length(nodes, clipped, n_values)
    total = nodes.add("ReduceSum", blocks, nodes.constant([-1], np.int64))
    total = nodes.add("Add", total, nodes.constant(EPS, np.float32))
    normed = nodes.add("Div", blocks, total)
    return nodes.add("Sqrt", normed) if block_norm == "L1-sqrt" else normed


def _divide_by_length(nodes: Nodes, blocks: str, n_values: int) -> str:
    """Divide by the square root of the sum of squares, in a form that ONNX Runtime fuses."""
    square = nodes.add("Pow", blocks, nodes.constant(2, np.float32))
    mean = nodes.add("ReduceMean", square, nodes.constant([-1], np.int64))
    length = nodes.add(
        "Sqrt", nodes.add("Add", mean, nodes.constant(EPS * EPS / n_values, np.float32))
    )
    scale = nodes.constant(np.full(n_values, n_values**-0.5), np.float32)
    return nodes.add("Mul", nodes.add("Div", blocks, length), scale)
