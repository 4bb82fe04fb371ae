"""LBP as nodes.

One convolution interpolates every neighbour and subtracts the centre; its result, clipped to
[-1, 0], gives the bits of the codes. Rounding errors must not change the result where a neighbour
equals the centre. So eight points at radius 1 are compared in whole numbers, and other points by
the sum of two convolutions: one with weights that are coarse enough to be exact in float32, and one
with the remainder of the weights.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.features._lbp_kernel import VARIANCE_BINS, neighbour_table
from imgfeat.features._lbp_labels import bin_table
from imgfeat.features.lbp import LBP
from imgfeat.ops.gray import to_gray
from imgfeat.ops.histogram import count
from imgfeat.ops.nodes import Nodes

# Up to this number of points, a histogram counts codes, and its bins are then mapped to labels.
LATE_POINTS = 8

# A diagonal neighbour at radius 1 is not darker than the centre if
# SIDE * (sum of both sides) + CORNER * corner >= 0, in differences to the centre. The true ratio
# of the weights is 0.414207, and no ratio of such differences lies between it and SIDE / CORNER.
SIDE, CORNER = 239, 577

# Coarse weights are multiples of this, so that their products with 8-bit pixels and the sums of
# these are exact in float32.
GRAIN = 2.0**-14

# A neighbour that is darker by less than this counts as equal; rounding errors are smaller still.
TIE = 1e-8
STEEP = 2.0**40

# A variance counts as having reached a limit if it is below it by less than this share.
ROUNDING = 1e-7


def emit_lbp(nodes: Nodes, lbp: LBP, images: str, shape: tuple[int, ...]) -> str:
    """Add the nodes that compute the features of an `LBP`; see `imgfeat.ops.nodes.Emit`."""
    height, width = shape[:2]
    gray = nodes.cast(to_gray(nodes, images, shape), np.float32)
    # Three spatial dimensions, since ONNX Runtime's layout for two is slow with few channels.
    planes = nodes.reshape(gray, -1, 1, 1, height, width)
    n_bins = n_slots = lbp._count_bins()
    late = lbp.method != "var" and lbp.n_points <= LATE_POINTS
    if lbp.method == "var":
        slots = _number_octaves(nodes, planes, lbp, height * width)
    else:
        unset = _find_darker(nodes, planes, lbp)
        if late or lbp.method in ("default", "ror"):
            slots = _number_codes(nodes, unset, lbp)
        else:
            slots = _number_runs(nodes, unset, lbp)
    if late:
        n_slots = 2**lbp.n_points
    slots = nodes.reshape(slots, -1, height * width)
    cells, areas = _number_cells(lbp.grid, height, width)
    if lbp.grid > 1:
        starts = nodes.constant(cells[np.newaxis] * n_slots, np.float32)
        slots = nodes.add("Add", slots, starts)
    counts = count(nodes, slots, None, lbp.grid**2 * n_slots)
    counts = nodes.reshape(counts, -1, lbp.grid**2, n_slots)
    if late and lbp.method != "default":
        labels = np.eye(n_bins)[bin_table(lbp.n_points, lbp.method)]
        counts = nodes.add("MatMul", counts, nodes.constant(labels, np.float32))
    shares = nodes.add("Div", counts, nodes.constant(areas[:, np.newaxis], np.float32))
    return nodes.reshape(shares, -1, lbp.grid**2 * n_bins)


def _find_darker(nodes: Nodes, planes: str, lbp: LBP) -> str:
    """Return for every neighbour -1 where it is darker, 0 elsewhere: (n, points, 1, h, w)."""
    weights = tap_weights(lbp.n_points, lbp.radius)
    if lbp.n_points == 8 and lbp.radius == 1:
        excess = _convolve(nodes, planes, integer_weights())
    elif not (weights / GRAIN % 1).any():
        excess = _convolve(nodes, planes, weights / GRAIN)
    else:
        parts, sums = _find_excess(nodes, planes, weights)
        bias = np.full(lbp.n_points, TIE * STEEP)
        excess = nodes.add(
            "Conv",
            parts,
            nodes.constant(_at_each_pixel(sums * STEEP), np.float32),
            nodes.constant(bias, np.float32),
        )
    # A darker neighbour has a difference of at most -1: differences are whole, or scaled by STEEP.
    low, high = nodes.constant(-1, np.float32), nodes.constant(0, np.float32)
    return nodes.add("Clip", excess, low, high)


def _find_excess(
    nodes: Nodes, planes: str, weights: NDArray[np.float64]
) -> tuple[str, NDArray[np.float64]]:
    """Return neighbours minus the centre, as parts that are to be added: (n, parts, 1, h, w).

    Returns
    -------
    parts : str
    sums : ndarray of shape (points, parts)
        1 where a part belongs to a point.
    """
    coarse = np.round(weights / GRAIN) * GRAIN
    middle = weights.shape[1] // 2
    # In a uniform region both parts are zero.
    coarse[:, middle, middle] -= coarse.sum(axis=(1, 2))
    rest = weights - coarse
    inexact = np.abs(rest).max(axis=(1, 2)) > 1e-12
    parts = _convolve(nodes, planes, np.concatenate([coarse, rest[inexact]]))
    unit = np.eye(len(weights))
    return parts, np.concatenate([unit, unit[:, inexact]], axis=1)


def _convolve(nodes: Nodes, planes: str, weights: NDArray[np.float64]) -> str:
    """Convolve (n, 1, 1, h, w) with one kernel for each channel; pixels outside are zero."""
    reach = weights.shape[1] // 2
    kernels = nodes.constant(weights[:, np.newaxis, np.newaxis], np.float32)
    return nodes.add("Conv", planes, kernels, pads=[0, reach, reach] * 2)


def _at_each_pixel(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return the weights of a convolution that multiplies the channels by a matrix."""
    return matrix[:, :, np.newaxis, np.newaxis, np.newaxis]


