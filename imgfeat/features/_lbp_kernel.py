"""The LBP kernel, one pass per strip of rows, compiled by numba; it releases the GIL.

Two optimisations make it fast. A few rows at a time are compared with one neighbour after another,
in loops without branches, which the compiler vectorises. And the most common setting, eight
neighbours at radius 1 of an 8-bit image, uses 16-bit integers: see `_near_codes`.
"""

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.typing import NDArray

# A neighbour that is darker than the centre by less than this counts as equal to it.
TIE = 1e-9

# One bin for contrast below 1, and one per octave above; 8-bit variance is below 2 ** 14.
VARIANCE_BINS = 15

# Rows coded at a time: enough that starting a vector loop costs little, few enough for the cache.
STRIP = 8

# Successive pixels use alternating counts, so that no increment waits for the previous one.
LANES = 4

_OPTIONS: Any = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "arcp"},
}


def neighbour_table(n_points: int, radius: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the pixels around each neighbour and the weights for interpolation between them.

    Bits are numbered counter-clockwise from the right; positions are rounded to five digits, as in
    scikit-image. Neighbours of the same height are listed together.

    Returns
    -------
    points : ndarray of shape (n_points, 5)
        Row above, row below, column left, column right, relative to the centre, and the bit.
    shares : ndarray of shape (n_points, 2)
        Fractional position down and across between these pixels, in [0, 1).
    """
    angles = 2 * np.pi * np.arange(n_points) / n_points
    rows = np.round(-radius * np.sin(angles), 5)
    cols = np.round(radius * np.cos(angles), 5)
    above, left = np.floor(rows), np.floor(cols)
    points = np.stack([above, np.ceil(rows), left, np.ceil(cols), np.arange(n_points)], axis=1)
    shares = np.stack([rows - above, cols - left], axis=1)
    order = np.argsort(rows, kind="stable")
    return points[order].astype(np.int64), shares[order]


def working_rows(width: int, radius: float, *, near: bool) -> NDArray[Any]:
    """Return a buffer of zeros for one padded strip of an image.

    int16 for eight points at radius 1 of uint8 images (`near`), float64 for all else.
    """
    reach = math.ceil(radius)
    return np.zeros((STRIP + 2 * reach, width + 2 * reach), np.int16 if near else np.float64)


@njit(**_OPTIONS)
def lbp_histograms(images, rows, points, shares, table, grid, out):
    """Fill `out`, of shape (n, grid * grid * bins), with the fraction of each label in each cell.

    Parameters
    ----------
    images : ndarray of shape (n, h, w)
    rows : ndarray
        From `working_rows`. Its dtype chooses the arithmetic.
    points, shares : ndarrays
        From `neighbour_table`.
    table : ndarray of shape (2 ** n_points,)
        The label of each code.
    grid : int
    out : ndarray of shape (n, d), dtype float32
    """
    n, h, w = images.shape
    bins = out.shape[1] // (grid * grid)
    # If there are few codes, codes are counted, and the counts are mapped to labels.
    late = table.shape[0] <= 256
    counts = np.zeros((grid, LANES, table.shape[0] if late else bins), np.uint32)
    codes = _allocate_codes(rows)
    for i in range(n):
        for gy in range(grid):
            top, bottom = gy * h // grid, (gy + 1) * h // grid
            counts[:] = 0
            for start in range(top, bottom, STRIP):
                n_rows = min(STRIP, bottom - start)
                _load_strip(images[i], start, n_rows, rows)
                _code_strip(rows, n_rows, points, shares, codes)
                for row in range(n_rows):
                    if not late:
                        for x in range(w):
                            codes[row, x] = table[codes[row, x]]
                    _count_row(codes[row], w, counts)
            cells = out[i, gy * grid * bins : (gy + 1) * grid * bins].reshape(grid, bins)
            _write_shares(counts, table, late, bottom - top, w, cells)


@njit(**_OPTIONS)
def _write_shares(counts, table, late, n_rows, w, cells):
    """Convert the counts of one row of cells to fractions of the cells' pixels."""
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
    h, w = image.shape
    result = np.empty((h, w), np.uint32)
    codes = _allocate_codes(rows)
    for start in range(0, h, STRIP):
        n_rows = min(STRIP, h - start)
        _load_strip(image, start, n_rows, rows)
        _code_strip(rows, n_rows, points, shares, codes)
        result[start : start + n_rows] = codes[:n_rows, :w]
    return result


@njit(**_OPTIONS)
def variance_histograms(images, rows, points, shares, scale, grid, out):
    """Fill `out` with the fraction of each octave of contrast (scale * variance) in each cell."""
    n, h, w = images.shape
    total = np.empty((STRIP, rows.shape[1]), np.float64)
    variance = np.empty((STRIP, rows.shape[1]), np.float64)
    octaves = np.empty(w, np.uint64)
    counts = np.zeros((grid, LANES, VARIANCE_BINS), np.uint32)
    unused = np.empty(0, np.uint32)
    for i in range(n):
        for gy in range(grid):
            top, bottom = gy * h // grid, (gy + 1) * h // grid
            counts[:] = 0
            for start in range(top, bottom, STRIP):
                n_rows = min(STRIP, bottom - start)
                _load_strip(images[i], start, n_rows, rows)
                _variance_strip(rows, n_rows, points, shares, total, variance)
                for row in range(n_rows):
                    _octave_row(variance[row], scale, octaves)
                    _count_row(octaves, w, counts)
            first, last = gy * grid * VARIANCE_BINS, (gy + 1) * grid * VARIANCE_BINS
            cells = out[i, first:last].reshape(grid, VARIANCE_BINS)
            _write_shares(counts, unused, False, bottom - top, w, cells)


@njit(**_OPTIONS)
def variance_map(image, rows, points, shares):
    """Return the variance of every pixel's neighbours, of shape (h, w)."""
    h, w = image.shape
    result = np.empty((h, w), np.float64)
    total = np.empty((STRIP, rows.shape[1]), np.float64)
    variance = np.empty((STRIP, rows.shape[1]), np.float64)
    for start in range(0, h, STRIP):
        n_rows = min(STRIP, h - start)
        _load_strip(image, start, n_rows, rows)
        _variance_strip(rows, n_rows, points, shares, total, variance)
        result[start : start + n_rows] = variance[:n_rows, :w]
    return result


@njit(**_OPTIONS)
def _load_strip(image, start, n_rows, rows):
    """Load the rows that a strip needs, padded with zeros outside the image."""
    h, w = image.shape
    reach = (rows.shape[0] - STRIP) // 2
    for slot in range(n_rows + 2 * reach):
        row = start - reach + slot
        if 0 <= row < h:
            for x in range(np.uintp(w)):
                rows[slot, x + np.uintp(reach)] = image[row, x]
        else:
            rows[slot] = 0


def _allocate_codes(rows):
    """Allocate the codes of one strip; overloaded in compiled code."""
    raise NotImplementedError


@overload(_allocate_codes, jit_options=_OPTIONS)
def _choose_codes(rows):
    # The width of the compared values, since that vectorises best.
    narrow = rows.dtype == types.int16
    return _narrow_codes if narrow else _wide_codes


def _narrow_codes(rows):
    return np.empty((STRIP, rows.shape[1]), np.uint8)


def _wide_codes(rows):
    return np.empty((STRIP, rows.shape[1]), np.uint64)


def _code_strip(rows, n_rows, points, shares, codes):
    """Set bit p of a pixel's code where its neighbour p is not darker; overloaded in compiled code.

    One loop covers all rows of the strip; the values it computes between rows are not used.
    """
    raise NotImplementedError


@overload(_code_strip, jit_options=_OPTIONS)
def _choose_code_strip(rows, n_rows, points, shares, codes):
    return _near_codes if rows.dtype == types.int16 else _any_codes


def _any_codes(rows, n_rows, points, shares, codes):
    # Unsigned, since the check for negative indices would prevent vectorisation.
    stride = np.uintp(rows.shape[1])
    reach = (rows.shape[0] - STRIP) // 2
    centre = np.uintp(reach) * stride + np.uintp(reach)
    length = np.uintp(n_rows) * stride - np.uintp(2 * reach)
    flat, bits = rows.reshape(-1), codes.reshape(-1)
    blend = np.empty(np.uintp(n_rows) * stride, rows.dtype)
    none = np.uint64(0)
    source, base = flat, np.uintp(0)
    bits[:] = 0
    for i in range(points.shape[0]):
        if i == 0 or points[i, 0] != points[i - 1, 0] or shares[i, 0] != shares[i - 1, 0]:
            above, below = np.uintp(reach + points[i, 0]), np.uintp(reach + points[i, 1])
            if shares[i, 0] == 0:
                source, base = flat, above * stride
            else:
                _blend(flat, above * stride, below * stride, shares[i, 0], blend)
                source, base = blend, np.uintp(0)
        left, right = base + np.uintp(reach + points[i, 2]), base + np.uintp(reach + points[i, 3])
        across = shares[i, 1]
        stay = 1 - across
        bit = np.uint64(1) << np.uint64(points[i, 4])
        if across == 0:
            for x in range(length):
                bits[x] |= bit if source[x + left] - flat[x + centre] > -TIE else none
        else:
            for x in range(length):
                excess = stay * source[x + left] - flat[x + centre] + across * source[x + right]
                bits[x] |= bit if excess > -TIE else none


@njit(inline="always", **_OPTIONS)
def _blend(flat, above, below, down, blend):
    """Interpolate the rows that lie `down` of the way from some rows to the next ones."""
    stay = 1 - down
    for x in range(np.uintp(blend.shape[0])):
        blend[x] = stay * flat[x + above] + down * flat[x + below]


def _near_codes(rows, n_rows, points, shares, codes):
    """Eight points at radius 1, in 16-bit integers.

    A diagonal neighbour lies between the centre (whose difference to itself is zero), two
    neighbours on the axes and the corner: it is not darker where 0.2071... * sides +
    0.5000... * corner >= 0. `_weigh` has the same sign for every pair of 8-bit differences
    (a test tries them all).
    """
    stride = np.uintp(rows.shape[1])
    one, two = np.uintp(1), np.uintp(2)
    middle, lower = stride, stride + stride
    flat, bits = rows.reshape(-1), codes.reshape(-1)
    none = np.int16(0)
    for x in range(np.uintp(n_rows) * stride - two):
        c = flat[x + middle + one]
        east, west = np.int16(flat[x + middle + two] - c), np.int16(flat[x + middle] - c)
        north, south = np.int16(flat[x + one] - c), np.int16(flat[x + lower + one] - c)
        north_east, north_west = np.int16(flat[x + two] - c), np.int16(flat[x] - c)
        south_east, south_west = np.int16(flat[x + lower + two] - c), np.int16(flat[x + lower] - c)
        code = np.int16(1) if east >= 0 else none
        code |= np.int16(2) if _weigh(east, north, north_east) >= 0 else none
        code |= np.int16(4) if north >= 0 else none
        code |= np.int16(8) if _weigh(west, north, north_west) >= 0 else none
        code |= np.int16(16) if west >= 0 else none
        code |= np.int16(32) if _weigh(west, south, south_west) >= 0 else none
        code |= np.int16(64) if south >= 0 else none
        code |= np.int16(128) if _weigh(east, south, south_east) >= 0 else none
        bits[x] = np.uint8(code)


@njit(inline="always", **_OPTIONS)
def _weigh(side, other_side, corner):
    sides = np.int16(np.int16(5) * np.int16(side + other_side))
    rest = np.int16(np.int16(np.int16(73) * corner) >> np.int16(10))
    return np.int16(sides + np.int16(np.int16(12) * corner) + rest)


@njit(**_OPTIONS)
def _count_row(codes, w, counts):
    """Add one row's codes, the first w of `codes`, to the counts of its cells."""
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
def _variance_strip(rows, n_rows, points, shares, total, variance):
    """Variance (not corrected for bias) of each pixel's neighbours, by differences to the pixel."""
    stride = np.uintp(rows.shape[1])
    reach = (rows.shape[0] - STRIP) // 2
    centre = np.uintp(reach) * stride + np.uintp(reach)
    length = np.uintp(n_rows) * stride - np.uintp(2 * reach)
    flat, sums, squares = rows.reshape(-1), total.reshape(-1), variance.reshape(-1)
    sums[:] = 0
    squares[:] = 0
    for i in range(points.shape[0]):
        above = np.uintp(reach + points[i, 0]) * stride
        below = np.uintp(reach + points[i, 1]) * stride
        left, right = np.uintp(reach + points[i, 2]), np.uintp(reach + points[i, 3])
        down, across = shares[i, 0], shares[i, 1]
        w0, w1 = (1 - down) * (1 - across), (1 - down) * across
        w2, w3 = down * (1 - across), down * across
        for x in range(length):
            c = flat[x + centre]
            value = w0 * (flat[x + above + left] - c)
            value += w1 * (flat[x + above + right] - c)
            value += w2 * (flat[x + below + left] - c)
            value += w3 * (flat[x + below + right] - c)
            sums[x] += value
            squares[x] += value * value
    share = 1.0 / points.shape[0]
    for x in range(length):
        squares[x] = max(squares[x] - sums[x] * sums[x] * share, 0.0) * share


@njit(**_OPTIONS)
def _octave_row(variance, scale, octaves):
    """Compute octaves of contrast: 0 below 1, plus 1 for each power of two reached."""
    octaves[:] = 0
    for k in range(VARIANCE_BINS - 1):
        limit = 2.0**k / scale
        for x in range(np.uintp(octaves.shape[0])):
            octaves[x] += np.uint64(variance[x] >= limit)
