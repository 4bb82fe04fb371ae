"""Fit and score recipes fold by fold; leading stateless steps are computed once for all folds."""

import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils.metaestimators import available_if

from imgfeat._compat.sklearn import safe_indexing
from imgfeat.batching import Batched
from imgfeat.evaluation.comparison.split_plan import Fold
from imgfeat.evaluation.prediction import (
    BATCH,
    compute_features,
    find_bad_step,
    is_about_nan,
)
from imgfeat.evaluation.report.layout import replace_nan
from imgfeat.images.decoding import ImageReadError
from imgfeat.stateless import split_stateless

# Score of a fitted model on data: ``scorer(model, X, y)``, as scikit-learn's.
Scorer = Callable[..., float]


@dataclass(frozen=True, eq=False)
class Run:
    """Result of one recipe on one fold.

    Attributes
    ----------
    recipe : str
    fold : int
    n_train, n_test : int
    scores : dict of str to float
        Empty if the recipe failed.
    error : str, default=None
        Error message if the recipe failed.
    traceback : str, default=None
        Traceback of that error.
    fit_seconds, predict_seconds : float
        Time of the steps that are fitted, plus the share of these images in the time of the leading
        stateless steps, which run once for all images.
    n_features : int, default=None
        Number of features that the last step takes, if its input is two-dimensional.
    predictions : RecordedClassifier, default=None
        Outputs for the test images.
    """

    recipe: str
    fold: int
    n_train: int
    n_test: int
    scores: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    traceback: str | None = field(default=None, repr=False)
    fit_seconds: float = float("nan")
    predict_seconds: float = float("nan")
    n_features: int | None = None
    predictions: "RecordedClassifier | None" = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for ``json.dumps``: without predictions, and with None instead of NaN."""
        names = [item.name for item in fields(self) if item.name != "predictions"]
        return replace_nan({name: getattr(self, name) for name in names})


class RecordedClassifier(ClassifierMixin, BaseEstimator):
    """A classifier that returns recorded outputs of another, so that any scorer can be called.

    Its methods take row numbers of the images instead of images.

    Parameters
    ----------
    outputs : dict of str to array or list of arrays
        Return values of the model's methods, by name; "predict" is required.
    classes : array-like
        The model's ``classes_``.
    """

    def __init__(self, outputs: dict[str, Any], classes: ArrayLike):
        self.outputs = outputs
        self.classes = classes

    @property
    def classes_(self) -> Any:
        """The classes of the recorded model."""
        return self.classes

    def predict(self, rows: NDArray[np.intp]) -> Any:
        """Return the labels of the images of these row numbers."""
        return self._recall("predict", rows)

    @available_if(lambda self: "predict_proba" in self.outputs)
    def predict_proba(self, rows: NDArray[np.intp]) -> Any:
        """Return the probabilities of the images of these row numbers."""
        return self._recall("predict_proba", rows)

    @available_if(lambda self: "decision_function" in self.outputs)
    def decision_function(self, rows: NDArray[np.intp]) -> Any:
        """Return the decision values of the images of these row numbers."""
        return self._recall("decision_function", rows)

    def _recall(self, method: str, rows: NDArray[np.intp]) -> Any:
        found = self.outputs[method]
        return [part[rows] for part in found] if isinstance(found, list) else found[rows]

    def __sklearn_is_fitted__(self) -> bool:
        return True


def run_folds(
    builders: Mapping[str, Callable[[], BaseEstimator]],
    X: Any,
    y: NDArray[Any],
    folds: Sequence[Fold],
    scorers: Mapping[str, Scorer],
    *,
    n_jobs: int | None = None,
) -> Iterator[Run]:
    """Fit every recipe on every fold, one recipe after the other.

    Parameters
    ----------
    builders : mapping of str to callable
        By name of a recipe, a function that builds its unfitted estimator; each fold fits a clone.
    X : sequence of n images
    y : ndarray of shape (n,) or (n, n_labels)
    folds : sequence of (train, test)
        From `imgfeat.evaluation.comparison.split_plan.make_folds`.
    scorers : mapping of str to scorer
        scikit-learn's scorers by name.
    n_jobs : int, default=None
        Number of folds that run at the same time, in threads or in the backend that
        ``joblib.parallel_config`` sets. The measured times are longer if folds run in parallel.

    Yields
    ------
    run : Run
        An error of a recipe is recorded and does not stop the other runs.

    Raises
    ------
    ImageReadError
        If an image cannot be read, which makes every recipe fail.
    """
    for name, build in builders.items():
        try:
            job = _prepare(name, build(), X, y, scorers, n_jobs)
        except ImageReadError:
            raise
        except Exception as error:  # recipes are users' code; the error is the result
            for i, (train, test) in enumerate(folds):
                yield _fail(Run(name, i, len(train), len(test)), error)
            continue
        yield from joblib.Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
            joblib.delayed(_run_fold)(job, i, fold) for i, fold in enumerate(folds)
        )


@dataclass(frozen=True, eq=False)
class _Job:
    """A recipe, the features of its leading stateless steps, and their seconds per image."""

    recipe: str
    estimator: BaseEstimator
    X: Any
    y: NDArray[Any]
    scorers: Mapping[str, Scorer]
    rest: BaseEstimator
    features: Any
    seconds: float

    @cached_property
    def bad_step(self) -> str:
        """Message about the first step that gives NaN; computed by running all steps again."""
        try:
            return find_bad_step(self.estimator, self.X, self.y, fitted=False)
        except Exception:  # of users' steps; the original error is reported instead
            return ""


def _prepare(
    name: str,
    estimator: BaseEstimator,
    X: Any,
    y: NDArray[Any],
    scorers: Mapping[str, Scorer],
    n_jobs: int | None,
) -> _Job:
    prefix, rest = split_stateless(estimator)
    if prefix is None:
        return _Job(name, estimator, X, y, scorers, rest, X, 0.0)
    start = time.perf_counter()
    # In batches, so that the pixels of only a few batches are in memory at a time.
    features = Batched(prefix, batch_size=BATCH, n_jobs=n_jobs).fit(X).transform(X)
    seconds = (time.perf_counter() - start) / len(y)
    return _Job(name, estimator, X, y, scorers, rest, features, seconds)


def _run_fold(job: _Job, number: int, fold: Fold) -> Run:
    train, test = fold
    run = Run(job.recipe, number, len(train), len(test))
    try:
        return replace(run, **_measure(job, train, test))
    except ImageReadError:
        raise
    except Exception as error:  # recipes are users' code; the error is the result
        cause = job.bad_step if is_about_nan(error) else ""
        return _fail(run, error, cause)


def _measure(job: _Job, train: NDArray[np.intp], test: NDArray[np.intp]) -> dict[str, Any]:
    start = time.perf_counter()
    model = clone(job.rest).fit(safe_indexing(job.features, train), job.y[train])
    fitted = time.perf_counter()
    features, head = compute_features(model, safe_indexing(job.features, test))
    predicted = head.predict(features)
    done = time.perf_counter()
    outputs = {"predict": np.asarray(predicted)}
    for method in ("predict_proba", "decision_function"):
        if hasattr(head, method):
            outputs[method] = getattr(head, method)(features)
    recorded = RecordedClassifier(outputs, getattr(head, "classes_", np.unique(predicted)))
    return {
        "scores": _score(job.scorers, recorded, job.y[test]),
        "fit_seconds": fitted - start + job.seconds * len(train),
        "predict_seconds": done - fitted + job.seconds * len(test),
        "n_features": features.shape[1] if np.ndim(features) == 2 else None,
        "predictions": recorded,
    }


def _score(
    scorers: Mapping[str, Scorer], model: RecordedClassifier, y: NDArray[Any]
) -> dict[str, float]:
    scores = {}
    for name, scorer in scorers.items():
        with warnings.catch_warnings():  # the check below raises for NaN
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            scores[name] = float(scorer(model, np.arange(len(y)), y))
        if not np.isfinite(scores[name]):
            raise ValueError(
                f"The score {name} is {scores[name]} on this fold. Check that its test images "
                "have all classes."
            )
    return scores


def _fail(run: Run, error: Exception, cause: str = "") -> Run:
    return replace(
        run,
        error=f"{type(error).__name__}: {cause or error}",
        traceback="".join(traceback.format_exception(error)),
    )
