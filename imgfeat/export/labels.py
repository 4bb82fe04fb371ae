"""The labels that a graph can return: strings, or whole numbers of 64 bits."""

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.errors import ExportError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

_BOUNDS = np.iinfo(np.int64)


def are_strings(classes: NDArray[Any]) -> bool:
    """Return whether all labels are strings, also in an array of objects."""
    if classes.dtype.kind == "O":
        return all(isinstance(label, str) for label in classes)
    return classes.dtype.kind == "U"


def to_plain(classes: NDArray[Any]) -> list[Any]:
    """Return labels as Python strings and numbers, which can be written as JSON."""
    return [label.item() if isinstance(label, np.generic) else label for label in classes.tolist()]


def check_labels(name: str, estimator: "BaseEstimator") -> None:
    """Raise ExportError if ONNX has no type for the labels of a classifier.

    Parameters
    ----------
    name : str
        Name of the step.
    estimator : classifier
    """
    classes: Any = getattr(estimator, "classes_", None)
    if np.ndim(classes) != 1 or are_strings(classes):
        return
    for label in classes.tolist():
        if not _is_whole(label):
            kind = classes.dtype if classes.dtype.kind != "O" else type(label).__name__
            raise ExportError(
                f"The labels of step {name} ({type(estimator).__name__}) are of type {kind}, such "
                f"as {label!r}; labels in ONNX are strings or whole numbers of 64 bits. Train on "
                "strings, y.astype(str), or on whole numbers."
            )


def _is_whole(label: object) -> bool:
    if isinstance(label, Integral):
        return bool(_BOUNDS.min <= int(label) <= _BOUNDS.max)
    return isinstance(label, Real) and float(label).is_integer() and abs(float(label)) <= 2**53
