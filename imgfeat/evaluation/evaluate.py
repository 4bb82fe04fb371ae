"""How good a fitted model is on images that it has not seen, with what the images can tell."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix

from imgfeat.evaluation.metrics.estimates import Estimates, estimate_metrics
from imgfeat.evaluation.metrics.intervals import Estimate
from imgfeat.evaluation.metrics.measures import Answers
from imgfeat.evaluation.metrics.outputs import read_answers
from imgfeat.evaluation.metrics.targets import name_labels, read_target
from imgfeat.evaluation.prediction import check_classifier, predict_images
from imgfeat.evaluation.report.layout import NOTHING, format_columns, name_metric, shorten
from imgfeat.images.training_hashes import count_seen, find_reader, record_hashes


class TrainingImagesWarning(UserWarning):
    """Images that a model was trained on are among those that it is evaluated on."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found; ``print`` shows it as a table.

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
        Images of each class.
    confusion : ndarray of shape (k, k) or (n_labels, 2, 2)
        Rows are true classes, columns predicted ones.
    n : int
        Number of images.
    confidence : float
        Of the intervals.
    notes : list of str
        What to know before trusting the numbers.
    model : str
        What was evaluated.
    answers : Answers
        True and predicted classes and the scores, an image a row.
    images : sequence
        What was predicted, for the pictures of a report.
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
    answers: Answers = field(repr=False)
    images: Any = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes; undefined numbers are None."""
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
        """Return the rows of a table: what each metric is called, and the estimate."""
        return [(name_metric(name), show(found)) for name, found in self.metrics.items()]

    def list_classes(self) -> list[tuple[str, ...]]:
        """Return the rows of a table: class, images, and the estimates of `per_class`."""
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
    estimator: Any,
    X: Any,
    y: Any,
    *,
    groups: Any = None,
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
        ``decision_function`` serves the areas under curves, and log loss and calibration error are
        None.
    X : sequence of n images
        What the estimator takes: paths, arrays, bytes. None that it was trained on.
    y : array-like of shape (n,) or (n, n_labels)
        True labels, or an indicator matrix for multi-label models.
    groups : array-like of shape (n,), default=None
        What belongs together, such as pictures of one person: resampled together, since they tell
        less than as many strangers.
    label_names : iterable of length n_labels, default=None
        Names of a multi-label matrix' columns; by default the columns of a DataFrame, or numbers.
    confidence : float, default=0.95
        Of the intervals.
    n_bootstrap : int, default=1000
        Resamples of the images; fewer for areas under curves where images and classes are so many
        that it would take long.
    random_state : int, default=0
        Of the resamples.
    progress : bool, default=False
        Show how far the prediction is, where it takes more than two seconds.

    Returns
    -------
    evaluation : Evaluation

    Raises
    ------
    ValueError
        If the estimator is no classifier, X and y differ in length or are empty, y has a class that
        the model does not know, a step of the pipeline gives NaN features to one that takes none,
        or a parameter is out of range.

    Warns
    -----
    TrainingImagesWarning
        If some of the images are among those that the model was trained on, pixel for pixel as it
        sees them; a note of the evaluation says so as well. Pipelines whose images are read by an
        ImageLoader, a Batched or a feature of imgfeat's know them by hashes, unless they were
        exported or `forget_training_images` removed the hashes.

    Notes
    -----
    Per class, all others are the negatives. Macro averages are over the classes that have images
    in `y`; a class without any has no recall and no areas. ROC AUC and PR AUC (the average
    precision) are means over the classes; for two classes they are those of the second.
    The calibration error is the expected calibration error of the likeliest class in 15 equally
    wide bins [1]_, for multi-label the mean of the labels' own.

    Intervals are percentiles over resampled images [2]_; resamples in which a metric is undefined,
    such as the AUC of a class that is not in them, are left out, and there is no interval where
    more than half are. Proportions of independent images (accuracy, recall and precision of a
    class) have Wilson's interval, which has a width at 100 % too. The calibration error of a
    resample is too high on average, by about as much as the estimate itself: its interval is
    mirrored at the estimate [2]_, and reaches at least up to it.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural
           Networks", ICML 2017, arXiv:1706.04599.
    .. [2] A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997,
           chapter 5: percentile and basic intervals.

    Examples
    --------
    >>> from imgfeat.images.datasets import load_textures
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
    classes, answers = read_answers(target, prediction)
    if answers.multilabel:
        classes = name_labels(y, len(classes), label_names)
    overall, per_class = estimate_metrics(
        answers,
        groups=groups,
        confidence=confidence,
        n_bootstrap=n_bootstrap,
        random_state=random_state,
    )
    return Evaluation(
        kind=_find_kind(answers),
        classes=classes,
        metrics=overall,
        per_class=per_class,
        support=answers.truth.sum(axis=0).tolist(),
        confusion=_count_confusion(answers),
        n=len(target),
        confidence=confidence,
        notes=seen + _note(answers, classes),
        model=shorten(" ".join(repr(estimator).split()), 300),
        answers=answers,
        images=X,
    )


def _note_seen_images(n_seen: int, n: int) -> list[str]:
    if n_seen == 0:
        return []
    return [
        f"{n_seen:,} of {n:,} images {'was' if n_seen == 1 else 'were'} in the training set, pixel "
        "for pixel: the figures are better than they will be on new images."
    ]


def show(found: Estimate | None) -> str:
    """Return an estimate as a cell of a table."""
    return NOTHING if found is None else str(found)


def _find_kind(answers: Answers) -> Literal["binary", "multiclass", "multilabel"]:
    if answers.multilabel:
        return "multilabel"
    return "binary" if answers.truth.shape[1] == 2 else "multiclass"


def _count_confusion(answers: Answers) -> NDArray[np.int64]:
    if answers.multilabel:
        return multilabel_confusion_matrix(answers.truth, answers.said)
    codes = range(answers.truth.shape[1])
    true, said = answers.truth.argmax(axis=1), answers.said.argmax(axis=1)
    return confusion_matrix(true, said, labels=codes)


def _note(answers: Answers, classes: list[Any]) -> list[str]:
    notes = []
    absent = [str(name) for name, n in zip(classes, answers.truth.sum(0), strict=True) if n == 0]
    if absent:
        what = "label" if answers.multilabel else "class"
        listed = ", ".join(absent[:10]) + (" ..." if len(absent) > 10 else "")
        notes.append(
            f"Without images: {what} {listed}. Recall and areas are undefined there, and averages "
            "are over the others."
        )
    if answers.scores is None:
        notes.append(
            "The model has neither probabilities nor decision values of each class: no areas under "
            "curves, log loss or calibration error."
        )
    elif not answers.probabilistic:
        notes.append(
            "The model has no probabilities: no log loss or calibration error; areas under curves "
            "are of its decision values."
        )
    if (answers.truth == answers.said).all():
        notes.append(
            "Nothing is wrong: the bootstrap's intervals have no width then. That of accuracy is "
            "Wilson's, and tells what so many images can show."
        )
    return notes


def _to_dict(found: Estimate | None) -> dict[str, float | None] | None:
    return None if found is None else found.to_dict()
