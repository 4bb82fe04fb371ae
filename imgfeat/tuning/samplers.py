"""Optuna's samplers, by name, in versions that resume an interrupted search."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from imgfeat._compat.optuna import (
    OpenGridSampler,
    count_points,
    get_grid,
    get_storage,
    get_study_id,
    get_trial_id,
)
from imgfeat._optional import import_optional
from imgfeat.tuning.space import Space, SpaceError, TableSpace
from imgfeat.tuning.study.workers import POSITION, claim_position, is_kept

SAMPLERS = ("tpe", "random", "grid", "gp")


class ResumableGridSampler(OpenGridSampler):
    """Optuna's GridSampler, which also repeats the grid points of trials that were discarded."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Record the grid point of the trial as system attributes."""
        storage, grid_id = get_storage(study), claim_position(study, trial) % count_points(self)
        storage.set_trial_system_attr(get_trial_id(trial), "search_space", get_grid(self))
        storage.set_trial_system_attr(get_trial_id(trial), "grid_id", grid_id)

    def is_surplus(self, trial: FrozenTrial) -> bool:
        """Return whether other processes have already started all grid points."""
        return trial.user_attrs[POSITION] >= count_points(self)

    def list_unvisited(self, study: Study) -> list[int]:
        """Return the points that no trial has tried, or only discarded trials."""
        trials = get_storage(study).get_all_trials(get_study_id(study), deepcopy=False)
        visited = {trial.system_attrs.get("grid_id") for trial in trials if is_kept(trial)}
        return sorted(set(range(count_points(self))) - visited)


class ResumableSampler(BaseSampler):
    """Samples each trial with a new sampler, seeded by the trial's position in the study.

    An interrupted search therefore continues as it would have without the interruption: a discarded
    trial is repeated at its position, with the same random numbers. Parallel processes have
    different positions, and so different random numbers.

    Parameters
    ----------
    make : callable
        Returns a sampler, given ``seed=``.
    seed : int or None
        None seeds each sampler at random.
    """

    def __init__(self, make: Callable[..., BaseSampler], seed: int | None):
        self._make = make
        self._seed = seed
        self._sampler = make(seed=seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Create the sampler for the trial's position."""
        position = claim_position(study, trial)
        self._sampler = self._make(
            seed=None if self._seed is None else _derive_seed(self._seed, position)
        )
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Any:
        """Call the same method of the trial's sampler."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Any:
        """Call the same method of the trial's sampler."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Call the same method of the trial's sampler."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Notify the sampler that the trial has ended."""
        self._sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Do nothing: each trial has its own seed."""


def make_sampler(
    sampler: str | BaseSampler | None,
    space: Space,
    random_state: int | np.random.RandomState | None,
    multiple: bool,
) -> BaseSampler:
    """Return the sampler of a study.

    Parameters
    ----------
    sampler : {"tpe", "random", "grid", "gp"}, BaseSampler or None
    space : Space
    random_state : int, RandomState instance or None
        Ignored for a grid, whose order is the same in all processes that share it.
    multiple : bool
        Whether there are several objectives.

    Returns
    -------
    sampler : BaseSampler

    Raises
    ------
    SpaceError
        If `sampler` is "grid" and the space is a function or several dicts.
    """
    seed = random_state
    if isinstance(seed, np.random.RandomState):
        seed = int(seed.randint(np.iinfo(np.int32).max))
    if isinstance(sampler, BaseSampler):
        return sampler
    if sampler == "grid":
        if not isinstance(space, TableSpace):
            raise SpaceError("sampler='grid' takes a dict of parameters, got a function.")
        return ResumableGridSampler(space.list_grid(), seed=0)
    if sampler == "gp":
        import_optional("torch", extra="deep")
    kinds: dict[str | None, Callable[..., BaseSampler]] = {
        "random": RandomSampler,
        "gp": GPSampler,
        "tpe": partial(TPESampler, multivariate=False if multiple else None),
    }
    return ResumableSampler(kinds[sampler or "tpe"], seed)


def _derive_seed(seed: int, position: int) -> Any:
    return int(np.random.SeedSequence([seed, position]).generate_state(1)[0])
