"""Metrics with their confidence intervals, overall and of each class."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.evaluation.metrics.intervals import (
    Estimate,
    draw_resamples,
    find_percentiles,
    find_wilson,
)
from imgfeat.evaluation.metrics.measures import COUNTED, Answers, Scores

Estimates = dict[str, Estimate | None]
Ends = tuple[NDArray[np.float64], NDArray[np.float64]]

# Steps of the loop over ranked images that all resamples together may take: about ten seconds.
RANKING_STEPS = 2_000_000_000
NEED_SCORES = ("roc_auc", "pr_auc")
NEED_PROBABILITIES = ("log_loss", "calibration_error")


def estimate_metrics(
    answers: Answers,
    *,
    groups: Any = None,
    confidence: float = 0.95,
    n_bootstrap: int = 1000,
    random_state: int | None = 0,
) -> tuple[Estimates, list[Estimates]]:
    """Measure everything, and resample the images for the intervals.

    Parameters
    ----------
    answers : Answers
    groups, confidence, n_bootstrap, random_state
        As for `evaluate`.

    Returns
    -------
    overall : dict of str to Estimate or None
        None where the model has no scores or probabilities.
    per_class : list of dict of str to Estimate or None
    """
    everyone = np.ones((1, len(answers.truth)), np.uint16)
    values = _measure(answers, everyone, n_ranked=1)
    resampled = _resample(answers, groups, n_bootstrap, random_state)
    found: list[dict[str, Any]] = []
    for part, drawn in zip(values, resampled, strict=True):
        ends = {name: find_percentiles(drawn[name], confidence) for name in part}
        found.append({name: (part[name][0], *ends[name]) for name in part})
    overall, per_class = found
    if "calibration_error" in overall:
        overall["calibration_error"] = _mirror(*overall["calibration_error"])
    if groups is None:
        _replace_proportions(answers, confidence, overall, per_class)
    return (
        {name: _estimate(overall, name) for name in _order(overall, NEED_PROBABILITIES)},
        [
            {name: _estimate(per_class, name, k) for name in _order(per_class)}
            for k in range(answers.truth.shape[1])
        ],
    )


def _measure(answers: Answers, weights: NDArray, *, n_ranked: int) -> tuple[Scores, Scores]:
    overall, per_class = answers.measure(weights)
    areas = answers.rank(weights[:n_ranked])
    return overall | answers.average_areas(areas), per_class | areas


def _resample(
    answers: Answers, groups: Any, n_bootstrap: int, random_state: int | None
) -> tuple[Scores, Scores]:
    n, k = answers.truth.shape
    n_ranked = min(n_bootstrap, max(100, RANKING_STEPS // (n * k)))
    parts = []
    for weights in draw_resamples(n, n_bootstrap, groups=groups, random_state=random_state):
        parts.append(_measure(answers, weights, n_ranked=n_ranked))
        n_ranked = max(0, n_ranked - len(weights))
    overall, per_class = (
        {name: np.concatenate([part[i][name] for part in parts]) for name in parts[0][i]}
        for i in range(2)
    )
    return overall, per_class


def _mirror(value: float, low: float, high: float) -> tuple[float, float, float]:
    """Turn a percentile interval about the value: resampling adds its bias a second time."""
    return value, max(2 * value - high, 0.0), max(2 * value - low, value)


def _replace_proportions(
    answers: Answers, confidence: float, overall: dict[str, Any], per_class: dict[str, Any]
) -> None:
    """Put Wilson's intervals where a metric is a share of images, independent of each other."""
    right = (answers.truth == answers.said).all(axis=1)
    shares = ["subset_accuracy"] if answers.multilabel else ["accuracy"]
    shares += [] if answers.multilabel else [f"{name}_micro" for name in COUNTED]
    ends = find_wilson(right.sum(), np.array(len(right)), confidence)
    overall |= {name: (overall[name][0], *ends) for name in shares}
    hits = (answers.truth & answers.said).sum(axis=0)
    for name, trials in (("precision", answers.said), ("recall", answers.truth)):
        ends = find_wilson(hits, trials.sum(axis=0), confidence)
        per_class[name] = (per_class[name][0], *ends)


def _order(found: dict[str, Any], optional: tuple[str, ...] = ()) -> list[str]:
    """Names in the order of tables, those that the model has no scores for included."""
    missing = (*NEED_SCORES, *optional)
    return [name for name in found if name not in missing] + list(missing)


def _estimate(found: dict[str, Any], name: str, *position: int) -> Estimate | None:
    if name not in found:
        return None
    return Estimate(*(float(np.asarray(number)[position]) for number in found[name]))
