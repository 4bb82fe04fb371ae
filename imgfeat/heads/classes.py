"""Reading and encoding of labels: classifiers are fitted on codes from 0 to n_classes - 1."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from imgfeat._protocols import Estimator


def read_labels(y: Any, *, warn: bool = True) -> NDArray[Any]:
    """Return labels as an array of strings or numbers, from any container.

    Parameters
    ----------
    y : array-like of shape (n,), (n, 1) or (n, n_labels)
        A list, an array, a Series with any index, or a column of a DataFrame; for multilabel data,
        an indicator matrix, dense or sparse.
    warn : bool, default=True
        Whether labels of shape (n, 1) give a DataConversionWarning, as in scikit-learn.

    Returns
    -------
    labels : ndarray of shape (n,) or (n, n_labels)
        Integers and booleans keep their type, including pandas' nullable types.

    Raises
    ------
    ValueError
        If `y` is None, a label is missing, or labels are of more than one type.

    Examples
    --------
    >>> import pandas as pd
    >>> from imgfeat.heads.classes import read_labels
    >>> read_labels(pd.Series([30, 10], index=["b.png", "a.png"], dtype="Int64"))
    array([30, 10])
    """
    if y is None:
        raise ValueError("A classifier requires y to be passed, but the target y is None.")
    labels = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
    if labels.dtype == object:
        labels = _find_type(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        if warn:
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected. Please change the "
                "shape of y to (n_samples,), for example using ravel().",
                DataConversionWarning,
                stacklevel=3,
            )
        labels = labels[:, 0]
    return labels


def encode_labels(y: ArrayLike, head: Estimator) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the sorted unique labels, and the code of each image's label.

    Parameters
    ----------
    y : array-like of shape (n,)
    head : classifier
        Its class is named in error messages.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
    codes : ndarray of shape (n,), dtype intp
        Positions in `classes`.

    Raises
    ------
    ValueError
        If there are fewer than two classes, or labels are continuous.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from imgfeat.heads.classes import encode_labels
    >>> encode_labels(["cat", "cat"], SVC())
    Traceback (most recent call last):
    ...
    ValueError: SVC needs 2 classes or more, got 1 class: 'cat'.
    """
    labels = column_or_1d(read_labels(y))
    if len(labels) == 0:
        raise ValueError(f"{type(head).__name__} needs images of 2 classes or more, got none.")
    if labels.dtype.kind == "f":
        _refuse_missing(np.isnan(labels))
        check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) == 1:
        raise ValueError(
            f"{type(head).__name__} needs 2 classes or more, got 1 class: {classes.tolist()[0]!r}."
        )
    return classes, codes


def make_indicator_classes(n_labels: int) -> NDArray[np.intp]:
    """Return the classes 0 and 1 for each column of an indicator matrix, as attribute `classes_`.

    With an attribute of this shape, scikit-learn's scorers do not mistake two labels for a binary
    problem, and cross_val_predict finds one entry for each column of the probabilities.

    Parameters
    ----------
    n_labels : int

    Returns
    -------
    classes : ndarray of shape (n_labels, 2)

    Examples
    --------
    >>> from sklearn.utils.multiclass import type_of_target
    >>> from imgfeat.heads.classes import make_indicator_classes
    >>> type_of_target([0, 1]), type_of_target(make_indicator_classes(2))
    ('binary', 'multilabel-indicator')
    """
    return np.tile(np.arange(2), (n_labels, 1))


def is_indicator_matrix(labels: NDArray[Any]) -> bool:
    """Return whether labels from `read_labels` are a multilabel indicator matrix."""
    return labels.ndim == 2 and type_of_target(labels) == "multilabel-indicator"


def read_indicators(y: Any) -> Any:
    """Convert an indicator matrix of dtype object, such as of nullable types, to numbers.

    Anything else is returned unchanged.

    Parameters
    ----------
    y : object

    Returns
    -------
    y : object, or ndarray of shape (n, n_labels)

    Examples
    --------
    >>> import pandas as pd
    >>> from imgfeat.heads.classes import read_indicators
    >>> read_indicators(pd.DataFrame({"sun": [1, 0], "sea": [1, 1]}, dtype="Int64"))
    array([[1, 1],
           [0, 1]])
    """
    if getattr(y, "ndim", 1) != 2 or hasattr(y, "toarray") or np.asarray(y).dtype != object:
        return y
    labels = read_labels(y, warn=False)
    return labels if is_indicator_matrix(labels) else y


def _find_type(labels: NDArray[np.object_]) -> NDArray[Any]:
    """Return labels of dtype object as strings, or as an array of numbers or booleans."""
    from pandas import isna

    _refuse_missing(isna(labels))
    values = labels.tolist()
    kinds = set(map(type, labels.ravel().tolist()))
    if all(issubclass(kind, str) for kind in kinds):
        return labels
    if not any(issubclass(kind, str | bytes) for kind in kinds):
        found = np.array(values)
        if found.shape == labels.shape and found.dtype.kind in "biufM":
            return found
    listed = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise ValueError(
        f"y has labels of type {listed}: convert all of them to strings, by "
        "[str(label) for label in y], or all of them to 64-bit integers."
    )


def _refuse_missing(missing: NDArray[np.bool_]) -> None:
    if missing.any():
        raise ValueError(f"Input y contains NaN: row {np.argwhere(missing)[0][0]} has no label.")
