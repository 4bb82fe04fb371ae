"""Scores of recipes on resampled test images, the same resamples for all."""

import contextlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import UndefinedMetricWarning

from imgfeat.evaluation.comparison.runs import RecordedClassifier, Run, Scorer
from imgfeat.evaluation.comparison.split_plan import Fold
from imgfeat.evaluation.metrics.intervals import draw_resamples
from imgfeat.evaluation.metrics.labelled_outputs import encode_outputs
from imgfeat.evaluation.metrics.measures import AVERAGES, COUNTED, LabelledOutputs, Scores
from imgfeat.evaluation.prediction import predict_images

# Scorers of scikit-learn that are computed for all resamples at once: the metric and its sign.
VECTORIZED = {
    "accuracy": ("accuracy", 1),
    "balanced_accuracy": ("balanced_accuracy", 1),
    **{f"{name}_{a}": (f"{name}_{a}", 1) for name in COUNTED for a in (*AVERAGES, "samples")},
    "neg_log_loss": ("log_loss", -1),
    "roc_auc": ("roc_auc", 1),
    "roc_auc_ovr": ("roc_auc", 1),
    "average_precision": ("pr_auc", 1),
}


def resample_scores(
    runs: Sequence[Run],
    y: NDArray[Any],
    folds: Sequence[Fold],
    scorers: Mapping[str, Scorer],
    *,
    groups: ArrayLike | None = None,
    n_resamples: int = 2000,
    random_state: int | None = 0,
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Score predictions on resamples of the test images.

    Parameters
    ----------
    runs : sequence of Run
        Runs that did not fail.
    y : ndarray of shape (n,) or (n, n_labels)
    folds : sequence of (train, test)
    scorers : mapping of str to scorer
        scikit-learn's scorers by name. Those in ``VECTORIZED`` are fast, others are called once per
        resample.
    groups : array-like of shape (n,), default=None
        Group of each image; whole groups are resampled.
    n_resamples : int, default=2000
    random_state : int, default=0

    Returns
    -------
    scores : dict of str to dict of str to ndarray of shape (n_resamples,)
        By scorer and recipe: the mean score over the folds, NaN where it is undefined.
    """
    tested = np.unique(np.concatenate([test for _, test in folds]))
    members = None if groups is None else np.asarray(groups)[tested]
    totals = {name: {run.recipe: np.zeros((2, n_resamples)) for run in runs} for name in scorers}
    done = 0
    for weights in draw_resamples(
        len(tested), n_resamples, groups=members, random_state=random_state
    ):
        part = slice(done, done + len(weights))
        done += len(weights)
        for run in runs:
            assert run.predictions is not None
            test = folds[run.fold][1]
            drawn = weights[:, np.searchsorted(tested, test)]
            vectorized = _measure(_encode(run.predictions, y[test]), drawn, scorers)
            for name, scorer in scorers.items():
                found = vectorized.get(name)
                if found is None:
                    found = _score_each(scorer, run.predictions, y[test], drawn)
                totals[name][run.recipe][0, part] += np.nan_to_num(found)
                totals[name][run.recipe][1, part] += ~np.isnan(found)
    return {
        name: {recipe: _average(*total) for recipe, total in recipes.items()}
        for name, recipes in totals.items()
    }


def _encode(model: RecordedClassifier, y: NDArray[Any]) -> LabelledOutputs:
    prediction = predict_images(model, np.arange(len(y)))
    known = prediction.classes
    if known is not None and not set(y.tolist()) <= set(known):
        prediction = replace(prediction, classes=None)
    return encode_outputs(y, prediction)[1]


def _measure(outputs: LabelledOutputs, weights: NDArray[np.uint16], names: Iterable[str]) -> Scores:
    """Compute the vectorized scores that are defined for these outputs."""
    overall, _ = outputs.measure(weights)
    if outputs.multilabel:  # scikit-learn defines these two differently
        overall = {name: v for name, v in overall.items() if name != "log_loss"}
        overall["accuracy"] = overall["subset_accuracy"]
    wanted = [(name, *VECTORIZED[name]) for name in names if name in VECTORIZED]
    if any(metric in ("roc_auc", "pr_auc") for _, metric, _ in wanted):
        overall = overall | outputs.average_areas(outputs.rank(weights))
    return {name: sign * overall[metric] for name, metric, sign in wanted if metric in overall}


def _score_each(
    scorer: Scorer, model: RecordedClassifier, y: NDArray[Any], weights: NDArray[np.uint16]
) -> NDArray[np.float64]:
    scores = np.full(len(weights), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        for i, row in enumerate(weights):
            drawn = np.repeat(np.arange(len(y)), row)
            # Metrics of probabilities raise if a class is not in the resample.
            with contextlib.suppress(ValueError):
                scores[i] = scorer(model, drawn, y[drawn])
    return scores


def _average(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
