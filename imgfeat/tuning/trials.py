"""Running trials fold by fold: asking, scoring, pruning, telling."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from traceback import format_exception
from typing import Any

import numpy as np
import optuna
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import NDArray
from optuna.pruners import NopPruner, WilcoxonPruner
from optuna.samplers import GridSampler
from optuna.trial import FrozenTrial, TrialState
from sklearn.base import clone
from tqdm import tqdm

from imgfeat._compat.optuna import (
    begin_optimize,
    end_optimize,
    get_storage,
    get_trial_id,
    is_stopped,
)
from imgfeat.caching.content import join_parts
from imgfeat.tuning.callbacks import CallbackTasks
from imgfeat.tuning.fold_scoring import score_fold
from imgfeat.tuning.reuse.prefix import Prefix
from imgfeat.tuning.reuse.shared_distances import Distances, share_distances
from imgfeat.tuning.samplers import PatientGridSampler
from imgfeat.tuning.scorers import bind_images
from imgfeat.tuning.space import Space
from imgfeat.tuning.study.workers import Pulse, find_place, give_up, is_kept

# On a trial, the scores of its folds, what went wrong, and a hash of what it found.
FOLDS, ERROR, SEAL = "imgfeat:folds", "imgfeat:error", "imgfeat:seal"

# The error of a trial whose folds were all fitted.
NO_NUMBER = "The score is not a number."

ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Task:
    """What every trial is scored on.

    Attributes
    ----------
    prefix : Prefix
        Holds the images.
    distances : Distances or None
        Between images, for support vector machines.
    y : array of shape (n,) or (n, n_labels), or None
    folds : sequence of (train, test) arrays of rows
    scorer : callable
        Returns a number, or numbers by name.
    choose_objectives : callable
        Returns which of a fold's scores, by name, the study is about; the first is reported to the
        pruner.
    fit_params, score_params : dict
        As scikit-learn routed them.
    error_score : "raise" or float
    return_train_score : bool
    callbacks : CallbackTasks
    """

    prefix: Prefix
    distances: Distances | None
    y: Any
    folds: Sequence[tuple[NDArray[Any], NDArray[Any]]]
    scorer: Any
    choose_objectives: Callable[[Mapping[str, float]], Sequence[str]]
    fit_params: dict[str, Any]
    score_params: dict[str, Any]
    error_score: Any
    return_train_score: bool
    callbacks: CallbackTasks


@dataclass
class Attempt:
    """A trial under way."""

    trial: optuna.Trial
    estimator: Any = None
    rewritten: Any = None
    rows: Any = None
    results: list[dict[str, Any]] = field(default_factory=list)


class TrialRunner:
    """Runs trials until there are as many as asked for.

    Parameters
    ----------
    study : Study
    space : Space
    estimator : estimator
    task : Task
    n_trials : int or None
        In the study, those of earlier calls and of other processes included.
    timeout : float or None
        Seconds after which no trial begins.
    n_jobs : int or None
        Folds scored at the same time: of as many trials, if a pruner wants to stop them between
        two folds, and of one trial otherwise.
    callbacks : sequence of callable
        As Optuna has them.
    progress : bool
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        estimator: Any,
        task: Task,
        *,
        n_trials: int | None,
        timeout: float | None,
        n_jobs: int | None,
        callbacks: Sequence[Callable[[optuna.Study, FrozenTrial], None]],
        progress: bool,
    ):
        self.study = study
        self.space = space
        self.estimator = estimator
        self.task = task
        self.n_trials = n_trials
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self.n_jobs = n_jobs
        self.callbacks = callbacks
        self.progress = progress
        self.first_error: BaseException | None = None
        self._prunes = not isinstance(study.pruner, NopPruner)
        self._pulse = Pulse(study)

    def run(self) -> None:
        """Run the trials; what is finished is told at once, and stays whatever comes next."""
        # Otherwise callbacks and samplers may not stop the study.
        begin_optimize(self.study)
        active: list[Attempt] = []
        try:
            with (
                self._pulse,
                self.task.callbacks.run_trials(),
                Parallel(n_jobs=self.n_jobs) as parallel,
                tqdm(
                    total=self.n_trials,
                    initial=len(list_ended(self.study)),
                    unit="trial",
                    disable=not self.progress,
                ) as bar,
            ):
                self._show_best(bar)
                while True:
                    while len(active) < self._count_wanted() and (attempt := self._ask(bar)):
                        active.append(attempt)
                    if not active:
                        break
                    active = self._advance(parallel, active, bar)
        except BaseException:
            for attempt in active:
                give_up(self.study, get_trial_id(attempt.trial), "interrupted")
            raise
        finally:
            end_optimize(self.study)

    def _count_wanted(self) -> int:
        """Return how many trials may run at the same time."""
        width = effective_n_jobs(self.n_jobs)
        return width if self._prunes else max(1, width // len(self.task.folds))

    def _ask(self, bar: tqdm) -> Attempt | None:
        """Begin a trial and compute its features; None if there are enough."""
        self._pulse.discard_lost()
        while not self._is_enough(self.study.get_trials(deepcopy=False)):
            attempt = Attempt(self.study.ask())
            try:
                self._pulse.sign(attempt.trial)
                if self._is_surplus(attempt.trial):
                    give_up(self.study, get_trial_id(attempt.trial), "there were enough")
                    return None
                if self._prepare(attempt, bar):
                    return attempt
            except BaseException:
                give_up(self.study, get_trial_id(attempt.trial), "interrupted")
                raise
        return None

    def _prepare(self, attempt: Attempt, bar: tqdm) -> bool:
        """Compute the features of a trial; return False if it fails."""
        parameters = self.space.suggest(attempt.trial)
        try:
            attempt.estimator = clone(self.estimator).set_params(**clone(parameters, safe=False))
            attempt.rewritten, attempt.rows = self.task.prefix.rewrite(attempt.estimator)
        except Exception as error:  # whatever the parameters lead to
            self._fail(attempt, error, bar)
            return False
        return True

    def _is_enough(self, trials: list[FrozenTrial]) -> bool:
        if is_stopped(self.study):
            return True
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return True
        # With nothing left to try, it would try something again.
        sampler = self.study.sampler
        if isinstance(sampler, GridSampler) and sampler.is_exhausted(self.study):
            return True
        return self.n_trials is not None and _count_begun(trials) >= self.n_trials

    def _is_surplus(self, trial: optuna.Trial) -> bool:
        """Tell whether other processes began the last trials that were wanted."""
        sampler = self.study.sampler
        begun = get_storage(self.study).get_trial(get_trial_id(trial))
        if isinstance(sampler, PatientGridSampler) and sampler.is_surplus(begun):
            return True
        if self.n_trials is None or self._pulse.alone:
            return False
        earlier = self.study.get_trials(deepcopy=False)[: trial.number]
        return _count_begun(earlier) >= self.n_trials

    def _advance(self, parallel: Parallel, active: list[Attempt], bar: tqdm) -> list[Attempt]:
        """Score the next fold of every trial, or all; return the trials that go on."""
        jobs = [
            (attempt, fold)
            for attempt in active
            for fold in range(len(attempt.results), len(self.task.folds))[
                : 1 if self._prunes else None
            ]
        ]
        results = parallel(
            delayed(score_fold)(
                self._copy(attempt.rewritten),
                attempt.rows,
                self.task.y,
                *self.task.folds[fold],
                bind_images(self.task.scorer, self.task.prefix, attempt.estimator),
                self.task.fit_params,
                self.task.score_params,
                self.task.error_score,
                self.task.return_train_score,
                self.task.callbacks.describe_fold(),
            )
            for attempt, fold in jobs
        )
        for (attempt, _), result in zip(jobs, results, strict=True):
            attempt.results.append(result)
        return [attempt for attempt in active if not self._settle(attempt, bar)]

    def _copy(self, estimator: Any) -> Any:
        copy, distances = clone(estimator), self.task.distances
        return copy if distances is None else share_distances(copy, distances)

    def _settle(self, attempt: Attempt, bar: tqdm) -> bool:
        """Tell the study what became of a trial; return False if it goes on."""
        if self._pulse.is_lost(attempt.trial):
            return True
        failed = next((result for result in attempt.results if "error" in result), None)
        if failed is not None:
            self._fail(attempt, failed["error"], bar, failed["fit_error"])
            return True
        values = [np.mean(scores) for scores in self._list_scores(attempt)]
        if any(isnan(value) for value in values):
            self._fail(attempt, ValueError(NO_NUMBER), bar, NO_NUMBER)
            return True
        if len(attempt.results) == len(self.task.folds):
            self._tell(attempt, TrialState.COMPLETE, bar, [float(value) for value in values])
            return True
        # This pruner compares fold with fold, others how good trials were up to then.
        raw = isinstance(self.study.pruner, WilcoxonPruner)
        latest = self._list_scores(attempt)[0][-1] if raw else values[0]
        attempt.trial.report(float(latest), len(attempt.results) - 1)
        if attempt.trial.should_prune():
            self._tell(attempt, TrialState.PRUNED, bar)
            return True
        return False

    def _list_scores(self, attempt: Attempt) -> list[list[float]]:
        """Return the scores of all folds so far, of each objective."""
        scored = next((r["scores"] for r in attempt.results if not r["fit_error"]), None)
        if scored is None:
            return [[self.task.error_score]] * len(self.study.directions)
        return [
            [
                self.task.error_score if r["fit_error"] else r["scores"][name]
                for r in attempt.results
            ]
            for name in self.task.choose_objectives(scored)
        ]

    def _fail(
        self, attempt: Attempt, error: BaseException, bar: tqdm, text: str | None = None
    ) -> None:
        if self.task.error_score == "raise":
            give_up(self.study, get_trial_id(attempt.trial), "raised")
            raise error
        text = text or "".join(format_exception(error))
        error.add_note(f"In trial {attempt.trial.number}, with {attempt.trial.params}.")
        self.first_error = self.first_error or error
        attempt.trial.set_user_attr(ERROR, text)
        self._tell(attempt, TrialState.FAIL, bar)

    def _tell(
        self, attempt: Attempt, state: TrialState, bar: tqdm, values: list[float] | None = None
    ) -> None:
        trial = attempt.trial
        errors = [result["fit_error"] for result in attempt.results if result["fit_error"]]
        if errors and state != TrialState.FAIL:
            trial.set_user_attr(ERROR, errors[0])
        folds = [_shorten(result) for result in attempt.results]
        trial.set_user_attr(FOLDS, folds)
        trial.set_user_attr(SEAL, seal_trial(trial.params, folds, state, values))
        self._pulse.release(trial)
        self.study.tell(trial, values, state=state)
        frozen = get_storage(self.study).get_trial(get_trial_id(trial))
        for callback in self.callbacks:
            callback(self.study, frozen)
        bar.update()
        self._show_best(bar)

    def _show_best(self, bar: tqdm) -> None:
        if len(self.study.directions) == 1 and not bar.disable:
            done = self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
            if done:
                bar.set_postfix_str(f"best {self.study.best_value:.4f}")


def list_ended(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count and are over, whoever ran them, by their places."""
    ended = study.get_trials(deepcopy=False, states=ENDED)
    return sorted(filter(is_kept, ended), key=find_place)


def _count_begun(trials: Sequence[FrozenTrial]) -> int:
    states = (*ENDED, TrialState.RUNNING)
    return sum(trial.state in states and is_kept(trial) for trial in trials)


def seal_trial(
    params: Mapping[str, Any], folds: Sequence[Any], state: TrialState, values: Any
) -> str:
    """Return a hash of what a trial tried and found, by which damage is known."""
    found = [dict(params), list(folds), state.name, values if state.name == "COMPLETE" else None]
    return join_parts("trial", json.dumps(found, sort_keys=True).encode()).hex()


def _shorten(result: dict[str, Any]) -> dict[str, Any]:
    """Return what the study keeps of a fold: of errors, one a trial is enough."""
    kept = {name: part for name, part in result.items() if name not in ("error", "fit_error")}
    return {"scores": {}, **kept, "failed": result["fit_error"] is not None}
