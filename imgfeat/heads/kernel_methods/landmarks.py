"""Choice of landmarks: the images to which a Nystroem approximation computes kernels."""

import numpy as np
from numpy.typing import NDArray

# The preliminary solution has one landmark for so many of the final solution.
PILOT = 6
# Share of the images that count as hard, and share of the landmarks drawn from them.
HARD_SHARE = 1 / 4
HARD_LANDMARKS = 0.75


def draw_pilot(rows: NDArray[np.intp], n_landmarks: int) -> NDArray[np.intp]:
    """Return the landmarks of the preliminary solution, sorted.

    Parameters
    ----------
    rows : ndarray of shape (n,)
        All rows, shuffled.
    n_landmarks : int
        Number of landmarks of the final solution.
    """
    return np.sort(rows[: max(1, n_landmarks // PILOT)])


def choose_landmarks(
    values: NDArray[np.floating],
    targets: NDArray[np.float32],
    rows: NDArray[np.intp],
    n_landmarks: int,
) -> NDArray[np.intp]:
    """Return landmarks: mostly images with small margins, which are likely support vectors.

    Parameters
    ----------
    values : ndarray of shape (n, k)
        Decision function of the preliminary solution.
    targets : ndarray of shape (n, k)
        1 for an image's own class, else -1; a single column for two classes.
    rows : ndarray of shape (n,)
        All rows, shuffled.
    n_landmarks : int
        Less than n.

    Returns
    -------
    landmarks : ndarray of shape (n_landmarks,)
        Row numbers, not sorted.
    """
    margins = _measure_margins(values, targets)
    ranks = np.argsort(np.argsort(margins[rows], kind="stable"))
    hard = ranks < max(n_landmarks, len(rows) * HARD_SHARE)
    n_hard = round(n_landmarks * HARD_LANDMARKS)
    chosen = rows[hard][:n_hard]
    others = rows[~np.isin(rows, chosen)]
    return np.concatenate([chosen, others[: n_landmarks - len(chosen)]])


def _measure_margins(
    values: NDArray[np.floating], targets: NDArray[np.float32]
) -> NDArray[np.floating]:
    """Return the margin of each image: the value of its class less the largest other value."""
    if targets.shape[1] == 1:
        return (values * targets)[:, 0]
    own = values[targets > 0]
    return own - np.where(targets > 0, -np.inf, values).max(axis=1)
