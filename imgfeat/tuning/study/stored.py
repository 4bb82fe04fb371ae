"""Opening of studies, with checks that a study loaded from a storage is not damaged."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from imgfeat.tuning.results import NO_FOLD
from imgfeat.tuning.space import Space
from imgfeat.tuning.study.identity import Part
from imgfeat.tuning.study.storage import (
    Direction,
    StorageError,
    StorageLike,
    describe_storage,
    make_damage_error,
    open_study,
)
from imgfeat.tuning.study.workers import DISCARDED, POSITION, WORKER, is_kept
from imgfeat.tuning.trials import CHECKSUM, ENDED, ERROR, FOLDS, hash_trial


class DamagedError(ValueError):
    """A study whose content differs from what a search writes."""


def open_valid_study(
    opened: BaseStorage,
    storage: StorageLike,
    name: str | None,
    identity: Mapping[str, Part],
    directions: Sequence[Direction],
    sampler: BaseSampler,
    pruner: BasePruner,
    space: Space,
) -> optuna.Study:
    """Create or load a study as `open_study` does, and check what is loaded.

    Parameters
    ----------
    opened : BaseStorage
    storage : str, path-like, BaseStorage or None
        What `opened` was opened from; None for a study in memory, which is always new.
    name, identity, directions, sampler, pruner
        See `imgfeat.tuning.study.storage.open_study`.
    space : Space
        Search space, in which all parameters of trials must be valid.

    Returns
    -------
    study : Study

    Raises
    ------
    StorageError
        If the study is damaged, or belongs to a different search.
    """
    where = describe_storage(storage)
    try:
        study = open_study(opened, where, name, identity, directions, sampler, pruner)
        if storage is not None:
            check_stored(study, directions, space)
    except Exception as error:  # Optuna, the database driver or json may raise any error
        if storage is None or isinstance(error, StorageError):
            raise
        raise make_damage_error(storage, error) from error
    return study


def check_stored(study: optuna.Study, directions: Sequence[str], space: Space) -> None:
    """Raise an error if a study has content that would later fail or be misread.

    Parameters
    ----------
    study : Study
    directions : sequence of str
        Directions of the objectives.
    space : Space
        Search space, in which all parameters of trials must be valid.

    Raises
    ------
    DamagedError
        If the study is damaged.
    """
    if [direction.name.lower() for direction in study.directions] != list(directions):
        raise DamagedError("its directions are not those that it was started with")
    for number, trial in enumerate(study.get_trials(deepcopy=False)):
        try:
            if trial.number != number:
                raise DamagedError("its number is out of order")
            _check_attributes(trial.user_attrs)
            if is_kept(trial) and trial.state in ENDED:
                _check_ended(trial, len(directions))
                space.suggest(FixedTrial(trial.params, trial.number))
        except Exception as error:  # a space, or values of a wrong type, may raise any error
            raise DamagedError(f"trial {number}: {type(error).__name__}: {error}") from error


def _check_attributes(attributes: dict[str, Any]) -> None:
    position, worker = attributes.get(POSITION, 0), attributes.get(WORKER)
    _require(type(position) is int and 0 <= position < 2**53, POSITION)
    _require(isinstance(attributes.get(ERROR, ""), str), ERROR)
    _require(isinstance(attributes.get(DISCARDED, ""), str), DISCARDED)
    if worker is not None:
        _require(all(isinstance(worker[name], str) for name in ("host", "lease")), WORKER)
        _require(_is_number(worker["seen"]), WORKER)


def _check_ended(trial: FrozenTrial, n_objectives: int) -> None:
    if trial.state == TrialState.COMPLETE:
        values = trial.values
        finite = values is not None and all(math.isfinite(value) for value in values)
        _require(finite and len(values) == n_objectives, "values")
    folds = trial.user_attrs.get(FOLDS, [])
    _require(isinstance(folds, list), FOLDS)
    _require(len(folds) > 0 or trial.state != TrialState.COMPLETE, FOLDS)
    checksum = hash_trial(trial.params, folds, trial.state, trial.values)
    _require(trial.user_attrs.get(CHECKSUM) == checksum, "the hash of its scores")
    names = None
    for fold in folds:
        _require(isinstance(fold["failed"], bool), "failed")
        numbers = [fold.get(name, 0) for name in NO_FOLD]
        scores = [fold["scores"], fold.get("train_scores", {})]
        numbers += [number for part in scores for number in part.values()]
        _require(all(_is_number(number) for number in numbers), "scores")
        if not fold["failed"]:
            _require(names in (None, list(fold["scores"])) and len(fold["scores"]) > 0, "scores")
            names = list(fold["scores"])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise DamagedError(f"{name} has a value that a search does not write")
