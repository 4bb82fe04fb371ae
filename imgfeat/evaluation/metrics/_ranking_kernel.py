"""The loop over ranked images behind ROC AUC and average precision, compiled by numba."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def rank_images(scores: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Order the images by each class' score, highest first.

    Parameters
    ----------
    scores : ndarray of shape (n, k)

    Returns
    -------
    order : ndarray of shape (k, n), dtype int32
        Numbers of images.
    last : ndarray of shape (k, n), dtype bool
        Whether the image at a rank is the last of those with its score.
    """
    columns = np.ascontiguousarray(scores.T)
    order = np.argsort(-columns, axis=1, kind="stable").astype(np.int32)
    ranked = np.take_along_axis(columns, order, axis=1)
    last = np.ones(order.shape, bool)
    last[:, :-1] = ranked[:, 1:] != ranked[:, :-1]
    return order, last


_OPTIONS: Any = {"nogil": True, "cache": True, "error_model": "numpy"}


@njit(**_OPTIONS)
def rank_areas(weights, truth, order, last, roc, precision):
    """Fill the area under the ROC curve and the average precision, for each row of weights.

    Parameters
    ----------
    weights : ndarray of shape (b, n), dtype uint16
        How often each image counts.
    truth : ndarray of shape (k, n), dtype bool
    order, last : ndarrays of shape (k, n)
        From `rank_images`.
    roc, precision : ndarrays of shape (b, k), dtype float64
        NaN where there is no image of the class, and for `roc` where there is no other.
    """
    for b in range(weights.shape[0]):
        for c in range(order.shape[0]):
            area, gain = 0.0, 0.0
            hits, misses, new_hits, new_misses = 0, 0, 0, 0
            for rank in range(order.shape[1]):
                image = order[c, rank]
                weight = int(weights[b, image])
                if truth[c, image]:
                    new_hits += weight
                else:
                    new_misses += weight
                if last[c, rank]:
                    # Images with one score count half against each other.
                    area += new_misses * (hits + 0.5 * new_hits)
                    hits += new_hits
                    misses += new_misses
                    if new_hits:
                        gain += new_hits * (hits / (hits + misses))
                    new_hits, new_misses = 0, 0
            roc[b, c] = area / (hits * misses) if hits * misses else np.nan
            precision[b, c] = gain / hits if hits else np.nan
