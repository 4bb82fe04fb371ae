"""True labels and predictions of any kind, brought to the form that metrics are made of."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.evaluation.metrics.measures import Answers
from imgfeat.evaluation.metrics.targets import encode_labels
from imgfeat.evaluation.prediction import Prediction


def read_answers(target: NDArray[Any], prediction: Prediction) -> tuple[list[Any], Answers]:
    """Bring what is true and what was predicted together.

    Parameters
    ----------
    target : ndarray of shape (n,) or (n, n_labels)
        From `imgfeat.evaluation.metrics.targets.read_target`.
    prediction : Prediction

    Returns
    -------
    classes : list
        The model's classes, or all that occur if it does not tell; numbers for multi-label models.
    answers : Answers
        Without scores where these have not a column for each class.

    Raises
    ------
    ValueError
        If shapes differ, or `target` has a class that the model does not know.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.evaluation.metrics.outputs import read_answers
    >>> from imgfeat.evaluation.prediction import Prediction
    >>> said = Prediction(np.array(["a", "b"]), None, False, ["a", "b"])
    >>> classes, answers = read_answers(np.array(["b", "b"]), said)
    >>> answers.truth.tolist()
    [[False, True], [False, True]]
    """
    if target.ndim != prediction.labels.ndim:
        raise ValueError(
            f"y has shape {target.shape}, but the model predicts {prediction.labels.shape}: "
            "multi-label models need an indicator matrix, others one label an image."
        )
    if target.ndim == 2:
        return list(range(target.shape[1])), _read_indicators(target, prediction)
    return _read_classes(target, prediction)


def _read_classes(target: NDArray, prediction: Prediction) -> tuple[list[Any], Answers]:
    classes = prediction.classes
    if classes is None:
        classes = sorted({*target.tolist(), *prediction.labels.tolist()}, key=_sort_key)
    true = encode_labels(target, classes, source="y")
    said = encode_labels(prediction.labels, classes, source="The prediction")
    scores = prediction.scores
    if scores is not None and (prediction.classes is None or scores.shape[1] != len(classes)):
        scores = None
    identity = np.eye(len(classes), dtype=bool)
    probabilistic = scores is not None and prediction.probabilistic
    return classes, Answers(identity[true], identity[said], scores, probabilistic)


def _read_indicators(target: NDArray, prediction: Prediction) -> Answers:
    if target.shape != prediction.labels.shape:
        raise ValueError(
            f"y has {target.shape[1]} columns, but the model predicts "
            f"{prediction.labels.shape[1]} labels."
        )
    scores = prediction.scores
    if scores is not None and scores.shape != target.shape:
        scores = None
    probabilistic = scores is not None and prediction.probabilistic
    return Answers(
        target.astype(bool), prediction.labels.astype(bool), scores, probabilistic, multilabel=True
    )


def _sort_key(label: Any) -> tuple[str, Any]:
    return type(label).__name__, label
