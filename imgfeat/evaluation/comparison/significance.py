"""Paired significance tests of recipes, and corrections for multiple testing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CORRECTIONS = ("holm", "bonferroni", "none")


@dataclass(frozen=True)
class Difference:
    """Difference between the scores of two recipes, with its significance test.

    Attributes
    ----------
    value, low, high : float
        Mean difference and its interval, which is simultaneous for all pairs of recipes unless
        ``correction="none"``.
    p : float
        Two-sided p-value of the null hypothesis of no difference, for this pair alone.
    p_adjusted : float
        p-value with the correction for all pairs.
    """

    value: float
    low: float
    high: float
    p: float
    p_adjusted: float


def corrected_t_test(
    differences: ArrayLike, test_share: float, *, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Test the mean difference of scores over resampled folds [1]_.

    Training sets of resampled folds overlap, so their scores are not independent, and the usual
    variance of the mean, s^2 / J, is too small. This test uses s^2 (1 / J + n_test / n_train).

    Parameters
    ----------
    differences : array-like of shape (J,)
        One recipe's score minus the other's in each of J >= 2 folds.
    test_share : float
        Number of test images divided by the number of training images, 1 / 4 for five folds.
    confidence : float, default=0.95
        Confidence level of the interval.

    Returns
    -------
    p : float
        Two-sided p-value, from Student's t distribution with J - 1 degrees of freedom. If all
        differences are equal, it is 1 if they are 0, and 0 otherwise.
    low, high : float
        Ends of the interval of the mean difference.

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine Learning 52,
           2003.

    Examples
    --------
    >>> from imgfeat.evaluation.comparison.significance import corrected_t_test
    >>> p, low, high = corrected_t_test([0.02, 0.03, 0.01, 0.04, 0.02], 1 / 4)
    >>> print(f"{p:.3f}")
    0.035
    """
    values = np.asarray(differences, float)
    if len(values) < 2:
        raise ValueError(
            "The corrected t-test needs at least 2 folds, got 1. Use the bootstrap instead."
        )
    mean = float(values.mean())
    error = math.sqrt(values.var(ddof=1) * (1 / len(values) + test_share))
    # Differences that are equal up to rounding count as having no variance.
    if error <= 1e-12 * max(1.0, abs(mean)):
        return (1.0 if abs(mean) <= 1e-12 else 0.0), mean, mean
    reach = error * stats.t.ppf((1 + confidence) / 2, len(values) - 1)
    p = 2 * stats.t.sf(abs(mean) / error, len(values) - 1)
    return float(p), mean - reach, mean + reach


def bootstrap_test(
    resampled: NDArray[np.float64], *, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Test a difference by how often its sign changes over bootstrap resamples [1]_.

    Parameters
    ----------
    resampled : ndarray of shape (b,)
        Difference of the two recipes' scores on each resample of the test images; NaN, where a
        score is undefined, is left out.
    confidence : float, default=0.95
        Confidence level of the interval.

    Returns
    -------
    p : float
        Two-sided p-value, at least 2 / (b + 1).
    low, high : float
        Ends of the percentile interval.

    References
    ----------
    .. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13
           and 15.
    """
    resampled = resampled[~np.isnan(resampled)]
    if len(resampled) == 0:
        return 1.0, math.nan, math.nan
    low, high = np.quantile(resampled, ((1 - confidence) / 2, (1 + confidence) / 2))
    # The bound on 0 allows for rounding of the scores.
    fewer = min((resampled <= 1e-12).sum(), (resampled >= -1e-12).sum())
    return min(1.0, 2 * (int(fewer) + 1) / (len(resampled) + 1)), float(low), float(high)


def adjust(p_values: Sequence[float], correction: str = "holm") -> list[float]:
    """Correct p-values for multiple testing, so that the family-wise error rate is controlled.

    Parameters
    ----------
    p_values : sequence of float
        p-values of one family of hypotheses.
    correction : {"holm", "bonferroni", "none"}, default="holm"
        Holm's method [1]_ is at least as powerful as Bonferroni's; neither assumes independence.

    Returns
    -------
    adjusted : list of float

    References
    ----------
    .. [1] S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal
           of Statistics 6, 1979.

    Examples
    --------
    >>> from imgfeat.evaluation.comparison.significance import adjust
    >>> adjust([0.01, 0.04, 0.03, 0.005])
    [0.03, 0.06, 0.06, 0.02]
    """
    if correction not in CORRECTIONS:
        raise ValueError(f"correction must be one of {', '.join(CORRECTIONS)}, got {correction!r}.")
    m = len(p_values)
    if correction != "holm":
        factor = m if correction == "bonferroni" else 1
        return [min(1.0, factor * p) for p in p_values]
    adjusted, running = [0.0] * m, 0.0
    for rank, i in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (m - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted
