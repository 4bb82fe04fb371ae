"""Predict labels and scores of images, with the features computed once for both."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from imgfeat._compat.sklearn import num_samples, safe_indexing
from imgfeat._pipelines import is_sampler, split_head
from imgfeat._protocols import Classifier

BATCH = 256


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted labels and scores of images.

    Attributes
    ----------
    labels : ndarray of shape (n,) or (n, n_labels)
        Two-dimensional for multi-label models.
    scores : ndarray of shape (n, k) or (n, n_labels), or None
        Probabilities, or decision values where the model has no probabilities, one column for each
        class or label; None where it has neither.
    probabilistic : bool
        Whether the scores are probabilities.
    classes : list or None
        ``classes_`` of the model, in the order of the columns; None for multi-label models and for
        models without ``classes_``.
    """

    labels: NDArray[Any]
    scores: NDArray[np.float64] | None
    probabilistic: bool
    classes: list[Any] | None


def predict_images(model: Classifier, X: Any, *, progress: bool = False) -> Prediction:
    """Predict labels and scores, batch by batch.

    The features of a Pipeline are computed once for both, and an exported pipeline runs once.

    Parameters
    ----------
    model : estimator
        A fitted classifier, or a Pipeline or search that ends in one.
    X : sequence, array or DataFrame of n images
        Images as the model takes them.
    progress : bool, default=False
        Show a progress bar if it takes more than two seconds.

    Returns
    -------
    prediction : Prediction

    Raises
    ------
    ValueError
        If there are no images, the model is not a classifier, a step of the pipeline passes NaN
        features to a step that does not support missing values, or a score is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from imgfeat.evaluation.prediction import predict_images
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), ["cat", "cat", "dog", "dog"]
    >>> predict_images(LogisticRegression().fit(X, y), X).labels.tolist()
    ['cat', 'cat', 'dog', 'dog']
    """
    model = getattr(model, "best_estimator_", model)
    if not hasattr(model, "predict"):
        raise ValueError(f"A classifier is needed, got a {type(model).__name__}.")
    n = num_samples(X)
    if n == 0:
        raise ValueError("There are no images to predict.")
    labels: list[NDArray[Any]] = []
    scores: list[Any] = []
    with tqdm(total=n, unit="image", delay=2, disable=None if progress else True) as bar:
        for start in range(0, n, BATCH):
            batch = safe_indexing(X, slice(start, min(start + BATCH, n)))
            found = _predict_batch(model, batch, start)
            labels.append(found[0])
            scores.append(found[1])
            bar.update(len(found[0]))
    return Prediction(
        np.concatenate(labels),
        None if scores[0] is None else _check_scores(np.concatenate(scores)),
        hasattr(model, "predict_proba"),
        _find_classes(model, multilabel=labels[0].ndim == 2),
    )


def check_classifier(model: object) -> None:
    """Raise ValueError if a model is not a classifier.

    Raises
    ------
    ValueError
        If the model is not a classifier. The message names the metrics for a model of its kind.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from imgfeat.evaluation.prediction import check_classifier
    >>> check_classifier(Ridge())
    Traceback (most recent call last):
    ValueError: A classifier is needed, got a Ridge, which is a regressor. Its predictions are
    numbers: measure them with sklearn.metrics, such as r2_score(y, model.predict(X)).
    """
    name = type(getattr(model, "best_estimator_", model)).__name__
    if not hasattr(model, "predict"):
        raise ValueError(
            f"A classifier is needed, got a {name}. Add a classifier after it in a Pipeline."
        )
    tags = getattr(model, "__sklearn_tags__", None)
    kind = tags().estimator_type if callable(tags) else getattr(model, "_estimator_type", None)
    if kind in _REMEDIES:
        described, remedy = _REMEDIES[kind]
        raise ValueError(f"A classifier is needed, got a {name}, which is {described}. {remedy}")


_REMEDIES = {
    "regressor": (
        "a regressor",
        "Its predictions are numbers: measure them with sklearn.metrics, such as "
        "r2_score(y, model.predict(X)).",
    ),
    "clusterer": (
        "a clusterer",
        "Its clusters are not classes: compare them with sklearn.metrics, such as "
        "adjusted_rand_score(y, model.predict(X)).",
    ),
    "outlier_detector": (
        "an outlier detector",
        "Measure its scores with sklearn.metrics, such as "
        "roc_auc_score(is_normal, model.score_samples(X)).",
    ),
    "density_estimator": (
        "a density estimator",
        "Measure its scores with sklearn.metrics, or add a classifier after it in a Pipeline.",
    ),
}


