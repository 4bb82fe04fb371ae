"""Kernels for patches and visual words, compiled by numba; they release the GIL."""

from typing import Any

import numpy as np
from numba import njit

_OPTIONS: Any = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    # Reassociation is allowed: the compiled code has one fixed order, so results are reproducible.
    "fastmath": {"contract", "nsz", "arcp", "reassoc"},
}


@njit(**_OPTIONS)
def cut_patches(image, size, stride, channels, constant, patches):
    """Fill `patches` with normalised patches: minus their mean, divided by their deviation.

    Parameters
    ----------
    image : ndarray of shape (h, w, c)
        uint8, or floating point in [0, 1]. Its first row is that of the first row of patches.
    size, stride : int
        Side of a patch, and distance in pixels between patches.
    channels : int
        Number of channels of a patch: c, or 3 if c = 1, which is then repeated.
    constant : float
        Added to the variance, in grey levels squared.
    patches : ndarray of shape (rows, columns, size * size * channels), dtype float32
    """
    unit = np.float32(1) if image.itemsize == 1 else np.float32(255)
    last = image.shape[2] - 1
    length = np.float32(patches.shape[2])
    for row in range(patches.shape[0]):
        for column in range(patches.shape[1]):
            patch = patches[row, column]
            place = np.uintp(0)
            for y in range(row * stride, row * stride + size):
                for x in range(column * stride, column * stride + size):
                    for c in range(channels):
                        patch[place] = np.float32(image[y, x, min(c, last)]) * unit
                        place += np.uintp(1)
            total = np.float32(0)
            for k in range(np.uintp(patch.shape[0])):
                total += patch[k]
            mean = total / length
            squares = np.float32(0)
            for k in range(np.uintp(patch.shape[0])):
                patch[k] -= mean
                squares += patch[k] * patch[k]
            factor = np.float32(1) / np.sqrt(squares / length + np.float32(constant))
            for k in range(np.uintp(patch.shape[0])):
                patch[k] *= factor


@njit(**_OPTIONS)
def count_nearest(products, norms, cells, sums):
    """Count, for each word, the descriptors to which it is the nearest word.

    Parameters
    ----------
    products : ndarray of shape (m, n_words), dtype float32
        Products of the descriptors and the words.
    norms : ndarray of shape (n_words,), dtype float32
        Squared norms of the words.
    cells : ndarray of shape (m, levels), dtype int64
        The cells that contain each descriptor.
    sums : ndarray of shape (n_cells, n_words), dtype float32
        Incremented.
    """
    for i in range(products.shape[0]):
        nearest, least = 0, np.float32(np.inf)
        for k in range(products.shape[1]):
            distance = norms[k] - np.float32(2) * products[i, k]
            if distance < least:
                nearest, least = k, distance
        for level in range(cells.shape[1]):
            sums[cells[i, level], nearest] += np.float32(1)


@njit(**_OPTIONS)
def add_activations(descriptors, products, norms, cells, sums):
    """Add, for each word, the amounts by which its distances are below the mean over all words.

    Parameters
    ----------
    descriptors : ndarray of shape (m, d), dtype float32
    products : ndarray of shape (m, n_words), dtype float32
        Products of the descriptors and the words; overwritten.
    norms, cells, sums
        As for `count_nearest`.
    """
    none = np.float32(0)
    n_words = np.uintp(products.shape[1])
    for i in range(products.shape[0]):
        row = products[i]
        norm = none
        for k in range(np.uintp(descriptors.shape[1])):
            norm += descriptors[i, k] * descriptors[i, k]
        total = none
        for k in range(n_words):
            row[k] = np.sqrt(max(norm + norms[k] - np.float32(2) * row[k], none))
            total += row[k]
        mean = total / np.float32(n_words)
        for level in range(cells.shape[1]):
            cell = sums[cells[i, level]]
            for k in range(n_words):
                cell[k] += max(mean - row[k], none)
