"""The validation part of the images, and the errors that it can have, before any epoch."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupShuffleSplit
from sklearn.utils.validation import check_consistent_length

from imgfeat.training.batches import ImageSet
from imgfeat.training.targets import Targets, encode_known_labels

if TYPE_CHECKING:
    from imgfeat.training.classifier import CNNClassifier

Rows = NDArray[np.intp]


def split_images(
    classifier: "CNNClassifier",
    whole: ImageSet,
    targets: Targets,
    groups: Any,
    validation_data: Any,
    random_state: np.random.RandomState,
) -> tuple[ImageSet, ImageSet | None]:
    """Return the training and the validation part of the images; None if there is none."""
    fraction = classifier.validation_fraction
    if validation_data is not None:
        return whole, _read_validation(classifier, validation_data, targets)
    if fraction is None:
        if classifier.early_stopping:
            raise ValueError(
                f"early_stopping={classifier.early_stopping!r} needs a validation part: give "
                "validation_fraction=0.1 or validation_data, or use early_stopping=False."
            )
        return whole, None
    if groups is None:
        rows = split_by_fraction(whole.targets, targets.classes, fraction, random_state)
    else:
        rows = split_by_groups(whole.targets, targets.classes, groups, fraction, random_state)
    train, held_out = (
        ImageSet(whole.inputs[part], whole.targets[part], whole.weights[part]) for part in rows
    )
    return train, held_out


def _read_validation(
    classifier: "CNNClassifier", validation_data: Any, targets: Targets
) -> ImageSet:
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        raise TypeError(
            f"validation_data must be a tuple (X, y), got {type(validation_data).__name__}."
        )
    images = classifier._check_images(validation_data[0], reset=False)
    codes = encode_known_labels(validation_data[1], targets.classes, "validation_data").codes
    check_consistent_length(images, codes)
    check_validation_classes(codes, targets.classes)
    return ImageSet(images, codes, np.ones(len(images), np.float32))


def split_by_fraction(
    targets: NDArray[Any],
    classes: NDArray[Any],
    fraction: float,
    random_state: np.random.RandomState,
) -> tuple[Rows, Rows]:
    """Draw a share of each class for validation, at least one image and not all.

    Parameters
    ----------
    targets : ndarray of shape (n,) or (n, n_labels)
        Codes of classes; rows of an indicator matrix are not stratified.
    classes : ndarray of shape (n_classes,)
        The labels, for error messages.
    fraction : float
    random_state : RandomState

    Returns
    -------
    train, validation : ndarray of int
        Rows, in increasing order.

    Raises
    ------
    ValueError
        If a class has only one image, or there are fewer than two images.
    """
    n = len(targets)
    if targets.ndim == 2:
        if n < 2:
            raise ValueError(
                f"validation_fraction={fraction} needs 2 images or more, got {n}. Use "
                "validation_fraction=None."
            )
        held_out = random_state.permutation(n)[: _count_held_out(n, fraction)]
    else:
        counts = np.bincount(targets, minlength=len(classes))
        if counts.min() < 2:
            name = classes.tolist()[counts.argmin()]
            raise ValueError(
                f"Class {name!r} has only 1 image, which cannot be in both the training and the "
                "validation part. Give it more images, leave it out, or use "
                "validation_fraction=None, early_stopping=False."
            )
        held_out = np.concatenate(
            [
                random_state.permutation(np.flatnonzero(targets == code))[
                    : _count_held_out(count, fraction)
                ]
                for code, count in enumerate(counts)
            ]
        )
    return np.setdiff1d(np.arange(n), held_out), np.sort(held_out)


def split_by_groups(
    targets: NDArray[Any],
    classes: NDArray[Any],
    groups: ArrayLike,
    fraction: float,
    random_state: np.random.RandomState,
) -> tuple[Rows, Rows]:
    """Draw a share of the groups for validation, so that no group is in both parts.

    Of ten draws, the first in which both parts have every class is taken.

    Raises
    ------
    ValueError
        If there is only one group, or a class is absent from one of the parts in all draws.
    """
    check_consistent_length(targets, groups)
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise ValueError(f"groups must have 2 groups or more to split, got {n_groups}.")
    splitter = GroupShuffleSplit(10, test_size=fraction, random_state=random_state)
    missing = ""
    for train, held_out in splitter.split(targets, groups=groups):
        problems = [
            f"class {name!r} is absent from the {part} part"
            for part, rows in (("training", train), ("validation", held_out))
            for name in list_absent(targets[rows], classes)
        ]
        if not problems:
            return train, held_out
        missing = missing or problems[0]
    raise ValueError(
        f"In 10 draws of {fraction:g} of the {n_groups} groups for validation, there is none with "
        f"all classes in both parts: {missing}. Give validation_data, or more groups."
    )


def check_validation_classes(targets: NDArray[Any], classes: NDArray[Any]) -> None:
    """Raise ValueError if a class is absent from a given validation set."""
    absent = list_absent(targets, classes)
    if absent:
        raise ValueError(
            f"Class {absent[0]!r} is absent from validation_data, which must have images of all "
            f"{len(classes)} classes of y."
        )


def list_absent(targets: NDArray[Any], classes: NDArray[Any]) -> list[Any]:
    """Return the labels of the classes that no target has; none for indicator matrices."""
    if targets.ndim == 2:
        return []
    return classes[np.bincount(targets, minlength=len(classes)) == 0].tolist()


def _count_held_out(n: int, fraction: float) -> int:
    return min(max(1, round(fraction * n)), n - 1)
