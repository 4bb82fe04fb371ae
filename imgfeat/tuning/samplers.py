"""Who proposes the next trial: Optuna's samplers, by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler, GPSampler, GridSampler, RandomSampler, TPESampler

from imgfeat._optional import import_optional
from imgfeat.tuning.space import Space, SpaceError, TableSpace
from imgfeat.tuning.workers import is_kept

SAMPLERS = ("tpe", "random", "grid", "gp")


class PatientGridSampler(GridSampler):
    """Optuna's grid, which also comes back to the points whose trials were lost."""

    def _get_unvisited_grid_ids(self, study: Any) -> list[int]:
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        visited = {trial.system_attrs.get("grid_id") for trial in trials if is_kept(trial)}
        return sorted(set(range(self._n_min_trials)) - visited)


def make_factory(
    sampler: str | BaseSampler | None, space: Space, seed: int | None, multiple: bool
) -> tuple[BaseSampler, Callable[[int], BaseSampler] | None]:
    """Return the sampler of a study, and what makes a new one for each trial.

    With a new one for each trial, seeded by how many there were before, a search that was
    interrupted goes on just as it would have, and several processes do not try the same.

    Parameters
    ----------
    sampler : {"tpe", "random", "grid", "gp"}, BaseSampler or None
    space : Space
    seed : int or None
    multiple : bool
        Whether there are several objectives.

    Returns
    -------
    sampler : BaseSampler
    factory : callable or None
        None for samplers that must not be replaced.

    Raises
    ------
    SpaceError
        If "grid" gets a space that makes no grid.
    """
    if isinstance(sampler, BaseSampler):
        return sampler, None
    if sampler == "grid":
        if not isinstance(space, TableSpace):
            raise SpaceError("sampler='grid' takes a dict of parameters, got a function.")
        grid = PatientGridSampler(space.list_grid(), seed=0 if seed is None else seed)
        return grid, None
    if sampler == "gp":
        import_optional("torch", extra="deep")
    kinds: dict[str | None, Callable[..., BaseSampler]] = {
        "random": RandomSampler,
        "gp": GPSampler,
        "tpe": lambda seed: TPESampler(seed=seed, multivariate=False if multiple else None),
    }
    make = kinds[sampler or "tpe"]

    def renew(n_before: int) -> BaseSampler:
        return make(seed=None if seed is None else _mix(seed, n_before))

    return renew(0), renew


def _mix(seed: int, n_before: int) -> Any:
    return int(np.random.SeedSequence([seed, n_before]).generate_state(1)[0])
