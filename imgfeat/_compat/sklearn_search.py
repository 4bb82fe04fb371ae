"""Private interfaces of scikit-learn: searches, splitters and scorers."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from sklearn.metrics import get_scorer
from sklearn.metrics._scorer import _BaseScorer, _MultimetricScorer, _PassthroughScorer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._split import _BaseKFold
from sklearn.model_selection._validation import _fit_and_score

__all__ = [
    "SEARCH_CONSTRAINTS",
    "BaseKFold",
    "BaseSearchCV",
    "begin_callbacks",
    "check_refit",
    "find_score_function",
    "fit_and_score",
    "format_results",
    "get_scorers",
    "list_scorers",
    "replace_scorers",
    "route_fit_params",
    "sees_predictions_only",
    "select_best_index",
    "set_error_score",
]

BaseKFold = _BaseKFold
SEARCH_CONSTRAINTS: dict[str, list[Any]] = BaseSearchCV._parameter_constraints
fit_and_score = _fit_and_score


def get_scorers(search: BaseSearchCV) -> tuple[Any, Any]:
    """Return the scorer of a search, which may be a collection of several, and the refit metric."""
    return search._get_scorers()


def route_fit_params(search: BaseSearchCV, params: Mapping[str, Any]) -> Any:
    """Return the parameters of `fit` by estimator, splitter and scorer."""
    return search._get_routed_params_for_fit(params)


def check_refit(search: BaseSearchCV, scores: Mapping[str, Any]) -> None:
    """Raise ValueError where ``refit`` names none of several scores."""
    search._check_refit_for_multimetric(scores)


def select_best_index(
    search: BaseSearchCV,
    refit: bool | str | Callable[..., Any],
    metric: bool | str | Callable[..., Any],
    results: Mapping[str, Any],
) -> int:
    """Return the index of the best parameters in ``cv_results_``."""
    return search._select_best_index(refit, metric, results)


def format_results(search: BaseSearchCV, *arguments: Any) -> dict[str, Any]:
    """Return ``cv_results_``.

    Parameters
    ----------
    search : BaseSearchCV
    *arguments : object
        Parameters of all trials, the number of folds, results of all folds, and more columns.
    """
    return search._format_results(*arguments)


def begin_callbacks(search: BaseSearchCV, **fit_arguments: Any) -> Any:
    """Return the callback context of a fit that begins; None where the search has no callbacks.

    Callbacks exist from scikit-learn 1.9 on.

    Parameters
    ----------
    search : BaseSearchCV
    **fit_arguments : object
        ``estimator``, ``X``, ``y`` and ``metadata``, as the callbacks see them.
    """
    if not getattr(search, "_skl_callbacks", None) and not hasattr(search, "_parent_callback_ctx"):
        return None
    context = search._init_callback_context(max_subtasks=1 + (search.refit is not False))
    return context.call_on_fit_task_begin(**fit_arguments)


def list_scorers(scorer: Callable[..., Any]) -> dict[str, Any] | None:
    """Return the scorers of a collection by name; None for a single scorer."""
    return getattr(scorer, "_scorers", None)


def replace_scorers(scorer: _MultimetricScorer, scorers: dict[str, Any]) -> Any:
    """Return a collection of other scorers that handles errors in the same way."""
    return type(scorer)(scorers=scorers, raise_exc=scorer._raise_exc)


def set_error_score(scorer: Callable[..., Any], error_score: float | Literal["raise"]) -> None:
    """Let a collection of scorers raise errors unless ``error_score`` is a number.

    A single scorer, which always raises errors, is not changed.
    """
    if isinstance(scorer, _MultimetricScorer):
        scorer._raise_exc = error_score == "raise" or np.isnan(error_score)


def sees_predictions_only(scorer: Callable[..., Any]) -> bool:
    """Return whether a scorer uses nothing of an estimator but its predictions."""
    return isinstance(scorer, _BaseScorer | _PassthroughScorer)


def find_score_function(name: str) -> Any:
    """Return the function of ``sklearn.metrics`` that a named scorer calls."""
    return get_scorer(name)._score_func
