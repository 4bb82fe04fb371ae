"""GLCM as nodes: pairs of levels are numbered and counted, properties computed in float64."""

import math

import numpy as np
from numpy.typing import ArrayLike

from imgfeat.features.texture import GLCM
from imgfeat.ops.cells import cut_cells, cut_side
from imgfeat.ops.gray import to_gray
from imgfeat.ops.histogram import count
from imgfeat.ops.nodes import Nodes, Shape

# The variance of a single level is zero, that of several levels is larger than this.
_NO_VARIANCE = 1e-12
_SMALLEST_SHARE = 1e-300


def emit_glcm(nodes: Nodes, glcm: GLCM, images: str, shape: Shape) -> str:
    """Add the nodes of a `GLCM`; see `imgfeat.ops.nodes.Emit`."""
    shares = _find_shares(nodes, glcm, images, shape)
    n_cells, names = glcm.grid**2, glcm._list_properties()
    columns = _describe(nodes, shares, glcm.levels, names)
    # (n, cells * pairs, properties)
    found = nodes.add("Concat", *columns, axis=2)
    pairs = (len(glcm.distances), len(glcm.angles))
    found = nodes.reshape(found, -1, n_cells, math.prod(pairs), len(names))
    found = nodes.add("Transpose", found, perm=[0, 1, 3, 2])
    if glcm.average:
        found = nodes.reshape(found, -1, n_cells * len(names), *pairs)
        found = nodes.add("ReduceMean", found, nodes.constant([3], np.int64), keepdims=0)
    n_features = n_cells * len(names) * (pairs[0] if glcm.average else math.prod(pairs))
    return nodes.cast(nodes.reshape(found, -1, n_features), np.float32)


def _find_shares(nodes: Nodes, glcm: GLCM, images: str, shape: Shape) -> str:
    """Return the shares of pairs of levels: (n, cells * offsets, levels, levels), float64."""
    levels, sides = glcm.levels, (shape[0], shape[1])
    gray = nodes.cast(to_gray(nodes, images, shape), np.float32)
    # Exact in float32, since 256 is a power of two; the cast rounds down.
    ranks = nodes.add("Mul", gray, nodes.constant(levels / 256, np.float32))
    ranks = nodes.cast(ranks, np.int32)
    cells = cut_cells(nodes, ranks, sides, glcm.grid, 1)
    heights, widths = ([end - start for start, end in cut_side(side, glcm.grid)] for side in sides)
    slots: list[str] = []
    totals: list[int] = []
    for place, cell in enumerate(cells):
        height, width = heights[place // glcm.grid], widths[place % glcm.grid]
        first = nodes.add("Mul", cell, nodes.constant(levels, np.int32))
        for down, across in glcm._offsets().tolist():
            rows = (max(0, -down), min(height, height - down))
            columns = (max(0, -across), min(width, width - across))
            here = _cut(nodes, first, rows, columns)
            there = _cut(nodes, cell, _shift(rows, down), _shift(columns, across))
            base = nodes.constant(len(slots) * levels**2, np.int32)
            pair = nodes.add("Add", nodes.add("Add", here, there), base)
            totals.append((rows[1] - rows[0]) * (columns[1] - columns[0]))
            slots.append(nodes.reshape(pair, -1, totals[-1]))
    counts = count(nodes, nodes.add("Concat", *slots, axis=1), None, len(slots) * levels**2)
    counts = nodes.reshape(counts, -1, len(slots), levels, levels)
    if glcm.symmetric:
        counts = nodes.add("Add", counts, nodes.add("Transpose", counts, perm=[0, 1, 3, 2]))
    whole = np.reshape(totals, (-1, 1, 1)) * (2 if glcm.symmetric else 1)
    return nodes.add("Div", nodes.cast(counts, np.float64), nodes.constant(whole, np.float64))


def _cut(nodes: Nodes, cell: str, rows: tuple[int, int], columns: tuple[int, int]) -> str:
    starts, ends = zip(rows, columns, strict=True)
    return nodes.crop(cell, (1, 2), starts, ends)


def _shift(span: tuple[int, int], by: int) -> tuple[int, int]:
    return span[0] + by, span[1] + by


def _describe(nodes: Nodes, shares: str, levels: int, names: list[str]) -> list[str]:
    """Return the named properties, each (n, matrices, 1), float64."""

    def add(kind: str, *inputs: str | float) -> str:
        names = (nodes.constant(v, np.float64) if not isinstance(v, str) else v for v in inputs)
        return nodes.add(kind, *names)

    def average(weights: ArrayLike) -> str:
        column = nodes.constant(np.reshape(weights, (-1, 1)), np.float64)
        return nodes.add("MatMul", flat, column)

    i, j = np.indices((levels, levels))
    flat = nodes.add("Reshape", shares, nodes.constant([0, 0, levels**2], np.int64))
    means = average(i), average(j)
    variances = [
        add("Sub", average(index**2), add("Mul", mean, mean))
        for index, mean in zip((i, j), means, strict=True)
    ]
    squares = nodes.add("ReduceSumSquare", flat, nodes.constant([2], np.int64), keepdims=1)
    variance = add("Max", variances[0], 0.0)
    logs = add("Log", add("Max", flat, _SMALLEST_SHARE))
    entropy = nodes.add(
        "ReduceSum", add("Mul", flat, logs), nodes.constant([2], np.int64), keepdims=1
    )
    covariance = add("Sub", average(i * j), add("Mul", *means))
    least = add("Min", *variances)
    spread = add("Sqrt", add("Max", add("Mul", *variances), _NO_VARIANCE**2))
    correlation = add(
        "Where",
        add("Greater", least, _NO_VARIANCE),
        add("Div", covariance, spread),
        1.0,
    )
    found = {
        "contrast": average((i - j) ** 2),
        "dissimilarity": average(np.abs(i - j)),
        "homogeneity": average(1 / (1 + (i - j) ** 2)),
        "ASM": squares,
        "energy": add("Sqrt", squares),
        "correlation": correlation,
        "mean": means[0],
        "variance": variance,
        "std": add("Sqrt", variance),
        "entropy": add("Neg", entropy),
    }
    return [found[name] for name in names]
