"""Every metric of `evaluate`, for the images as they are and for resamples of them at once.

Most metrics are functions of sums over images: of hits, of losses, of what falls into each bin of
confidence. So one row of numbers an image is all there is to keep, and all resamples, which count
each image so many times, are one product of matrices. Only areas under curves need the images
ranked, which is done once.
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
class Answers:
    """What was true of each image, what was said, and how surely.

    Attributes
    ----------
    truth, said : ndarray of shape (n, k), dtype bool
        Indicators of k classes or labels.
    scores : ndarray of shape (n, k), default=None
        As `Prediction.scores`.
    probabilistic : bool, default=False
        Whether these are probabilities.
    multilabel : bool, default=False
        Whether an image may have any number of labels.
    """

    truth: NDArray[np.bool_]
    said: NDArray[np.bool_]
    scores: NDArray[np.float64] | None = None
    probabilistic: bool = False
    multilabel: bool = False

    def measure(self, weights: NDArray[np.uint16]) -> tuple[Scores, Scores]:
        """Return what is a function of sums: all but the areas under curves.

        Parameters
        ----------
        weights : ndarray of shape (b, n), dtype uint16
            How often each image counts.

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
        overall, per_class = count_scores(parts["hits"], parts["true"], parts["said"])
        return self._score_images(parts, weights.sum(axis=1)[:, None]) | overall, per_class

    def rank(self, weights: NDArray[np.uint16]) -> Scores:
        """Return the areas under the curves of each class, against all others.

        Parameters
        ----------
        weights : ndarray of shape (b, n), dtype uint16
            How often each image counts.

        Returns
        -------
        areas : dict of str to ndarray of shape (b, k)
            roc_auc, and pr_auc as the average precision; NaN where undefined. Empty where there are
            no scores.
        """
        if self.scores is None:
            return {}
        roc, precision = np.empty((2, len(weights), self.truth.shape[1]))
        rank_areas(weights, np.ascontiguousarray(self.truth.T), *self._ranks, roc, precision)
        return {"roc_auc": roc, "pr_auc": precision}

    def average_areas(self, areas: Scores) -> Scores:
        """Return the mean of each area over the classes that have one.

        For two classes, it is that of the second, the positive one, as everywhere in scikit-learn.
        """
        if self.truth.shape[1] == 2 and not self.multilabel:
            return {name: values[:, 1] for name, values in areas.items()}
        return {name: _divide(np.nansum(v, 1), (~np.isnan(v)).sum(1)) for name, v in areas.items()}

    def _score_images(self, parts: Scores, n: NDArray) -> Scores:
        right = (parts["right"] / n)[:, 0]
        if self.multilabel:
            names = ("hamming_loss", *(f"{name}_samples" for name in COUNTED))
            scores = {"subset_accuracy": right}
            scores |= dict(zip(names, (parts["samples"] / n).T, strict=True))
        else:
            recalls = _divide(parts["hits"], parts["true"])
            classes = (parts["true"] > 0).sum(1)
            scores = {
                "accuracy": right,
                "balanced_accuracy": _divide(np.nansum(recalls, 1), classes),
            }
        if self.probabilistic:
            gaps = np.abs(parts["gaps"]).reshape(len(n), -1, N_BINS).sum(2)
            scores["log_loss"] = (parts["loss"] / n)[:, 0]
            scores["calibration_error"] = (gaps / n).mean(1)
        return scores

    @cached_property
    def _rows(self) -> tuple[dict[str, int], Any]:
        """Widths by name, and one row an image, of what is summed."""
        hits = self.truth & self.said
        blocks: dict[str, Any] = {"hits": hits, "true": self.truth, "said": self.said}
        blocks["right"] = (self.truth == self.said).all(axis=1, keepdims=True)
        if self.multilabel:
            wrong = (self.truth != self.said).mean(axis=1)
            counted = _count(hits.sum(1), self.truth.sum(1), self.said.sum(1))
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


def count_scores(hits: NDArray, true: NDArray, said: NDArray) -> tuple[Scores, Scores]:
    """Return precision, recall and F1, averaged and of each class, from counts.

    Parameters
    ----------
    hits, true, said : ndarrays of shape (b, k)
        Images of a class that were found, that there are, and that were said to be of it.

    Returns
    -------
    overall : dict of str to ndarray of shape (b,)
        ``precision_macro`` and so on. Macro averages are over the classes that have images.
    per_class : dict of str to ndarray of shape (b, k)
        The precision of a class that has images but is never predicted is 0, as in scikit-learn
        with ``zero_division=0``; all else that would divide by zero is NaN.
    """
    per_class = dict(zip(COUNTED, _count(hits, true, said), strict=True))
    totals = _count(*(counts.sum(1) for counts in (hits, true, said)))
    overall = {}
    for name, micro in zip(COUNTED, totals, strict=True):
        values = np.where(true > 0, per_class[name], 0)
        overall[f"{name}_macro"] = _divide(values.sum(1), (true > 0).sum(1))
        overall[f"{name}_micro"] = micro
        overall[f"{name}_weighted"] = _divide((values * true).sum(1), true.sum(1))
    return overall, per_class


def find_losses(answers: Answers) -> NDArray[np.float64]:
    """Return each image's log loss; the mean over labels if an image may have several.

    Parameters
    ----------
    answers : Answers
        With probabilities, which are kept away from 0 and 1 as scikit-learn does.

    Returns
    -------
    losses : ndarray of shape (n,)
    """
    assert answers.scores is not None
    tiny = np.finfo(np.float64).eps
    clipped = np.clip(answers.scores, tiny, 1 - tiny)
    if answers.multilabel:
        return -np.log(np.where(answers.truth, clipped, 1 - clipped)).mean(axis=1)
    return -np.log((clipped * answers.truth).sum(axis=1))


def find_confidence(answers: Answers) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the probabilities whose calibration is judged, and whether each came true.

    Of the likeliest class of each image [1]_, or of every label if an image may have several.

    Parameters
    ----------
    answers : Answers
        With probabilities.

    Returns
    -------
    confidence : ndarray of shape (n, 1) or (n, n_labels)
    came_true : ndarray of the same shape, dtype bool

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural
           Networks", ICML 2017.
    """
    assert answers.scores is not None
    if answers.multilabel:
        return answers.scores, answers.truth
    top = answers.scores.argmax(axis=1)[:, None]
    return (
        np.take_along_axis(answers.scores, top, axis=1),
        np.take_along_axis(answers.truth, top, axis=1),
    )


def bin_confidence(confidence: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return which of 15 equally wide bins, closed above, each probability falls into."""
    return np.clip(np.ceil(confidence * N_BINS).astype(np.intp) - 1, 0, N_BINS - 1)


def _spread_gaps(answers: Answers) -> Any:
    """Put outcome minus confidence into the column of its label and bin."""
    confidence, came_true = find_confidence(answers)
    n, n_labels = confidence.shape
    columns = bin_confidence(confidence) + N_BINS * np.arange(n_labels)
    rows = np.repeat(np.arange(n), n_labels)
    gaps = (came_true - confidence).ravel()
    return sparse.csr_matrix((gaps, (rows, columns.ravel())), shape=(n, n_labels * N_BINS))


def _count(hits: NDArray, true: NDArray, said: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    precision = np.where((said == 0) & (true > 0), 0.0, _divide(hits, said))
    return precision, _divide(hits, true), _divide(2 * hits, true + said)


def _divide(numerator: NDArray, denominator: NDArray) -> NDArray[np.float64]:
    """Divide; NaN where there is nothing to divide by."""
    found = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    return np.divide(numerator, denominator, out=found, where=denominator > 0)
