"""HOG as nodes.

Gradients of 8-bit images are whole numbers. Between any two directions of such gradients lies a
direction given by whole numbers below 512, which serves as the edge between two orientation bins.
So the sign of every cross product is exact in float32, and no gradient lies on an edge. The bin is
the number of edges passed. A histogram over slots (cell, half plane, bin) is reduced to cells and
bins by one small matrix product. With ``transform_sqrt=True``, gradients are not whole numbers: see
`hog_roots`.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from imgfeat.features._hog_kernel import CLIP, EPS
from imgfeat.features.graphs.hog_roots import choose_bins, find_lengths
from imgfeat.features.hog import HOG
from imgfeat.ops.histogram import count
from imgfeat.ops.nodes import Nodes


def emit_hog(nodes: Nodes, hog: HOG, images: str, shape: tuple[int, ...]) -> str:
    """Add the nodes that compute the features of a `HOG`; see `imgfeat.ops.nodes.Emit`."""
    channels = shape[2] if len(shape) == 3 else 1
    cell, block = hog._cell_shape(), hog._block_shape()
    grid = (shape[0] // cell[0], shape[1] // cell[1])
    size = (grid[0] * cell[0], grid[1] * cell[1])

    planes = _mirror_borders(nodes, _to_planes(nodes, images, shape), shape[:2], size)
    if hog.transform_sqrt:
        planes = nodes.add("Sqrt", nodes.cast(planes, np.float64))
    else:
        planes = nodes.cast(planes, np.float32)
    across, down = _differentiate(nodes, planes, channels, size)
    exact = hog.transform_sqrt and channels > 1
    lengths = find_lengths(nodes, across, down) if exact else _square(nodes, across, down)
    gradient = nodes.add("Concat", across, down, axis=2)
    if channels > 1:
        gradient, lengths = _take_longest(nodes, gradient, lengths, channels)
    weights = nodes.reshape(lengths if exact else nodes.add("Sqrt", lengths), -1, size[0] * size[1])
    gradient = nodes.reshape(gradient, -1, 2, size[0] * size[1])
    if hog.transform_sqrt:
        bins = choose_bins(nodes, gradient, hog.orientations)
        weights = nodes.cast(weights, np.float32)
        fold = np.eye(hog.orientations)
    else:
        bins = _choose_bins(nodes, gradient, hog.orientations)
        fold = np.concatenate([np.eye(hog.orientations)[::-1], np.eye(hog.orientations)])
    cells = _fill_cells(nodes, bins, weights, fold, size, cell)
    return _normalize_blocks(nodes, cells, grid, block, hog)


def _to_planes(nodes: Nodes, images: str, shape: tuple[int, ...]) -> str:
    """Bring images (n, h, w) or (n, h, w, c) to the shape (n, c, h, w)."""
    height, width, *channels = shape
    if channels and channels[0] > 1:
        return nodes.add("Transpose", images, perm=[0, 3, 1, 2])
    return nodes.reshape(images, -1, 1, height, width)


def _mirror_borders(
    nodes: Nodes, planes: str, shape: tuple[int, ...], size: tuple[int, int]
) -> str:
    """Mirror images at their borders, so that gradients across these are zero; crop to `size`."""
    if min(shape) > 1:
        steps = [((0, 0, 1, 1), "reflect")]
    else:
        modes = ["reflect" if length > 1 else "edge" for length in shape]
        steps = [((0, 0, 1, 0), modes[0]), ((0, 0, 0, 1), modes[1])]
    for pads, mode in steps:
        planes = nodes.add("Pad", planes, nodes.constant(pads * 2, np.int64), mode=mode)
    if size == tuple(shape):
        return planes
    return nodes.crop(planes, (2, 3), (0, 0), (size[0] + 2, size[1] + 2))


def _differentiate(
    nodes: Nodes, planes: str, channels: int, size: tuple[int, int]
) -> tuple[str, str]:
    """Return central differences of (n, c, h + 2, w + 2), across and down: (n, c, 1, pixels)."""
    height, width = size
    right, left, below, above = (
        nodes.crop(planes, (2, 3), (y, x), (y + height, x + width))
        for y, x in ((1, 2), (1, 0), (2, 1), (0, 1))
    )
    across, down = nodes.add("Sub", right, left), nodes.add("Sub", below, above)
    shape = (-1, channels, 1, height * width)
    return nodes.reshape(across, *shape), nodes.reshape(down, *shape)


def _square(nodes: Nodes, across: str, down: str) -> str:
    """Return the squared lengths of gradients."""
    return nodes.add("Add", nodes.add("Mul", across, across), nodes.add("Mul", down, down))


def _take_longest(nodes: Nodes, gradient: str, lengths: str, channels: int) -> tuple[str, str]:
    """Return the longest of the channels' gradients (n, c, 2, pixels); of equal ones, the first."""
    best, *others = nodes.split(gradient, 1, channels)
    longest, *rest = nodes.split(lengths, 1, channels)
    for candidate, length in zip(others, rest, strict=True):
        longer = nodes.add("CastLike", nodes.add("Greater", length, longest), gradient)
        as_long = nodes.add("CastLike", nodes.add("LessOrEqual", length, longest), gradient)
        # Several times faster than Where, and equally exact.
        best = nodes.add(
            "Add", nodes.add("Mul", candidate, longer), nodes.add("Mul", best, as_long)
        )
        longest = nodes.add("Max", longest, length)
    return best, longest


