"""Accuracy of classifiers that take labels of any container, and indicator matrices."""

from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin

from imgfeat.heads.classes import read_labels


class AccuracyMixin(ClassifierMixin):
    """ClassifierMixin whose `score` also takes labels of shape (n, 1) and nullable types."""

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy; for an indicator matrix, the share of images with all labels right.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            What `predict` takes.
        y : array-like of shape (n,) or (n, n_labels)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        accuracy : float
        """
        return super().score(X, y if issparse(y) else read_labels(y, warn=False), sample_weight)
