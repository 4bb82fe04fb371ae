import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from sklearn.metrics.pairwise import rbf_kernel

from imgfeat.heads.kernel_methods.primal import fit_squared_hinge


@pytest.fixture(scope="module")
def problem():
    """Kernels to 40 landmarks among 200 digits, and three of them against the rest."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:200] / 16, y[:200]
    targets = np.where(y[:, np.newaxis] == [3, 5, 8], 1.0, -1.0)
    weights = np.random.default_rng(0).choice([0.0, 0.5, 5.0], targets.shape)
    return rbf_kernel(X, X[:40], 0.1), rbf_kernel(X[:40], X[:40], 0.1), targets, weights


def measure_loss(coefficients, intercept, kernel, landmarks, targets, weights):
    slack = np.maximum(0, 1 - targets * (kernel @ coefficients + intercept))
    loss = coefficients @ landmarks @ coefficients / 2 + (weights * slack**2).sum() / 2
    pull = weights * targets * slack
    return loss, landmarks @ coefficients - kernel.T @ pull, -pull.sum()


def solve(kernel, landmarks, targets, weights):
    """The same by scipy, one column after another; in a basis in which it converges."""
    values, vectors = np.linalg.eigh(landmarks)
    basis = vectors / np.sqrt(values)

    def measure(x, t, w):
        loss, gradient, slope = measure_loss(basis @ x[1:], x[0], kernel, landmarks, t, w)
        return loss, np.r_[slope, basis.T @ gradient]

    found = [
        minimize(measure, np.zeros(len(basis) + 1), (t, w), jac=True, method="L-BFGS-B", tol=1e-12)
        for t, w in zip(targets.T, weights.T, strict=True)
    ]
    coefficients = np.stack([basis @ best.x[1:] for best in found], axis=1)
    return coefficients, np.array([best.x[0] for best in found])


def fit(kernel, landmarks, targets, weights):
    single = [a.astype(np.float32) for a in (kernel, targets, weights)]
    return fit_squared_hinge(single[0], landmarks.copy(), *single[1:])


def decide(kernel, solution):
    return kernel @ solution[0] + solution[1]


def test_it_finds_scipys_minimum(problem):
    kernel, landmarks, targets, weights = problem
    found, best = fit(*problem), solve(*problem)
    assert found[0].shape == (40, 3)
    assert found[1].shape == (3,)
    assert found[0].dtype == found[1].dtype == np.float32
    for k in range(3):
        given = kernel, landmarks, targets[:, k], weights[:, k]
        lowest, gradient, slope = measure_loss(best[0][:, k], best[1][k], *given)
        assert max(np.abs(gradient).max(), abs(slope)) < 1e-2
        loss, _, _ = measure_loss(found[0][:, k], found[1][k], *given)
        nothing, _, _ = measure_loss(0 * found[0][:, k], 0, *given)
        assert lowest < 0.5 * nothing
        assert loss < 1.001 * lowest
    np.testing.assert_allclose(decide(kernel, found), decide(kernel, best), atol=0.02)
    assert np.abs(best[1]).min() > 0.1


@pytest.mark.parametrize("C", [1e-3, 0.1, 1.0, 100.0])
def test_it_does_so_for_weak_and_strong_losses(problem, C):
    kernel, landmarks, targets, _ = problem
    weights = np.full(targets.shape, C)
    found = fit(kernel, landmarks, targets, weights)
    best = solve(kernel, landmarks, targets, weights)
    for k in range(3):
        loss, lowest = (
            measure_loss(a[0][:, k], a[1][k], kernel, landmarks, targets[:, k], weights[:, k])[0]
            for a in (found, best)
        )
        assert loss < 1.01 * lowest


def test_columns_do_not_touch_one_another(problem):
    kernel, landmarks, targets, weights = problem
    together = fit(*problem)
    for k in range(3):
        alone = fit(kernel, landmarks, targets[:, [k]], weights[:, [k]])
        np.testing.assert_allclose(
            decide(kernel, alone)[:, 0], decide(kernel, together)[:, k], atol=0.03
        )


def test_images_of_weight_0_are_as_good_as_gone(problem):
    kernel, landmarks, targets, weights = problem
    weights = np.repeat(weights[:, :1], 3, axis=1)
    kept = weights[:, 0] > 0
    without = fit(kernel[kept], landmarks, targets[kept], weights[kept])
    whole = fit(kernel, landmarks, targets, weights)
    np.testing.assert_allclose(decide(kernel, without), decide(kernel, whole), atol=0.02)


def test_landmarks_may_be_the_same_image_twice(problem):
    kernel, landmarks, targets, weights = problem
    twice = np.r_[np.arange(40), np.arange(40)]
    doubled = fit(kernel[:, twice], landmarks[np.ix_(twice, twice)], targets, weights)
    found = decide(kernel[:, twice], doubled)
    np.testing.assert_allclose(found, decide(kernel, fit(*problem)), atol=0.03)
