"""Colour features as nodes: conversion, histograms and moments, with the kernels' arithmetic.

The form of the graph is chosen for speed: in onnxruntime, look-ups, scatters and selections are
about thirty times slower than additions, multiplications and maxima.
"""

import numpy as np
from numpy.typing import NDArray

from imgfeat.features._color_kernel import (
    _LINEAR_STEPS,
    _ROOT_END,
    _ROOT_STEPS,
    HSV,
    LAB,
    TIE,
    lab_tables,
)
from imgfeat.features.color import SPACES, ColorHistogram, ColorMoments, _read_bins
from imgfeat.ops.cells import cut_cells, cut_side
from imgfeat.ops.histogram import count
from imgfeat.ops.nodes import Nodes, Shape

# With more bins, scattering pixels into bins is faster than comparing them with each edge.
_MAX_COMPARED = 20
# Larger than six times any pixel value.
_FAR = 1536


def emit_histogram(nodes: Nodes, histogram: ColorHistogram, images: str, shape: Shape) -> str:
    """Add the nodes of a `ColorHistogram`; see `converters.registry.convert_features`."""
    space, _, ranges = SPACES[histogram.space]
    bins = _read_bins(histogram.bins)
    lows, highs = np.array(ranges, np.float32).T
    scales = (np.array(bins) / (highs - lows)).astype(np.float32)
    if space == HSV:
        values = _to_hsv(nodes, _split_planes(nodes, images, shape), bins)
        values = nodes.reshape(values, -1, 3, *shape[:2])
    else:
        values = convert_colors(nodes, images, shape, space)
        values = nodes.add("Sub", values, _each_channel(nodes, lows)) if lows.any() else values
        values = nodes.add("Mul", values, _each_channel(nodes, scales))
        values = nodes.add("Add", values, nodes.constant(TIE, np.float32))
    compared = not histogram.joint and max(bins) <= _MAX_COMPARED
    # Casts truncate, which rounds down: values below zero occur only as rounding errors.
    places = nodes.cast(values, np.uint8 if compared else np.int32)
    tops = np.reshape(bins, (3, 1, 1)) - 1
    places = nodes.add("Min", places, nodes.constant(tops, np.uint8 if compared else np.int32))
    if compared:
        return _compare(nodes, places, bins, shape, histogram.grid)
    places = nodes.cast(places, np.float32)
    emit = _count_together if histogram.joint else _scatter
    return emit(nodes, places, bins, shape, histogram.grid)


def emit_moments(nodes: Nodes, moments: ColorMoments, images: str, shape: Shape) -> str:
    """Add the nodes of a `ColorMoments`; see `converters.registry.convert_features`."""
    grid = moments.grid
    values = convert_colors(nodes, images, shape, SPACES[moments.space][0])
    values = nodes.cast(values, np.float64)
    cells = [
        _describe(nodes, cell) for cell in cut_cells(nodes, values, (shape[0], shape[1]), grid, 2)
    ]
    features = cells[0] if grid == 1 else nodes.add("Concat", *cells, axis=1)
    return nodes.cast(features, np.float32)


def convert_colors(nodes: Nodes, images: str, shape: Shape, space: int) -> str:
    """Convert images as ``imgfeat.features._color_kernel`` converts rows of them.

    Parameters
    ----------
    nodes : Nodes
    images : str
        Name of a tensor (n, *shape), uint8.
    shape : (h, w) or (h, w, c), c in {1, 3}
        Grey images are treated as three equal channels.
    space : int
        RGB, HSV or LAB.

    Returns
    -------
    channels : str
        Name of a tensor (n, 3, h, w), float32.
    """
    planes = _split_planes(nodes, images, shape)
    if space == HSV:
        channels = _to_hsv(nodes, planes, (1, 1, 1))
    elif space == LAB:
        channels = _to_lab(nodes, planes)
    else:
        levels = nodes.cast(planes, np.float32)
        channels = nodes.add("Mul", levels, nodes.constant(1 / 255, np.float32))
    return nodes.reshape(channels, -1, 3, *shape[:2])


def _split_planes(nodes: Nodes, images: str, shape: Shape) -> str:
    """Return three channels: (n, 3, h * w), uint8."""
    pixels = shape[0] * shape[1]
    if len(shape) == 3 and shape[2] == 3:
        # Reshaping prevents onnxruntime from moving the transposition behind later nodes, where it
        # takes longer.
        return nodes.reshape(nodes.add("Transpose", images, perm=[0, 3, 1, 2]), -1, 3, pixels)
    return nodes.add("Concat", *[nodes.reshape(images, -1, 1, pixels)] * 3, axis=1)


