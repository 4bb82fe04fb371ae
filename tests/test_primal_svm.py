import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from sklearn.metrics.pairwise import rbf_kernel

from imgfeat.heads.primal_svm import fit_squared_hinge


@pytest.fixture(scope="module")
def problem():
    """Kernels to 40 landmarks among 200 digits, and three of them against the rest."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:200] / 16, y[:200]
    targets = np.where(y[:, np.newaxis] == [3, 5, 8], 1.0, -1.0)
    weights = np.random.default_rng(0).choice([0.0, 0.5, 5.0], targets.shape)
    return rbf_kernel(X, X[:40], 0.1), rbf_kernel(X[:40], X[:40], 0.1), targets, weights


def measure_loss(coefficients, kernel, landmarks, targets, weights):
    slack = np.maximum(0, 1 - targets * (kernel @ coefficients))
    loss = coefficients @ landmarks @ coefficients / 2 + (weights * slack**2).sum() / 2
    gradient = landmarks @ coefficients - kernel.T @ (weights * targets * slack)
    return loss, gradient


def solve(kernel, landmarks, targets, weights):
    """The same by scipy, one column after another; in a basis in which it converges."""
    values, vectors = np.linalg.eigh(landmarks)
    basis = vectors / np.sqrt(values)

    def measure(x, t, w):
        loss, gradient = measure_loss(basis @ x, kernel, landmarks, t, w)
        return loss, basis.T @ gradient

    found = [
        minimize(measure, np.zeros(len(basis)), (t, w), jac=True, method="L-BFGS-B", tol=1e-12)
        for t, w in zip(targets.T, weights.T, strict=True)
    ]
    return np.stack([basis @ best.x for best in found], axis=1)


def fit(kernel, landmarks, targets, weights):
    single = [a.astype(np.float32) for a in (kernel, targets, weights)]
    return fit_squared_hinge(single[0], landmarks.copy(), *single[1:])


def test_it_finds_scipys_minimum(problem):
    kernel, landmarks, targets, weights = problem
    found, best = fit(*problem), solve(*problem)
    assert found.shape == (40, 3)
    assert found.dtype == np.float32
    for k in range(3):
        lowest, gradient = measure_loss(best[:, k], kernel, landmarks, targets[:, k], weights[:, k])
        assert np.abs(gradient).max() < 1e-2
        loss, _ = measure_loss(found[:, k], kernel, landmarks, targets[:, k], weights[:, k])
        nothing, _ = measure_loss(0 * found[:, k], kernel, landmarks, targets[:, k], weights[:, k])
        assert lowest < 0.5 * nothing
        assert loss < 1.001 * lowest
    np.testing.assert_allclose(kernel @ found, kernel @ best, atol=0.02)


@pytest.mark.parametrize("C", [1e-3, 0.1, 1.0, 100.0])
def test_it_does_so_for_weak_and_strong_losses(problem, C):
    kernel, landmarks, targets, _ = problem
    weights = np.full(targets.shape, C)
    found = fit(kernel, landmarks, targets, weights)
    best = solve(kernel, landmarks, targets, weights)
    for k in range(3):
        loss, lowest = (
            measure_loss(a[:, k], kernel, landmarks, targets[:, k], weights[:, k])[0]
            for a in (found, best)
        )
        assert loss < 1.01 * lowest


def test_columns_do_not_touch_one_another(problem):
    kernel, landmarks, targets, weights = problem
    together = fit(*problem)
    for k in range(3):
        alone = fit(kernel, landmarks, targets[:, [k]], weights[:, [k]])
        np.testing.assert_allclose(kernel @ alone[:, 0], kernel @ together[:, k], atol=0.03)


def test_images_of_weight_0_are_as_good_as_gone(problem):
    kernel, landmarks, targets, weights = problem
    weights = np.repeat(weights[:, :1], 3, axis=1)
    kept = weights[:, 0] > 0
    without = fit(kernel[kept], landmarks, targets[kept], weights[kept])
    np.testing.assert_allclose(
        kernel @ without, kernel @ fit(kernel, landmarks, targets, weights), atol=0.02
    )


def test_landmarks_may_be_the_same_image_twice(problem):
    kernel, landmarks, targets, weights = problem
    twice = np.r_[np.arange(40), np.arange(40)]
    doubled = fit(kernel[:, twice], landmarks[np.ix_(twice, twice)], targets, weights)
    np.testing.assert_allclose(kernel[:, twice] @ doubled, kernel @ fit(*problem), atol=0.03)
