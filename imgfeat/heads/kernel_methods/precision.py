"""Numerical accuracy of RBF kernels: when to centre features, and when to use double precision."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

# Squared distances are computed from squared lengths, where digits cancel if features are far from
# 0. The mean is subtracted if its squared length exceeds the variance by this factor.
FAR_FROM_0 = 10.0
# Range of gamma times the squared length in which single precision is accurate enough.
SINGLE_EXPONENTS = (1e-3, 1e3)


def find_center(
    X: NDArray[np.floating], groups: Iterable[NDArray[np.intp]]
) -> NDArray[np.floating]:
    """Return the mean of the features if it is large compared with their deviation, else 0.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    groups : iterable of ndarray of int
        Columns of each kernel.

    Returns
    -------
    center : ndarray of shape (d,), dtype of `X`
    """
    mean = X.mean(axis=0, dtype=np.float64)
    for columns in groups:
        offset = (mean[columns] ** 2).sum()
        spread = _measure_lengths(X, columns).mean(dtype=np.float64) - offset
        if offset > FAR_FROM_0 * spread:
            return mean.astype(X.dtype)
    return np.zeros_like(mean, dtype=X.dtype)


def find_precision(
    X: NDArray[np.floating],
    groups: Mapping[str, NDArray[np.intp]],
    gammas: Mapping[str, float],
) -> type[np.floating]:
    """Return the dtype in which the kernels of centred images are accurate enough.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Centred.
    groups : dict of str to ndarray of int
        Columns of each kernel.
    gammas : dict of str to float

    Returns
    -------
    dtype : float32 or float64
    """
    for name, columns in groups.items():
        exponent = gammas[name] * _measure_lengths(X, columns).max()
        if not SINGLE_EXPONENTS[0] < exponent < SINGLE_EXPONENTS[1]:
            return np.float64
    return np.float32


def _measure_lengths(X: NDArray[np.floating], columns: NDArray[np.intp]) -> NDArray[np.floating]:
    """Return the squared length of each row in some of the columns."""
    part = X if len(columns) == X.shape[1] else X[:, columns]
    return np.einsum("ij,ij->i", part, part)
