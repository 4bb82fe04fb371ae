"""ROC AUC and average precision from images sorted by score, compiled by numba."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def rank_images(scores: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Sort the images by the score of each class, highest first.

    Parameters
    ----------
    scores : ndarray of shape (n, k)

    Returns
    -------
    order : ndarray of shape (k, n), dtype int32
        Positions of the images.
    last : ndarray of shape (k, n), dtype bool
        Whether the image at a rank is the last one with its score.
    """
    columns = np.ascontiguousarray(scores.T)
    order = np.argsort(-columns, axis=1, kind="stable").astype(np.int32)
    ranked = np.take_along_axis(columns, order, axis=1)
    last = np.ones(order.shape, bool)
    last[:, :-1] = ranked[:, 1:] != ranked[:, :-1]
    return order, last


_OPTIONS: Any = {"nogil": True, "cache": True, "error_model": "numpy"}


@njit(**_OPTIONS)
def rank_areas(
    weights: NDArray[np.uint16],
    y_true: NDArray[np.bool_],
    order: NDArray[np.int32],
    last: NDArray[np.bool_],
    roc: NDArray[np.float64],
    precision: NDArray[np.float64],
) -> None:
    """Fill the area under the ROC curve and the average precision, for each row of weights.

    Parameters
    ----------
    weights : ndarray of shape (b, n), dtype uint16
        Weight of each image.
    y_true : ndarray of shape (k, n), dtype bool
    order, last : ndarrays of shape (k, n)
        From `rank_images`.
    roc, precision : ndarrays of shape (b, k), dtype float64
        Outputs; NaN where no image has the class, and for `roc` where all images have it.
    """
    for b in range(weights.shape[0]):
        for c in range(order.shape[0]):
            area, precision_sum = 0.0, 0.0
            positives, negatives, new_positives, new_negatives = 0, 0, 0, 0
            for rank in range(order.shape[1]):
                image = order[c, rank]
                weight = int(weights[b, image])
                if y_true[c, image]:
                    new_positives += weight
                else:
                    new_negatives += weight
                if last[c, rank]:
                    # A positive and a negative image with the same score count as half a pair.
                    area += new_negatives * (positives + 0.5 * new_positives)
                    positives += new_positives
                    negatives += new_negatives
                    if new_positives:
                        precision_sum += new_positives * (positives / (positives + negatives))
                    new_positives, new_negatives = 0, 0
            roc[b, c] = area / (positives * negatives) if positives * negatives else np.nan
            precision[b, c] = precision_sum / positives if positives else np.nan
