"""Resizing as nodes, of images whose size is known only when the graph runs.

The results equal those of `resizing`. Positions and weights of pixels, which `resizing` computes in
Python, are computed by nodes from the shape of the images. Sums run from left to right in single
precision, as in OpenCV: CumSum keeps that order, ReduceSum and MatMul do not.
"""

from typing import NamedTuple

import numpy as np

from imgfeat.ops.nodes import Nodes
from imgfeat.ops.resizing import DROPPED_FIRST, DROPPED_THEN, LINEAR_UNIT, SMALLEST_PART


class _TapTensors(NamedTuple):
    """Names of tensors: positions and weights of old pixels whose sum is a new pixel of a side."""

    places: str
    weights: str


def resize_any_size(
    nodes: Nodes, images: str, size: tuple[int, int], how: str, *, in_color: bool
) -> str:
    """Resize images of any size to one, as `imgfeat.images.resizing.resize_image` does.

    Parameters
    ----------
    nodes : Nodes
    images : str
        Name of a tensor (n, h, w), or (n, h, w, 3) if `in_color`, uint8.
    size : (int, int)
        Height and width of the result.
    how : {"stretch", "crop", "pad"}
    in_color : bool

    Returns
    -------
    resized : str
        Name of a tensor (n, height, width) or (n, height, width, 3), uint8.
    """
    if in_color:  # each channel is resized as a separate image
        images = nodes.add("Transpose", images, perm=[0, 3, 1, 2])
        shape = nodes.add("Shape", images, start=2, end=4)
        folded = nodes.add("Concat", nodes.constant([-1], np.int64), shape, axis=0)
        images = nodes.add("Reshape", images, folded)
    resizing = _Resizing(nodes)
    resized = getattr(resizing, how)(images, size)
    if not in_color:
        return nodes.reshape(resized, -1, *size)
    return nodes.add("Transpose", nodes.reshape(resized, -1, 3, *size), perm=[0, 2, 3, 1])


