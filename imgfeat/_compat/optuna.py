"""Private interfaces of Optuna: numbers in the storage, the end of a study, and grids."""

from typing import Any

from optuna import Study, Trial
from optuna.samplers import GridSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial


def get_storage(study: Study) -> BaseStorage:
    """Return the storage of a study."""
    return study._storage


def get_study_id(study: Study) -> int:
    """Return the number of a study in its storage."""
    return study._study_id


def get_trial_id(trial: Trial | FrozenTrial) -> int:
    """Return the number of a Trial or FrozenTrial in its storage."""
    return trial._trial_id


def begin_optimize(study: Study) -> None:
    """Let callbacks and samplers stop the study from now on, as within `Study.optimize`."""
    study._thread_local.in_optimize_loop = True
    study._stop_flag = False


def end_optimize(study: Study) -> None:
    """End the period in which callbacks and samplers may stop the study."""
    study._thread_local.in_optimize_loop = False


def is_stopped(study: Study) -> bool:
    """Return whether `Study.stop` was called."""
    return study._stop_flag


def get_grid(sampler: GridSampler) -> dict[str, Any]:
    """Return the values of each parameter in a grid."""
    return sampler._search_space


def count_points(sampler: GridSampler) -> int:
    """Return the number of points of a grid."""
    return sampler._n_min_trials


class OpenGridSampler(GridSampler):
    """A GridSampler whose subclasses determine which points of the grid are left."""

    def list_unvisited(self, study: Study) -> list[int]:
        """Return the numbers of the points that no trial has tried."""
        return super()._get_unvisited_grid_ids(study)

    def _get_unvisited_grid_ids(self, study: Study) -> list[int]:
        return self.list_unvisited(study)
