"""The RBF kernel, and its parameter gamma, which may be a word."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# Elements of a part of the kernel matrix that stays in the processor's cache between operations.
CACHED = 2**16


def find_gamma(gamma: float | str, n_features: int, measure_variance: Callable[[], float]) -> float:
    """Return the number that a gamma stands for, as in SVC.

    Parameters
    ----------
    gamma : {"scale", "auto"} or float
    n_features : int
    measure_variance : callable
        Returns the variance of all features together; called for "scale" only.

    Returns
    -------
    gamma : float

    Examples
    --------
    >>> from imgfeat.heads.kernel_methods.rbf import find_gamma
    >>> find_gamma("scale", 4, lambda: 2.0), find_gamma("auto", 4, lambda: 2.0)
    (0.125, 0.25)
    """
    if gamma == "auto":
        return 1.0 / n_features
    if gamma == "scale":
        variance = measure_variance()
        return 1.0 / (n_features * variance) if variance else 1.0
    return float(gamma)


def measure_rbf(
    X: NDArray[np.floating], Z: NDArray[np.floating], gamma: float
) -> NDArray[np.floating]:
    """Return the RBF kernel ``exp(-gamma * |x - z| ** 2)`` between two arrays of images.

    The squared distances come from a matrix product and the squared lengths, so features should be
    centred: far from 0, digits cancel.

    Parameters
    ----------
    X : ndarray of shape (n, d), dtype float32 or float64
    Z : ndarray of shape (m, d), same dtype
    gamma : float

    Returns
    -------
    kernel : ndarray of shape (n, m), same dtype

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.heads.kernel_methods.rbf import measure_rbf
    >>> measure_rbf(np.array([[0.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.0]]), 0.5).round(3)
    array([[1.   , 0.368]])
    """
    kernel = X @ Z.T
    X_lengths = gamma * np.einsum("ij,ij->i", X, X)[:, np.newaxis]
    Z_lengths = gamma * np.einsum("ij,ij->i", Z, Z)
    n_rows = max(1, CACHED // len(Z))
    for k in range(0, len(X), n_rows):
        part = kernel[k : k + n_rows]
        part *= 2 * gamma
        part -= X_lengths[k : k + n_rows]
        part -= Z_lengths
        np.minimum(part, 0, out=part)
        np.exp(part, out=part)
    return kernel
