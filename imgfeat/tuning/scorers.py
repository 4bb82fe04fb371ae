"""Scorers of the latency and the size of a whole pipeline, from image to label."""

import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from imgfeat._compat.sklearn import num_samples, safe_indexing
from imgfeat._compat.sklearn_search import list_scorers, replace_scorers
from imgfeat._protocols import Classifier, Estimator
from imgfeat.tuning.reuse.prefix import Prefix
from imgfeat.tuning.reuse.step_outputs import LookUp


class LatencyScorer:
    """Latency in milliseconds: the median time to predict one image.

    Parameters
    ----------
    n_images : int, default=20
        Number of images predicted one by one, after a warm-up prediction.

    Notes
    -----
    The score is to be minimised: ``directions={"accuracy": "maximize", "ms": "minimize"}``. In a
    search, other scorers use features that are computed once; this one gets the images and the
    whole pipeline. Other work on the same machine at the same time increases the latency.

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

    def __call__(self, estimator: Classifier, X: Any, y: Any = None) -> float:
        """Return the latency in milliseconds."""
        n = num_samples(X)
        seconds = []
        for number in range(self.n_images + 1):
            one = safe_indexing(X, slice(number % n, number % n + 1))
            start = time.perf_counter()
            estimator.predict(one)
            seconds.append(time.perf_counter() - start)
        return float(np.median(seconds[1:]) * 1000)


class SizeScorer:
    """Size in megabytes of the pickled pipeline, a score to be minimised.

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

    def __call__(self, estimator: Classifier, X: Any, y: Any = None) -> float:
        """Return the size in megabytes."""
        return len(pickle.dumps(estimator, protocol=5)) / 1e6


latency_scorer = LatencyScorer()
size_scorer = SizeScorer()


def takes_images(scorer: Callable[..., Any]) -> bool:
    """Return whether a scorer, or any of several, needs images instead of features."""
    return any(getattr(part, "takes_images", False) for part in _list_scorers(scorer))


def bind_images(scorer: Callable[..., Any], prefix: Prefix, estimator: Estimator) -> Any:
    """Return a scorer that passes images and the whole pipeline to the scorers that need them.

    Parameters
    ----------
    scorer : callable
        A scorer, or scikit-learn's multimetric scorer.
    prefix : Prefix
        Of the search.
    estimator : estimator
        Of the trial, before `Prefix.rewrite`.

    Returns
    -------
    scorer : callable
        `scorer` itself if it needs no images.
    """
    if not takes_images(scorer):
        return scorer
    parts = list_scorers(scorer)
    if parts is None:
        return _ImageScorer(scorer, prefix, estimator)
    bound = {
        name: _ImageScorer(part, prefix, estimator) if takes_images(part) else part
        for name, part in parts.items()
    }
    return replace_scorers(scorer, bound)


class _ImageScorer:
    def __init__(self, scorer: Callable[..., Any], prefix: Prefix, estimator: Estimator):
        self.scorer = scorer
        self.prefix = prefix
        self.estimator = estimator

    def __call__(self, estimator: Classifier, rows: Any, y: Any = None) -> float:
        if not _has_look_up(estimator):
            return self.scorer(estimator, rows, y)
        whole = self.prefix.restore(self.estimator, estimator)
        if whole is None:
            raise ValueError(
                "A scorer that takes images cannot score a ColumnTransformer over them: score the "
                "time or the size of the best estimator after the search."
            )
        numbers = rows.index if hasattr(rows, "iloc") else rows
        return self.scorer(whole, safe_indexing(self.prefix.X, np.asarray(numbers)), y)


def _has_look_up(estimator: Estimator) -> bool:
    return any(isinstance(part, LookUp) for part in estimator.get_params().values())


def _list_scorers(scorer: Callable[..., Any]) -> list[Any]:
    parts = list_scorers(scorer)
    return [scorer] if parts is None else list(parts.values())
