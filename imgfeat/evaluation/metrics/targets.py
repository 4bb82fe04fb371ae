"""Validation and encoding of labels."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgfeat._compat.sklearn import num_samples
from imgfeat.heads.classes import read_labels


def read_target(X: Any, y: Any, *, groups: ArrayLike | None = None) -> NDArray[Any]:
    """Validate labels and return them as an array.

    Parameters
    ----------
    X : sequence of n images
    y : array-like of shape (n,), (n, 1) or (n, n_labels)
        Labels, or for multi-label problems an indicator matrix of zeros and ones.
    groups : array-like of shape (n,), default=None
        Group of each image; only its length is checked.

    Returns
    -------
    target : ndarray of shape (n,), or (n, n_labels) and dtype bool

    Raises
    ------
    ValueError
        If lengths differ, there are no images, or an indicator matrix has values other than 0 and
        1.

    Examples
    --------
    >>> from imgfeat.evaluation.metrics.targets import read_target
    >>> read_target(["a.png", "b.png"], [[1, 0], [1, 1]]).tolist()
    [[True, False], [True, True]]
    """
    target = read_labels(y, warn=False)
    if target.ndim not in (1, 2):
        raise ValueError(f"y must have one or two dimensions, got shape {target.shape}.")
    n = num_samples(X)
    if n != len(target):
        raise ValueError(f"X has {n} images, but y has {len(target)} labels.")
    if n == 0:
        raise ValueError("There are no images: X and y are empty.")
    if groups is not None and num_samples(groups) != n:
        raise ValueError(f"X has {n} images, but groups has {num_samples(groups)} entries.")
    if target.ndim == 1:
        return target
    if target.dtype.kind not in "biuf" or not np.isin(target, (0, 1)).all():
        raise ValueError(
            "A two-dimensional y must be an indicator matrix of zeros and ones, one column per "
            "label; got other values. For one label per image, pass a one-dimensional y."
        )
    return target.astype(bool)


def name_labels(y: Any, n_labels: int, names: Iterable[Any] | None = None) -> list[Any]:
    """Return names for the columns of an indicator matrix.

    They are `names`, or else the columns of a DataFrame, or else numbers.

    Parameters
    ----------
    y : array-like or DataFrame of shape (n, n_labels)
    n_labels : int
    names : iterable, default=None

    Returns
    -------
    names : list of length n_labels

    Raises
    ------
    ValueError
        If the number of names is not `n_labels`.
    """
    chosen = list(getattr(y, "columns", range(n_labels)) if names is None else names)
    if len(chosen) != n_labels:
        raise ValueError(f"y has {n_labels} columns, but {len(chosen)} names were given.")
    return chosen


def encode_labels(labels: NDArray[Any], classes: list[Any], *, source: str) -> NDArray[np.intp]:
    """Return the position of each label among the classes.

    Parameters
    ----------
    labels : ndarray of shape (n,)
    classes : list
    source : str
        Name of the labels in the error message.

    Returns
    -------
    codes : ndarray of shape (n,), dtype intp

    Raises
    ------
    ValueError
        If a label is not one of the classes; the message lists such labels.
    """
    position = {name: code for code, name in enumerate(classes)}
    values = labels.tolist()
    unknown = list(dict.fromkeys(value for value in values if value not in position))
    if unknown:
        listed = ", ".join(map(repr, unknown[:5])) + (" ..." if len(unknown) > 5 else "")
        known = ", ".join(map(repr, classes[:10])) + (" ..." if len(classes) > 10 else "")
        raise ValueError(
            f"{source} has labels that are not classes of the model: {listed}. Its classes are "
            f"{known}."
        )
    return np.fromiter((position[value] for value in values), np.intp, len(values))
