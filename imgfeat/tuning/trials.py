"""Running the trials of a search fold by fold, with Optuna's ask-and-tell interface."""

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
from imgfeat._protocols import Estimator
from imgfeat.caching.content import join_parts
from imgfeat.tuning.callbacks import CallbackTasks
from imgfeat.tuning.fold_scoring import score_fold
from imgfeat.tuning.reuse.prefix import Prefix
from imgfeat.tuning.reuse.shared_distances import Distances, share_distances
from imgfeat.tuning.samplers import ResumableGridSampler
from imgfeat.tuning.scorers import bind_images
from imgfeat.tuning.space import Space
from imgfeat.tuning.study.workers import Heartbeat, discard_trial, find_position, is_kept

# User attributes of a trial: the results of its folds, its error, and a hash of its results.
FOLDS, ERROR, CHECKSUM = "imgfeat:folds", "imgfeat:error", "imgfeat:seal"

# Error of a trial whose folds were all fitted, but whose score is nan.
NO_NUMBER = "The score is not a number."

ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Task:
    """The data, folds and scorers of a search, which are the same for all trials.

    Attributes
    ----------
    prefix : Prefix
        Holds the images, and the features of stateless steps.
    distances : Distances or None
        Shared by SVCs; None if distances are not shared.
    y : array of shape (n,) or (n, n_labels), or None
    folds : sequence of (train, test) arrays of rows
    scorer : callable
        Returns a number, or a dict of numbers by name.
    choose_objectives : callable
        Returns the names of the objectives, given the scores of a fold by name. The first objective
        is reported to the pruner.
    fit_params, score_params : dict
        From scikit-learn's metadata routing.
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
class RunningTrial:
    """A trial that has started and not ended."""

    trial: optuna.Trial
    estimator: Any = None
    rewritten: Any = None
    rows: Any = None
    results: list[dict[str, Any]] = field(default_factory=list)


class TrialRunner:
    """Runs trials until the study has `n_trials` of them.

    Parameters
    ----------
    study : Study
    space : Space
    estimator : estimator
    task : Task
    n_trials : int or None
        Number of trials in the study, including those of earlier calls and other processes.
    timeout : float or None
        Seconds after which no new trial starts.
    n_jobs : int or None
        Number of folds scored in parallel. With a pruner, these are folds of different trials,
        since the pruner decides after each fold.
    callbacks : sequence of callable
        As in `optuna.Study.optimize`.
    progress : bool
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        estimator: Estimator,
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
        self._heartbeat = Heartbeat(study)

    def run(self) -> None:
        """Run the trials; each is told to the study as soon as it ends."""
        # Study.stop raises an error unless this is set.
        begin_optimize(self.study)
        active: list[RunningTrial] = []
        try:
            with (
                self._heartbeat,
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
                    while len(active) < self._count_parallel() and (running := self._ask(bar)):
                        active.append(running)
                    if not active:
                        break
                    active = self._advance(parallel, active, bar)
        except BaseException:
            for running in active:
                discard_trial(self.study, get_trial_id(running.trial), "interrupted")
            raise
        finally:
            end_optimize(self.study)

    def _count_parallel(self) -> int:
        """Return how many trials may run at the same time."""
        width = effective_n_jobs(self.n_jobs)
        return width if self._prunes else max(1, width // len(self.task.folds))

    def _ask(self, bar: tqdm) -> RunningTrial | None:
        """Start a trial and compute its features; return None if no further trial is needed."""
        self._heartbeat.discard_stale()
        while not self._has_enough(self.study.get_trials(deepcopy=False)):
            running = RunningTrial(self.study.ask())
            try:
                self._heartbeat.register(running.trial)
                if self._is_surplus(running.trial):
                    discard_trial(self.study, get_trial_id(running.trial), "n_trials was reached")
                    return None
                if self._prepare(running, bar):
                    return running
            except BaseException:
                discard_trial(self.study, get_trial_id(running.trial), "interrupted")
                raise
        return None

    def _prepare(self, running: RunningTrial, bar: tqdm) -> bool:
        """Compute the features of a trial; return False if it fails."""
        parameters = self.space.suggest(running.trial)
        try:
            running.estimator = clone(self.estimator).set_params(**clone(parameters, safe=False))
            running.rewritten, running.rows = self.task.prefix.rewrite(running.estimator)
        except Exception as error:  # invalid parameters may raise any error
            self._fail(running, error, bar)
            return False
        return True

    def _has_enough(self, trials: list[FrozenTrial]) -> bool:
        if is_stopped(self.study):
            return True
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return True
        # An exhausted GridSampler would repeat grid points.
        sampler = self.study.sampler
        if isinstance(sampler, GridSampler) and sampler.is_exhausted(self.study):
            return True
        return self.n_trials is not None and _count_started(trials) >= self.n_trials

    def _is_surplus(self, trial: optuna.Trial) -> bool:
        """Return whether other processes have started enough trials at the same time."""
        sampler = self.study.sampler
        started = get_storage(self.study).get_trial(get_trial_id(trial))
        if isinstance(sampler, ResumableGridSampler) and sampler.is_surplus(started):
            return True
        if self.n_trials is None or self._heartbeat.in_memory:
            return False
        earlier = self.study.get_trials(deepcopy=False)[: trial.number]
        return _count_started(earlier) >= self.n_trials

    def _advance(
        self, parallel: Parallel, active: list[RunningTrial], bar: tqdm
    ) -> list[RunningTrial]:
        """Score the next fold of each trial, or all its folds; return the unfinished trials."""
        jobs = [
            (running, fold)
            for running in active
            for fold in range(len(running.results), len(self.task.folds))[
                : 1 if self._prunes else None
            ]
        ]
        results = parallel(
            delayed(score_fold)(
                self._copy(running.rewritten),
                running.rows,
                self.task.y,
                *self.task.folds[fold],
                bind_images(self.task.scorer, self.task.prefix, running.estimator),
                self.task.fit_params,
                self.task.score_params,
                self.task.error_score,
                self.task.return_train_score,
                self.task.callbacks.describe_fold(),
            )
            for running, fold in jobs
        )
        for (running, _), result in zip(jobs, results, strict=True):
            running.results.append(result)
        return [running for running in active if not self._finish(running, bar)]

    def _copy(self, estimator: Estimator) -> Any:
        copy, distances = clone(estimator), self.task.distances
        return copy if distances is None else share_distances(copy, distances)

    def _finish(self, running: RunningTrial, bar: tqdm) -> bool:
        """End a trial if its results so far require it; return whether it has ended."""
        if self._heartbeat.is_stale(running.trial):
            return True
        failed = next((result for result in running.results if "error" in result), None)
        if failed is not None:
            self._fail(running, failed["error"], bar, failed["fit_error"])
            return True
        values = [np.mean(scores) for scores in self._list_scores(running)]
        if any(isnan(value) for value in values):
            self._fail(running, ValueError(NO_NUMBER), bar, NO_NUMBER)
            return True
        if len(running.results) == len(self.task.folds):
            self._tell(running, TrialState.COMPLETE, bar, [float(value) for value in values])
            return True
        # WilcoxonPruner compares the scores of single folds, other pruners the mean so far.
        raw = isinstance(self.study.pruner, WilcoxonPruner)
        latest = self._list_scores(running)[0][-1] if raw else values[0]
        running.trial.report(float(latest), len(running.results) - 1)
        if running.trial.should_prune():
            self._tell(running, TrialState.PRUNED, bar)
            return True
        return False

    def _list_scores(self, running: RunningTrial) -> list[list[float]]:
        """Return for each objective the scores of all folds so far."""
        scored = next((r["scores"] for r in running.results if not r["fit_error"]), None)
        if scored is None:
            return [[self.task.error_score]] * len(self.study.directions)
        return [
            [
                self.task.error_score if r["fit_error"] else r["scores"][name]
                for r in running.results
            ]
            for name in self.task.choose_objectives(scored)
        ]

    def _fail(
        self, running: RunningTrial, error: BaseException, bar: tqdm, text: str | None = None
    ) -> None:
        if self.task.error_score == "raise":
            discard_trial(self.study, get_trial_id(running.trial), "an error was raised")
            raise error
        text = text or "".join(format_exception(error))
        error.add_note(f"In trial {running.trial.number}, with {running.trial.params}.")
        self.first_error = self.first_error or error
        running.trial.set_user_attr(ERROR, text)
        self._tell(running, TrialState.FAIL, bar)

    def _tell(
        self, running: RunningTrial, state: TrialState, bar: tqdm, values: list[float] | None = None
    ) -> None:
        trial = running.trial
        errors = [result["fit_error"] for result in running.results if result["fit_error"]]
        if errors and state != TrialState.FAIL:
            trial.set_user_attr(ERROR, errors[0])
        folds = [_summarize_fold(result) for result in running.results]
        trial.set_user_attr(FOLDS, folds)
        trial.set_user_attr(CHECKSUM, hash_trial(trial.params, folds, state, values))
        self._heartbeat.unregister(trial)
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
    """Return the ended trials of all processes, without discarded ones, sorted by position."""
    ended = study.get_trials(deepcopy=False, states=ENDED)
    return sorted(filter(is_kept, ended), key=find_position)


def _count_started(trials: Sequence[FrozenTrial]) -> int:
    states = (*ENDED, TrialState.RUNNING)
    return sum(trial.state in states and is_kept(trial) for trial in trials)


def hash_trial(
    params: Mapping[str, Any],
    folds: Sequence[Any],
    state: TrialState,
    values: Sequence[float] | None,
) -> str:
    """Return a hash of a trial's parameters and results, by which damage is detected."""
    found = [dict(params), list(folds), state.name, values if state.name == "COMPLETE" else None]
    return join_parts("trial", json.dumps(found, sort_keys=True).encode()).hex()


def _summarize_fold(result: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a fold as stored in the study: without errors, which trials hold."""
    kept = {name: part for name, part in result.items() if name not in ("error", "fit_error")}
    return {"scores": {}, **kept, "failed": result["fit_error"] is not None}
