"""Pairwise significance tests of recipes, from their scores on the same folds."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgfeat.evaluation.comparison.comparison import Comparison, PairwiseDifferences
from imgfeat.evaluation.comparison.resampling import resample_scores
from imgfeat.evaluation.comparison.runs import Run, Scorer
from imgfeat.evaluation.comparison.significance import (
    CORRECTIONS,
    Difference,
    adjust,
    bootstrap_test,
    corrected_t_test,
)
from imgfeat.evaluation.comparison.split_plan import Fold

# p-value, and the lower and upper end of the interval.
PairTest = tuple[float, float, float]


def compare_runs(
    runs: Sequence[Run],
    y: NDArray[Any],
    folds: Sequence[Fold],
    scorers: Mapping[str, Scorer],
    *,
    groups: ArrayLike | None = None,
    test: str = "auto",
    correction: str = "holm",
    alpha: float = 0.05,
    n_bootstrap: int = 2000,
    random_state: int | None = 0,
) -> Comparison:
    """Test all pairs of recipes; see `imgfeat.evaluation.compare`.

    Parameters
    ----------
    runs : sequence of Run
        Results of every recipe on every fold.
    y : ndarray of shape (n,) or (n, n_labels)
    folds : sequence of (train, test)
    scorers : mapping of str to scorer
    groups, test, correction, alpha, n_bootstrap, random_state
        As for `imgfeat.evaluation.compare`.

    Returns
    -------
    comparison : Comparison
    """
    test = check_options(test, correction, alpha, n_bootstrap, len(folds))
    failed = {run.recipe for run in runs if run.error is not None}
    good = [run for run in runs if run.recipe not in failed]
    names = list(dict.fromkeys(run.recipe for run in good))
    pairs = list(combinations(names, 2))
    confidence = 1 - alpha / (len(pairs) if pairs and correction != "none" else 1)
    scores = {
        metric: {
            name: np.array([run.scores[metric] for run in good if run.recipe == name])
            for name in names
        }
        for metric in scorers
    }
    if test == "bootstrap" and pairs:
        # The smallest p-value, 2 / (n + 1), must stay below alpha after the correction.
        enough = max(n_bootstrap, math.ceil(4 * len(pairs) / alpha))
        resampled = resample_scores(
            good, y, folds, scorers, groups=groups, n_resamples=enough, random_state=random_state
        )
        found = {
            metric: [bootstrap_test(drawn[a] - drawn[b], confidence=confidence) for a, b in pairs]
            for metric, drawn in resampled.items()
        }
    else:
        share = float(np.mean([len(tested) / len(train) for train, tested in folds]))
        found = {
            metric: [corrected_t_test(v[a] - v[b], share, confidence=confidence) for a, b in pairs]
            for metric, v in scores.items()
        }
    differences = {
        metric: _collect(pairs, scores[metric], found[metric], correction) for metric in scorers
    }
    return Comparison(list(scorers), list(runs), scores, differences, test, correction, alpha)


def check_options(test: str, correction: str, alpha: float, n_bootstrap: int, n_folds: int) -> str:
    """Validate the options of `compare`, and return the test, with "auto" resolved."""
    if test not in ("auto", "corrected_t", "bootstrap"):
        raise ValueError(f"test must be 'auto', 'corrected_t' or 'bootstrap', got {test!r}.")
    if test == "corrected_t" and n_folds < 2:
        raise ValueError("test='corrected_t' needs at least 2 folds, got 1. Use test='bootstrap'.")
    if correction not in CORRECTIONS:
        raise ValueError(f"correction must be one of {', '.join(CORRECTIONS)}, got {correction!r}.")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}.")
    if n_bootstrap < 1:
        raise ValueError(f"n_bootstrap must be at least 1, got {n_bootstrap}.")
    if test == "auto":
        return "corrected_t" if n_folds > 1 else "bootstrap"
    return test


def _collect(
    pairs: list[tuple[str, str]],
    scores: Mapping[str, NDArray[np.float64]],
    tests: list[PairTest],
    correction: str,
) -> PairwiseDifferences:
    adjusted = adjust([p for p, _, _ in tests], correction)
    return {
        (a, b): Difference(float((scores[a] - scores[b]).mean()), low, high, p, corrected)
        for (a, b), (p, low, high), corrected in zip(pairs, tests, adjusted, strict=True)
    }
