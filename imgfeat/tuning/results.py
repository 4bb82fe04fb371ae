"""What a study found, in the form of scikit-learn's searches."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FixedTrial, FrozenTrial, TrialState
from scipy.stats import rankdata

from imgfeat.tuning.space import Space
from imgfeat.tuning.trials import FOLDS

NO_FOLD: dict[str, Any] = {"fit_time": np.nan, "score_time": np.nan, "n_test_samples": 0}


def read_trials(
    trials: Sequence[FrozenTrial], space: Space, n_folds: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, list[Any]]]:
    """Return what scikit-learn's searches know of candidates, from trials that are over.

    Parameters
    ----------
    trials : sequence of FrozenTrial
    space : Space
        Makes parameters of the trials' values.
    n_folds : int

    Returns
    -------
    parameters : list of dict
        One a trial.
    folds : list of dict
        What scikit-learn's ``_fit_and_score`` returns, trial by trial; folds that were not scored
        have nan.
    more : dict of str to list
        Columns of our own: the trial's number in the study, and how it ended.
    """
    parameters = [space.suggest(FixedTrial(trial.params, trial.number)) for trial in trials]
    scored = [fold for trial in trials for fold in trial.user_attrs.get(FOLDS, [])]
    names = list(scored[0]["scores"]) if scored else ["score"]
    multiple = names != ["score"]
    folds = []
    for trial in trials:
        known = trial.user_attrs.get(FOLDS, [])
        for number in range(n_folds):
            fold: dict[str, Any] = known[number] if number < len(known) else NO_FOLD
            scores = fold.get("scores", dict.fromkeys(names, np.nan))
            rest = {name: fold[name] for name in NO_FOLD}
            folds.append({"test_scores": scores if multiple else scores["score"], **rest})
    more: dict[str, list[Any]] = {
        "trial_number": [trial.number for trial in trials],
        "state": [trial.state.name.lower() for trial in trials],
    }
    return parameters, folds, more


def format_quietly(search: Any, *arguments: Any) -> dict[str, Any]:
    """Return cv_results_; that trials without all folds have no mean is no news."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite")
        return search._format_results(*arguments)


def rank_minimized(results: dict[str, Any], directions: Mapping[str, str]) -> None:
    """Rank the smallest first where the smallest is best."""
    for name, direction in directions.items():
        if direction == "minimize":
            means: NDArray[np.float64] = results[f"mean_test_{name}"]
            worst = np.nanmax(means) + 1 if np.isfinite(means).any() else 0.0
            ranks = rankdata(np.where(np.isnan(means), worst, means), method="min")
            results[f"rank_test_{name}"] = ranks.astype(np.int32)


def count_complete(trials: Sequence[FrozenTrial]) -> int:
    """Return how many trials have scores of all folds."""
    return sum(trial.state == TrialState.COMPLETE for trial in trials)
