"""Confidence intervals: the bootstrap over images, and Wilson's interval of proportions."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from imgfeat.evaluation.report.layout import NOTHING, replace_nan

# Most weights, resamples x images, that are in memory at a time.
CHUNK = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """The estimate of a metric with its confidence interval.

    Attributes
    ----------
    value, low, high : float
        NaN where undefined.

    Examples
    --------
    >>> from imgfeat.evaluation import Estimate
    >>> print(Estimate(0.9, 0.85, 0.94))
    0.900 [0.850, 0.940]
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.value):
            return NOTHING
        if math.isnan(self.low):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def to_dict(self) -> dict[str, float | None]:
        """Return the three numbers by name, with None instead of NaN."""
        return replace_nan(asdict(self))


def draw_resamples(
    n: int, n_resamples: int, *, groups: ArrayLike | None = None, random_state: int | None = 0
) -> Iterator[NDArray[np.uint16]]:
    """Draw bootstrap resamples of n images, as the weight of each image.

    Parameters
    ----------
    n : int
        Number of images.
    n_resamples : int
    groups : array-like of shape (n,), default=None
        Group of each image; whole groups are drawn, with replacement.
    random_state : int, default=0

    Yields
    ------
    weights : ndarray of shape (b, n), dtype uint16
        How often each image is drawn. The chunks have `n_resamples` rows together.

    Examples
    --------
    >>> from imgfeat.evaluation.metrics.intervals import draw_resamples
    >>> (weights,) = draw_resamples(4, 3)
    >>> weights.sum(axis=1).tolist()
    [4, 4, 4]
    """
    rng = np.random.default_rng(random_state)
    member = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    n_units = n if member is None else int(member.max()) + 1
    size = max(1, CHUNK // max(n, n_units))
    for start in range(0, n_resamples, size):
        weights = np.empty((min(size, n_resamples - start), n_units), np.uint16)
        for row in weights:
            row[:] = np.bincount(rng.integers(0, n_units, n_units), minlength=n_units)
        yield weights if member is None else weights[:, member]


def find_percentiles(
    resampled: NDArray[np.float64], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of percentile bootstrap intervals [1]_.

    Parameters
    ----------
    resampled : ndarray of shape (b, ...)
        A statistic of each resample; NaN, where it is undefined, is left out.
    confidence : float
        Such as 0.95.

    Returns
    -------
    low, high : ndarrays of shape (...)
        NaN where the statistic is undefined in more than half of the resamples.

    References
    ----------
    .. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    defined = ~np.isnan(resampled)
    rare = defined.sum(axis=0) * 2 < len(resampled)
    filled = np.where(rare, 0.0, resampled)
    share = (1 - confidence) / 2
    low, high = np.nanquantile(filled, (share, 1 - share), axis=0)
    return np.where(rare, np.nan, low), np.where(rare, np.nan, high)


def find_wilson(
    successes: NDArray[Any], trials: NDArray[Any], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of Wilson's intervals of proportions [1]_.

    Unlike the bootstrap's, they have nonzero width even if all trials are successes.

    Parameters
    ----------
    successes, trials : ndarrays of shape (...)
    confidence : float
        Such as 0.95.

    Returns
    -------
    low, high : ndarrays of shape (...)
        NaN where there are no trials.

    References
    ----------
    .. [1] E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
           Journal of the American Statistical Association 22, 1927.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.evaluation.metrics.intervals import find_wilson
    >>> low, high = find_wilson(np.array(20), np.array(20), 0.95)
    >>> print(f"{low:.3f} {high:.3f}")
    0.839 1.000
    """
    z2 = ndtri((1 + confidence) / 2) ** 2
    n = np.where(trials > 0, trials, np.nan)
    share = successes / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * share * (1 - share) / n + z2**2 / (4 * n**2)) / (1 + z2 / n)
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)