class _Resizing:
    """Resizing of a tensor (m, h, w); lengths of sides are given as names of int64 scalars."""

    def __init__(self, nodes: Nodes):
        self.nodes = nodes
        self.add = nodes.add

    def stretch(self, images: str, size: tuple[int, int]) -> str:
        """Resize images, without regard to proportions."""
        return self._bring_to(images, (self._whole(size[0]), self._whole(size[1])))

    def crop(self, images: str, size: tuple[int, int]) -> str:
        """Resize the largest central part that has the proportions of the new size."""
        sides = self._measure(images)
        wanted = [self._whole(side) for side in size]
        scale = self.add("Min", *(self._divide(*pair) for pair in zip(sides, wanted, strict=True)))
        starts, ends = [], []
        for side, new in zip(sides, wanted, strict=True):
            kept = self.add("Min", side, self._round_up_to_one(new, scale))
            start = self._halve(self.add("Sub", side, kept))
            starts.append(self._as_row(start))
            ends.append(self._as_row(self.add("Add", start, kept)))
        axes = self.nodes.constant([1, 2], np.int64)
        bounds = [self.add("Concat", *parts, axis=0) for parts in (starts, ends)]
        return self.stretch(self.add("Slice", images, *bounds, axes), size)

    def pad(self, images: str, size: tuple[int, int]) -> str:
        """Resize whole images to fit into the new size, and pad with black."""
        sides = self._measure(images)
        wanted = [self._whole(side) for side in size]
        scale = self.add("Min", *(self._divide(*pair) for pair in zip(wanted, sides, strict=True)))
        kept = [self._round_up_to_one(side, scale) for side in sides]
        images = self._bring_to(images, (kept[0], kept[1]))
        before, after = [], []
        for new, inside in zip(wanted, kept, strict=True):
            missing = self.add("Sub", new, inside)
            start = self._halve(missing)
            before.append(self._as_row(start))
            after.append(self._as_row(self.add("Sub", missing, start)))
        none = self.nodes.constant([0], np.int64)
        return self.add("Pad", images, self.add("Concat", none, *before, none, *after, axis=0))

    def _bring_to(self, images: str, new: tuple[str, str]) -> str:
        """Shrink sides, then enlarge sides; a side of the right length is changed by neither."""
        rows, columns = self._measure(images)
        smaller = self.add("Min", rows, new[0]), self.add("Min", columns, new[1])
        images = self._average(images, (rows, columns), smaller)
        return self._interpolate(images, smaller, new)

    def _average(self, images: str, old: tuple[str, str], new: tuple[str, str]) -> str:
        """Resize as INTER_AREA: in float32, first along the rows."""
        add, zero = self.add, self._whole(0)
        rests = [add("Equal", add("Mod", *pair), zero) for pair in zip(old, new, strict=True)]
        in_blocks = add("And", *rests)
        values = self.nodes.cast(self._swap_sides(images), np.float32)
        values = self._sum_taps(values, self._cut_areas(old[1], new[1], in_blocks))
        values = self._swap_sides(values)
        values = self._sum_taps(values, self._cut_areas(old[0], new[0], in_blocks))
        steps = [add("Div", *pair) for pair in zip(old, new, strict=True)]
        # For means of four pixels OpenCV rounds halves up, for other means to even.
        twos = [add("Equal", step, self._whole(2)) for step in steps]
        four = add("And", in_blocks, add("And", *twos))
        values = add("Add", values, add("Where", four, self._single(0.5), self._single(0)))
        area = add("Where", in_blocks, add("Mul", *steps), self._whole(1))
        share = add("Div", self._single(1), self.nodes.cast(area, np.float32))
        return self.nodes.cast(add("Round", add("Mul", values, share)), np.uint8)

    def _interpolate(self, images: str, old: tuple[str, str], new: tuple[str, str]) -> str:
        """Resize as INTER_LINEAR: in fixed-point numbers, first along the rows."""
        values = self.nodes.cast(self._swap_sides(images), np.float32)
        values = self._sum_taps(values, self._find_neighbours(old[1], new[1], clip=True))
        values = self.add("Floor", self.add("Mul", values, self._single(2.0**-DROPPED_FIRST)))
        # The next products have up to 27 bits.
        values = self.nodes.cast(self._swap_sides(values), np.float64)
        places, weights = self._find_neighbours(old[0], new[0], clip=False)
        weights = self.nodes.cast(weights, np.float64)
        weights = self.add("Mul", weights, self._double(2.0**-DROPPED_THEN))
        parts = self.add("Mul", self.add("Gather", values, places, axis=1), weights)
        axes = self.nodes.constant([1], np.int64)
        whole = self.nodes.cast(parts, np.int32)
        total = self.nodes.cast(self.add("ReduceSum", whole, axes, keepdims=0), np.float32)
        total = self.add("Mul", self.add("Add", total, self._single(2)), self._single(0.25))
        return self.nodes.cast(total, np.uint8)

    def _cut_areas(self, old: str, new: str, in_blocks: str) -> _TapTensors:
        """Divide a side into equal parts, weighted by 1 if `in_blocks`, else by pixels' shares."""
        add, zero, one = self.add, self._double(0), self._double(1)
        scale = self._divide(old, new)
        start = add("Mul", self._count_to(new), scale)
        end = add("Add", start, scale)
        length = add("Min", scale, add("Sub", self.nodes.cast(old, np.float64), start))
        final = self.nodes.cast(add("Sub", old, self._whole(1)), np.float64)
        last = add("Min", add("Floor", end), final)
        first = add("Min", add("Ceil", start), last)
        n_taps = add("Add", self.nodes.cast(add("Floor", scale), np.int64), self._whole(2))
        taps = add("Sub", self.nodes.cast(self._count_to(n_taps), np.float64), one)
        places = add("Add", add("Unsqueeze", taps, self.nodes.constant([1], np.int64)), first)
        before, behind = add("Sub", first, start), add("Sub", end, last)
        parts = [
            add("Where", add("Greater", part, self._double(SMALLEST_PART)), part, zero)
            for part in (before, behind)
        ]
        parts[1] = add("Min", parts[1], one, length)
        weights = add("Where", add("Equal", places, last), parts[1], zero)
        weights = add("Where", add("Less", places, last), one, weights)
        weights = add("Where", add("Less", places, first), parts[0], weights)
        weights = add("Where", in_blocks, add("Sign", weights), add("Div", weights, length))
        return self._make_taps(places, weights, final)

    def _find_neighbours(self, old: str, new: str, *, clip: bool) -> _TapTensors:
        """Find the two pixels that each new one lies between: see `resizing._find_neighbours`."""
        add, half = self.add, self._double(0.5)
        exact = add("Mul", add("Add", self._count_to(new), half), self._divide(old, new))
        exact = self.nodes.cast(add("Sub", exact, half), np.float32)
        first = add("Floor", exact)
        share = add("Sub", exact, first)
        final = self.nodes.cast(add("Sub", old, self._whole(1)), np.float32)
        if clip:
            beyond = add("GreaterOrEqual", first, final)
            beyond = add("Or", beyond, add("Less", first, self._single(0)))
            share = add("Where", beyond, self._single(0), share)
            first = add("Max", add("Min", first, final), self._single(0))
        places = self._stack(first, add("Add", first, self._single(1)))
        weights = self._stack(add("Sub", self._single(1), share), share)
        weights = add("Round", add("Mul", weights, self._single(LINEAR_UNIT)))
        return self._make_taps(places, weights, final)

    def _make_taps(self, places: str, weights: str, final: str) -> _TapTensors:
        """Clip positions to a side; those outside of it have the weight 0."""
        places = self.add(
            "Min", self.nodes.cast(places, np.int64), self.nodes.cast(final, np.int64)
        )
        places = self.add("Max", places, self._whole(0))
        weights = self.add("Unsqueeze", weights, self.nodes.constant([2], np.int64))
        return _TapTensors(places, self.nodes.cast(weights, np.float32))

    def _sum_taps(self, values: str, taps: _TapTensors) -> str:
        """Return weighted sums of the rows of (m, old, k): (m, new, k)."""
        rows = self.add("Gather", values, taps.places, axis=1)
        one = self.nodes.constant(1, np.int64)
        sums = self.add("CumSum", self.add("Mul", rows, taps.weights), one)
        return self.add("Gather", sums, self._whole(-1), axis=1)

    def _measure(self, images: str) -> tuple[str, str]:
        shape = self.add("Shape", images)
        rows, columns = (self.add("Gather", shape, self._whole(axis), axis=0) for axis in (1, 2))
        return rows, columns

    def _count_to(self, end: str) -> str:
        counted = self.add("Range", self._whole(0), end, self._whole(1))
        return self.nodes.cast(counted, np.float64)

    def _divide(self, a: str, b: str) -> str:
        return self.add("Div", self.nodes.cast(a, np.float64), self.nodes.cast(b, np.float64))

    def _round_up_to_one(self, side: str, scale: str) -> str:
        """Return ``max(1, round(side * scale))``."""
        product = self.add("Mul", self.nodes.cast(side, np.float64), scale)
        rounded = self.nodes.cast(self.add("Round", product), np.int64)
        return self.add("Max", rounded, self._whole(1))

    def _halve(self, length: str) -> str:
        return self.add("Div", length, self._whole(2))

    def _as_row(self, scalar: str) -> str:
        return self.nodes.reshape(scalar, 1)

    def _stack(self, *rows: str) -> str:
        axes = self.nodes.constant([0], np.int64)
        return self.add("Concat", *(self.add("Unsqueeze", row, axes) for row in rows), axis=0)

    def _swap_sides(self, images: str) -> str:
        return self.add("Transpose", images, perm=[0, 2, 1])

    def _whole(self, value: int) -> str:
        return self.nodes.constant(value, np.int64)

    def _single(self, value: float) -> str:
        return self.nodes.constant(value, np.float32)

    def _double(self, value: float) -> str:
        return self.nodes.constant(value, np.float64)
