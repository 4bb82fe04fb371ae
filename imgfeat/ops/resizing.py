"""Resizing as nodes, with results identical to OpenCV's in `imgfeat.images.resizing`.

The order of sums, the roundings and the fixed-point numbers follow OpenCV's source,
``imgproc/src/resize.cpp``.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgfeat.ops.nodes import Nodes, Shape

# INTER_LINEAR's weights are whole multiples of 1 / LINEAR_UNIT. It drops so many low bits from
# sums along the rows, and from products down the columns.
LINEAR_UNIT = 2048
DROPPED_FIRST, DROPPED_THEN = 4, 16
# OpenCV ignores parts of a pixel that are smaller than this.
SMALLEST_PART = 1e-3


class _Taps(NamedTuple):
    """Positions and weights of old pixels, (taps, new side), whose sum is a new pixel of a side."""

    places: NDArray[np.int64]
    weights: NDArray[np.float32]


def resize(nodes: Nodes, images: str, shape: Shape, size: tuple[int, int], how: str) -> str:
    """Resize images of a fixed size as `imgfeat.images.resizing.resize_image` does.

    Parameters
    ----------
    nodes : Nodes
    images : str
        Name of a tensor (n, *shape), uint8.
    shape : (h, w) or (h, w, c)
    size : (int, int)
        Height and width of the result.
    how : {"stretch", "crop", "pad"}

    Returns
    -------
    resized : str
        Name of a tensor (n, height, width) or (n, height, width, c), uint8.
    """
    (rows, cols), (height, width) = shape[:2], size
    if how == "stretch":
        return _stretch(nodes, images, shape, size)
    if how == "crop":
        scale = min(rows / height, cols / width)
        kept_rows = min(rows, max(1, round(height * scale)))
        kept_cols = min(cols, max(1, round(width * scale)))
        top, left = (rows - kept_rows) // 2, (cols - kept_cols) // 2
        images = _cut(nodes, images, 1, top, kept_rows, rows)
        images = _cut(nodes, images, 2, left, kept_cols, cols)
        return _stretch(nodes, images, (kept_rows, kept_cols, *shape[2:]), size)
    scale = min(height / rows, width / cols)
    new_rows, new_cols = max(1, round(rows * scale)), max(1, round(cols * scale))
    images = _stretch(nodes, images, shape, (new_rows, new_cols))
    top, left = (height - new_rows) // 2, (width - new_cols) // 2
    before = [0, top, left, *(0 for _ in shape[2:])]
    after = [0, height - new_rows - top, width - new_cols - left, *(0 for _ in shape[2:])]
    if not any(before + after):
        return images
    return nodes.add("Pad", images, nodes.constant(before + after, np.int64))


def _cut(nodes: Nodes, images: str, axis: int, start: int, kept: int, side: int) -> str:
    return images if kept == side else nodes.slice(images, axis, start, start + kept)


def _stretch(nodes: Nodes, images: str, shape: Shape, size: tuple[int, int]) -> str:
    """Shrink sides, then enlarge sides; each channel is resized as a separate image."""
    (rows, cols), (height, width) = shape[:2], size
    if (rows, cols) == (height, width):
        return images
    if len(shape) == 3:
        images = nodes.add("Transpose", images, perm=[0, 3, 1, 2])
        images = nodes.reshape(images, -1, rows, cols)
    smaller = (min(rows, height), min(cols, width))
    if smaller != (rows, cols):
        images = _average(nodes, images, (rows, cols), smaller)
    if smaller != (height, width):
        images = _interpolate(nodes, images, smaller, size)
    if len(shape) == 3:
        images = nodes.reshape(images, -1, shape[2], height, width)
        images = nodes.add("Transpose", images, perm=[0, 2, 3, 1])
    return images


def _average(nodes: Nodes, images: str, old: tuple[int, int], new: tuple[int, int]) -> str:
    """Resize as INTER_AREA: in float32, first along the rows, with sums from left to right."""
    whole = old[0] % new[0] == 0 and old[1] % new[1] == 0
    down, across = (
        (_cut_blocks if whole else _cut_areas)(*sides) for sides in zip(old, new, strict=True)
    )
    values = nodes.cast(_swap_sides(nodes, images), np.float32)
    values = _swap_sides(nodes, _sum_taps(nodes, values, across))
    values = _sum_taps(nodes, values, down)
    if whole:
        if old == (2 * new[0], 2 * new[1]):
            # For means of four pixels OpenCV rounds halves up, for other means to even.
            values = nodes.add("Add", values, nodes.constant(0.5, np.float32))
        area = old[0] // new[0] * (old[1] // new[1])
        values = nodes.add("Mul", values, nodes.constant(1 / np.float32(area), np.float32))
    return nodes.cast(nodes.add("Round", values), np.uint8)


def _interpolate(nodes: Nodes, images: str, old: tuple[int, int], new: tuple[int, int]) -> str:
    """Resize as INTER_LINEAR: in fixed-point numbers, first along the rows."""
    values = nodes.cast(_swap_sides(nodes, images), np.float32)
    values = _sum_taps(nodes, values, _find_neighbours(old[1], new[1], clip=True))
    dropped = nodes.constant(2.0**-DROPPED_FIRST, np.float32)
    values = nodes.add("Floor", nodes.add("Mul", values, dropped))
    # The next products have up to 27 bits.
    values = nodes.cast(_swap_sides(nodes, values), np.float64)
    places, weights = _find_neighbours(old[0], new[0], clip=False)
    parts = [
        nodes.cast(_weigh(nodes, values, place, weight * 2.0**-DROPPED_THEN), np.int32)
        for place, weight in zip(places, weights.astype(np.float64), strict=True)
    ]
    total = nodes.cast(nodes.add("Add", *parts), np.float32)
    total = nodes.add("Add", total, nodes.constant(2, np.float32))
    return nodes.cast(nodes.add("Mul", total, nodes.constant(0.25, np.float32)), np.uint8)


def _swap_sides(nodes: Nodes, images: str) -> str:
    return nodes.add("Transpose", images, perm=[0, 2, 1])


def _sum_taps(nodes: Nodes, values: str, taps: _Taps) -> str:
    total = None
    for places, weights in zip(*taps, strict=True):
        part = _weigh(nodes, values, places, weights)
        total = part if total is None else nodes.add("Add", total, part)
    assert total is not None
    return total


def _weigh(
    nodes: Nodes, values: str, places: NDArray[np.int64], weights: NDArray[np.float32]
) -> str:
    """Gather rows of each image, and multiply each by its weight."""
    rows = nodes.add("Gather", values, nodes.constant(places, np.int64), axis=1)
    if (weights == 1).all():
        return rows
    return nodes.add("Mul", rows, nodes.constant(weights[:, np.newaxis], weights.dtype))


def _cut_blocks(old: int, new: int) -> _Taps:
    """Divide a side into parts of whole pixels, each of which has the weight 1."""
    places = np.arange(old).reshape(new, -1).T
    return _Taps(places, np.ones(places.shape, np.float32))


def _cut_areas(old: int, new: int) -> _Taps:
    """Divide a side into equal parts and return the share of each pixel in them."""
    scale = old / new
    parts: list[list[tuple[int, float]]] = []
    for k in range(new):
        start = k * scale
        end = start + scale
        length = min(scale, old - start)
        last = min(int(np.floor(end)), old - 1)
        first = min(int(np.ceil(start)), last)
        part = [(place, 1 / length) for place in range(first, last)]
        if first - start > SMALLEST_PART:
            part.insert(0, (first - 1, (first - start) / length))
        if end - last > SMALLEST_PART:
            part.append((last, min(end - last, 1, length) / length))
        parts.append(part)
    n_taps = max(len(part) for part in parts)
    filled = np.array([part + [(0, 0.0)] * (n_taps - len(part)) for part in parts])
    places, weights = np.moveaxis(filled, 0, 2).swapaxes(0, 1)
    return _Taps(places.astype(np.int64), weights.astype(np.float32))


def _find_neighbours(old: int, new: int, *, clip: bool) -> _Taps:
    """Return the two pixels that each new pixel lies between, and their weights times LINEAR_UNIT.

    For new pixels outside of the centres of the first and the last pixel, OpenCV repeats these down
    the columns, while along the rows (`clip`) it gives them the whole weight.
    """
    exact = ((np.arange(new) + 0.5) * (old / new) - 0.5).astype(np.float32)
    first = np.floor(exact)
    share = exact - first
    if clip:
        share[(first < 0) | (first >= old - 1)] = 0
        first = np.clip(first, 0, old - 1)
    places = np.clip(np.stack([first, first + 1]), 0, old - 1).astype(np.int64)
    weights = np.stack([np.float32(1) - share, share]) * np.float32(LINEAR_UNIT)
    return _Taps(places, np.rint(weights))
