"""Who proposes the next trial: Optuna's samplers, by name."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

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
from imgfeat.tuning.study.workers import PLACE, claim_place, is_kept

SAMPLERS = ("tpe", "random", "grid", "gp")


class PatientGridSampler(OpenGridSampler):
    """Optuna's grid, point by point, which also comes back to points whose trials were lost."""

    def before_trial(self, study: Any, trial: FrozenTrial) -> None:
        """Note on the trial which point it is to try."""
        storage, grid_id = get_storage(study), claim_place(study, trial) % count_points(self)
        storage.set_trial_system_attr(get_trial_id(trial), "search_space", get_grid(self))
        storage.set_trial_system_attr(get_trial_id(trial), "grid_id", grid_id)

    def is_surplus(self, trial: Any) -> bool:
        """Tell whether another process began the last point at the same time."""
        return trial.user_attrs[PLACE] >= count_points(self)

    def list_unvisited(self, study: Any) -> list[int]:
        """Return the points that no trial has tried, or only trials that were lost."""
        trials = get_storage(study).get_all_trials(get_study_id(study), deepcopy=False)
        visited = {trial.system_attrs.get("grid_id") for trial in trials if is_kept(trial)}
        return sorted(set(range(count_points(self))) - visited)


class PlacedSampler(BaseSampler):
    """Proposes each trial by a new sampler, seeded by the trial's place in the study.

    A search that was interrupted goes on just as it would have: a trial that was lost is begun anew
    in its place, by the same random numbers. Several processes do not try the same.

    Parameters
    ----------
    make : callable
        Returns a sampler for a seed.
    seed : int or None
        None is another seed each time.
    """

    def __init__(self, make: Callable[..., BaseSampler], seed: int | None):
        self._make = make
        self._seed = seed
        self._sampler = make(seed=seed)

    def before_trial(self, study: Any, trial: FrozenTrial) -> None:
        """Make the sampler for the trial's place."""
        place = claim_place(study, trial)
        self._sampler = self._make(seed=None if self._seed is None else _mix(self._seed, place))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> Any:
        """Ask the trial's sampler."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: Any) -> Any:
        """Ask the trial's sampler."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Any, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """Ask the trial's sampler."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Any, trial: FrozenTrial, state: Any, values: Any) -> None:
        """Tell a sampler of the trial."""
        self._sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Do nothing: each trial has a seed."""


def make_sampler(
    sampler: str | BaseSampler | None, space: Space, seed: int | None, multiple: bool
) -> BaseSampler:
    """Return the sampler of a study.

    Parameters
    ----------
    sampler : {"tpe", "random", "grid", "gp"}, BaseSampler or None
    space : Space
    seed : int or None
        The order of a grid hangs on none, so that processes with different ones may share it.
    multiple : bool
        Whether there are several objectives.

    Returns
    -------
    sampler : BaseSampler

    Raises
    ------
    SpaceError
        If "grid" gets a space that makes no grid.
    """
    if isinstance(sampler, BaseSampler):
        return sampler
    if sampler == "grid":
        if not isinstance(space, TableSpace):
            raise SpaceError("sampler='grid' takes a dict of parameters, got a function.")
        return PatientGridSampler(space.list_grid(), seed=0)
    if sampler == "gp":
        import_optional("torch", extra="deep")
    kinds: dict[str | None, Callable[..., BaseSampler]] = {
        "random": RandomSampler,
        "gp": GPSampler,
        "tpe": partial(TPESampler, multivariate=False if multiple else None),
    }
    return PlacedSampler(kinds[sampler or "tpe"], seed)


def _mix(seed: int, place: int) -> Any:
    return int(np.random.SeedSequence([seed, place]).generate_state(1)[0])
