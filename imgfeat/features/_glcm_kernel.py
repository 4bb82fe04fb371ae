"""Kernel for properties of co-occurrence matrices, compiled by numba; it releases the GIL."""

from typing import Any

import numpy as np
from numba import njit

# In the order in which the kernel writes them.
PROPERTIES = (
    "contrast",
    "dissimilarity",
    "homogeneity",
    "ASM",
    "energy",
    "correlation",
    "mean",
    "variance",
    "std",
    "entropy",
)

_OPTIONS: Any = {"nogil": True, "cache": True, "error_model": "numpy"}


@njit(**_OPTIONS)
def glcm_properties(images, levels, offsets, symmetric, grid, out):
    """Fill `out` with the properties of the co-occurrence matrix of each offset and cell.

    Parameters
    ----------
    images : ndarray of shape (n, h, w), dtype uint8
    levels : int
        Number of equal intervals into which the grey levels 0 to 255 are divided.
    offsets : ndarray of shape (m, 2), dtype int64
        Offsets in rows and columns between the pixels of a pair.
    symmetric : bool
        Whether to count each pair in both directions.
    grid : int
    out : ndarray of shape (n, grid * grid, m, 10), dtype float64
        In the order of `PROPERTIES`.
    """
    n, h, w = images.shape
    table = np.arange(256) * levels // 256
    grays = np.empty((h, w), np.int32)
    # Successive pairs use alternating counts, so that no increment waits for the previous one.
    counts = np.empty((4, levels * levels), np.int32)
    pairs = np.empty(w, np.uint32)
    rows, columns = np.empty(levels), np.empty(levels)
    for i in range(n):
        for y in range(h):
            for x in range(w):
                grays[y, x] = table[images[i, y, x]]
        for cell in range(grid * grid):
            gy, gx = cell // grid, cell % grid
            top, bottom = gy * h // grid, (gy + 1) * h // grid
            left, right = gx * w // grid, (gx + 1) * w // grid
            for k in range(offsets.shape[0]):
                part = grays[top:bottom, left:right]
                _count_pairs(part, levels, offsets[k, 0], offsets[k, 1], pairs, counts)
                total = _merge(counts, levels, symmetric)
                _describe(counts[0], total, levels, rows, columns, out[i, cell, k])


@njit(**_OPTIONS)
def _count_pairs(grays, levels, down, across, pairs, counts):
    h, w = grays.shape
    counts[:] = 0
    first, last = max(0, -across), min(w, w - across)
    length = np.uintp(max(last - first, 0))
    for y in range(max(0, -down), min(h, h - down)):
        here = grays[y, first:last]
        there = grays[y + down, first + across : last + across]
        for x in range(length):
            pairs[x] = np.uint32(here[x] * levels + there[x])
        fours = length // np.uintp(4) * np.uintp(4)
        for k in range(np.uintp(0), fours, np.uintp(4)):
            counts[0, pairs[k]] += 1
            counts[1, pairs[k + np.uintp(1)]] += 1
            counts[2, pairs[k + np.uintp(2)]] += 1
            counts[3, pairs[k + np.uintp(3)]] += 1
        for k in range(fours, length):
            counts[0, pairs[k]] += 1


@njit(**_OPTIONS)
def _merge(counts, levels, symmetric):
    """Add all counts to the first row, in both directions if `symmetric`; return their sum."""
    total = 0
    for k in range(levels * levels):
        counts[0, k] += counts[1, k] + counts[2, k] + counts[3, k]
        total += counts[0, k]
    if not symmetric:
        return total
    for i in range(levels):
        for j in range(i + 1):
            both = counts[0, i * levels + j] + counts[0, j * levels + i]
            counts[0, i * levels + j] = both
            counts[0, j * levels + i] = both
    return 2 * total


@njit(**_OPTIONS)
def _describe(counts, total, levels, rows, columns, out):
    """Write the properties of a matrix, as ``skimage.feature.graycoprops`` defines them."""
    rows[:] = 0
    columns[:] = 0
    out[:] = 0
    contrast, dissimilarity, homogeneity, squares, entropy = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(levels):
        for j in range(levels):
            count = counts[i * levels + j]
            if count == 0:
                continue
            share = count / total
            apart = np.float64(i - j)
            rows[i] += share
            columns[j] += share
            contrast += share * apart * apart
            dissimilarity += share * abs(apart)
            homogeneity += share / (1 + apart * apart)
            squares += share * share
            entropy -= share * np.log(share)
    row_mean, row_variance = _mean_and_variance(rows)
    column_mean, column_variance = _mean_and_variance(columns)
    covariance = 0.0
    for i in range(levels):
        for j in range(levels):
            share = counts[i * levels + j] / total
            covariance += share * (i - row_mean) * (j - column_mean)
    out[0] = contrast
    out[1] = dissimilarity
    out[2] = homogeneity
    out[3] = squares
    out[4] = np.sqrt(squares)
    spread = np.sqrt(row_variance) * np.sqrt(column_variance)
    # As in scikit-image, a single level has the correlation 1.
    out[5] = covariance / spread if min(row_variance, column_variance) > 1e-30 else 1.0
    out[6] = row_mean
    out[7] = row_variance
    out[8] = np.sqrt(row_variance)
    out[9] = entropy


@njit(**_OPTIONS)
def _mean_and_variance(shares):
    mean, variance = 0.0, 0.0
    for i in range(shares.shape[0]):
        mean += shares[i] * i
    for i in range(shares.shape[0]):
        variance += shares[i] * (i - mean) ** 2
    return mean, variance