def tap_weights(n_points: int, radius: float) -> NDArray[np.float64]:
    """Return the weights of pixels in the difference of every neighbour and the centre.

    Returns
    -------
    weights : ndarray of shape (n_points, side, side)
        Neighbour p belongs to bit p.
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


def integer_weights() -> NDArray[np.float64]:
    """Return the weights of eight points at radius 1, scaled to whole numbers."""
    right, corner = np.zeros((2, 3, 3))
    right[1, 1:] = (-1, 1)
    corner[:2, 1:] = [[SIDE, CORNER], [-2 * SIDE - CORNER, SIDE]]
    return np.stack([np.rot90(kernel, k) for k in range(4) for kernel in (right, corner)])


def _number_codes(nodes: Nodes, unset: str, lbp: LBP) -> str:
    """Return codes or, if there are many points, their labels: (n, 1, 1, h, w)."""
    powers = 2.0 ** np.arange(lbp.n_points)
    codes = nodes.add(
        "Conv",
        unset,
        nodes.constant(_at_each_pixel(powers[np.newaxis]), np.float32),
        nodes.constant([powers.sum()], np.float32),
    )
    if lbp.n_points <= LATE_POINTS or lbp.method == "default":
        return codes
    table = nodes.constant(bin_table(lbp.n_points, lbp.method), np.uint16)
    return nodes.cast(nodes.add("Gather", table, nodes.cast(codes, np.int32)), np.float32)


def _number_runs(nodes: Nodes, unset: str, lbp: LBP) -> str:
    """Return labels of codes, from the number of set bits and the start of their single run."""
    n_points = lbp.n_points
    unit = np.eye(n_points)
    bits_and_begins = _at_each_pixel(np.concatenate([unit, unit - np.roll(unit, -1, axis=1)]))
    bias = np.repeat([1, 0], n_points)
    both = nodes.add(
        "Conv", unset, nodes.constant(bits_and_begins, np.float32), nodes.constant(bias, np.float32)
    )
    both = nodes.add("Clip", both, nodes.constant(0, np.float32), nodes.constant(1, np.float32))
    one_run = n_points * (n_points + 1)
    values = np.concatenate([np.full(n_points, n_points), one_run + np.arange(n_points)])
    index = nodes.add("Conv", both, nodes.constant(_at_each_pixel(values[np.newaxis]), np.float32))
    several_runs = 2 * one_run
    index = nodes.add("Min", index, nodes.constant(several_runs, np.float32))

    bins = bin_table(n_points, lbp.method)
    table = np.full(several_runs + 1, bins.max())
    table[[0, n_points**2]] = bins[[0, -1]]
    for begin in range(n_points):
        code = 0
        for length in range(1, n_points):
            code |= 1 << (begin + length - 1) % n_points
            table[one_run + length * n_points + begin] = bins[code]
    return nodes.add("Gather", nodes.constant(table, np.float32), nodes.cast(index, np.int32))


def _number_octaves(nodes: Nodes, planes: str, lbp: LBP, n_pixels: int) -> str:
    """Return the octave of the neighbours' variance, computed in float64: (n, 1, pixels)."""
    parts, sums = _find_excess(nodes, planes, tap_weights(lbp.n_points, lbp.radius))
    parts = nodes.reshape(nodes.cast(parts, np.float64), -1, sums.shape[1], n_pixels)
    excess = nodes.add("MatMul", nodes.constant(sums, np.float64), parts)
    axis = nodes.constant([1], np.int64)
    mean = nodes.add("ReduceMean", excess, axis)
    squares = nodes.add("ReduceMean", nodes.add("Mul", excess, excess), axis)
    variance = nodes.add("Sub", squares, nodes.add("Mul", mean, mean))
    limits = 2.0 ** np.arange(VARIANCE_BINS - 1).reshape(1, -1, 1) * (1 - ROUNDING)
    reached = nodes.add("GreaterOrEqual", variance, nodes.constant(limits, np.float64))
    ones = nodes.constant(np.ones((1, VARIANCE_BINS - 1, 1)), np.float32)
    return nodes.add("Conv", nodes.cast(reached, np.float32), ones)


def _number_cells(
    grid: int, height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the cell of every pixel, (h * w,), and the number of pixels in each cell."""
    rows, columns = (
        np.repeat(np.arange(grid), np.diff(np.arange(grid + 1) * side // grid))
        for side in (height, width)
    )
    cells = (rows[:, np.newaxis] * grid + columns).reshape(-1)
    return cells, np.bincount(cells, minlength=grid**2).astype(float)
