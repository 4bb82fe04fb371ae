"""Encode true labels and predictions as indicators, from which metrics are computed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.evaluation.metrics.measures import LabelledOutputs
from imgfeat.evaluation.metrics.targets import encode_labels
from imgfeat.evaluation.prediction import Prediction


def encode_outputs(
    target: NDArray[Any], prediction: Prediction
) -> tuple[list[Any], LabelledOutputs]:
    """Encode true labels and a prediction as indicators of the classes.

    Parameters
    ----------
    target : ndarray of shape (n,) or (n, n_labels)
        From `imgfeat.evaluation.metrics.targets.read_target`.
    prediction : Prediction

    Returns
    -------
    classes : list
        The classes of the model, or all labels that occur if it has no ``classes_``; column numbers
        for multi-label models.
    outputs : LabelledOutputs
        Without scores if these do not have one column for each class.

    Raises
    ------
    ValueError
        If shapes differ, or `target` has a class that the model was not trained on.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.evaluation.metrics.labelled_outputs import encode_outputs
    >>> from imgfeat.evaluation.prediction import Prediction
    >>> prediction = Prediction(np.array(["a", "b"]), None, False, ["a", "b"])
    >>> classes, outputs = encode_outputs(np.array(["b", "b"]), prediction)
    >>> outputs.y_true.tolist()
    [[False, True], [False, True]]
    """
    if target.ndim != prediction.labels.ndim:
        raise ValueError(
            f"y has shape {target.shape}, but the model predicts {prediction.labels.shape}: "
            "multi-label models need an indicator matrix as y, other models one label per image."
        )
    if target.ndim == 2:
        return list(range(target.shape[1])), _read_indicators(target, prediction)
    return _read_classes(target, prediction)


def _read_classes(
    target: NDArray[Any], prediction: Prediction
) -> tuple[list[Any], LabelledOutputs]:
    classes = prediction.classes
    if classes is None:
        classes = sorted({*target.tolist(), *prediction.labels.tolist()}, key=_sort_key)
    true = encode_labels(target, classes, source="y")
    predicted = encode_labels(prediction.labels, classes, source="The prediction")
    scores = prediction.scores
    if scores is not None and (prediction.classes is None or scores.shape[1] != len(classes)):
        scores = None
    identity = np.eye(len(classes), dtype=bool)
    probabilistic = scores is not None and prediction.probabilistic
    return classes, LabelledOutputs(identity[true], identity[predicted], scores, probabilistic)


def _read_indicators(target: NDArray[Any], prediction: Prediction) -> LabelledOutputs:
    if target.shape != prediction.labels.shape:
        raise ValueError(
            f"y has {target.shape[1]} columns, but the model predicts "
            f"{prediction.labels.shape[1]} labels."
        )
    scores = prediction.scores
    if scores is not None and scores.shape != target.shape:
        scores = None
    probabilistic = scores is not None and prediction.probabilistic
    return LabelledOutputs(
        target.astype(bool), prediction.labels.astype(bool), scores, probabilistic, multilabel=True
    )


def _sort_key(label: object) -> tuple[str, Any]:
    return type(label).__name__, label
