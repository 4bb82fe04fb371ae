"""Encoding of the labels in class weights, for classifiers that are fitted on encoded labels."""

from typing import Any

from numpy.typing import NDArray
from sklearn.base import clone

from imgfeat._protocols import Estimator

# The type of the parameter class_weight: weights by label, or "balanced".
ClassWeight = dict[Any, float] | str | None


def encode_class_weights(estimator: Estimator, classes: NDArray[Any]) -> Any:
    """Return a copy of a classifier whose class weights have encoded labels as keys.

    Bagging, voting, stacking and calibration encode the labels before they fit their inner
    classifiers, and HistGradientBoostingClassifier encodes them before it reads its own
    `class_weight`. There, ``{"cat": 3}`` would match no class, and ``{1: 3}`` the wrong one.

    Parameters
    ----------
    estimator : classifier
        The classifier, or classifiers inside it, may have a dict as `class_weight`.
    classes : ndarray of shape (n_classes,)
        The labels, sorted; the code of a label is its position.

    Returns
    -------
    estimator : classifier
        Unfitted copy, to be fitted on encoded labels.

    Raises
    ------
    ValueError
        If a `class_weight` has labels that are not in `classes`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.svm import SVC
    >>> from imgfeat.heads.class_weights import encode_class_weights
    >>> encode_class_weights(SVC(class_weight={"dog": 3}), np.array(["cat", "dog"]))
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


def find_weights(estimator: Estimator) -> dict[str, dict]:
    """Return the class weights of a classifier that are dicts, by parameter name."""
    return {
        name: value
        for name, value in estimator.get_params().items()
        if name.split("__")[-1] == "class_weight" and isinstance(value, dict)
    }
