"""Which differences between recipes are real: paired tests, and their correction for being many."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CORRECTIONS = ("holm", "bonferroni", "none")


@dataclass(frozen=True)
class Difference:
    """How much better one recipe is than another.

    Attributes
    ----------
    value, low, high : float
        Mean difference, and an interval that holds together with those of all other pairs.
    p : float
        Of the difference being 0, for this pair alone.
    p_adjusted : float
        With the correction for all pairs.
    """

    value: float
    low: float
    high: float
    p: float
    p_adjusted: float


def corrected_t_test(
    differences: Any, test_share: float, *, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Test differences of scores in folds that share training images [1]_.

    Training sets of resampled folds overlap, so their scores are not independent, and the usual
    variance of the mean, s^2 / J, is far too small. This test takes s^2 (1 / J + n_test / n_train).

    Parameters
    ----------
    differences : array-like of shape (J,)
        One recipe's score minus the other's in each of J >= 2 folds.
    test_share : float
        Test images for each training image, 1 / 4 for five folds.
    confidence : float, default=0.95
        Of the interval.

    Returns
    -------
    p : float
        Two-sided, from Student's t distribution with J - 1 degrees of freedom. If all differences
        are equal, 1 where they are 0, and otherwise 0, the limit.
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
        raise ValueError("The corrected t-test needs at least 2 folds. Use the bootstrap for one.")
    mean = float(values.mean())
    error = math.sqrt(values.var(ddof=1) * (1 / len(values) + test_share))
    # Differences that are equal but for rounding have no variance.
    if error <= 1e-12 * max(1.0, abs(mean)):
        return (1.0 if abs(mean) <= 1e-12 else 0.0), mean, mean
    reach = error * stats.t.ppf((1 + confidence) / 2, len(values) - 1)
    p = 2 * stats.t.sf(abs(mean) / error, len(values) - 1)
    return float(p), mean - reach, mean + reach


def bootstrap_test(
    resampled: NDArray[np.float64], *, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Test a difference by how often it changes sign when the test images are resampled [1]_.

    Parameters
    ----------
    resampled : ndarray of shape (b,)
        The difference in each resample of the test images, the same for both recipes; NaN, where a
        score is undefined, is left out.
    confidence : float, default=0.95
        Of the interval.

    Returns
    -------
    p : float
        Two-sided, at least 2 / (b + 1).
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
    # Sums of shares of images may differ from 0 by rounding.
    fewer = min((resampled <= 1e-12).sum(), (resampled >= -1e-12).sum())
    return min(1.0, 2 * (int(fewer) + 1) / (len(resampled) + 1)), float(low), float(high)


def adjust(p_values: Sequence[float], correction: str = "holm") -> list[float]:
    """Correct p-values for being many, so that all claims together err as rarely as one.

    Parameters
    ----------
    p_values : sequence of float
        Of one family of hypotheses.
    correction : {"holm", "bonferroni", "none"}, default="holm"
        Holm's [1]_ is never weaker than Bonferroni's, and needs no assumption either.

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
