"""Weights of kernels by their alignment with the labels."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls


def align_kernels(
    kernels: list[NDArray[np.floating]], codes: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the non-negative weights that align the weighted sum of kernels with the labels.

    Parameters
    ----------
    kernels : list of k ndarrays of shape (n, n)
        Kernel matrices of the same images.
    codes : ndarray of shape (n,)
        Encoded labels.

    Returns
    -------
    weights : ndarray of shape (k,)
        Maximise the cosine between the weighted sum and the matrix that is 1 for images of the same
        class and else 0, both centred; up to a factor.

    References
    ----------
    C. Cortes, M. Mohri and A. Rostamizadeh, "Algorithms for Learning Kernels Based on Centered
    Alignment", JMLR 13, 2012, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.heads.kernel_methods.alignment import align_kernels
    >>> codes = np.array([0, 0, 1, 1])
    >>> same_class, same_image = (codes[:, np.newaxis] == codes).astype(float), np.eye(4)
    >>> weights = align_kernels([same_class, same_image], codes)
    >>> (weights / weights.sum()).round(2)
    array([1., 0.])
    """
    same = (codes[:, np.newaxis] == codes).astype(np.float64)
    centered = [_center(kernel.astype(np.float64)) for kernel in kernels]
    norms = np.array([max(np.linalg.norm(k), np.finfo(float).tiny) for k in centered])
    products = np.array([[np.vdot(a, b) for b in centered] for a in centered])
    toward = np.array([np.vdot(kernel, _center(same)) for kernel in centered]) / norms
    root = np.linalg.cholesky(products / np.outer(norms, norms) + 1e-10 * np.eye(len(kernels)))
    weights, _ = nnls(root.T, np.linalg.solve(root, toward))
    return weights / norms


def _center(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    means = kernel.mean(axis=0)
    return kernel - means - means[:, np.newaxis] + means.mean()
