"""Fitting and scoring of one fold of a trial, which also returns errors."""

import pickle
from collections.abc import Callable
from math import isnan
from traceback import format_exception
from typing import Any, Literal

from numpy.typing import NDArray

from imgfeat._compat.sklearn_search import fit_and_score
from imgfeat._protocols import Estimator

# The type of the parameter `error_score`.
ErrorScore = float | Literal["raise"]


def score_fold(
    estimator: Estimator,
    rows: Any,
    y: Any,
    train: NDArray[Any],
    test: NDArray[Any],
    scorer: Callable[..., Any],
    fit_params: dict[str, Any],
    score_params: dict[str, Any],
    error_score: ErrorScore,
    return_train_score: bool = False,
    callbacks: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Fit an estimator on one fold and score it.

    Parameters
    ----------
    estimator : estimator
        Not fitted.
    rows : sequence, array or frame of n rows
        Input of the estimator.
    y : array of shape (n,) or (n, n_labels), or None
    train, test : array of int
        Rows to fit and to score on.
    scorer : callable
        Returns a number, or a dict of numbers by name.
    fit_params, score_params : dict
        From scikit-learn's metadata routing.
    error_score : "raise" or float
        Score of the fold if fitting fails; with "raise" or nan, the trial fails.
    return_train_score : bool
    callbacks : dict, default=None
        See `imgfeat.tuning.callbacks.CallbackTasks.describe_fold`.

    Returns
    -------
    result : dict
        ``scores`` by name ("score" for a single scorer), ``train_scores`` if requested,
        ``fit_time``, ``score_time``, ``n_test_samples`` and ``fit_error``, which is a traceback if
        fitting failed and `error_score` is the score. If the trial fails, only ``fit_error`` and
        ``error``, an exception that can be pickled.
    """
    # With a number, scikit-learn catches the error; with nan, it is caught below.
    caught_by_sklearn = error_score != "raise" and not isnan(error_score)
    try:
        result = fit_and_score(
            estimator,
            rows,
            y,
            scorer=scorer,
            train=train,
            test=test,
            verbose=0,
            parameters=None,
            fit_params=fit_params,
            score_params=score_params,
            return_n_test_samples=True,
            return_times=True,
            return_train_score=return_train_score,
            error_score=error_score if caught_by_sklearn else "raise",
            **(callbacks or {}),
        )
    except Exception as error:  # any error of the estimator is recorded on the trial
        text = "".join(format_exception(error))
        return {"error": _make_picklable(error, text), "fit_error": text}
    scored = {
        "scores": _name_scores(result["test_scores"]),
        "fit_time": result["fit_time"],
        "score_time": result["score_time"],
        "n_test_samples": int(result["n_test_samples"]),
        "fit_error": result["fit_error"],
    }
    if return_train_score:
        scored["train_scores"] = _name_scores(result["train_scores"])
    return scored


def _name_scores(scores: float | dict[str, float]) -> dict[str, float]:
    named = scores if isinstance(scores, dict) else {"score": scores}
    return {name: float(score) for name, score in named.items()}


def _make_picklable(error: Exception, text: str) -> Exception:
    """Return the error, or a RuntimeError with its text if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # pickling calls code of the error's class, which may raise anything
        return RuntimeError(text)
    # Pickling drops the traceback, so it is added as a note.
    error.add_note(f"Raised here:\n{text}")
    return error