def _to_hsv(nodes: Nodes, planes: str, bins: tuple[int, int, int]) -> str:
    """Return hue, saturation and value in units of bins: (n, 3, h * w), float32.

    They are quotients of whole numbers, so values on an edge between two bins are exact.
    """

    def add(kind: str, *inputs: str | float) -> str:
        names = (nodes.constant(v, np.float32) if not isinstance(v, str) else v for v in inputs)
        return nodes.add(kind, *names)

    channels = nodes.add_several("Split", [planes], outputs=[None] * 3, axis=1, num_outputs=3)
    largest, least = nodes.add("Max", *channels), nodes.add("Min", *channels)
    levels = nodes.cast(nodes.add("Concat", planes, largest, least, axis=1), np.float32)
    # One matrix product computes all terms that are linear in these five.
    red, green, blue, value, low = np.eye(5)
    delta = value - low
    factors = [
        # The angle in sixths of a circle, times delta, if blue, green or red is the largest; far
        # below the others if another channel is larger.
        4 * delta + red - green - _FAR * (value - blue),
        2 * delta + blue - red - _FAR * (value - green),
        green - blue - _FAR * (value - red),
        6 * delta,
        bins[1] * delta,
        bins[2] * value,
    ]
    sums = nodes.add("MatMul", nodes.constant(factors, np.float32), levels)
    *sixths, circle, colored, bright = nodes.add_several(
        "Split", [sums], outputs=[None] * 6, axis=1, num_outputs=6
    )
    angle = nodes.add("Max", *sixths)
    angle = add("Sub", angle, add("Mul", circle, add("Clip", angle, -1.0, 0.0)))
    hue = add("Div", add("Mul", angle, float(bins[0])), add("Max", circle, 1.0))
    saturation = add("Div", colored, add("Max", nodes.cast(largest, np.float32), 1.0))
    return nodes.add("Concat", hue, saturation, add("Div", bright, 255.0), axis=1)


def _to_lab(nodes: Nodes, planes: str) -> str:
    """Convert uint8 planes to CIELAB, rounding wherever the kernel rounds: (n, 3, h * w)."""
    levels = nodes.cast(planes, np.int32)
    channels = nodes.add_several("Split", [levels], outputs=[None] * 3, axis=1, num_outputs=3)
    parts = [
        nodes.add("Gather", nodes.constant(table, np.float32), channel, axis=0)
        for table, channel in zip(_tabulate_light(), channels, strict=True)
    ]
    # (n, 1, h * w, 3): X, Y and Z.
    light = nodes.add("Add", nodes.add("Add", parts[0], parts[1]), parts[2])
    root = lab_tables()[2]
    place = nodes.add("Mul", light, nodes.constant(_ROOT_STEPS / _ROOT_END, np.float32))
    place = nodes.add("Min", place, nodes.constant(root.size - 2, np.float32))
    below = nodes.cast(place, np.int32)
    table = nodes.constant(np.stack([root[:-1], np.diff(root)], axis=1), np.float32)
    entries = nodes.add("Gather", table, below, axis=0)
    start, rise = nodes.add_several("Split", [entries], outputs=[None] * 2, axis=4, num_outputs=2)
    axes = nodes.constant([1, 4], np.int64)
    start, rise = nodes.add("Squeeze", start, axes), nodes.add("Squeeze", rise, axes)
    share = nodes.add("Sub", place, nodes.cast(below, np.float32))
    share = nodes.add("Squeeze", share, nodes.constant([1], np.int64))
    roots = nodes.add("Add", start, nodes.add("Mul", share, rise))
    roots = nodes.add("Transpose", roots, perm=[0, 2, 1])
    x, y, z = nodes.add_several("Split", [roots], outputs=[None] * 3, axis=1, num_outputs=3)
    lightness = nodes.add("Mul", y, nodes.constant(116, np.float32))
    lightness = nodes.add("Sub", lightness, nodes.constant(16, np.float32))
    a = nodes.add("Mul", nodes.add("Sub", x, y), nodes.constant(500, np.float32))
    b = nodes.add("Mul", nodes.add("Sub", y, z), nodes.constant(200, np.float32))
    return nodes.add("Concat", lightness, a, b, axis=1)


def _tabulate_light() -> NDArray[np.float32]:
    """Return the contribution of each level of each channel to X, Y and Z: shape (3, 256, 3)."""
    linear, xyz, _ = lab_tables()
    place = np.arange(256, dtype=np.float32) * np.float32(1 / 255) * np.float32(_LINEAR_STEPS)
    place = np.minimum(place, np.float32(linear.size - 2))
    below = place.astype(np.int64)
    light = linear[below] + (place - below.astype(np.float32)) * np.diff(linear)[below]
    return light[np.newaxis, :, np.newaxis] * xyz.T[:, np.newaxis, :]


def _each_channel(nodes: Nodes, values: NDArray[np.floating]) -> str:
    return nodes.constant(values.reshape(3, 1, 1), np.float32)


