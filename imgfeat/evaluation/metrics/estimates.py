"""Metrics with confidence intervals, overall and per class."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgfeat.evaluation.metrics.intervals import (
    Estimate,
    draw_resamples,
    find_percentiles,
    find_wilson,
)
from imgfeat.evaluation.metrics.measures import COUNTED, LabelledOutputs, Scores

Estimates = dict[str, Estimate | None]

# Limit on resamples x images x classes for areas under curves, which is about ten seconds.
RANKING_STEPS = 2_000_000_000
NEED_SCORES = ("roc_auc", "pr_auc")
NEED_PROBABILITIES = ("log_loss", "calibration_error")


def estimate_metrics(
    outputs: LabelledOutputs,
    *,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_bootstrap: int = 1000,
    random_state: int | None = 0,
) -> tuple[Estimates, list[Estimates]]:
    """Compute all metrics, and their intervals by the bootstrap over the images.

    Parameters
    ----------
    outputs : LabelledOutputs
    groups, confidence, n_bootstrap, random_state
        As for `evaluate`.

    Returns
    -------
    overall : dict of str to Estimate or None
        None if the metric needs scores or probabilities that the model does not have.
    per_class : list of dict of str to Estimate or None
    """
    unweighted = np.ones((1, len(outputs.y_true)), np.uint16)
    values = _measure(outputs, unweighted, n_ranked=1)
    resampled = _resample(outputs, groups, n_bootstrap, random_state)
    found: list[dict[str, Any]] = []
    for part, drawn in zip(values, resampled, strict=True):
        ends = {name: find_percentiles(drawn[name], confidence) for name in part}
        found.append({name: (part[name][0], *ends[name]) for name in part})
    overall, per_class = found
    if "calibration_error" in overall:
        overall["calibration_error"] = _reflect(*overall["calibration_error"])
    if groups is None:
        _replace_proportions(outputs, confidence, overall, per_class)
    return (
        {name: _estimate(overall, name) for name in _order(overall, NEED_PROBABILITIES)},
        [
            {name: _estimate(per_class, name, k) for name in _order(per_class)}
            for k in range(outputs.y_true.shape[1])
        ],
    )


def _measure(
    outputs: LabelledOutputs, weights: NDArray[Any], *, n_ranked: int
) -> tuple[Scores, Scores]:
    overall, per_class = outputs.measure(weights)
    areas = outputs.rank(weights[:n_ranked])
    return overall | outputs.average_areas(areas), per_class | areas


def _resample(
    outputs: LabelledOutputs, groups: ArrayLike | None, n_bootstrap: int, random_state: int | None
) -> tuple[Scores, Scores]:
    n, k = outputs.y_true.shape
    n_ranked = min(n_bootstrap, max(100, RANKING_STEPS // (n * k)))
    parts = []
    for weights in draw_resamples(n, n_bootstrap, groups=groups, random_state=random_state):
        parts.append(_measure(outputs, weights, n_ranked=n_ranked))
        n_ranked = max(0, n_ranked - len(weights))
    overall, per_class = (
        {name: np.concatenate([part[i][name] for part in parts]) for name in parts[0][i]}
        for i in range(2)
    )
    return overall, per_class


def _reflect(value: float, low: float, high: float) -> tuple[float, float, float]:
    """Return the basic bootstrap interval, which corrects the bias that resampling adds."""
    return value, max(2 * value - high, 0.0), max(2 * value - low, value)


def _replace_proportions(
    outputs: LabelledOutputs, confidence: float, overall: dict[str, Any], per_class: dict[str, Any]
) -> None:
    """Use Wilson's interval for metrics that are proportions of independent images."""
    correct = (outputs.y_true == outputs.y_pred).all(axis=1)
    shares = ["subset_accuracy"] if outputs.multilabel else ["accuracy"]
    shares += [] if outputs.multilabel else [f"{name}_micro" for name in COUNTED]
    ends = find_wilson(correct.sum(), np.array(len(correct)), confidence)
    overall |= {name: (overall[name][0], *ends) for name in shares}
    true_positives = (outputs.y_true & outputs.y_pred).sum(axis=0)
    for name, trials in (("precision", outputs.y_pred), ("recall", outputs.y_true)):
        ends = find_wilson(true_positives, trials.sum(axis=0), confidence)
        per_class[name] = (per_class[name][0], *ends)


def _order(found: dict[str, Any], optional: tuple[str, ...] = ()) -> list[str]:
    """Return names in table order, including metrics that the model has no scores for."""
    missing = (*NEED_SCORES, *optional)
    return [name for name in found if name not in missing] + list(missing)


def _estimate(found: dict[str, Any], name: str, *position: int) -> Estimate | None:
    if name not in found:
        return None
    return Estimate(*(float(np.asarray(number)[position]) for number in found[name]))
