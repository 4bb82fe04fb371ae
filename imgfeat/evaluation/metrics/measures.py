"""All metrics of `evaluate`, computed for many weightings of the images at once.

Most metrics are functions of sums over the images: of true positives, of losses, of the calibration
gaps in each bin. So each image is reduced to one row of numbers, and a bootstrap resample, which is
a vector of image weights, to one row of a matrix product. Only areas under curves need the images
sorted by score, which is done once for all resamples.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from imgfeat.evaluation.metrics._ranking_kernel import rank_areas, rank_images

N_BINS = 15
AVERAGES = ("macro", "micro", "weighted")
COUNTED = ("precision", "recall", "f1")

Scores = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class LabelledOutputs:
    """True labels, predicted labels and scores of images.

    Attributes
    ----------
    y_true, y_pred : ndarray of shape (n, k), dtype bool
        True and predicted labels, as indicators of k classes or labels.
    scores : ndarray of shape (n, k), default=None
        As in `imgfeat.evaluation.prediction.Prediction`.
    probabilistic : bool, default=False
        Whether the scores are probabilities.
    multilabel : bool, default=False
        Whether an image may have any number of labels.
    """

    y_true: NDArray[np.bool_]
    y_pred: NDArray[np.bool_]
    scores: NDArray[np.float64] | None = None
    probabilistic: bool = False
    multilabel: bool = False

    def measure(self, weights: NDArray[np.uint16]) -> tuple[Scores, Scores]:
        """Return all metrics but the areas under curves.

        Parameters
        ----------
        weights : ndarray of shape (b, n), dtype uint16
            Weight of each image in each of b resamples.

        Returns
        -------
        overall : dict of str to ndarray of shape (b,)
        per_class : dict of str to ndarray of shape (b, k)
            NaN where undefined.
        """
        blocks, stacked = self._rows
        sums = (stacked.T @ np.ascontiguousarray(weights.T, dtype=np.float64)).T
        ends = np.cumsum(list(blocks.values()))[:-1]
        parts = dict(zip(blocks, np.split(sums, ends, axis=1), strict=True))
        overall, per_class = count_scores(
            parts["true_positives"], parts["true"], parts["predicted"]
        )
        return self._score_images(parts, weights.sum(axis=1)[:, None]) | overall, per_class

    def rank(self, weights: NDArray[np.uint16]) -> Scores:
        """Return the areas under the one-vs-rest curves of each class.

        Parameters
        ----------
        weights : ndarray of shape (b, n), dtype uint16
            Weight of each image in each of b resamples.

        Returns
        -------
        areas : dict of str to ndarray of shape (b, k)
            roc_auc, and pr_auc as the average precision; NaN where undefined. Empty if there are no
            scores.
        """
        if self.scores is None:
            return {}
        roc, precision = np.empty((2, len(weights), self.y_true.shape[1]))
        rank_areas(weights, np.ascontiguousarray(self.y_true.T), *self._ranks, roc, precision)
        return {"roc_auc": roc, "pr_auc": precision}

    def average_areas(self, areas: Scores) -> Scores:
        """Return the mean of each area over the classes for which it is defined.

        For two classes, return the area of the second, positive class, as scikit-learn does.
        """
        if self.y_true.shape[1] == 2 and not self.multilabel:
            return {name: values[:, 1] for name, values in areas.items()}
        return {name: _divide(np.nansum(v, 1), (~np.isnan(v)).sum(1)) for name, v in areas.items()}

    def _score_images(self, parts: Scores, n: NDArray[Any]) -> Scores:
        correct = (parts["correct"] / n)[:, 0]
        if self.multilabel:
            names = ("hamming_loss", *(f"{name}_samples" for name in COUNTED))
            scores = {"subset_accuracy": correct}
            scores |= dict(zip(names, (parts["samples"] / n).T, strict=True))
        else:
            recalls = _divide(parts["true_positives"], parts["true"])
            classes = (parts["true"] > 0).sum(1)
            scores = {
                "accuracy": correct,
                "balanced_accuracy": _divide(np.nansum(recalls, 1), classes),
            }
        if self.probabilistic:
            gaps = np.abs(parts["gaps"]).reshape(len(n), -1, N_BINS).sum(2)
            scores["log_loss"] = (parts["loss"] / n)[:, 0]
            scores["calibration_error"] = (gaps / n).mean(1)
        return scores

    @cached_property
    def _rows(self) -> tuple[dict[str, int], Any]:
        """Number of columns by name, and the matrix, one row per image, whose rows are summed."""
        true_positives = self.y_true & self.y_pred
        blocks: dict[str, Any] = {
            "true_positives": true_positives,
            "true": self.y_true,
            "predicted": self.y_pred,
        }
        blocks["correct"] = (self.y_true == self.y_pred).all(axis=1, keepdims=True)
        if self.multilabel:
            wrong = (self.y_true != self.y_pred).mean(axis=1)
            counted = _divide_counts(true_positives.sum(1), self.y_true.sum(1), self.y_pred.sum(1))
            blocks["samples"] = np.column_stack([wrong, *map(np.nan_to_num, counted)])
        if self.probabilistic:
            blocks["loss"] = find_losses(self)[:, None]
            blocks["gaps"] = _spread_gaps(self)
        matrices = [sparse.csr_matrix(block, dtype=np.float64) for block in blocks.values()]
        widths = {name: block.shape[1] for name, block in blocks.items()}
        return widths, sparse.hstack(matrices, format="csr")

    @cached_property
    def _ranks(self) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        assert self.scores is not None
        return rank_images(self.scores)


def count_scores(
    true_positives: NDArray[Any], true: NDArray[Any], predicted: NDArray[Any]
) -> tuple[Scores, Scores]:
    """Return averaged and per-class precision, recall and F1, from counts.

    Parameters
    ----------
    true_positives, true, predicted : ndarrays of shape (b, k)
        Number of images of each class that are predicted correctly, that have the class, and for
        which the class is predicted.

    Returns
    -------
    overall : dict of str to ndarray of shape (b,)
        ``precision_macro`` and so on. Macro averages are over the classes that have images.
    per_class : dict of str to ndarray of shape (b, k)
        The precision of a class that has images but is never predicted is 0, as in scikit-learn
        with ``zero_division=0``; any other division by zero is NaN.
    """
    per_class = dict(zip(COUNTED, _divide_counts(true_positives, true, predicted), strict=True))
    totals = _divide_counts(*(counts.sum(1) for counts in (true_positives, true, predicted)))
    overall = {}
    for name, micro in zip(COUNTED, totals, strict=True):
        values = np.where(true > 0, per_class[name], 0)
        overall[f"{name}_macro"] = _divide(values.sum(1), (true > 0).sum(1))
        overall[f"{name}_micro"] = micro
        overall[f"{name}_weighted"] = _divide((values * true).sum(1), true.sum(1))
    return overall, per_class


def find_losses(outputs: LabelledOutputs) -> NDArray[np.float64]:
    """Return the log loss of each image; for multi-label models, its mean over the labels.

    Parameters
    ----------
    outputs : LabelledOutputs
        With probabilities, which are clipped away from 0 and 1 as scikit-learn does.

    Returns
    -------
    losses : ndarray of shape (n,)
    """
    assert outputs.scores is not None
    tiny = np.finfo(np.float64).eps
    clipped = np.clip(outputs.scores, tiny, 1 - tiny)
    if outputs.multilabel:
        return -np.log(np.where(outputs.y_true, clipped, 1 - clipped)).mean(axis=1)
    return -np.log((clipped * outputs.y_true).sum(axis=1))


def find_confidence(outputs: LabelledOutputs) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the probabilities that calibration is measured on, and whether each is correct.

    These are of the most probable class of each image [1]_, or of every label for multi-label
    models.

    Parameters
    ----------
    outputs : LabelledOutputs
        With probabilities.

    Returns
    -------
    confidence : ndarray of shape (n, 1) or (n, n_labels)
    correct : ndarray of the same shape, dtype bool

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural
           Networks", ICML 2017.
    """
    assert outputs.scores is not None
    if outputs.multilabel:
        return outputs.scores, outputs.y_true
    top = outputs.scores.argmax(axis=1)[:, None]
    return (
        np.take_along_axis(outputs.scores, top, axis=1),
        np.take_along_axis(outputs.y_true, top, axis=1),
    )


def bin_confidence(confidence: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the bin of each probability: 15 equally wide bins, closed above."""
    return np.clip(np.ceil(confidence * N_BINS).astype(np.intp) - 1, 0, N_BINS - 1)


def _spread_gaps(outputs: LabelledOutputs) -> Any:
    """Return a matrix with correctness minus confidence in the column of each label and bin."""
    confidence, correct = find_confidence(outputs)
    n, n_labels = confidence.shape
    columns = bin_confidence(confidence) + N_BINS * np.arange(n_labels)
    rows = np.repeat(np.arange(n), n_labels)
    gaps = (correct - confidence).ravel()
    return sparse.csr_matrix((gaps, (rows, columns.ravel())), shape=(n, n_labels * N_BINS))


def _divide_counts(
    true_positives: NDArray[Any], true: NDArray[Any], predicted: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return precision, recall and F1."""
    precision = np.where((predicted == 0) & (true > 0), 0.0, _divide(true_positives, predicted))
    f1 = _divide(2 * true_positives, true + predicted)
    return precision, _divide(true_positives, true), f1


def _divide(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Divide, with NaN where the denominator is 0."""
    found = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    return np.divide(numerator, denominator, out=found, where=denominator > 0)
