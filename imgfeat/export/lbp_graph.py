"""LBP as nodes.

One convolution interpolates every neighbour and subtracts the centre; clipped to [0, 1] that gives
the bits of the codes. Rounding must decide no tie. So eight points at radius 1 are compared in
whole numbers, and others by the sum of two convolutions: one with weights so coarse that float32
is exact, one with what they leave.
"""

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.gray import to_gray
from imgfeat.export.histogram import count
from imgfeat.export.nodes import Nodes
from imgfeat.features._lbp_kernel import VARIANCE_BINS, neighbour_table
from imgfeat.features._lbp_labels import bin_table
from imgfeat.features.lbp import LBP

# Codes of so many points are counted as they are, and only the counts are labelled.
LATE_POINTS = 8

# A neighbour on a diagonal at radius 1 is not darker than the centre where
# SIDE * (sum of both sides) + CORNER * corner >= 0, in differences to the centre. The true ratio
# of the weights is 0.414207, and no fraction of such differences lies between it and this one.
SIDE, CORNER = 239, 577

# Coarse weights are multiples of this: 8-bit pixels times them, added up, are exact in float32.
GRAIN = 2.0**-14

# A neighbour darker by less counts as equal; what rounding leaves is smaller still.
TIE = 1e-8
STEEP = 2.0**40


def emit_lbp(nodes: Nodes, lbp: LBP, images: str, shape: tuple[int, ...]) -> str:
    """Add what `LBP` computes of uint8 images (n, *shape); return the name of (n, d) float32."""
    height, width = shape[:2]
    gray = nodes.cast(to_gray(nodes, images, shape), np.float32)
    # In three dimensions, since the runtime's layout for two is slow with few channels.
    planes = nodes.reshape(gray, -1, 1, 1, height, width)
    if lbp.method == "var":
        labels = _octaves(nodes, planes, lbp, height * width)
    else:
        bits = _compare(nodes, planes, lbp, height * width)
        labels = _label(nodes, bits, lbp)
    n_slots = lbp._count_bins()
    late = lbp.method != "var" and lbp.n_points <= LATE_POINTS
    if late:
        n_slots = 2**lbp.n_points
    cells, areas = _number_cells(lbp.grid, height, width)
    labels = nodes.reshape(labels, -1, height * width)
    slots = nodes.add("Add", labels, nodes.constant(cells[np.newaxis] * n_slots, np.float32))
    counts = count(nodes, slots, None, lbp.grid**2 * n_slots)
    counts = nodes.reshape(counts, -1, lbp.grid**2, n_slots)
    if late and lbp.method != "default":
        one_hot = np.eye(lbp._count_bins())[bin_table(lbp.n_points, lbp.method)]
        counts = nodes.add("MatMul", counts, nodes.constant(one_hot, np.float32))
    shares = nodes.add("Div", counts, nodes.constant(areas[:, np.newaxis], np.float32))
    return nodes.reshape(shares, -1, lbp.grid**2 * lbp._count_bins())


def _compare(nodes: Nodes, planes: str, lbp: LBP, n_pixels: int) -> str:
    """Tell which neighbours are not darker than the centre: (n, n_points, pixels), 0 or 1."""
    if lbp.n_points == 8 and lbp.radius == 1:
        # Whole numbers: 1 + excess is at least 1, or at most 0.
        excess = _convolve(nodes, planes, _near_weights(), np.ones(8))
    else:
        parts = _excess_parts(nodes, planes, lbp, n_pixels)
        add = np.concatenate([np.eye(lbp.n_points)] * 2, axis=1)[..., np.newaxis] * STEEP
        bias = np.full(lbp.n_points, TIE * STEEP)
        excess = nodes.add(
            "Conv", parts, nodes.constant(add, np.float32), nodes.constant(bias, np.float32)
        )
    bits = nodes.add("Clip", excess, nodes.constant(0, np.float32), nodes.constant(1, np.float32))
    return nodes.reshape(bits, -1, lbp.n_points, n_pixels)


def _excess_parts(nodes: Nodes, planes: str, lbp: LBP, n_pixels: int) -> str:
    """Neighbours less the centre, as coarse and remaining parts: (n, 2 * n_points, pixels)."""
    weights = tap_weights(lbp.n_points, lbp.radius)
    coarse = np.round(weights / GRAIN) * GRAIN
    middle = weights.shape[1] // 2
    # Of a flat region both parts are zero.
    coarse[:, middle, middle] -= coarse.sum(axis=(1, 2))
    parts = _convolve(nodes, planes, np.concatenate([coarse, weights - coarse]), None)
    return nodes.reshape(parts, -1, 2 * lbp.n_points, n_pixels)


def _convolve(
    nodes: Nodes, planes: str, weights: NDArray[np.float64], bias: NDArray[np.float64] | None
) -> str:
    """Convolve (n, 1, 1, h, w) with one kernel a channel; outside the image all is zero."""
    reach = weights.shape[1] // 2
    inputs = [planes, nodes.constant(weights[:, np.newaxis, np.newaxis], np.float32)]
    if bias is not None:
        inputs.append(nodes.constant(bias, np.float32))
    return nodes.add("Conv", *inputs, pads=[0, reach, reach] * 2)


