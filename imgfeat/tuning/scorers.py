"""Scores of the whole pipeline, from image to label: how quick it is, and how large."""

import pickle
import time
from typing import Any

import numpy as np

from imgfeat._compat.sklearn import num_samples, safe_indexing
from imgfeat._compat.sklearn_search import list_scorers, replace_scorers
from imgfeat.tuning.reuse.blocks import LookUp
from imgfeat.tuning.reuse.prefix import Prefix


class LatencyScorer:
    """Milliseconds that predicting one image takes, the median over some.

    Parameters
    ----------
    n_images : int, default=20
        Images that are predicted one by one, after one to warm up.

    Notes
    -----
    A score to be minimised: ``directions={"accuracy": "maximize", "ms": "minimize"}``. In a search,
    features are computed once and looked up; this scorer gets the images and the whole pipeline.
    Run other work on the same machine at the same time, and it measures that as well.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.svm import SVC
    >>> from imgfeat.tuning import latency_scorer
    >>> X, y = load_digits(return_X_y=True)
    >>> 0 < latency_scorer(SVC().fit(X, y), X) < 1000
    True
    """

    takes_images = True

    def __init__(self, n_images: int = 20):
        self.n_images = n_images

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Return the milliseconds."""
        n = num_samples(X)
        seconds = []
        for number in range(self.n_images + 1):
            one = safe_indexing(X, slice(number % n, number % n + 1))
            start = time.perf_counter()
            estimator.predict(one)
            seconds.append(time.perf_counter() - start)
        return float(np.median(seconds[1:]) * 1000)


class SizeScorer:
    """Megabytes of a fitted pipeline, pickled. A score to be minimised.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.svm import SVC
    >>> from imgfeat.tuning import size_scorer
    >>> X, y = load_digits(return_X_y=True)
    >>> 0.1 < size_scorer(SVC().fit(X, y), X) < 1
    True
    """

    takes_images = True

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Return the megabytes."""
        return len(pickle.dumps(estimator, protocol=5)) / 1e6


latency_scorer = LatencyScorer()
size_scorer = SizeScorer()


def takes_images(scorer: Any) -> bool:
    """Tell whether a scorer, or one of several, wants images instead of features."""
    return any(getattr(part, "takes_images", False) for part in _list_scorers(scorer))


def bind_images(scorer: Any, prefix: Prefix, estimator: Any) -> Any:
    """Return a scorer that hands images and the whole pipeline to those that want them.

    Parameters
    ----------
    scorer : callable
        As scikit-learn's searches have it: one scorer, or its collection of several.
    prefix : Prefix
        Of the search.
    estimator : estimator
        Of the trial, before `Prefix.rewrite`.

    Returns
    -------
    scorer : callable
        The same, where it wants no images.
    """
    if not takes_images(scorer):
        return scorer
    parts = list_scorers(scorer)
    if parts is None:
        return _OnImages(scorer, prefix, estimator)
    bound = {
        name: _OnImages(part, prefix, estimator) if takes_images(part) else part
        for name, part in parts.items()
    }
    return replace_scorers(scorer, bound)


class _OnImages:
    def __init__(self, scorer: Any, prefix: Prefix, estimator: Any):
        self.scorer = scorer
        self.prefix = prefix
        self.estimator = estimator

    def __call__(self, estimator: Any, rows: Any, y: Any = None) -> float:
        if not _looks_up(estimator):
            return self.scorer(estimator, rows, y)
        whole = self.prefix.restore(self.estimator, estimator)
        if whole is None:
            raise ValueError(
                "A scorer that takes images cannot score a ColumnTransformer over them: score the "
                "time or the size of the best estimator after the search."
            )
        numbers = rows.index if hasattr(rows, "iloc") else rows
        return self.scorer(whole, safe_indexing(self.prefix.X, np.asarray(numbers)), y)


def _looks_up(estimator: Any) -> bool:
    return any(isinstance(part, LookUp) for part in estimator.get_params().values())


def _list_scorers(scorer: Any) -> list[Any]:
    parts = list_scorers(scorer)
    return [scorer] if parts is None else list(parts.values())
