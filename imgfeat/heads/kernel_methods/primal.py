"""Kernel support vector machines fitted in the primal, with a few thousand landmarks."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

# Added to the diagonal, so that a kernel matrix with near duplicates stays positive definite.
JITTER = 1e-5
MAX_NEWTON_STEPS = 10
MAX_CG_STEPS = 25
CG_TOLERANCE = 0.1
# Newton's method has converged once at most this share of the margin violations changes.
CONVERGED = 0.01


def fit_squared_hinge(
    kernel: NDArray[np.float32],
    landmarks: NDArray[np.float64],
    targets: NDArray[np.float32],
    sample_weight: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Minimise the regularised squared hinge loss over combinations of kernels to the landmarks.

    For each column of `targets`, minimises ``a' landmarks a / 2 + sum(sample_weight * max(0, 1 -
    targets * (kernel @ a + b)) ** 2) / 2`` by Newton's method [1]_, whose linear systems are solved
    by conjugate gradients with FALKON's preconditioner [2]_. The intercept b, which is not
    regularised, has a closed form for any a, and is eliminated from the systems.

    Parameters
    ----------
    kernel : ndarray of shape (n, m), dtype float32
        Kernel matrix between the images and m landmarks.
    landmarks : ndarray of shape (m, m), dtype float64
        Kernel matrix between the landmarks; overwritten.
    targets : ndarray of shape (n, k), dtype float32
        1 or -1, one column for each of k binary problems.
    sample_weight : ndarray of shape (n, k), dtype float32
        Weight of each image's loss, which includes C.

    Returns
    -------
    coefficients : ndarray of shape (m, k), dtype float32
    intercepts : ndarray of shape (k,), dtype float32

    References
    ----------
    .. [1] O. Chapelle, "Training a Support Vector Machine in the Primal", Neural Computation 19,
           2007.
    .. [2] A. Rudi, L. Carratino and L. Rosasco, "FALKON: An Optimal Large Scale Kernel Method",
           2017, arXiv:1705.10958.
    """
    basis = _Preconditioner(landmarks, float(sample_weight.mean()) * len(kernel))
    solution = np.zeros((kernel.shape[1], targets.shape[1]), np.float32)
    intercepts = np.zeros(targets.shape[1], np.float32)
    ones = np.ones(len(kernel), np.float32)  # products with it sum by BLAS
    active = np.ones(targets.shape, dtype=bool)
    for _ in range(MAX_NEWTON_STEPS):
        weights = np.where(active, sample_weight, np.float32(0))
        shares = weights / np.maximum(ones @ weights, np.finfo(np.float32).tiny)

        def apply(
            vectors: NDArray, weights: NDArray = weights, shares: NDArray = shares
        ) -> NDArray:
            inner = basis.solve_inner(vectors)
            products = kernel @ basis.solve_outer(inner)
            products *= weights
            products -= shares * (ones @ products)
            return basis.transpose(kernel.T @ products, inner)

        centered = targets - _average(targets, weights)
        right = basis.transpose(kernel.T @ (weights * centered))
        solution = _solve(apply, right, solution)
        values = kernel @ basis.to_coefficients(solution)
        intercepts = _average(targets - values, weights)
        before, active = active, targets * (values + intercepts) < 1
        if np.average(before != active, weights=sample_weight) < CONVERGED:
            break
    return basis.to_coefficients(solution), intercepts


def _average(values: NDArray, weights: NDArray) -> NDArray[np.float32]:
    """Return the weighted mean of each column, or 0 if its weights are all 0.

    Sums are in double precision.
    """
    total = weights.sum(axis=0, dtype=np.float64)
    summed = (values * weights).sum(axis=0, dtype=np.float64)
    return (summed / np.maximum(total, np.finfo(np.float64).tiny)).astype(np.float32)


class _Preconditioner:
    """A change of basis in which the Hessian of the problem is close to the identity.

    With ``T' T = landmarks`` and ``A' A = T T' * scale / m + I``, coefficients are
    ``inv(T) inv(A) v``: the penalty and the loss of all images then add up to about ``v' v``.
    """

    def __init__(self, landmarks: NDArray[np.float64], scale: float):
        m = len(landmarks)
        landmarks[np.diag_indices(m)] += JITTER
        self.outer = cholesky(landmarks, overwrite_a=True, check_finite=False).astype(np.float32)
        inner = self.outer @ self.outer.T
        inner *= scale / m
        inner[np.diag_indices(m)] += 1
        self.inner = cholesky(inner, overwrite_a=True, check_finite=False)

    def solve_inner(self, vectors: NDArray) -> NDArray:
        return _solve_upper(self.inner, vectors)

    def solve_outer(self, vectors: NDArray) -> NDArray:
        return _solve_upper(self.outer, vectors)

    def to_coefficients(self, vectors: NDArray) -> NDArray:
        return self.solve_outer(self.solve_inner(vectors))

    def transpose(self, gradients: NDArray, inner: NDArray | float = 0.0) -> NDArray:
        """Transform gradients into the basis, and add the penalty's gradient, inv(A') inner."""
        return _solve_transposed(self.inner, _solve_transposed(self.outer, gradients) + inner)


def _solve_upper(triangle: NDArray, vectors: NDArray) -> NDArray:
    return solve_triangular(triangle, vectors, check_finite=False)


def _solve_transposed(triangle: NDArray, vectors: NDArray) -> NDArray:
    return solve_triangular(triangle, vectors, trans=1, check_finite=False)


def _solve(
    apply: Callable[[NDArray], NDArray], right: NDArray, start: NDArray
) -> NDArray[np.float32]:
    """Solve symmetric systems, one for each column, by conjugate gradients from `start`."""
    solution = start
    residual = right - apply(start)
    direction = residual.copy()
    norms = (residual**2).sum(axis=0)
    goal = CG_TOLERANCE**2 * norms
    for _ in range(MAX_CG_STEPS):
        if (norms <= goal).all():
            break
        applied = apply(direction)
        step = norms / np.maximum((direction * applied).sum(axis=0), np.finfo(np.float32).tiny)
        solution = solution + step * direction
        residual = residual - step * applied
        new_norms = (residual**2).sum(axis=0)
        direction = residual + new_norms / np.maximum(norms, np.finfo(np.float32).tiny) * direction
        norms = new_norms
    return solution
