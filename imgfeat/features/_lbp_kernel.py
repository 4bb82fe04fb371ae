"""The LBP kernel: codes a row of pixels at a time, compiled by numba, without the GIL.

Two ideas make it fast. A row's neighbours are compared in branch-free loops over the row, one
neighbour after another, which the compiler turns into vector instructions. And the commonest
setting, eight neighbours at radius 1 of an 8-bit image, runs on 16-bit integers: see `_near_codes`.
"""

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.typing import NDArray

# A neighbour that is darker than the centre by less than this counts as equal to it.
TIE = 1e-9

# Contrast above 1 falls into one bin an octave; 8-bit variance stays below 2 ** 14.
VARIANCE_BINS = 15

# Successive pixels are counted in turn here, so that no count waits for the one before.
LANES = 4

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "arcp"},
}


def neighbour_table(n_points: int, radius: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the pixels around each neighbour and their bilinear weights.

    Neighbours go counter-clockwise from the right; positions are rounded to five digits, as
    scikit-image rounds them.

    Returns
    -------
    corners : ndarray of shape (n_points, 4)
        Row above, row below, column left, column right, relative to the centre.
    weights : ndarray of shape (n_points, 4)
        Of above left, above right, below left, below right.
    """
    angles = 2 * np.pi * np.arange(n_points) / n_points
    rows = np.round(-radius * np.sin(angles), 5)
    cols = np.round(radius * np.cos(angles), 5)
    above, left = np.floor(rows), np.floor(cols)
    down, across = rows - above, cols - left
    corners = np.stack([above, np.ceil(rows), left, np.ceil(cols)], axis=1).astype(np.int64)
    weights = np.stack(
        [
            (1 - down) * (1 - across),
            (1 - down) * across,
            down * (1 - across),
            down * across,
        ],
        axis=1,
    )
    return corners, weights


@njit(**_OPTIONS)
def lbp_histograms(images, rows, corners, weights, table, grid, out):
    """Fill `out`, of shape (n, grid * grid * bins), with the share of each label in each cell.

    Parameters
    ----------
    images : ndarray of shape (n, h, w)
    rows : ndarray of shape (2 * reach + 1, w + 2 * reach), zeros
        Holds the rows around the current one. Its dtype chooses the arithmetic: int16 for eight
        points at radius 1 of uint8 images, float64 for all else.
    corners, weights : ndarrays
        From `neighbour_table`.
    table : ndarray of shape (2 ** n_points,)
        The label of each code.
    grid : int
    out : ndarray of shape (n, d), dtype float32
    """
    n, h, w = images.shape
    bins = out.shape[1] // (grid * grid)
    # Few enough codes are counted as they are, and only the counts are labelled.
    late = table.shape[0] <= 256
    counts = np.zeros((grid, LANES, table.shape[0] if late else bins), np.uint32)
    codes = np.empty(w, np.uint32)
    for i in range(n):
        _start_rows(images[i], rows)
        for gy in range(grid):
            top, bottom = gy * h // grid, (gy + 1) * h // grid
            counts[:] = 0
            for row in range(top, bottom):
                _push_row(images[i], row, rows)
                _code_row(rows, row, corners, weights, codes)
                if not late:
                    for x in range(w):
                        codes[x] = table[codes[x]]
                _count_row(codes, counts)
            for gx in range(grid):
                area = (bottom - top) * ((gx + 1) * w // grid - gx * w // grid)
                first = (gy * grid + gx) * bins
                for k in range(bins):
                    out[i, first + k] = 0
                for code in range(counts.shape[2]):
                    total = np.uint32(0)
                    for lane in range(LANES):
                        total += counts[gx, lane, code]
                    label = table[code] if late else code
                    out[i, first + label] += np.float32(total)
                for k in range(bins):
                    out[i, first + k] = out[i, first + k] / np.float32(area)


@njit(**_OPTIONS)
def lbp_codes(image, rows, corners, weights):
    """Return the code of every pixel of `image`, of shape (h, w), as uint32."""
    codes = np.empty(image.shape, np.uint32)
    _start_rows(image, rows)
    for row in range(image.shape[0]):
        _push_row(image, row, rows)
        _code_row(rows, row, corners, weights, codes[row])
    return codes


@njit(**_OPTIONS)
def variance_histograms(images, rows, corners, weights, scale, grid, out):
    """Fill `out` with the share of each octave of contrast (`scale` times variance) in each cell."""
    n, h, w = images.shape
    variance = np.empty(w, np.float64)
    for i in range(n):
        _start_rows(images[i], rows)
        for k in range(out.shape[1]):
            out[i, k] = 0
        for gy in range(grid):
            for row in range(gy * h // grid, (gy + 1) * h // grid):
                _push_row(images[i], row, rows)
                _variance_row(rows, row, corners, weights, variance)
                for gx in range(grid):
                    first = (gy * grid + gx) * VARIANCE_BINS
                    for x in range(gx * w // grid, (gx + 1) * w // grid):
                        contrast = variance[x] * scale
                        octave = 0 if contrast < 1 else 1 + int(math.log2(contrast))
                        out[i, first + min(octave, VARIANCE_BINS - 1)] += np.float32(1)
        for gy in range(grid):
            for gx in range(grid):
                rows_in_cell = (gy + 1) * h // grid - gy * h // grid
                area = rows_in_cell * ((gx + 1) * w // grid - gx * w // grid)
                first = (gy * grid + gx) * VARIANCE_BINS
                for k in range(VARIANCE_BINS):
                    out[i, first + k] = out[i, first + k] / np.float32(area)


@njit(**_OPTIONS)
def variance_map(image, rows, corners, weights):
    """Return the variance of every pixel's neighbours, of shape (h, w)."""
    variance = np.empty(image.shape, np.float64)
    _start_rows(image, rows)
    for row in range(image.shape[0]):
        _push_row(image, row, rows)
        _variance_row(rows, row, corners, weights, variance[row])
    return variance


@njit(**_OPTIONS)
def _start_rows(image, rows):
    """Load what must be there before row 0 is pushed; outside the image all is zero."""
    rows[:] = 0
    for row in range(-(rows.shape[0] // 2), 0):
        _push_row(image, row, rows)


@njit(**_OPTIONS)
def _push_row(image, row, rows):
    """Load the lowest row that row `row` needs, in the place of one it no longer needs."""
    reach = rows.shape[0] // 2
    new = row + reach
    slot = new % rows.shape[0]
    if new < image.shape[0]:
        for x in range(image.shape[1]):
            rows[slot, x + reach] = image[new, x]
    else:
        for x in range(image.shape[1]):
            rows[slot, x + reach] = 0


def _code_row(rows, row, corners, weights, codes):
    """Set bit p of codes[x] where neighbour p of pixel x is not darker (numba alone runs this)."""
    raise NotImplementedError


@overload(_code_row, jit_options=_OPTIONS)
def _choose_code_row(rows, row, corners, weights, codes):
    return _near_codes if rows.dtype == types.int16 else _any_codes


def _any_codes(rows, row, corners, weights, codes):
    depth = rows.shape[0]
    reach = np.uintp(depth // 2)
    centre = np.uintp(row % depth)
    width = np.uintp(codes.shape[0])
    for x in range(width):
        codes[x] = 0
    for p in range(corners.shape[0]):
        # Unsigned: a signed index might count from the end, and asking costs the vector loop.
        above = np.uintp((row + corners[p, 0]) % depth)
        below = np.uintp((row + corners[p, 1]) % depth)
        left = np.uintp(depth // 2 + corners[p, 2])
        right = np.uintp(depth // 2 + corners[p, 3])
        w0, w1, w2, w3 = weights[p, 0], weights[p, 1], weights[p, 2], weights[p, 3]
        bit = np.uint32(1) << np.uint32(p)
        for x in range(width):
            excess = (
                w0 * rows[above, x + left]
                + w1 * rows[above, x + right]
                + w2 * rows[below, x + left]
                + w3 * rows[below, x + right]
                - rows[centre, x + reach]
            )
            codes[x] |= bit if excess > -TIE else np.uint32(0)


def _near_codes(rows, row, corners, weights, codes):
    """Eight points at radius 1, in 16-bit integers.

    A diagonal neighbour lies between the centre (whose difference to itself is zero), two
    neighbours on the axes and the corner: it is not darker where 0.2071... * sides +
    0.5000... * corner >= 0. `_not_darker` has the same sign for every pair of 8-bit differences
    (a test tries them all).
    """
    above, centre, below = np.uintp((row + 2) % 3), np.uintp(row % 3), np.uintp((row + 1) % 3)
    one, two = np.uintp(1), np.uintp(2)
    for x in range(np.uintp(codes.shape[0])):
        c = rows[centre, x + one]
        east, west = np.int16(rows[centre, x + two] - c), np.int16(rows[centre, x] - c)
        north, south = np.int16(rows[above, x + one] - c), np.int16(rows[below, x + one] - c)
        north_east, north_west = np.int16(rows[above, x + two] - c), np.int16(rows[above, x] - c)
        south_east, south_west = np.int16(rows[below, x + two] - c), np.int16(rows[below, x] - c)
        none = np.int16(0)
        code = np.int16(1) if east >= 0 else none
        code |= np.int16(2) if _not_darker(east, north, north_east) else none
        code |= np.int16(4) if north >= 0 else none
        code |= np.int16(8) if _not_darker(west, north, north_west) else none
        code |= np.int16(16) if west >= 0 else none
        code |= np.int16(32) if _not_darker(west, south, south_west) else none
        code |= np.int16(64) if south >= 0 else none
        code |= np.int16(128) if _not_darker(east, south, south_east) else none
        codes[x] = np.uint8(code)


@njit(inline="always", **_OPTIONS)
def _not_darker(side, other_side, corner):
    sides = np.int16(np.int16(5) * np.int16(side + other_side))
    rest = np.int16(np.int16(np.int16(73) * corner) >> np.int16(10))
    return np.int16(sides + np.int16(np.int16(12) * corner) + rest) >= 0


@njit(**_OPTIONS)
def _count_row(codes, counts):
    """Add one row's codes to the counts of its cells."""
    w = codes.shape[0]
    grid = counts.shape[0]
    for gx in range(grid):
        x, end = gx * w // grid, (gx + 1) * w // grid
        while x + LANES <= end:
            counts[gx, 0, codes[x]] += 1
            counts[gx, 1, codes[x + 1]] += 1
            counts[gx, 2, codes[x + 2]] += 1
            counts[gx, 3, codes[x + 3]] += 1
            x += LANES
        while x < end:
            counts[gx, 0, codes[x]] += 1
            x += 1


@njit(**_OPTIONS)
def _variance_row(rows, row, corners, weights, variance):
    """Variance (not corrected for bias) of each pixel's neighbours, by differences to the pixel."""
    depth = rows.shape[0]
    reach = depth // 2
    n_points = corners.shape[0]
    for x in range(variance.shape[0]):
        total = 0.0
        squares = 0.0
        c = rows[row % depth, x + reach]
        for p in range(n_points):
            above, below = (row + corners[p, 0]) % depth, (row + corners[p, 1]) % depth
            left, right = x + reach + corners[p, 2], x + reach + corners[p, 3]
            value = weights[p, 0] * (rows[above, left] - c) + weights[p, 1] * (
                rows[above, right] - c
            )
            value += weights[p, 2] * (rows[below, left] - c)
            value += weights[p, 3] * (rows[below, right] - c)
            total += value
            squares += value * value
        variance[x] = max(squares - total * total / n_points, 0.0) / n_points
