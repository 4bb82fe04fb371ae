"""Kernels for colour histograms and moments, compiled by numba; they release the GIL.

Pixels are converted as by ``skimage.color.rgb2hsv`` and ``rgb2lab``. The two power functions of Lab
are interpolated linearly in tables, with errors below 1e-4 of a unit of L.
"""

import functools
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# A value counts as on the edge of a bin if it is below the edge by less than this fraction of a
# bin: more than the rounding errors of floating-point copies of 8-bit images.
TIE = 1e-4

RGB, HSV, LAB = 0, 1, 2

# A multiple of 255, so that the table has an entry for each 8-bit value.
_LINEAR_STEPS = 255 * 16
_ROOT_STEPS = 1 << 14
# Slightly above white, since rows of the matrix below sum to slightly more than 1.
_ROOT_END = 1.001

_OPTIONS: Any = {"nogil": True, "cache": True, "error_model": "numpy"}


@functools.cache
def lab_tables() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the tables and the matrix for the conversion of sRGB to Lab (D65, 2 degrees).

    Returns
    -------
    linear : ndarray of shape (4082,), dtype float32
        Linear values for sRGB values in [0, 1].
    xyz : ndarray of shape (3, 3), dtype float32
        Matrix from linear RGB to X, Y and Z, each relative to white.
    root : ndarray of shape (16386,), dtype float32
        Lab's cube root, linear near zero, for relative X, Y and Z in [0, 1.001].
    """
    srgb = np.arange(_LINEAR_STEPS + 2) / _LINEAR_STEPS
    linear = np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
    matrix = np.array(
        [
            [0.412453, 0.357580, 0.180423],
            [0.212671, 0.715160, 0.072169],
            [0.019334, 0.119193, 0.950227],
        ]
    )
    white = np.array([[0.95047], [1.0], [1.08883]])
    share = np.arange(_ROOT_STEPS + 2) * (_ROOT_END / _ROOT_STEPS)
    root = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return linear.astype(np.float32), (matrix / white).astype(np.float32), root.astype(np.float32)


@njit(**_OPTIONS)
def color_histograms(images, space, tables, lows, scales, bins, joint, grid, out):
    """Fill `out` with the fraction of pixels in each bin of each cell.

    Parameters
    ----------
    images : ndarray of shape (n, h, w, c), c in {1, 3}
        uint8, or floating point in [0, 1].
    space : int
        RGB, HSV or LAB.
    tables : tuple of ndarrays
        From `lab_tables`.
    lows, scales : ndarrays of shape (3,), dtype float32
        A channel's value v falls into bin ``(v - low) * scale``.
    bins : ndarray of shape (3,), dtype int64
        Number of bins of each channel.
    joint : bool
        Whether to compute one histogram of bins[0] * bins[1] * bins[2] bins, instead of three.
    grid : int
    out : ndarray of shape (n, d), dtype float32
    """
    n, h, w, _ = images.shape
    length = out.shape[1] // (grid * grid)
    values = np.empty((3, w), np.float32)
    places = np.empty((3, w), np.int32)
    counts = np.empty((3, grid, length), np.int32)
    starts = (0, bins[0], bins[0] + bins[1])
    for i in range(n):
        for gy in range(grid):
            top, bottom = gy * h // grid, (gy + 1) * h // grid
            counts[:] = 0
            for y in range(top, bottom):
                _convert_row(images[i, y], space, tables, values)
                for k in range(3):
                    circular = space == HSV and k == 0
                    start = 0 if joint else starts[k]
                    _bin_row(values[k], lows[k], scales[k], bins[k], circular, start, places[k])
                if joint:
                    for x in range(np.uintp(w)):
                        places[0, x] = (places[0, x] * bins[1] + places[1, x]) * bins[2] + places[
                            2, x
                        ]
                for gx in range(grid):
                    left, right = np.uintp(gx * w // grid), np.uintp((gx + 1) * w // grid)
                    # Each channel has separate counts, so that no increment waits for another.
                    for x in range(left, right):
                        counts[0, gx, places[0, x]] += 1
                        if not joint:
                            counts[1, gx, places[1, x]] += 1
                            counts[2, gx, places[2, x]] += 1
            for gx in range(grid):
                area = np.float32((bottom - top) * ((gx + 1) * w // grid - gx * w // grid))
                first = (gy * grid + gx) * length
                for k in range(length):
                    total = counts[0, gx, k] + counts[1, gx, k] + counts[2, gx, k]
                    out[i, first + k] = np.float32(total) / area


@njit(**_OPTIONS)
def _bin_row(values, low, scale, n_bins, circular, start, places):
    """Compute the bins of values; the range of hue is circular."""
    count = np.int32(n_bins)
    beyond = np.int32(0) if circular else np.int32(n_bins - 1)
    first = np.int32(start)
    none = np.int32(0)
    for x in range(np.uintp(values.shape[0])):
        # Truncation equals rounding down, since values are below zero only by rounding errors.
        place = np.int32((values[x] - low) * scale + np.float32(TIE))
        places[x] = first + (max(place, none) if place < count else beyond)


@njit(**_OPTIONS)
def color_moments(images, space, tables, grid, out):
    """Fill `out`, of shape (n, grid * grid * 9), with mean, deviation and skewness of channels.

    Parameters
    ----------
    images, space, tables, grid
        As for `color_histograms`.
    out : ndarray of shape (n, grid * grid * 9), dtype float32
    """
    n, h, w, _ = images.shape
    values = np.empty((h, 3, w), np.float32)
    for i in range(n):
        for y in range(h):
            _convert_row(images[i, y], space, tables, values[y])
        for gy in range(grid):
            top, bottom = gy * h // grid, (gy + 1) * h // grid
            for gx in range(grid):
                left, right = gx * w // grid, (gx + 1) * w // grid
                for k in range(3):
                    first = ((gy * grid + gx) * 3 + k) * 3
                    _write_moments(values[top:bottom, k, left:right], out[i, first : first + 3])


@njit(**_OPTIONS)
def _write_moments(values, out):
    total = 0.0
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            total += values[y, x]
    mean = total / values.size
    squares, cubes = 0.0, 0.0
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            excess = values[y, x] - mean
            squares += excess * excess
            cubes += excess * excess * excess
    out[0] = mean
    out[1] = np.sqrt(squares / values.size)
    out[2] = np.cbrt(cubes / values.size)


@njit(**_OPTIONS)
def _convert_row(row, space, tables, values):
    """Convert pixels, of shape (w, c), to three channels of float32, of shape (3, w)."""
    unit = np.float32(1 / 255) if row.itemsize == 1 else np.float32(1)
    w, c = np.uintp(row.shape[0]), np.uintp(row.shape[1])
    pixels = row.reshape(-1)
    second, third = (np.uintp(1), np.uintp(2)) if c == 3 else (np.uintp(0), np.uintp(0))
    for x in range(w):
        values[0, x] = np.float32(pixels[x * c]) * unit
        values[1, x] = np.float32(pixels[x * c + second]) * unit
        values[2, x] = np.float32(pixels[x * c + third]) * unit
    if space == HSV:
        for x in range(w):
            values[0, x], values[1, x], values[2, x] = _to_hsv(
                values[0, x], values[1, x], values[2, x]
            )
    elif space == LAB:
        linear, xyz, root = tables
        for x in range(w):
            values[0, x], values[1, x], values[2, x] = _to_lab(
                values[0, x], values[1, x], values[2, x], linear, xyz, root
            )


@njit(inline="always", **_OPTIONS)
def _to_hsv(red, green, blue):
    value = max(red, green, blue)
    delta = value - min(red, green, blue)
    if delta == 0:
        return np.float32(0), np.float32(0), value
    if blue == value:
        sixths = np.float32(4) + (red - green) / delta
    elif green == value:
        sixths = np.float32(2) + (blue - red) / delta
    else:
        sixths = (green - blue) / delta
        if sixths < 0:
            sixths += np.float32(6)
    return sixths / np.float32(6), delta / value, value


@njit(inline="always", **_OPTIONS)
def _to_lab(red, green, blue, linear, xyz, root):
    steps = np.float32(_LINEAR_STEPS)
    red = _look_up(linear, red * steps)
    green = _look_up(linear, green * steps)
    blue = _look_up(linear, blue * steps)
    steps = np.float32(_ROOT_STEPS / _ROOT_END)
    x = _look_up(root, (xyz[0, 0] * red + xyz[0, 1] * green + xyz[0, 2] * blue) * steps)
    y = _look_up(root, (xyz[1, 0] * red + xyz[1, 1] * green + xyz[1, 2] * blue) * steps)
    z = _look_up(root, (xyz[2, 0] * red + xyz[2, 1] * green + xyz[2, 2] * blue) * steps)
    lightness = np.float32(116) * y - np.float32(16)
    return lightness, np.float32(500) * (x - y), np.float32(200) * (y - z)


@njit(inline="always", **_OPTIONS)
def _look_up(table, place):
    """Interpolate linearly in a table; values may exceed its range by rounding errors."""
    place = min(max(place, np.float32(0)), np.float32(table.shape[0] - 2))
    k = np.uintp(place)
    return table[k] + (place - np.float32(k)) * (table[k + np.uintp(1)] - table[k])
