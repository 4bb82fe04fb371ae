"""The tasks of a search, as the callbacks of scikit-learn 1.9 and later see them."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from imgfeat._compat.sklearn_search import begin_callbacks


class CallbackTasks:
    """Tells the callbacks that were set on a search of its beginning, its fits and its end.

    Parameters
    ----------
    search : OptunaSearchCV
    X, y : object
        What its `fit` was given.
    params : dict
        Likewise.
    """

    def __init__(self, search: Any, X: Any, y: Any, params: Mapping[str, Any]):
        self._search = search
        weights = params.get("sample_weight")
        self._said: dict[str, Any] = {"estimator": search, "X": X, "y": y}
        self._said["metadata"] = None if weights is None else {"sample_weight": weights}
        self._trials: Any = None
        self._n_folds = 0
        self._root = begin_callbacks(search, **self._said)

    @contextlib.contextmanager
    def run_trials(self) -> Iterator[None]:
        """Surround all trials."""
        if self._root is None:
            yield
            return
        # How many folds there will be hangs on pruners, time limits and other processes.
        self._trials = self._root.subcontext(
            task_name="search", max_subtasks=None, sequential_subtasks=False
        ).call_on_fit_task_begin(estimator=self._search)
        yield
        self._trials.call_on_fit_task_end(estimator=self._search)

    def describe_fold(self) -> dict[str, Any]:
        """Return what scikit-learn's `_fit_and_score` wants to know to tell of one fold."""
        if self._trials is None:
            return {}
        context = self._trials.subcontext(
            task_name="candidate-split-evaluation", task_id=self._n_folds
        )
        self._n_folds += 1
        return {"caller": self._search, "callback_ctx": context}

    @contextlib.contextmanager
    def refit(self, estimator: Any) -> Iterator[None]:
        """Surround the fit of the best estimator."""
        if self._root is None:
            yield
            return
        context = self._root.subcontext(task_name="refit-with-best-params")
        with context.propagate_callback_context(estimator):
            context.call_on_fit_task_begin(**self._said)
            yield
        context.call_on_fit_task_end(**self._said)

    def end(self) -> None:
        """Tell of the end."""
        if self._root is not None:
            self._root.call_on_fit_task_end(**self._said)
