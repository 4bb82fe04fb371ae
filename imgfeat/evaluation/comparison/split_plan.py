"""Splits into training and test images, which are the same for every recipe."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import (
    BaseCrossValidator,
    GroupKFold,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
)

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]
# A number of folds, a splitter of scikit-learn, or pairs of positions.
Splits: TypeAlias = int | BaseCrossValidator | Iterable[tuple[ArrayLike, ArrayLike]]


def make_folds(
    y: NDArray[Any],
    *,
    cv: Splits | None = None,
    groups: ArrayLike | None = None,
    n_splits: int = 5,
    n_repeats: int = 2,
    random_state: int | None = 0,
) -> list[Fold]:
    """Split images into folds, and validate the folds.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, n_labels)
        From `imgfeat.evaluation.metrics.targets.read_target`.
    cv : int, splitter or iterable of (train, test), default=None
        A number of folds, one of scikit-learn's splitters, or pairs of index arrays. By default,
        repeated stratified folds, which keep groups together if there are `groups`. Folds of
        indicator matrices are not stratified.
    groups : array-like of shape (n,), default=None
        Group of each image, such as the person in it; no group is in both training and test.
    n_splits : int, default=5
        Number of folds if `cv` is None.
    n_repeats : int, default=2
        Number of repetitions of the default split, each with another shuffling.
    random_state : int, default=0
        Seed of the default splits.

    Returns
    -------
    folds : list of (train, test)
        Arrays of positions of images.

    Raises
    ------
    ValueError
        If there is a single class; a class has fewer images, or groups, than there are folds; or a
        fold of `cv` is empty, has an image or a group in both training and test, or has training
        images of a single class.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.evaluation.comparison.split_plan import make_folds
    >>> folds = make_folds(np.repeat(["cat", "dog"], 10), n_splits=5, n_repeats=1)
    >>> [len(test) for _, test in folds]
    [4, 4, 4, 4, 4]
    """
    if y.ndim == 1 and len(np.unique(y)) < 2:
        raise ValueError(
            f"All images are of class {y[0].item()!r}; a comparison needs at least 2 classes."
        )
    if cv is None or isinstance(cv, int | np.integer):
        n_splits = n_splits if cv is None else int(cv)
        _check_counts(y, groups, n_splits, n_repeats)
        pairs = _split(y, groups, n_splits, n_repeats, random_state)
    elif hasattr(cv, "split"):
        pairs = cv.split(np.zeros(len(y)), y, groups)
    else:
        pairs = cv
    folds = [_read_fold(pair, i, len(y)) for i, pair in enumerate(pairs)]
    if not folds:
        raise ValueError("cv yields no folds.")
    for i, fold in enumerate(folds):
        _check_fold(fold, i, y, groups)
    return folds


def _split(
    y: NDArray[Any], groups: ArrayLike | None, n_splits: int, n_repeats: int, seed: int | None
) -> Iterable[tuple[ArrayLike, ArrayLike]]:
    blank = np.zeros(len(y))
    if groups is not None:
        kind = StratifiedGroupKFold if y.ndim == 1 else GroupKFold
        rng = np.random.RandomState(seed)
        for _ in range(n_repeats):
            shuffled = kind(n_splits, shuffle=True, random_state=rng.randint(2**31))
            yield from shuffled.split(blank, y, groups)
    else:
        repeated = RepeatedStratifiedKFold if y.ndim == 1 else RepeatedKFold
        splitter = repeated(n_splits=n_splits, n_repeats=n_repeats, random_state=seed)
        yield from splitter.split(blank, y)


def _check_counts(y: NDArray[Any], groups: ArrayLike | None, n_splits: int, n_repeats: int) -> None:
    if n_splits < 2 or n_repeats < 1:
        raise ValueError(
            f"n_splits must be at least 2 and n_repeats at least 1, got {n_splits} and {n_repeats}."
        )
    members = np.arange(len(y)) if groups is None else np.asarray(groups)
    what = "image" if groups is None else "group"
    if len(np.unique(members)) < n_splits:
        raise ValueError(
            f"{len(np.unique(members))} {what}(s) cannot be split into {n_splits} folds. "
            f"Use fewer folds or more {what}s."
        )
    if y.ndim == 2:
        return
    counts = {name: len(np.unique(members[y == name])) for name in np.unique(y)}
    name, count = min(counts.items(), key=lambda item: item[1])
    if count < n_splits:
        remedy = f"Use {count} folds" if count > 1 else f"Add {what}s"
        raise ValueError(
            f"Class {name.item()!r} has {count} {what}(s), fewer than {n_splits} folds: some of "
            f"these would have no test images of it. {remedy}, or leave the class out."
        )


def _read_fold(pair: tuple[ArrayLike, ArrayLike], number: int, n: int) -> Fold:
    train, test = (np.asarray(part) for part in pair)
    if train.dtype == bool and test.dtype == bool and train.shape == test.shape == (n,):
        train, test = np.flatnonzero(train), np.flatnonzero(test)
    for part, name in ((train, "training"), (test, "test")):
        if part.ndim != 1 or part.dtype.kind not in "iu" or len(part) == 0:
            raise ValueError(
                f"Fold {number} of cv: the {name} part must be a list of image positions."
            )
        if part.min() < 0 or part.max() >= n:
            raise ValueError(
                f"Fold {number} of cv: the {name} part has positions outside of the {n} images."
            )
    return train.astype(np.intp), test.astype(np.intp)


def _check_fold(fold: Fold, number: int, y: NDArray[Any], groups: ArrayLike | None) -> None:
    train, test = fold
    shared = np.intersect1d(train, test)
    if len(shared):
        raise ValueError(
            f"Fold {number} of cv: {len(shared)} image(s) are in both training and test, the first "
            f"at position {shared[0]}."
        )
    if groups is not None:
        common = np.intersect1d(np.asarray(groups)[train], np.asarray(groups)[test])
        if len(common):
            raise ValueError(
                f"Fold {number} of cv: group {common[0].item()!r} is in both training and test. "
                "Use a splitter that keeps groups together, or leave cv out."
            )
    if y.ndim == 1 and len(np.unique(y[train])) < 2:
        raise ValueError(
            f"Fold {number} of cv: all training images are of class {y[train][0].item()!r}."
        )
