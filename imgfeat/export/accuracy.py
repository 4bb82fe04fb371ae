"""The accuracy of labels that an exported pipeline predicts, without scikit-learn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = Sequence[float] | NDArray[np.number]


def compute_accuracy(
    y: Any, predicted: NDArray[Any], sample_weight: Weights | None = None
) -> float:
    """Return the share of images for which all labels are correct.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, n_labels)
        The true labels; a column of labels is flattened.
    predicted : ndarray of shape (n,) or (n, n_labels)
    sample_weight : array-like of shape (n,), default=None

    Returns
    -------
    accuracy : float

    Raises
    ------
    ValueError
        If `y` has another shape than `predicted`, there are no labels, or one of the two holds
        strings and the other numbers.
    """
    y_true = _match_labels(y, predicted)
    if len(y_true) == 0:
        raise ValueError("score needs at least 1 image, got none.")
    correct = predicted == y_true
    correct = correct if correct.ndim == 1 else correct.all(1)
    return float(np.average(correct, weights=sample_weight))


def _match_labels(y: Any, predicted: NDArray[Any]) -> NDArray[Any]:
    """Return labels in the shape of the predicted ones."""
    labels = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
    if predicted.ndim == 1 and labels.shape[1:] == (1,):
        labels = labels[:, 0]
    if labels.shape != predicted.shape:
        raise ValueError(
            f"y must have shape {predicted.shape} like the predicted labels, got {labels.shape}."
        )
    given, made = ("strings" if _holds_text(one) else "numbers" for one in (labels, predicted))
    if given != made:
        raise ValueError(
            f"y must hold {made}, such as {predicted[:1].tolist()}, like the predicted labels, got "
            f"{given}, such as {labels[:1].tolist()}."
        )
    return labels


def _holds_text(labels: NDArray[Any]) -> bool:
    return labels.dtype.kind in "US" or (
        labels.dtype.kind == "O" and any(isinstance(label, str) for label in labels.flat)
    )
