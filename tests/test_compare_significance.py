"""The tests behind a comparison, against hand-worked numbers, scipy and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from imgfeat.evaluation.comparison.significance import adjust, bootstrap_test, corrected_t_test


def test_the_corrected_t_test_by_hand():
    # Mean .02, variance .001 / 4 = .00025; times 1 / 5 + 1 / 4 = .45, rooted: .0106066.
    p, low, high = corrected_t_test([0.0, 0.01, 0.02, 0.03, 0.04], 1 / 4)
    t = 0.02 / 0.0106066
    assert p == pytest.approx(2 * stats.t.sf(t, 4), rel=1e-5)
    assert (low, high) == pytest.approx((0.02 - 2.776445 * 0.0106066, 0.02 + 2.776445 * 0.0106066))


def test_without_overlap_it_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 8))
    p, low, high = corrected_t_test(a - b, 0, confidence=0.9)
    expected = stats.ttest_rel(a, b)
    assert p == pytest.approx(expected.pvalue)
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval(0.9)))


def test_it_is_the_formula_of_scikit_learns_example():
    rng = np.random.default_rng(1)
    differences, n_train, n_test = rng.normal(0.01, 0.02, 100), 90, 10
    variance = np.var(differences, ddof=1) * (1 / 100 + n_test / n_train)
    t = np.mean(differences) / np.sqrt(variance)
    p, _, _ = corrected_t_test(differences, n_test / n_train)
    assert p == pytest.approx(2 * stats.t.sf(np.abs(t), 99))


def test_differences_without_variance():
    assert corrected_t_test([0.0, 0.0, 0.0], 0.25) == (1, 0, 0)
    p, low, high = corrected_t_test([0.1, 0.1, 0.1], 0.25)
    assert (p, low, high) == (0, pytest.approx(0.1), pytest.approx(0.1))
    with pytest.raises(ValueError, match="at least 2 folds"):
        corrected_t_test([0.1], 0.25)


def test_holm_by_hand():
    # Sorted: .005 * 4, .01 * 3, .03 * 2, and .04 * 1, which must not fall below the one before.
    assert adjust([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust([0.6, 0.5]) == [1, 1]
    assert adjust([]) == []
    assert adjust([0.01, 0.04], "bonferroni") == pytest.approx([0.02, 0.08])
    assert adjust([0.01, 0.04], "none") == [0.01, 0.04]
    with pytest.raises(ValueError, match="correction must"):
        adjust([0.1], "fisher")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_none_and_bonferroni(p_values):
    holm, most = adjust(p_values), adjust(p_values, "bonferroni")
    assert all(p <= h <= b for p, h, b in zip(p_values, holm, most, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(holm)[order]) >= 0).all()


def test_the_bootstrap_test():
    assert bootstrap_test(np.zeros(99))[0] == 1
    assert bootstrap_test(np.full(99, 0.1)) == (0.02, pytest.approx(0.1), pytest.approx(0.1))
    drawn = np.r_[np.full(5, -0.1), np.full(94, 0.1), np.nan]
    assert bootstrap_test(drawn)[0] == pytest.approx(2 * 6 / 100)
    assert bootstrap_test(np.full(3, np.nan))[0] == 1
    rng = np.random.default_rng(0)
    p, low, high = bootstrap_test(rng.normal(0.2, 0.1, 20_000))
    assert p == pytest.approx(2 * stats.norm.sf(2), rel=0.1)
    assert (low, high) == pytest.approx((0.2 - 0.196, 0.2 + 0.196), abs=0.006)


def cross_validated_differences(rng, n=100, n_folds=5, n_repeats=2):
    """Scores of nearest-mean classifiers on two useless features each, fold by fold."""
    y = rng.permutation(np.arange(n) % 2)
    X = rng.normal(size=(n, 4))
    found = []
    for _ in range(n_repeats):
        for test in np.array_split(rng.permutation(n), n_folds):
            train = np.setdiff1d(np.arange(n), test)
            scores = []
            for columns in ([0, 1], [2, 3]):
                Z = X[:, columns]
                means = np.stack([Z[train][y[train] == c].mean(0) for c in (0, 1)])
                said = ((Z[test, None] - means) ** 2).sum(2).argmin(1)
                scores.append((said == y[test]).mean())
            found.append(scores[0] - scores[1])
    return np.array(found)


def test_equal_models_are_rarely_told_apart():
    rng = np.random.default_rng(0)
    runs = [cross_validated_differences(rng) for _ in range(200)]
    ours = np.mean([corrected_t_test(d, 1 / 4)[0] <= 0.05 for d in runs])
    naive = np.mean([stats.ttest_1samp(d, 0).pvalue <= 0.05 for d in runs])
    assert ours <= 0.08  # nominally 0.05
    assert naive > 0.12  # what the correction is for
