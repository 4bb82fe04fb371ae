"""The HOG kernel, one pass per row of pixels, compiled by numba; it releases the GIL.

Three optimisations keep the results exact (see `edge_directions` for ties):

- no arctangent: the orientation bin is the number of bin edges that the gradient has passed, each
  decided by the sign of a cross product; mirroring the second quadrant onto the first halves them;
- loops over a row have no branches, so that the compiler vectorises them; a second loop adds the
  row to its cells, alternating between neighbouring cells, so that no addition waits for the
  previous one;
- sums of squares over blocks are computed for whole rows of cells.
"""

import functools
import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

EPS = 1e-5
CLIP = np.float32(0.2)
TIE = 1e-12
# Squared lengths within this relative difference may round to the same float32 length.
FLOAT32_TIE = 6e-7

_EXACT: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
_OPTIONS: dict[str, Any] = {**_EXACT, "fastmath": {"contract", "nsz", "reassoc", "arcp"}}


def choose_arithmetic(
    dtype: np.dtype, orientations: int
) -> tuple[int, NDArray[np.floating], NDArray[Any]]:
    """Return the arguments of the kernels for orientations and precision.

    Returns
    -------
    orientations : int
    edges : ndarray of shape (4 * k, 2)
        Bin edges as directions. Their dtype is that of the arithmetic: float32 decides every
        gradient of uint8 images exactly (a test tries them all), others take float64.
    wide : ndarray of shape (0,)
        Empty array of the dtype to which scikit-image rounds differences of pixels.
    """
    if dtype == np.uint8:
        return orientations, edge_directions(orientations, np.float32), np.empty(0, np.float32)
    return orientations, edge_directions(orientations, np.float64), np.empty(0, dtype)


