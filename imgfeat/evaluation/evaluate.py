"""Metrics of a fitted classifier on test images, with confidence intervals."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix

from imgfeat._protocols import Classifier
from imgfeat.evaluation.metrics.estimates import Estimates, estimate_metrics
from imgfeat.evaluation.metrics.intervals import Estimate
from imgfeat.evaluation.metrics.labelled_outputs import encode_outputs
from imgfeat.evaluation.metrics.measures import LabelledOutputs
from imgfeat.evaluation.metrics.targets import name_labels, read_target
from imgfeat.evaluation.prediction import check_classifier, predict_images
from imgfeat.evaluation.report.layout import NOTHING, format_columns, name_metric, shorten
from imgfeat.images.training_hashes import count_seen, find_reader, record_hashes


class TrainingImagesWarning(UserWarning):
    """Warn that some test images are also in the training set."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of `evaluate`; ``print`` shows it as a table.

    Attributes
    ----------
    kind : {"binary", "multiclass", "multilabel"}
    classes : list
        Classes of the model, or names of the labels.
    metrics : dict of str to Estimate or None
        None where the model lacks the scores or probabilities that a metric needs.
    per_class : list of dict of str to Estimate or None
        precision, recall, f1, roc_auc and pr_auc of each class against the others.
    support : list of int
        Number of images of each class.
    confusion : ndarray of shape (k, k) or (n_labels, 2, 2)
        Rows are true classes, columns are predicted classes; one 2 x 2 matrix per label for
        multi-label models.
    n : int
        Number of images.
    confidence : float
        Confidence level of the intervals.
    notes : list of str
        Caveats, such as test images that are in the training set or classes without images.
    model : str
        Representation of the evaluated model.
    outputs : LabelledOutputs
        True labels, predicted labels and scores, one row per image.
    images : sequence
        The evaluated images, from which a report draws thumbnails.
    """

    kind: Literal["binary", "multiclass", "multilabel"]
    classes: list[Any]
    metrics: Estimates
    per_class: list[Estimates]
    support: list[int]
    confusion: NDArray[np.int64]
    n: int
    confidence: float
    notes: list[str]
    model: str
    outputs: LabelledOutputs = field(repr=False)
    images: Any = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as a dict for ``json.dumps``; undefined numbers are None."""
        return {
            "kind": self.kind,
            "model": self.model,
            "n": self.n,
            "confidence": self.confidence,
            "classes": self.classes,
            "support": self.support,
            "metrics": {name: _to_dict(found) for name, found in self.metrics.items()},
            "per_class": [
                {name: _to_dict(found) for name, found in row.items()} for row in self.per_class
            ],
            "confusion_matrix": self.confusion.tolist(),
            "notes": self.notes,
        }

    def list_metrics(self) -> list[tuple[str, str]]:
        """Return the rows of the metrics table: the name of each metric, and its estimate."""
        return [(name_metric(name), show(found)) for name, found in self.metrics.items()]

    def list_classes(self) -> list[tuple[str, ...]]:
        """Return the rows of the class table: class, number of images, and the estimates."""
        return [
            (shorten(str(name)), f"{count:,}", *map(show, row.values()))
            for name, count, row in zip(self.classes, self.support, self.per_class, strict=True)
        ]

    def __str__(self) -> str:
        what = "labels" if self.kind == "multilabel" else "classes"
        title = (
            f"{self.n:,} images, {len(self.classes)} {what}, "
            f"{100 * self.confidence:g} % confidence intervals"
        )
        overall = [("metric", "estimate"), *self.list_metrics()]
        per_class = [(what, "images", *map(name_metric, self.per_class[0])), *self.list_classes()]
        parts = [title, "", format_columns(overall, left=2), "", format_columns(per_class)]
        return "\n".join([*parts, *(["", *self.notes] if self.notes else [])])


