"""Class weights by label, for classifiers that are handed codes instead of labels."""

from typing import Any

from numpy.typing import NDArray
from sklearn.base import clone


def key_by_code(estimator: Any, classes: NDArray[Any]) -> Any:
    """Return a copy of a classifier whose class weights name codes instead of labels.

    Bagging, voting, stacking and calibration number the labels before they fit what is inside, and
    HistGradientBoostingClassifier before it reads its own `class_weight`: there, ``{"cat": 3}``
    would name no class, and ``{1: 3}`` another.

    Parameters
    ----------
    estimator : classifier
        It, or classifiers inside, may have dictionaries of class weights.
    classes : ndarray of shape (n_classes,)
        The labels, in order.

    Returns
    -------
    estimator : classifier
        Unfitted, for codes of the labels.

    Raises
    ------
    ValueError
        If there are weights of other labels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.svm import SVC
    >>> from imgfeat.heads.class_weights import key_by_code
    >>> key_by_code(SVC(class_weight={"dog": 3}), np.array(["cat", "dog"]))
    SVC(class_weight={1: 3})
    """
    codes = {label: code for code, label in enumerate(classes.tolist())}
    estimator = clone(estimator)
    for name, weights in find_weights(estimator).items():
        unknown = [label for label in weights if label not in codes]
        if unknown:
            raise ValueError(f"class_weight={weights!r} has labels that no image has: {unknown}.")
        estimator.set_params(**{name: {codes[label]: w for label, w in weights.items()}})
    return estimator


def find_weights(estimator: Any) -> dict[str, dict]:
    """Return the dictionaries of class weights of a classifier, by name of the parameter."""
    return {
        name: value
        for name, value in estimator.get_params().items()
        if name.split("__")[-1] == "class_weight" and isinstance(value, dict)
    }
