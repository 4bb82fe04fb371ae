"""What a study of a storage must look like before anything is made of it: files get damaged."""

import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from imgfeat.tuning.results import NO_FOLD
from imgfeat.tuning.space import Space
from imgfeat.tuning.study.workers import LOST, PLACE, WORKER, is_kept
from imgfeat.tuning.trials import ENDED, ERROR, FOLDS, SEAL, seal_trial


class DamagedError(ValueError):
    """A study that no search can have written."""


def check_stored(study: optuna.Study, directions: Sequence[str], space: Space) -> None:
    """Look through a study for what would fail, or be taken for something else, later on.

    Parameters
    ----------
    study : Study
    directions : sequence of str
        Of the objectives.
    space : Space
        Must know all parameters.

    Raises
    ------
    DamagedError
        If it is damaged.
    """
    if [direction.name.lower() for direction in study.directions] != list(directions):
        raise DamagedError("its directions are not those that it was begun with")
    for number, trial in enumerate(study.get_trials(deepcopy=False)):
        try:
            if trial.number != number:
                raise DamagedError("its number is out of order")
            _check_notes(trial.user_attrs)
            if is_kept(trial) and trial.state in ENDED:
                _check_ended(trial, len(directions))
                space.suggest(FixedTrial(trial.params, trial.number))
        except Exception as error:  # whatever a space or a type that is none raises
            raise DamagedError(f"trial {number}: {type(error).__name__}: {error}") from error


def _check_notes(notes: dict[str, Any]) -> None:
    place, worker = notes.get(PLACE, 0), notes.get(WORKER)
    _demand(type(place) is int and 0 <= place < 2**53, PLACE)
    _demand(isinstance(notes.get(ERROR, ""), str), ERROR)
    _demand(isinstance(notes.get(LOST, ""), str), LOST)
    if worker is not None:
        _demand(all(isinstance(worker[name], str) for name in ("host", "lease")), WORKER)
        _demand(_is_number(worker["seen"]), WORKER)


def _check_ended(trial: FrozenTrial, n_objectives: int) -> None:
    if trial.state == TrialState.COMPLETE:
        values = trial.values
        finite = values is not None and all(math.isfinite(value) for value in values)
        _demand(finite and len(values) == n_objectives, "values")
    folds = trial.user_attrs.get(FOLDS, [])
    _demand(isinstance(folds, list), FOLDS)
    _demand(len(folds) > 0 or trial.state != TrialState.COMPLETE, FOLDS)
    seal = seal_trial(trial.params, folds, trial.state, trial.values)
    _demand(trial.user_attrs.get(SEAL) == seal, "the hash of its scores")
    names = None
    for fold in folds:
        _demand(isinstance(fold["failed"], bool), "failed")
        numbers = [fold.get(name, 0) for name in NO_FOLD]
        scores = [fold["scores"], fold.get("train_scores", {})]
        numbers += [number for part in scores for number in part.values()]
        _demand(all(_is_number(number) for number in numbers), "scores")
        if not fold["failed"]:
            _demand(names in (None, list(fold["scores"])) and len(fold["scores"]) > 0, "scores")
            names = list(fold["scores"])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _demand(holds: bool, name: str) -> None:
    if not holds:
        raise DamagedError(f"{name} is not what a search writes")
