"""HOG of the square roots of pixels as nodes, in float64.

Gradients of square roots of small whole numbers often point exactly along the edge between two
bins, or are equally long in two channels. There the result depends on scikit-image's rounding. The
graph reproduces it: always for lengths, and for angles on an edge in most cases, since ONNX has no
correctly rounded arctangent. In photographs, a few pixels in a million fall into the neighbouring
bin (ten with 8 orientations).
"""

import functools
import math

import numpy as np
from numpy.typing import NDArray

from imgfeat.ops.nodes import Nodes

# Distance from an edge at which the search for the ratio that reaches it starts.
MARGIN = 1e-14


def find_lengths(nodes: Nodes, across: str, down: str) -> str:
    """Return the correctly rounded lengths of gradients, as ``hypot`` does.

    The error of the plain square root of the sum of squares is computed and subtracted [1]_.

    References
    ----------
    .. [1] C. F. Borges, "An Improved Algorithm for hypot(a,b)", ACM TOMS 47(1), 2020.
    """

    def times(a: str, b: str | float) -> str:
        return nodes.add("Mul", a, b if isinstance(b, str) else nodes.constant(b, np.float64))

    def plus(*terms: str) -> str:
        return nodes.add("Sum", *terms)

    def minus(a: str, b: str) -> str:
        return nodes.add("Sub", a, b)

    u, v = nodes.add("Abs", across), nodes.add("Abs", down)
    long, short = nodes.add("Max", u, v), nodes.add("Min", u, v)
    length = nodes.add("Sqrt", plus(times(long, long), times(short, short)))
    rest = minus(length, short)
    error_if_near = plus(
        times(long, minus(times(rest, 2), long)),
        times(minus(rest, times(minus(long, short), 2)), rest),
    )
    rest = minus(length, long)
    error_if_far = plus(
        times(times(rest, 2), minus(long, times(short, 2))),
        times(minus(times(rest, 4), short), short),
        times(rest, rest),
    )
    near = nodes.add("LessOrEqual", length, times(short, 2))
    error = nodes.add("Where", near, error_if_near, error_if_far)
    tiny = nodes.constant(np.finfo(np.float64).tiny, np.float64)
    return minus(length, nodes.add("Div", error, nodes.add("Max", times(length, 2), tiny)))


def choose_bins(nodes: Nodes, gradient: str, orientations: int) -> str:
    """Return the bins of gradients (n, 2, pixels), from ratios, not angles: (n, 1, pixels)."""
    across, down = nodes.split(gradient, 1, 2)
    ratio = nodes.add("Div", across, down)
    zero, none = nodes.constant(0, np.float64), nodes.constant(np.inf, np.float64)
    halves = [
        nodes.add("Where", nodes.add(relation, down, zero), ratio, none)
        for relation in ("Greater", "Less")
    ]
    shape = (1, 2, orientations, 1)
    limits = nodes.constant(edge_ratios(orientations).reshape(shape), np.float64)
    ratios = nodes.add("Concat", *halves, axis=1)
    ratios = nodes.add("Unsqueeze", ratios, nodes.constant([2], np.int64))
    passed = nodes.cast(nodes.add("LessOrEqual", ratios, limits), np.float32)
    return nodes.add("Conv", passed, nodes.constant(np.ones(shape), np.float32))


@functools.lru_cache(maxsize=32)
def edge_ratios(orientations: int) -> NDArray[np.float64]:
    """Return for each edge the largest ratio across / down whose rounded angle reaches it.

    Returns
    -------
    ratios : ndarray of shape (2, orientations)
        For gradients that point down, and up. The angle decreases from 180 to 0 degrees as the
        ratio increases; no gradient passes edge 0.
    """
    limits = (180.0 / orientations * np.arange(1, orientations)).astype(np.float32)
    ratios = np.full((2, orientations), -np.inf)
    for half, down in enumerate((1.0, -1.0)):
        for k, limit in enumerate(limits.astype(float), start=1):
            # At 90 degrees it is exact: differences of roots are zero or far from it.
            ratio = 0.0 if limit == 90 else 1 / math.tan(math.radians(limit)) + MARGIN
            while limit != 90 and _angle(down, down * ratio) < limit:
                ratio = math.nextafter(ratio, -math.inf)
            ratios[half, k] = ratio
    return ratios


def _angle(down: float, across: float) -> float:
    return math.atan2(down, across) * (180 / math.pi) % 180