def compute_features(model: BaseEstimator, X: Any) -> tuple[Any, BaseEstimator]:
    """Return the input of the last step of a fitted Pipeline, and the last step itself.

    For any other model, return X and the model.
    """
    front, head = split_head(model)
    return (X if front is None else front.transform(X)), head


def find_bad_step(
    pipeline: BaseEstimator, X: Any, y: Any = None, *, fitted: bool, offset: int = 0
) -> str:
    """Return a message about the first step of a pipeline that gives NaN or infinite features.

    Parameters
    ----------
    pipeline : estimator
    X : sequence of images
    y : array-like, default=None
        Labels, to fit the steps with.
    fitted : bool
        Whether the steps are fitted; if not, clones of them are fitted on X and y.
    offset : int, default=0
        Position of the first image of X in the whole data, which the message adds.

    Returns
    -------
    cause : str
        One sentence; empty if all features are finite.
    """
    steps = pipeline.steps[:-1] if isinstance(pipeline, Pipeline) else []
    for name, step in steps:
        if step is None or isinstance(step, str) or is_sampler(step):
            continue
        X = step.transform(X) if fitted else clone(step).fit(X, y).transform(X)
        values = np.asarray(X)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0]) + offset
            return (
                f"Step {name!r} ({type(step).__name__}) gives NaN or infinite features, first for "
                f"image {row}."
            )
    return ""


def is_about_nan(error: Exception) -> bool:
    """Return whether the message of an error is about NaN or infinite values."""
    return isinstance(error, ValueError) and any(
        word in str(error).lower() for word in ("nan", "infinity", "inf ")
    )


def _predict_batch(
    model: BaseEstimator, X: Any, offset: int
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    try:
        if _is_exported(model):
            outputs = model.run(X)
            labels = outputs["label"]
            found = outputs.get("probabilities", outputs.get("scores"))
            return labels, None if found is None else _pair_columns(found, labels)
        features, head = compute_features(model, X)
        labels = head.predict(features)
        labels = np.asarray(labels.toarray() if hasattr(labels, "toarray") else labels)
        return labels, _score(head, features, labels)
    except ValueError as error:
        cause = find_bad_step(model, X, fitted=True, offset=offset) if is_about_nan(error) else ""
        if cause:
            raise ValueError(cause) from error
        raise


def _is_exported(model: object) -> bool:
    """Return whether a model is an `imgfeat.export.OnnxPipeline`, which has all outputs in one run.

    Evaluation does not import export, and such a model needs no scikit-learn: it has no base class.
    """
    return hasattr(model, "run") and hasattr(model, "metadata_")


def _score(head: BaseEstimator, features: Any, labels: NDArray[Any]) -> NDArray[Any] | None:
    if hasattr(head, "predict_proba"):
        found = head.predict_proba(features)
        return _join_outputs(found, head) if isinstance(found, list) else np.asarray(found)
    # One-vs-one decision values have no column for each class.
    if not hasattr(head, "decision_function") or _is_pairwise(head):
        return None
    return _pair_columns(np.asarray(head.decision_function(features)), labels)


def _pair_columns(scores: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """Return one column per class also for two classes, whose decision values are a vector."""
    return np.column_stack([-scores, scores]) if scores.ndim == labels.ndim == 1 else scores


def _join_outputs(outputs: list[NDArray[Any]], head: BaseEstimator) -> NDArray[Any]:
    """Return the probability of 1 for each label, from one array per label with its own classes."""
    columns = []
    for output, classes in zip(outputs, head.classes_, strict=True):
        present = np.flatnonzero(np.asarray(classes) == 1)
        columns.append(output[:, present[0]] if len(present) else np.zeros(len(output)))
    return np.column_stack(columns)


def _is_pairwise(head: BaseEstimator) -> bool:
    pairwise = getattr(head, "decision_function_shape", None) == "ovo"
    return pairwise and len(getattr(head, "classes_", ())) > 2


def _find_classes(model: object, *, multilabel: bool) -> list[Any] | None:
    classes = getattr(model, "classes_", None)
    return None if multilabel or classes is None else np.asarray(classes).tolist()


def _check_scores(scores: NDArray[Any]) -> NDArray[np.float64]:
    bad = ~np.isfinite(scores).all(axis=1)
    if bad.any():
        raise ValueError(f"The model's scores of image {int(bad.argmax())} are NaN or infinite.")
    return scores.astype(np.float64)
