"""The classes that a head is to tell apart."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import column_or_1d


def number_classes(y: ArrayLike, head: Any) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the labels that there are, in order, and the number of each image's label.

    Parameters
    ----------
    y : array-like of shape (n,)
    head : classifier
        Named in the error.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
    codes : ndarray of shape (n,), dtype intp

    Raises
    ------
    ValueError
        If there is a single class.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from imgfeat.heads.classes import number_classes
    >>> number_classes(["cat", "cat"], SVC())
    Traceback (most recent call last):
    ...
    ValueError: SVC needs 2 classes or more, got 1 class: 'cat'.
    """
    classes, codes = np.unique(column_or_1d(y, warn=True), return_inverse=True)
    if len(classes) == 1:
        raise ValueError(
            f"{type(head).__name__} needs 2 classes or more, got 1 class: {classes.tolist()[0]!r}."
        )
    return classes, codes
