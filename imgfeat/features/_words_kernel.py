"""Kernels of the visual words: patches cut and normalised, distances pooled, without the GIL."""

from typing import Any

import numpy as np
from numba import njit

_OPTIONS: Any = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    # Sums in any order: the compiled code fixes one, so a row is the same every time.
    "fastmath": {"contract", "nsz", "arcp", "reassoc"},
}


@njit(**_OPTIONS)
def cut_patches(image, size, stride, channels, constant, patches):
    """Fill `patches` with those of some rows of an image, each less its mean, over its deviation.

    Parameters
    ----------
    image : ndarray of shape (h, w, c)
        uint8, or floating point in [0, 1]: from the first row of the first patch on.
    size, stride : int
        Side of a patch, and pixels from one to the next.
    channels : int
        c, or more than c = 1, which is repeated then.
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
    """Count each descriptor for the word that is nearest to it.

    Parameters
    ----------
    products : ndarray of shape (m, n_words), dtype float32
        Of the descriptors and the words.
    norms : ndarray of shape (n_words,), dtype float32
        Squares of the words' lengths.
    cells : ndarray of shape (m, levels), dtype int64
        The cells that each descriptor lies in.
    sums : ndarray of shape (n_cells, n_words), dtype float32
        Counted up.
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
    """Add up how much nearer than the mean of all words each word is.

    Parameters
    ----------
    descriptors : ndarray of shape (m, d), dtype float32
    products : ndarray of shape (m, n_words), dtype float32
        Of the descriptors and the words; overwritten.
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
