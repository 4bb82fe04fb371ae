"""Stratified folds in which every class is present."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import KFold, StratifiedKFold

from imgfeat._compat.sklearn_search import BaseKFold
from imgfeat.heads.classes import is_indicator_matrix, read_labels


class EveryClassKFold(BaseKFold):
    """Shuffled stratified folds, with an error if a class has fewer images than there are folds.

    StratifiedKFold only warns in that case. Indicator matrices are not stratified but split at
    random.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds.
    random_state : int, RandomState instance or None, default=None
        Determines the order in which images are shuffled.

    Examples
    --------
    >>> from imgfeat.heads.stratified_folds import EveryClassKFold
    >>> list(EveryClassKFold(3).split([[0], [1]], ["cat", "dog"]))
    Traceback (most recent call last):
    ...
    ValueError: Class 'cat' has 1 image(s), fewer than the 3 folds: give it more images.
    """

    def __init__(
        self, n_splits: int = 5, *, random_state: int | np.random.RandomState | None = None
    ):
        super().__init__(n_splits, shuffle=True, random_state=random_state)

    def split(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the indices of training and test rows.

        Parameters
        ----------
        X : array-like of length n
        y : array-like of shape (n,) or (n, n_labels)
        groups : ignored

        Yields
        ------
        train, test : ndarray of int
        """
        options = {"n_splits": self.n_splits, "shuffle": True, "random_state": self.random_state}
        labels = read_labels(y, warn=False)
        if is_indicator_matrix(labels):
            yield from KFold(**options).split(X)
            return
        classes, counts = np.unique(labels, return_counts=True)
        if counts.min() < self.n_splits:
            name, count = classes[counts.argmin()], counts.min()
            remedy = f"use at most cv={count}, or " if count > 1 else ""
            raise ValueError(
                f"Class {str(name)!r} has {count} image(s), fewer than the {self.n_splits} folds: "
                f"{remedy}give it more images."
            )
        yield from StratifiedKFold(**options).split(X, labels)
