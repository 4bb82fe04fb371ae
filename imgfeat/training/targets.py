"""Labels as a network takes them, and the weights of classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import type_of_target

from imgfeat.heads.classes import (
    encode_labels as encode_classes,
)
from imgfeat.heads.classes import (
    is_indicator_matrix,
    make_indicator_classes,
    read_labels,
)


@dataclass(frozen=True, eq=False)
class Targets:
    """Encoded labels.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,) or (n_labels, 2)
        The attribute `classes_` of a classifier.
    codes : ndarray of shape (n,), dtype int64, or (n, n_labels), dtype float32
        Positions in `classes`, or indicators.
    """

    classes: NDArray[Any]
    codes: NDArray[np.int64] | NDArray[np.float32]

    @property
    def multilabel(self) -> bool:
        """Whether an image can have several labels."""
        return self.codes.ndim == 2

    @property
    def n_outputs(self) -> int:
        """Number of classes or of labels."""
        return len(self.classes)


def encode_labels(y: Any, classifier: Any) -> Targets:
    """Return the labels of training images as codes.

    Raises
    ------
    ValueError
        If there are fewer than two classes, labels are continuous or missing.
    """
    labels = read_labels(y)
    if is_indicator_matrix(labels):
        return Targets(make_indicator_classes(labels.shape[1]), labels.astype(np.float32))
    if labels.ndim == 2:
        raise ValueError(
            f"y must have one label for each image, or be an indicator matrix of 0 and 1; got "
            f"shape {labels.shape} of type {type_of_target(labels)!r}."
        )
    classes, codes = encode_classes(labels, classifier)
    return Targets(classes, codes.astype(np.int64))


def encode_known_labels(y: Any, classes: NDArray[Any], name: str) -> Targets:
    """Return the labels of other images, as codes of known classes.

    Parameters
    ----------
    y : array-like
    classes : ndarray
        Of `Targets`.
    name : str
        What `y` is, for errors.

    Raises
    ------
    ValueError
        If a label is not in `classes`.
    """
    labels = read_labels(y, warn=False)
    if classes.ndim == 2:
        if not is_indicator_matrix(labels) or labels.shape[1] != len(classes):
            raise ValueError(
                f"The labels of {name} must be an indicator matrix with {len(classes)} columns, "
                f"as y is; got shape {labels.shape}."
            )
        return Targets(classes, labels.astype(np.float32))
    unknown = sorted(set(labels.tolist()) - set(classes.tolist()))
    if labels.ndim != 1 or unknown:
        found = f"shape {labels.shape}" if labels.ndim != 1 else f"{unknown[0]!r}"
        raise ValueError(f"{name} has labels that y does not have: {found}.")
    return Targets(classes, np.searchsorted(classes, labels).astype(np.int64))


def weigh_classes(class_weight: Any, targets: Targets) -> NDArray[np.float32] | None:
    """Return the weight of each class, or of the images that have each label.

    Parameters
    ----------
    class_weight : None, "balanced" or dict
        "balanced" is n / (n_classes * count) for classes, as in scikit-learn, and the number of
        images without a label divided by that with it for labels. A dict has weights by label, or
        by column of the indicator matrix; others weigh 1.
    targets : Targets

    Raises
    ------
    ValueError
        If a dict has labels that no image has.
    """
    if class_weight is None:
        return None
    n = targets.n_outputs
    names = list(range(n)) if targets.multilabel else targets.classes.tolist()
    if isinstance(class_weight, dict):
        unknown = [label for label in class_weight if label not in names]
        if unknown:
            raise ValueError(f"class_weight={class_weight!r} has labels that y has not: {unknown}.")
        return np.array([class_weight.get(name, 1.0) for name in names], np.float32)
    if targets.multilabel:
        present = targets.codes.sum(axis=0)
        return ((len(targets.codes) - present) / np.maximum(present, 1)).astype(np.float32)
    weights = compute_class_weight("balanced", classes=np.arange(n), y=targets.codes)
    return weights.astype(np.float32)
