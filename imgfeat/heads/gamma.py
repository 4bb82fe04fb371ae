"""The parameter gamma of kernels, which may be a word."""

from collections.abc import Callable


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
    >>> from imgfeat.heads.gamma import find_gamma
    >>> find_gamma("scale", 4, lambda: 2.0), find_gamma("auto", 4, lambda: 2.0)
    (0.125, 0.25)
    """
    if gamma == "auto":
        return 1.0 / n_features
    if gamma == "scale":
        variance = measure_variance()
        return 1.0 / (n_features * variance) if variance else 1.0
    return float(gamma)
