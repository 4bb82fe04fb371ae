"""The tasks of a search, for the estimator callbacks of scikit-learn 1.9 and later."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from imgfeat._compat.sklearn_search import BaseSearchCV, begin_callbacks
from imgfeat._protocols import Estimator


class CallbackTasks:
    """Notifies the callbacks that are set on a search of its begin, its fits and its end.

    Parameters
    ----------
    search : OptunaSearchCV
    X, y : object
        Data passed to its `fit`.
    params : dict
        Further parameters passed to its `fit`.
    """

    def __init__(self, search: BaseSearchCV, X: Any, y: Any, params: Mapping[str, Any]):
        self._search = search
        weights = params.get("sample_weight")
        self._fit_info: dict[str, Any] = {"estimator": search, "X": X, "y": y}
        self._fit_info["metadata"] = None if weights is None else {"sample_weight": weights}
        self._trials: Any = None
        self._n_folds = 0
        self._root = begin_callbacks(search, **self._fit_info)

    @contextlib.contextmanager
    def run_trials(self) -> Iterator[None]:
        """Return a context manager in which all trials run."""
        if self._root is None:
            yield
            return
        # The number of folds depends on pruners, time limits and other processes.
        self._trials = self._root.subcontext(
            task_name="search", max_subtasks=None, sequential_subtasks=False
        ).call_on_fit_task_begin(estimator=self._search)
        yield
        self._trials.call_on_fit_task_end(estimator=self._search)

    def describe_fold(self) -> dict[str, Any]:
        """Return the arguments by which `_fit_and_score` notifies callbacks of the next fold."""
        if self._trials is None:
            return {}
        context = self._trials.subcontext(
            task_name="candidate-split-evaluation", task_id=self._n_folds
        )
        self._n_folds += 1
        return {"caller": self._search, "callback_ctx": context}

    @contextlib.contextmanager
    def refit(self, estimator: Estimator) -> Iterator[None]:
        """Return a context manager in which the best estimator is refitted."""
        if self._root is None:
            yield
            return
        context = self._root.subcontext(task_name="refit-with-best-params")
        with context.propagate_callback_context(estimator):
            context.call_on_fit_task_begin(**self._fit_info)
            yield
        context.call_on_fit_task_end(**self._fit_info)

    def end(self) -> None:
        """Notify the callbacks that the search has ended."""
        if self._root is not None:
            self._root.call_on_fit_task_end(**self._fit_info)