def evaluate(
    estimator: Classifier,
    X: Any,
    y: Any,
    *,
    groups: ArrayLike | None = None,
    label_names: Iterable[Any] | None = None,
    confidence: float = 0.95,
    n_bootstrap: int = 1000,
    random_state: int | None = 0,
    progress: bool = False,
) -> Evaluation:
    """Evaluate a fitted classifier on test images.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier, or a Pipeline or search that ends in one. Without ``predict_proba``,
        the areas under curves are computed from ``decision_function``, and log loss and calibration
        error are None.
    X : sequence of n images
        Test images as the estimator takes them: paths, arrays or bytes. None of them should be in
        the training set.
    y : array-like of shape (n,) or (n, n_labels)
        True labels, or an indicator matrix for multi-label models.
    groups : array-like of shape (n,), default=None
        Group of each image, such as the person in it. The bootstrap resamples whole groups, since
        images of one group are not independent.
    label_names : iterable of length n_labels, default=None
        Names of a multi-label matrix' columns; by default the columns of a DataFrame, or numbers.
    confidence : float, default=0.95
        Confidence level of the intervals.
    n_bootstrap : int, default=1000
        Number of bootstrap resamples of the images. Areas under curves use fewer, at least 100,
        where the number of images times the number of classes is large.
    random_state : int, default=0
        Seed of the resampling.
    progress : bool, default=False
        Show a progress bar if the prediction takes more than two seconds.

    Returns
    -------
    evaluation : Evaluation

    Raises
    ------
    ValueError
        If the estimator is not a classifier, X and y differ in length or are empty, y has a class
        that the model was not trained on, a step of the pipeline passes NaN features to a step that
        does not support missing values, or a parameter is out of range.

    Warns
    -----
    TrainingImagesWarning
        If some of the images are in the training set, which `Evaluation.notes` records as well. A
        fitted ImageLoader, Batched or imgfeat feature holds hashes of the pixels of its training
        images, which are compared with the hashes of `X`. Exported models have no hashes, and
        `forget_training_images` removes them.

    Notes
    -----
    Metrics of a class are one-vs-rest. Macro averages are over the classes that have images in
    `y`; for a class without images, recall and the areas under curves are undefined. ROC AUC and PR
    AUC (the average precision) are means over the classes, and for two classes those of the second,
    positive class. The calibration error is the expected calibration error of the most probable
    class in 15 equally wide bins [1]_; for multi-label models it is the mean over the labels.

    Intervals are percentile bootstrap intervals over the images [2]_. Resamples in which a metric
    is undefined, such as the AUC of a class without images, are left out, and there is no interval
    if these are more than half. Accuracy, and recall and precision of a class, are proportions:
    without `groups` they have Wilson's interval, which is not empty at 100 % either. Resampling
    adds the bias of the calibration error a second time, so its interval is the basic bootstrap
    interval, reflected at the estimate [2]_, extended to contain the estimate.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural
           Networks", ICML 2017, arXiv:1706.04599.
    .. [2] A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997,
           chapter 5: percentile and basic intervals.

    Examples
    --------
    >>> from imgfeat.datasets import load_textures
    >>> from imgfeat.evaluation import evaluate
    >>> from imgfeat.recipes import load_recipe
    >>> train, test = load_textures("train"), load_textures("test")
    >>> model = load_recipe("lbp_svm").build().fit(train.images, train.target)
    >>> result = evaluate(model, test.images, test.target)
    >>> print(f"{result.metrics['accuracy'].value:.2f}")
    1.00
    >>> result.classes
    ['brick', 'grass', 'gravel']
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}.")
    if n_bootstrap < 1:
        raise ValueError(f"n_bootstrap must be at least 1, got {n_bootstrap}.")
    check_classifier(estimator)
    target = read_target(X, y, groups=groups)
    with record_hashes(find_reader(estimator)) as recorded:
        prediction = predict_images(estimator, X, progress=progress)
    seen = _note_seen_images(count_seen(estimator, X, recorded), len(target))
    if seen:
        warnings.warn(seen[0], TrainingImagesWarning, stacklevel=2)
    classes, outputs = encode_outputs(target, prediction)
    if outputs.multilabel:
        classes = name_labels(y, len(classes), label_names)
    overall, per_class = estimate_metrics(
        outputs,
        groups=groups,
        confidence=confidence,
        n_bootstrap=n_bootstrap,
        random_state=random_state,
    )
    return Evaluation(
        kind=_find_kind(outputs),
        classes=classes,
        metrics=overall,
        per_class=per_class,
        support=outputs.y_true.sum(axis=0).tolist(),
        confusion=_count_confusion(outputs),
        n=len(target),
        confidence=confidence,
        notes=seen + _note(outputs, classes),
        model=shorten(" ".join(repr(estimator).split()), 300),
        outputs=outputs,
        images=X,
    )


def _note_seen_images(n_seen: int, n: int) -> list[str]:
    if n_seen == 0:
        return []
    return [
        f"{n_seen:,} of {n:,} images {'was' if n_seen == 1 else 'were'} in the training set, with "
        "identical pixels: metrics on new images are likely to be worse."
    ]


def show(found: Estimate | None) -> str:
    """Return an estimate as the text of a table cell."""
    return NOTHING if found is None else str(found)


def _find_kind(outputs: LabelledOutputs) -> Literal["binary", "multiclass", "multilabel"]:
    if outputs.multilabel:
        return "multilabel"
    return "binary" if outputs.y_true.shape[1] == 2 else "multiclass"


def _count_confusion(outputs: LabelledOutputs) -> NDArray[np.int64]:
    if outputs.multilabel:
        return multilabel_confusion_matrix(outputs.y_true, outputs.y_pred)
    codes = range(outputs.y_true.shape[1])
    true, predicted = outputs.y_true.argmax(axis=1), outputs.y_pred.argmax(axis=1)
    return confusion_matrix(true, predicted, labels=codes)


def _note(outputs: LabelledOutputs, classes: list[Any]) -> list[str]:
    notes = []
    absent = [str(name) for name, n in zip(classes, outputs.y_true.sum(0), strict=True) if n == 0]
    if absent:
        what = "label" if outputs.multilabel else "class"
        listed = ", ".join(absent[:10]) + (" ..." if len(absent) > 10 else "")
        notes.append(
            f"Without images: {what} {listed}. Recall and the areas under curves are undefined "
            "there, and averages leave them out."
        )
    if outputs.scores is None:
        notes.append(
            "The model has neither probabilities nor decision values of each class: areas under "
            "curves, log loss and calibration error are undefined."
        )
    elif not outputs.probabilistic:
        notes.append(
            "The model has no probabilities: log loss and calibration error are undefined, and the "
            "areas under curves are computed from its decision values."
        )
    if (outputs.y_true == outputs.y_pred).all():
        notes.append(
            "All predictions are correct: bootstrap intervals then have zero width. Wilson's "
            "interval of a proportion, such as accuracy, does not, and depends on the number of "
            "images."
        )
    return notes


def _to_dict(found: Estimate | None) -> dict[str, float | None] | None:
    return None if found is None else found.to_dict()
