"""Tables of the labels of LBP codes, for each method."""

import functools

import numpy as np
from numpy.typing import NDArray

METHODS = ("default", "ror", "uniform", "nri_uniform", "var")


def count_labels(n_points: int, method: str) -> int:
    """Return the number of labels, which is the number of bins of a histogram.

    For "ror", only codes that are the smallest of their rotations have a bin.
    """
    if method == "uniform":
        return n_points + 2
    if method == "nri_uniform":
        return n_points * (n_points - 1) + 3
    if method == "ror":
        return len(rotation_minima(n_points))
    return 2**n_points


@functools.lru_cache(maxsize=16)
def label_table(n_points: int, method: str) -> NDArray[np.uint32]:
    """Return the label of every code of `n_points` bits, as scikit-image numbers them.

    Parameters
    ----------
    n_points : int
    method : {"default", "ror", "uniform", "nri_uniform"}

    Returns
    -------
    labels : ndarray of shape (2 ** n_points,), dtype uint32
        Read-only.
    """
    codes = np.arange(2**n_points, dtype=np.uint32)
    if method == "default":
        labels = codes
    elif method == "ror":
        labels = _smallest_rotation(codes, n_points)
    else:
        ones = np.bitwise_count(codes).astype(np.uint32)
        uniform = np.bitwise_count(codes ^ _rotate(codes, n_points)) <= 2
        if method == "uniform":
            labels = np.where(uniform, ones, n_points + 1)
        else:
            labels = np.where(uniform, _oriented(codes, ones, n_points), n_points**2 - n_points + 2)
    labels = labels.astype(np.uint32)
    labels.flags.writeable = False
    return labels


@functools.lru_cache(maxsize=16)
def bin_table(n_points: int, method: str) -> NDArray[np.uint32]:
    """Return the histogram bin of every code: its label, renumbered without gaps for "ror"."""
    labels = label_table(n_points, method)
    if method != "ror":
        return labels
    bins = np.searchsorted(rotation_minima(n_points), labels).astype(np.uint32)
    bins.flags.writeable = False
    return bins


@functools.lru_cache(maxsize=16)
def rotation_minima(n_points: int) -> NDArray[np.uint32]:
    """Return the codes that are the smallest of their rotations, in order."""
    return np.unique(label_table(n_points, "ror"))


def _rotate(codes: NDArray[np.uint32], n_points: int) -> NDArray[np.uint32]:
    return (codes >> np.uint32(1)) | ((codes & np.uint32(1)) << np.uint32(n_points - 1))


def _smallest_rotation(codes: NDArray[np.uint32], n_points: int) -> NDArray[np.uint32]:
    smallest = rotated = codes
    for _ in range(n_points - 1):
        rotated = _rotate(rotated, n_points)
        smallest = np.minimum(smallest, rotated)
    return smallest


def _oriented(
    codes: NDArray[np.uint32], ones: NDArray[np.uint32], n_points: int
) -> NDArray[np.int64]:
    """Number uniform codes by the number of set bits, then by the rotation of their run."""
    first_one = _lowest_bit(codes, n_points)
    first_zero = _lowest_bit(~codes, n_points)
    signed_ones = ones.astype(np.int64)
    turned = np.where(first_one == 0, signed_ones - first_zero, n_points - first_one)
    labels = 1 + (signed_ones - 1) * n_points + turned
    labels[0] = 0
    labels[-1] = n_points * (n_points - 1) + 1
    return labels


def _lowest_bit(codes: NDArray[np.uint32], n_points: int) -> NDArray[np.int64]:
    lowest = codes & (~codes + np.uint32(1))
    return np.bitwise_count(lowest - np.uint32(1)).astype(np.int64)