def _choose_bins(nodes: Nodes, gradient: str, orientations: int) -> str:
    """Return the number of the half plane and bin of gradients (n, 2, pixels): (n, 1, pixels).

    Gradients that point up pass the edges in the opposite order, from the last bin to the first.
    """
    edges = integer_edges(orientations)
    cross = np.stack([-edges[:, 1], edges[:, 0]], axis=1)[..., np.newaxis]
    passed = nodes.add(
        "Clip",
        nodes.add("Conv", gradient, nodes.constant(cross, np.float32)),
        nodes.constant(0, np.float32),
        nodes.constant(1, np.float32),
    )
    values = np.concatenate([[orientations], np.ones(orientations - 1)])
    return nodes.add("Conv", passed, nodes.constant(values.reshape(1, -1, 1), np.float32))


@functools.lru_cache(maxsize=32)
def integer_edges(orientations: int) -> NDArray[np.int64]:
    """Return a direction (across, down) on each edge, in whole numbers.

    Parameters
    ----------
    orientations : int

    Returns
    -------
    edges : ndarray of shape (orientations, 2)
        A gradient (u, v) of 8-bit images that points down, or right, is in bin k or a higher one
        if ``edges[k, 0] * v - edges[k, 1] * u > 0``. Edge 0 separates down from up in the same way.
    """
    down, across = np.mgrid[0:256, -255:256]
    chosen = (np.gcd(down, across) == 1) & ((down > 0) | (across > 0))
    directions = np.stack([across[chosen], down[chosen]], axis=1)
    degrees = np.rad2deg(np.arctan2(directions[:, 1], directions[:, 0]))
    order = np.argsort(degrees)
    directions, degrees = directions[order], degrees[order]
    limits = (180.0 / orientations * np.arange(orientations)).astype(np.float32)
    first = np.searchsorted(degrees, limits.astype(np.float64))
    # After the last direction the first one follows, rotated by 180 degrees; the sum of two
    # neighbouring directions lies between them.
    after = np.concatenate([directions, -directions[:1]])
    before = np.concatenate([-directions[-1:], directions])
    return before[first] + after[first]


def _fill_cells(
    nodes: Nodes,
    bins: str,
    weights: str,
    fold: NDArray[np.float64],
    size: tuple[int, int],
    cell: tuple[int, int],
) -> str:
    """Add every pixel's weight to its cell and bin: (n, cells, orientations)."""
    y, x = np.indices(size)
    cells = y // cell[0] * (size[1] // cell[1]) + x // cell[1]
    starts = nodes.constant(cells.reshape(1, -1) * len(fold), np.float32)
    n_cells = int(cells.max()) + 1
    slots = nodes.add("Add", nodes.reshape(bins, -1, size[0] * size[1]), starts)
    votes = nodes.reshape(count(nodes, slots, weights, n_cells * len(fold)), -1, n_cells, len(fold))
    return nodes.add("MatMul", votes, nodes.constant(fold / (cell[0] * cell[1]), np.float32))


def _normalize_blocks(
    nodes: Nodes, cells: str, grid: tuple[int, int], block: tuple[int, int], hog: HOG
) -> str:
    """Gather the cells of each block, and normalise the block."""
    numbers = np.arange(grid[0] * grid[1]).reshape(grid)
    members = np.lib.stride_tricks.sliding_window_view(numbers, block)
    n_blocks, n_values = members.shape[0] * members.shape[1], block[0] * block[1] * hog.orientations
    cells_of_blocks = nodes.constant(members.reshape(n_blocks, -1), np.int64)
    blocks = nodes.add("Gather", cells, cells_of_blocks, axis=1)
    blocks = nodes.reshape(blocks, -1, n_blocks, n_values)
    if hog.block_norm in ("L2", "L2-Hys"):
        normed = _divide_by_length(nodes, blocks, n_values)
        if hog.block_norm == "L2-Hys":
            clipped = nodes.add("Min", normed, nodes.constant(CLIP, np.float32))
            normed = _divide_by_length(nodes, clipped, n_values)
    else:
        total = nodes.add("ReduceSum", blocks, nodes.constant([-1], np.int64))
        total = nodes.add("Add", total, nodes.constant(EPS, np.float32))
        normed = nodes.add("Div", blocks, total)
        if hog.block_norm == "L1-sqrt":
            normed = nodes.add("Sqrt", normed)
    return nodes.reshape(normed, -1, n_blocks * n_values)


def _divide_by_length(nodes: Nodes, blocks: str, n_values: int) -> str:
    """Divide by the root of the sum of squares, in the form that ONNX Runtime fuses to one node."""
    squares = nodes.add("Pow", blocks, nodes.constant(2, np.float32))
    mean = nodes.add("ReduceMean", squares, nodes.constant([-1], np.int64))
    energy = nodes.add("Add", mean, nodes.constant(EPS * EPS / n_values, np.float32))
    scale = nodes.constant(np.full(n_values, n_values**-0.5), np.float32)
    return nodes.add("Mul", nodes.add("Div", blocks, nodes.add("Sqrt", energy)), scale)