@functools.lru_cache(maxsize=64)
def edge_directions(orientations: int, dtype: type) -> NDArray[np.floating]:
    """Return the bin edges in (0, 90] degrees as directions, padded to a multiple of four.

    A gradient (across a, down b; both >= 0) has passed edge k if
    ``b * edges[k, 0] >= a * edges[k, 1]``. Edges are rounded to float32 degrees first, as
    scikit-image's are, and scaled to a largest component of 1: so the only edges that a gradient
    of whole numbers can hit exactly, 45 and 90 degrees, are exact. Padding is passed by zero alone.
    """
    degrees = (180.0 / orientations * np.arange(1, orientations // 2 + 1)).astype(np.float32)
    radians = np.deg2rad(degrees.astype(np.float64))
    edges = np.column_stack([np.cos(radians), np.sin(radians)])
    edges /= np.abs(edges).max(axis=1, keepdims=True, initial=0)
    edges[degrees == 45] = (1, 1)
    edges[degrees == 90] = (0, 1)
    n_padded = max(4, -(-len(edges) // 4) * 4)
    padding = np.tile([-1.0, 1.0], (n_padded - len(edges), 1))
    return np.concatenate([edges, padding]).astype(dtype)


@njit(**_OPTIONS)
def hog_batch(
    images, channels, cell_shape, block_shape, block_norm, orientations, edges, wide, out
):
    """Fill `out`, of shape (n, d), with the descriptors of `images`, of shape (n, h, w * channels).

    `cell_shape` and `block_shape` are pairs, `block_norm` an index into
    ``("L1", "L1-sqrt", "L2", "L2-Hys")``, the rest is from `choose_arithmetic`.
    """
    n, h, w = images.shape
    n_cols = w // channels // cell_shape[1]
    cells = np.empty((h // cell_shape[0], n_cols, orientations), np.float32)
    rows = _allocate_rows(n_cols * cell_shape[1], edges)
    n_across = (n_cols - block_shape[1] + 1) * orientations
    scale = np.empty(n_across, np.float32)
    energy = np.empty(n_across, np.float32)
    for i in range(n):
        _fill_cells(images[i], channels, cell_shape, edges, wide, rows, cells)
        _normalize(cells, block_shape, block_norm, scale, energy, out[i])


@njit(**_OPTIONS)
def hog_cells(images, channels, cell_shape, orientations, edges, wide):
    """Return the histograms of the cells of the first image, before any normalisation."""
    h, w = images.shape[1:]
    n_cols = w // channels // cell_shape[1]
    cells = np.empty((h // cell_shape[0], n_cols, orientations), np.float32)
    rows = _allocate_rows(n_cols * cell_shape[1], edges)
    _fill_cells(images[0], channels, cell_shape, edges, wide, rows, cells)
    return cells


@njit(**_OPTIONS)
def _allocate_rows(length, edges):
    """Allocate buffers for a row: gradient across and down, magnitude, bins, doubtful pixels."""
    across = np.empty(length, edges.dtype)
    down = np.empty(length, edges.dtype)
    magnitude = np.empty(length, np.float32)
    return across, down, magnitude, np.empty(length, np.int32), np.empty(length, np.int32)


@njit(inline="always", **_OPTIONS)
def _fill_cells(image, channels, cell_shape, edges, wide, rows, cells):
    """Vote every pixel's gradient magnitude into its cell's orientation histogram."""
    across, down, magnitude, bins, doubtful = rows
    n_rows, n_cols, orientations = cells.shape
    cell_rows, cell_cols = cell_shape
    cells[:] = 0
    for row in range(n_rows * cell_rows):
        if channels == 1:
            _gray_gradient(image, row, wide, across, down)
        else:
            _color_gradient(image, row, wide, across, down, doubtful)
        _choose_bins(across, down, edges, np.int32(orientations - 1), bins, magnitude)
        if edges.itemsize == 8:
            _resolve_ties(across, down, edges, orientations, doubtful, bins, magnitude)
        cell_row = row // cell_rows
        for x in range(cell_cols):
            for c in range(n_cols):
                p = c * cell_cols + x
                cells[cell_row, c, bins[p]] += magnitude[p]
    share = np.float32(1.0 / (cell_rows * cell_cols))
    for r in range(n_rows):
        for c in range(n_cols):
            for k in range(orientations):
                cells[r, c, k] *= share


@njit(inline="always", **_OPTIONS)
def _gray_gradient(image, row, wide, across, down):
    """Central differences of one row; zero on the border of the image."""
    h, w = image.shape
    used = across.shape[0]
    real = across.dtype.type
    across[0] = 0
    for x in range(1, min(used, w - 1)):
        across[x] = wide.dtype.type(real(image[row, x + 1]) - real(image[row, x - 1]))
    if used == w:
        across[w - 1] = 0
    if row == 0 or row == h - 1:
        for x in range(used):
            down[x] = 0
    else:
        for x in range(used):
            down[x] = wide.dtype.type(real(image[row + 1, x]) - real(image[row - 1, x]))


@njit(**_OPTIONS)
def _color_gradient(image, row, wide, across, down, doubtful):
    """Compute the longest gradient of three channels, the first if several are equal."""
    h, w = image.shape
    used = across.shape[0]
    inner = min(used, w // 3 - 1)
    real = across.dtype.type
    above, below = (row, row) if row == 0 or row == h - 1 else (row - 1, row + 1)
    for x in (0, w // 3 - 1):
        if x < used:
            across[x] = 0
            down[x] = 0
            for p in range(3 * x, 3 * x + 3):
                v = real(wide.dtype.type(real(image[below, p]) - real(image[above, p])))
                if abs(v) > abs(down[x]):
                    down[x] = v
    rounded = across.itemsize == 8 and wide.itemsize == 4
    tie = np.float32(FLOAT32_TIE) if rounded else np.float32(TIE)
    any_doubt = False
    for x in range(1, inner):
        p = 3 * x
        u0 = real(wide.dtype.type(real(image[row, p + 3]) - real(image[row, p - 3])))
        u1 = real(wide.dtype.type(real(image[row, p + 4]) - real(image[row, p - 2])))
        u2 = real(wide.dtype.type(real(image[row, p + 5]) - real(image[row, p - 1])))
        v0 = real(wide.dtype.type(real(image[below, p]) - real(image[above, p])))
        v1 = real(wide.dtype.type(real(image[below, p + 1]) - real(image[above, p + 1])))
        v2 = real(wide.dtype.type(real(image[below, p + 2]) - real(image[above, p + 2])))
        u, v, doubt1 = _longer(u0, v0, u1, v1, tie)
        across[x], down[x], doubt2 = _longer(u, v, u2, v2, tie)
        doubtful[x] = doubt1 | doubt2
        any_doubt |= doubt1 | doubt2
    if any_doubt:
        for x in range(1, inner):
            if doubtful[x]:
                _choose_channels_exactly(image, (above, row, below), x, wide, across, down)


@njit(**_OPTIONS)
def _longer(u0, v0, u1, v1, tie):
    """Return the longer of two gradients, and whether rounding of lengths could change the result.

    Gradients that differ only in sign or order are exactly equal, so that the first is used.
    """
    squared0 = u0 * u0 + v0 * v0
    squared1 = u1 * u1 + v1 * v1
    close = abs(squared1 - squared0) <= squared0 * tie
    a0, b0, a1, b1 = abs(u0), abs(v0), abs(u1), abs(v1)
    doubt = close & ((max(a0, b0) != max(a1, b1)) | (min(a0, b0) != min(a1, b1)))
    if squared1 > squared0 and not close:
        return u1, v1, doubt
    return u0, v0, doubt


@njit(**_EXACT)
def _choose_channels_exactly(image, rows, x, wide, across, down):
    """Compare lengths with scikit-image's rounding: to float32 for float32 images."""
    above, row, below = rows
    real = across.dtype.type
    rounded = across.itemsize == 8 and wide.itemsize == 4
    longest = -1.0
    for p in range(3 * x, 3 * x + 3):
        u = real(wide.dtype.type(real(image[row, p + 3]) - real(image[row, p - 3])))
        v = real(wide.dtype.type(real(image[below, p]) - real(image[above, p])))
        if rounded:
            length: Any = np.float64(np.float32(math.sqrt(u * u + v * v)))
        else:
            length = math.hypot(np.float64(u), np.float64(v))
        if length > longest:
            longest = length
            across[x] = u
            down[x] = v


@njit(inline="always", **_OPTIONS)
def _choose_bins(across, down, edges, last, bins, magnitude):
    """Find the orientation bin and the length of every gradient of a row.

    The bin is the number of edges passed by the gradient, mirrored onto the first quadrant; there
    a gradient of the second quadrant that lies on an edge has not passed it: hence the threshold.
    """
    zero = edges.dtype.type(0)
    above_zero = edges.dtype.type(1e-30)
    for k in range(0, edges.shape[0], 4):
        c0, s0, c1, s1 = edges[k, 0], edges[k, 1], edges[k + 1, 0], edges[k + 1, 1]
        c2, s2, c3, s3 = edges[k + 2, 0], edges[k + 2, 1], edges[k + 3, 0], edges[k + 3, 1]
        for x in range(across.shape[0]):
            u, v = across[x], down[x]
            a, b = abs(u), abs(v)
            second = u * v < 0
            threshold = above_zero if second else zero
            passed: Any = (
                np.int32(b * c0 - a * s0 >= threshold)
                + np.int32(b * c1 - a * s1 >= threshold)
                + np.int32(b * c2 - a * s2 >= threshold)
                + np.int32(b * c3 - a * s3 >= threshold)
            )
            if k == 0:
                bins[x] = last - passed if second else passed
            else:
                bins[x] += -passed if second else passed
    if edges.shape[0] > last:
        # A gradient of zero passes the padding too, and there are fewer bins than edges.
        for x in range(across.shape[0]):
            bins[x] = min(bins[x], last)
    for x in range(across.shape[0]):
        magnitude[x] = math.sqrt(across[x] * across[x] + down[x] * down[x])


@njit(**_OPTIONS)
def _resolve_ties(across, down, edges, orientations, doubtful, bins, magnitude):
    """Compute bins of gradients within rounding errors of an edge by arctangent, as scikit-image.

    Such angles are frequent in floating-point copies of 8-bit images: 45 degrees, and 30 and 60
    after a square root. There the bin depends on scikit-image's rounding.
    """
    n_doubtful = np.int32(0)
    for k in range(0, edges.shape[0], 4):
        c0, s0, c1, s1 = edges[k, 0], edges[k, 1], edges[k + 1, 0], edges[k + 1, 1]
        c2, s2, c3, s3 = edges[k + 2, 0], edges[k + 2, 1], edges[k + 3, 0], edges[k + 3, 1]
        for x in range(across.shape[0]):
            a, b = abs(across[x]), abs(down[x])
            limit = (a + b) * TIE
            near = (
                (abs(b * c0 - a * s0) <= limit)
                | (abs(b * c1 - a * s1) <= limit)
                | (abs(b * c2 - a * s2) <= limit)
                | (abs(b * c3 - a * s3) <= limit)
                | (b <= limit)
            )
            # Along the axes and on the diagonal the edges are exact.
            near &= (a != 0) & (b != 0) & (a != b)
            doubtful[x] = np.int32(near) if k == 0 else doubtful[x] | np.int32(near)
            n_doubtful += np.int32(near)
    if n_doubtful:
        for x in range(across.shape[0]):
            if doubtful[x]:
                bins[x] = _bin_of_angle(across[x], down[x], orientations)
                if bins[x] == orientations:
                    bins[x] = 0
                    magnitude[x] = 0


@njit(**_EXACT)
def _bin_of_angle(across, down, orientations):
    """Return the bin by arctangent; as in scikit-image, none if the angle rounds to 180 degrees."""
    degrees = math.atan2(down, across) * (180 / math.pi) % 180
    found = 0
    while found < orientations and degrees >= np.float32(180.0 / orientations * (found + 1)):
        found += 1
    return found


@njit(inline="always", **_OPTIONS)
def _normalize(cells, block_shape, block_norm, scale, energy, out):
    """Write the normalised blocks; scale and energy have a value per cell and orientation."""
    n_rows, n_cols, orientations = cells.shape
    block_rows, block_cols = block_shape
    n_down, n_across = n_rows - block_rows + 1, n_cols - block_cols + 1
    run = block_cols * orientations
    flat = cells.reshape(n_rows, n_cols * orientations)
    position = 0
    for i in range(n_down):
        _block_energy(flat, i, block_shape, orientations, block_norm < 2, energy)
        for j in range(n_across):
            total = np.float32(0)
            for k in range(orientations):
                total += energy[j * orientations + k]
            factor = _reciprocal(total, block_norm)
            for k in range(orientations):
                scale[j * orientations + k] = factor
        if block_norm == 3:
            _clipped_energy(flat, i, block_shape, orientations, scale, energy)
        for j in range(n_across):
            first = j * orientations
            if block_norm == 3:
                total = np.float32(0)
                for k in range(orientations):
                    total += energy[first + k]
                _write_clipped(
                    flat,
                    i,
                    first,
                    block_rows,
                    run,
                    scale[first],
                    _reciprocal(total, 3),
                    out,
                    position,
                )
            else:
                for a in range(block_rows):
                    for t in range(run):
                        value = flat[i + a, first + t] * scale[first]
                        out[position + a * run + t] = math.sqrt(value) if block_norm == 1 else value
            position += block_rows * run


@njit(inline="always", **_OPTIONS)
def _write_clipped(flat, i, first, block_rows, run, factor, again, out, position):
    """Write one block, normalised, clipped and normalised again."""
    for a in range(block_rows):
        for t in range(run):
            clipped = min(flat[i + a, first + t] * factor, CLIP)
            out[position + a * run + t] = clipped * again


@njit(**_OPTIONS)
def _reciprocal(total, block_norm):
    """Return the reciprocal norm of a block whose votes, squared for L2, add up to `total`."""
    if block_norm < 2:
        return np.float32(1) / (total + np.float32(EPS))
    return np.float32(1) / math.sqrt(total + np.float32(EPS * EPS))


@njit(inline="always", **_OPTIONS)
def _block_energy(flat, i, block_shape, orientations, absolute, energy):
    """Sum votes (or their squares) over the cells of each block of row i, an orientation apart."""
    energy[:] = 0
    for a in range(block_shape[0]):
        for b in range(block_shape[1]):
            shift = b * orientations
            if absolute:
                for t in range(energy.shape[0]):
                    energy[t] += flat[i + a, t + shift]
            else:
                for t in range(energy.shape[0]):
                    energy[t] += flat[i + a, t + shift] * flat[i + a, t + shift]


@njit(inline="always", **_OPTIONS)
def _clipped_energy(flat, i, block_shape, orientations, scale, energy):
    """Sum the squares that remain after the first normalisation and the clip."""
    energy[:] = 0
    for a in range(block_shape[0]):
        for b in range(block_shape[1]):
            shift = b * orientations
            for t in range(energy.shape[0]):
                clipped = min(flat[i + a, t + shift] * scale[t], CLIP)
                energy[t] += clipped * clipped