def _compare(nodes: Nodes, places: str, bins: tuple[int, int, int], shape: Shape, grid: int) -> str:
    """Count pixels in bins by sums of maxima.

    The sum of ``max(x, k)`` exceeds that of ``max(x, k - 1)`` by the number of pixels below k.
    """
    n_bins = max(bins)
    edges = nodes.constant(np.arange(n_bins).reshape(-1, 1, 1, 1), np.uint8)
    # (n, bins, 3, h, w)
    maxima = nodes.add("Max", nodes.reshape(places, -1, 1, 3, *shape[:2]), edges)
    rows = nodes.constant(_mark_cells(shape[0], grid).T, np.uint8)
    by_rows = nodes.cast(nodes.add("MatMulInteger", rows, maxima), np.float64)
    columns = nodes.constant(_mark_cells(shape[1], grid), np.float64)
    by_cell = nodes.add("MatMul", by_rows, columns)
    by_cell = nodes.add("Transpose", by_cell, perm=[0, 3, 4, 2, 1])
    # counts[k] = (sums[k + 1] - sums[k]) - (sums[k] - sums[k - 1]), where sums[k] is the sum of
    # max(x, k); all pixels are below n_bins.
    identity = np.eye(n_bins + 1)
    differences = (identity[1:] - identity[:-1]).T
    below = np.diff(np.pad(differences, ((0, 0), (1, 0))), axis=1)
    areas = _measure_cells(shape, grid).reshape(grid, grid, 1, 1)
    last = n_bins * areas * below[-1]
    counts = nodes.add("MatMul", by_cell, nodes.constant(below[:-1], np.float64))
    counts = nodes.add("Add", counts, nodes.constant(last, np.float64))
    shares = nodes.add("Div", nodes.cast(counts, np.float32), nodes.constant(areas, np.float32))
    if len(set(bins)) == 1:
        return nodes.reshape(shares, -1, grid * grid * sum(bins))
    wanted = [channel * n_bins + k for channel in range(3) for k in range(bins[channel])]
    shares = nodes.reshape(shares, -1, grid * grid, 3 * n_bins)
    shares = nodes.add("Gather", shares, nodes.constant(wanted, np.int64), axis=2)
    return nodes.reshape(shares, -1, grid * grid * sum(bins))


def _scatter(nodes: Nodes, places: str, bins: tuple[int, int, int], shape: Shape, grid: int) -> str:
    starts = _each_channel(nodes, np.cumsum([0, *bins[:2]]))
    slots = nodes.add("Add", places, starts)
    return _count_slots(nodes, slots, sum(bins), 3, shape, grid)


def _count_together(
    nodes: Nodes, places: str, bins: tuple[int, int, int], shape: Shape, grid: int
) -> str:
    weights = _each_channel(nodes, np.array([bins[1] * bins[2], bins[2], 1]))
    slots = nodes.add("Mul", places, weights)
    slots = nodes.add("ReduceSum", slots, nodes.constant([1], np.int64), keepdims=1)
    return _count_slots(nodes, slots, int(np.prod(bins)), 1, shape, grid)


def _count_slots(
    nodes: Nodes, slots: str, length: int, channels: int, shape: Shape, grid: int
) -> str:
    """Count whole numbers below `length`, (n, channels, h, w), in each cell."""
    height, width = shape[:2]
    if grid > 1:
        rows = _mark_cells(height, grid) @ np.arange(grid) * grid * length
        columns = _mark_cells(width, grid) @ np.arange(grid) * length
        slots = nodes.add("Add", slots, nodes.constant(rows[:, np.newaxis], np.float32))
        slots = nodes.add("Add", slots, nodes.constant(columns, np.float32))
    slots = nodes.reshape(slots, -1, channels * height * width)
    counts = count(nodes, slots, None, grid * grid * length)
    areas = np.repeat(_measure_cells(shape, grid), length)
    return nodes.add("Div", counts, nodes.constant(areas, np.float32))


def _describe(nodes: Nodes, cell: str) -> str:
    """Return mean, deviation and skewness of each channel of a cell: (n, 9), float64."""
    axes = nodes.constant([2, 3], np.int64)
    mean = nodes.add("ReduceMean", cell, axes, keepdims=1)
    excess = nodes.add("Sub", cell, mean)
    square = nodes.add("Mul", excess, excess)
    deviation = nodes.add("Sqrt", nodes.add("ReduceMean", square, axes, keepdims=1))
    cube = nodes.add("ReduceMean", nodes.add("Mul", square, excess), axes, keepdims=1)
    root = nodes.add("Pow", nodes.add("Abs", cube), nodes.constant(1 / 3, np.float64))
    skewness = nodes.add("Mul", nodes.add("Sign", cube), root)
    return nodes.reshape(nodes.add("Concat", mean, deviation, skewness, axis=2), -1, 9)


def _mark_cells(side: int, grid: int) -> NDArray[np.float64]:
    """Return 1 where a pixel of a side lies in a cell: shape (side, grid)."""
    marks = np.zeros((side, grid))
    for k, (start, end) in enumerate(cut_side(side, grid)):
        marks[start:end, k] = 1
    return marks


def _measure_cells(shape: Shape, grid: int) -> NDArray[np.float64]:
    """Return the number of pixels of each cell, row by row."""
    heights, widths = (_mark_cells(side, grid).sum(axis=0) for side in shape[:2])
    return np.outer(heights, widths).ravel()