def tap_weights(n_points: int, radius: float) -> NDArray[np.float64]:
    """Return the weights of the pixels around in every neighbour less the centre.

    Returns
    -------
    weights : ndarray of shape (n_points, side, side)
        Neighbour p is that of bit p.
    """
    points, shares = neighbour_table(n_points, radius)
    reach = int(np.abs(points[:, :4]).max())
    weights = np.zeros((n_points, 2 * reach + 1, 2 * reach + 1))
    for (above, below, left, right, bit), (down, across) in zip(points, shares, strict=True):
        for row, share in ((above, 1 - down), (below, down)):
            weights[bit, reach + row, reach + left] += share * (1 - across)
            weights[bit, reach + row, reach + right] += share * across
    weights[:, reach, reach] -= 1
    return weights


def _near_weights() -> NDArray[np.float64]:
    """Weights of eight points at radius 1, each times a factor that makes them whole."""
    weights = np.sign(np.round(tap_weights(8, 1), 6))
    for kernel in weights[1::2]:
        sides = kernel[1, 1] = 0
        kernel *= SIDE
        sides = kernel.sum()
        for row in (0, 2):
            for column in (0, 2):
                if kernel[row, column]:
                    sides += CORNER - SIDE
                    kernel[row, column] = CORNER
        kernel[1, 1] = -sides
    return weights


def _label(nodes: Nodes, bits: str, lbp: LBP) -> str:
    """Turn bits (n, n_points, pixels) into codes or, of many points, labels: (n, 1, pixels)."""
    n_points = lbp.n_points
    if n_points > LATE_POINTS and "uniform" in lbp.method:
        return _label_runs(nodes, bits, n_points, lbp.method)
    powers = 2.0 ** np.arange(n_points).reshape(1, -1, 1)
    codes = nodes.add("Conv", bits, nodes.constant(powers, np.float32))
    if n_points <= LATE_POINTS or lbp.method == "default":
        return codes
    table = bin_table(n_points, lbp.method).astype(np.uint16)
    labels = nodes.add("Gather", nodes.constant(table, np.uint16), nodes.cast(codes, np.int32))
    return nodes.cast(labels, np.float32)


def _label_runs(nodes: Nodes, bits: str, n_points: int, method: str) -> str:
    """Label codes by the number of bits set and where the run of them begins, if it is one."""
    unit = np.eye(n_points)
    copy_and_begin = np.concatenate([unit, unit - np.roll(unit, -1, axis=1)])[..., np.newaxis]
    both = nodes.add("Conv", bits, nodes.constant(copy_and_begin, np.float32))
    both = nodes.add("Clip", both, nodes.constant(0, np.float32), nodes.constant(1, np.float32))
    one_run = n_points * (n_points + 1)
    values = np.concatenate([np.full(n_points, n_points), one_run + np.arange(n_points)])
    index = nodes.add("Conv", both, nodes.constant(values.reshape(1, -1, 1), np.float32))
    index = nodes.add("Min", index, nodes.constant(2 * one_run, np.float32))

    bins = bin_table(n_points, method)
    table = np.full(2 * one_run + 1, bins.max())
    table[[0, n_points**2]] = bins[[0, -1]]
    for begin in range(n_points):
        code = 0
        for length in range(1, n_points):
            code |= 1 << (begin + length - 1) % n_points
            table[one_run + length * n_points + begin] = bins[code]
    return nodes.add("Gather", nodes.constant(table, np.float32), nodes.cast(index, np.int32))


def _octaves(nodes: Nodes, planes: str, lbp: LBP, n_pixels: int) -> str:
    """Number the octave of the neighbours' variance: (n, 1, pixels)."""
    parts = nodes.cast(_excess_parts(nodes, planes, lbp, n_pixels), np.float64)
    coarse = nodes.slice(parts, 1, 0, lbp.n_points)
    excess = nodes.add("Add", coarse, nodes.slice(parts, 1, lbp.n_points, 2 * lbp.n_points))
    axis = nodes.constant([1], np.int64)
    mean = nodes.add("ReduceMean", excess, axis)
    squares = nodes.add("ReduceMean", nodes.add("Mul", excess, excess), axis)
    variance = nodes.add("Sub", squares, nodes.add("Mul", mean, mean))
    limits = 2.0 ** np.arange(VARIANCE_BINS - 1).reshape(1, -1, 1)
    reached = nodes.add("GreaterOrEqual", variance, nodes.constant(limits, np.float64))
    ones = nodes.constant(np.ones((1, VARIANCE_BINS - 1, 1)), np.float32)
    return nodes.add("Conv", nodes.cast(reached, np.float32), ones)


def _number_cells(
    grid: int, height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the cell of every pixel, (h * w,), and how many pixels each cell has."""
    rows, columns = (
        np.repeat(np.arange(grid), np.diff(np.arange(grid + 1) * side // grid))
        for side in (height, width)
    )
    cells = (rows[:, np.newaxis] * grid + columns).reshape(-1)
    return cells, np.bincount(cells, minlength=grid**2).astype(float)
