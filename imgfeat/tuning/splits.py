"""Cross-validation folds of a search."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.model_selection import check_cv

from imgfeat._compat.sklearn_search import BaseSearchCV


def make_folds(
    search: BaseSearchCV, X: Any, y: Any, params: Mapping[str, Any]
) -> tuple[list[tuple[NDArray[Any], NDArray[Any]]], int]:
    """Return the folds that all trials use, and their number.

    Parameters
    ----------
    search : OptunaSearchCV
    X : sequence, array or frame of n images
    y : array of shape (n,) or (n, n_labels), or None
    params : dict
        Parameters of the splitter, such as groups.

    Returns
    -------
    folds : list of (train, test) arrays of rows
    n_splits : int

    Raises
    ------
    ValueError
        If there are no folds, or the splitter announces another number.
    """
    splitter = check_cv(search.cv, y, classifier=is_classifier(search.estimator))
    folds = list(splitter.split(X, y, **params))
    n_splits = splitter.get_n_splits(X, y, **params)
    if len(folds) != n_splits:
        raise ValueError(
            "cv.split and cv.get_n_splits return inconsistent results. Expected "
            f"{n_splits} splits, got {len(folds)}"
        )
    if not folds:
        raise ValueError(
            "No fits were performed. Was the CV iterator empty? Were there no candidates? "
            f"cv={search.cv!r} gives no folds: an iterator can be used only once."
        )
    return folds, n_splits
