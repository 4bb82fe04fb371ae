"""The LBP kernel: codes a row of pixels at a time, compiled by numba, without the GIL.

Two ideas make it fast. A row's neighbours are compared in branch-free loops over the row, one
neighbour after another, which the compiler turns into vector instructions. And the commonest
setting, eight neighbours at radius 1 of an 8-bit image, runs on 16-bit integers: see `_near_codes`.
"""

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

_OPTIONS: Any = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "arcp"},
}


def neighbour_table(n_points: int, radius: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return where each neighbour lies between pixels.

    Neighbours go counter-clockwise from the right; positions are rounded to five digits, as
    scikit-image rounds them. Those of one height stand together.

    Returns
    -------
    points : ndarray of shape (n_points, 5)
        Row above, row below, column left, column right, relative to the centre, and the bit.
    shares : ndarray of shape (n_points, 2)
        How far down and how far across it lies between them, in [0, 1).
    """
    angles = 2 * np.pi * np.arange(n_points) / n_points
    rows = np.round(-radius * np.sin(angles), 5)
    cols = np.round(radius * np.cos(angles), 5)
    above, left = np.floor(rows), np.floor(cols)
    points = np.stack([above, np.ceil(rows), left, np.ceil(cols), np.arange(n_points)], axis=1)
    shares = np.stack([rows - above, cols - left], axis=1)
    order = np.argsort(rows, kind="stable")
    return points[order].astype(np.int64), shares[order]


@njit(**_OPTIONS)
def lbp_histograms(images, rows, points, shares, table, grid, out):
    """Fill `out`, of shape (n, grid * grid * bins), with the share of each label in each cell.

    Parameters
    ----------
    images : ndarray of shape (n, h, w)
    rows : ndarray of shape (2 * reach + 1, w + 2 * reach)
        Holds the rows around the current one. Its dtype chooses the arithmetic: int16 for eight
        points at radius 1 of uint8 images, float64 for all else.
    points, shares : ndarrays
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
    codes = _allocate_codes(rows, w)
    for i in range(n):
        _start_rows(images[i], rows)
        for gy in range(grid):
            top, bottom = gy * h // grid, (gy + 1) * h // grid
            counts[:] = 0
            for row in range(top, bottom):
                _push_row(images[i], row, rows)
                _code_row(rows, points, shares, codes)
                if not late:
                    for x in range(w):
                        codes[x] = table[codes[x]]
                _count_row(codes, counts)
            cells = out[i, gy * grid * bins : (gy + 1) * grid * bins].reshape(grid, bins)
            _write_shares(counts, table, late, bottom - top, w, cells)


@njit(**_OPTIONS)
def _write_shares(counts, table, late, n_rows, w, cells):
    """Turn the counts of one row of cells into shares of the cells' pixels."""
    grid = cells.shape[0]
    cells[:] = 0
    for gx in range(grid):
        for code in range(counts.shape[2]):
            total = np.uint32(0)
            for lane in range(LANES):
                total += counts[gx, lane, code]
            cells[gx, table[code] if late else code] += np.float32(total)
        area = np.float32(n_rows * ((gx + 1) * w // grid - gx * w // grid))
        for k in range(cells.shape[1]):
            cells[gx, k] = cells[gx, k] / area


@njit(**_OPTIONS)
def lbp_codes(image, rows, points, shares):
    """Return the code of every pixel of `image`, of shape (h, w), as uint32."""
    codes = np.empty(image.shape, np.uint32)
    line = _allocate_codes(rows, image.shape[1])
    _start_rows(image, rows)
    for row in range(image.shape[0]):
        _push_row(image, row, rows)
        _code_row(rows, points, shares, line)
        codes[row] = line
    return codes


@njit(**_OPTIONS)
def variance_histograms(images, rows, points, shares, scale, grid, out):
    """Fill `out` with the share of each octave of contrast (scale * variance) in each cell."""
    n, h, w = images.shape
    variance = np.empty(w, np.float64)
    total = np.empty(w, np.float64)
    octaves = np.empty(w, np.uint64)
    counts = np.zeros((grid, LANES, VARIANCE_BINS), np.uint32)
    unused = np.empty(0, np.uint32)
    for i in range(n):
        _start_rows(images[i], rows)
        for gy in range(grid):
            top, bottom = gy * h // grid, (gy + 1) * h // grid
            counts[:] = 0
            for row in range(top, bottom):
                _push_row(images[i], row, rows)
                _variance_row(rows, points, shares, total, variance)
                _octave_row(variance, scale, octaves)
                _count_row(octaves, counts)
            first, last = gy * grid * VARIANCE_BINS, (gy + 1) * grid * VARIANCE_BINS
            cells = out[i, first:last].reshape(grid, VARIANCE_BINS)
            _write_shares(counts, unused, False, bottom - top, w, cells)


@njit(**_OPTIONS)
def variance_map(image, rows, points, shares):
    """Return the variance of every pixel's neighbours, of shape (h, w)."""
    variance = np.empty(image.shape, np.float64)
    total = np.empty(image.shape[1], np.float64)
    _start_rows(image, rows)
    for row in range(image.shape[0]):
        _push_row(image, row, rows)
        _variance_row(rows, points, shares, total, variance[row])
    return variance


@njit(**_OPTIONS)
def _start_rows(image, rows):
    """Load what must be there before row 0 is pushed; outside the image all is zero."""
    rows[:] = 0
    for row in range(-(rows.shape[0] // 2), 0):
        _push_row(image, row, rows)


@njit(**_OPTIONS)
def _push_row(image, row, rows):
    """Move all rows up by one and load the lowest that row `row` needs."""
    last = rows.shape[0] - 1
    reach = np.uintp(rows.shape[0] // 2)
    new = row + rows.shape[0] // 2
    for k in range(last):
        for x in range(np.uintp(rows.shape[1])):
            rows[k, x] = rows[k + 1, x]
    if new < image.shape[0]:
        for x in range(np.uintp(image.shape[1])):
            rows[last, x + reach] = image[new, x]
    else:
        rows[last] = 0


def _allocate_codes(rows, width):
    """Room for one row's codes (numba alone runs this)."""
    raise NotImplementedError


@overload(_allocate_codes, jit_options=_OPTIONS)
def _choose_codes(rows, width):
    # As wide as the comparison behind each bit, as vector instructions like it.
    narrow = rows.dtype == types.int16
    return _narrow_codes if narrow else _wide_codes


def _narrow_codes(rows, width):
    return np.empty(width, np.uint8)


def _wide_codes(rows, width):
    return np.empty(width, np.uint64)


def _code_row(rows, points, shares, codes):
    """Set bit p of codes[x] where neighbour p of pixel x is not darker (numba alone runs this)."""
    raise NotImplementedError


@overload(_code_row, jit_options=_OPTIONS)
def _choose_code_row(rows, points, shares, codes):
    return _near_codes if rows.dtype == types.int16 else _any_codes


def _any_codes(rows, points, shares, codes):
    reach = np.uintp(rows.shape[0] // 2)
    width = np.uintp(codes.shape[0])
    none = np.uint64(0)
    blend = np.empty(rows.shape[1], rows.dtype)
    codes[:] = 0
    for i in range(points.shape[0]):
        if i == 0 or points[i, 0] != points[i - 1, 0] or shares[i, 0] != shares[i - 1, 0]:
            _blend_rows(rows, points[i, 0], points[i, 1], shares[i, 0], blend)
        # Unsigned: a signed index might count from the end, and asking costs the vector loop.
        left, right = reach + np.uintp(points[i, 2]), reach + np.uintp(points[i, 3])
        across = shares[i, 1]
        stay = 1 - across
        bit = np.uint64(1) << np.uint64(points[i, 4])
        if across == 0:
            for x in range(width):
                codes[x] |= bit if blend[x + left] - rows[reach, x + reach] > -TIE else none
        else:
            for x in range(width):
                excess = stay * blend[x + left] - rows[reach, x + reach]
                excess += across * blend[x + right]
                codes[x] |= bit if excess > -TIE else none


@njit(inline="always", **_OPTIONS)
def _blend_rows(rows, above, below, down, blend):
    """Interpolate the row that lies `down` of the way from one row to the next."""
    reach = np.uintp(rows.shape[0] // 2)
    upper, lower = reach + np.uintp(above), reach + np.uintp(below)
    stay = 1 - down
    for x in range(np.uintp(blend.shape[0])):
        blend[x] = stay * rows[upper, x] + down * rows[lower, x]


def _near_codes(rows, points, shares, codes):
    """Eight points at radius 1, in 16-bit integers.

    A diagonal neighbour lies between the centre (whose difference to itself is zero), two
    neighbours on the axes and the corner: it is not darker where 0.2071... * sides +
    0.5000... * corner >= 0. `_weigh` has the same sign for every pair of 8-bit differences
    (a test tries them all).
    """
    none = np.int16(0)
    for x in range(codes.shape[0]):
        c = rows[1, x + 1]
        east, west = np.int16(rows[1, x + 2] - c), np.int16(rows[1, x] - c)
        north, south = np.int16(rows[0, x + 1] - c), np.int16(rows[2, x + 1] - c)
        north_east, north_west = np.int16(rows[0, x + 2] - c), np.int16(rows[0, x] - c)
        south_east, south_west = np.int16(rows[2, x + 2] - c), np.int16(rows[2, x] - c)
        code = np.int16(1) if east >= 0 else none
        code |= np.int16(2) if _weigh(east, north, north_east) >= 0 else none
        code |= np.int16(4) if north >= 0 else none
        code |= np.int16(8) if _weigh(west, north, north_west) >= 0 else none
        code |= np.int16(16) if west >= 0 else none
        code |= np.int16(32) if _weigh(west, south, south_west) >= 0 else none
        code |= np.int16(64) if south >= 0 else none
        code |= np.int16(128) if _weigh(east, south, south_east) >= 0 else none
        codes[x] = np.uint8(code)


@njit(inline="always", **_OPTIONS)
def _weigh(side, other_side, corner):
    sides = np.int16(np.int16(5) * np.int16(side + other_side))
    rest = np.int16(np.int16(np.int16(73) * corner) >> np.int16(10))
    return np.int16(sides + np.int16(np.int16(12) * corner) + rest)


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
def _variance_row(rows, points, shares, total, variance):
    """Variance (not corrected for bias) of each pixel's neighbours, by differences to the pixel."""
    reach = np.uintp(rows.shape[0] // 2)
    n_points = points.shape[0]
    width = np.uintp(variance.shape[0])
    total[:] = 0
    variance[:] = 0
    for p in range(n_points):
        above, below = reach + np.uintp(points[p, 0]), reach + np.uintp(points[p, 1])
        left, right = reach + np.uintp(points[p, 2]), reach + np.uintp(points[p, 3])
        down, across = shares[p, 0], shares[p, 1]
        w0, w1 = (1 - down) * (1 - across), (1 - down) * across
        w2, w3 = down * (1 - across), down * across
        for x in range(width):
            c = rows[reach, x + reach]
            value = w0 * (rows[above, x + left] - c)
            value += w1 * (rows[above, x + right] - c)
            value += w2 * (rows[below, x + left] - c)
            value += w3 * (rows[below, x + right] - c)
            total[x] += value
            variance[x] += value * value
    share = 1.0 / n_points
    for x in range(width):
        spread = variance[x] - total[x] * total[x] * share
        variance[x] = max(spread, 0.0) * share


@njit(**_OPTIONS)
def _octave_row(variance, scale, octaves):
    """Number the octaves of contrast: 0 below 1, then one for each power of two passed."""
    octaves[:] = 0
    for k in range(VARIANCE_BINS - 1):
        limit = 2.0**k / scale
        for x in range(np.uintp(octaves.shape[0])):
            octaves[x] += np.uint64(variance[x] >= limit)
