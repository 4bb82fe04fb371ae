"""Conversion of a study's trials into the results of scikit-learn's searches."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FixedTrial, FrozenTrial, TrialState
from scipy.stats import rankdata
from sklearn.exceptions import FitFailedWarning

from imgfeat._compat.sklearn_search import BaseSearchCV, format_results
from imgfeat.tuning.fold_scoring import ErrorScore
from imgfeat.tuning.space import Space
from imgfeat.tuning.trials import ERROR, FOLDS, NO_NUMBER

NO_FOLD: dict[str, Any] = {"fit_time": np.nan, "score_time": np.nan, "n_test_samples": 0}


def read_trials(
    trials: Sequence[FrozenTrial],
    space: Space,
    n_folds: int,
    error_score: ErrorScore = np.nan,
    with_train_scores: bool = False,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, list[Any]]]:
    """Return finished trials in the form of the candidates of scikit-learn's searches.

    Parameters
    ----------
    trials : sequence of FrozenTrial
    space : Space
        Converts the values of a trial to parameters of the estimator.
    n_folds : int
    error_score : "raise" or float, default=nan
        Score of folds that failed.
    with_train_scores : bool, default=False

    Returns
    -------
    parameters : list of dict
        The parameters of each trial.
    folds : list of dict
        Results as from scikit-learn's ``_fit_and_score``, trial by trial; scores of folds that did
        not run are nan.
    extra : dict of str to list
        The additional columns "trial_number" and "state".
    """
    parameters = [space.suggest(FixedTrial(trial.params, trial.number)) for trial in trials]
    known = [trial.user_attrs.get(FOLDS, []) for trial in trials]
    names = next((list(f["scores"]) for folds in known for f in folds if not f["failed"]), [])
    names = names or ["score"]

    def shape(fold: Mapping[str, Any], kind: str) -> Any:
        replacement = error_score if fold.get("failed") and error_score != "raise" else np.nan
        scores = {} if fold.get("failed") else fold.get(kind, {})
        shaped = {name: scores.get(name, replacement) for name in names}
        return shaped["score"] if names == ["score"] else shaped

    folds = []
    for trial_folds in known:
        for number in range(n_folds):
            fold: dict[str, Any] = trial_folds[number] if number < len(trial_folds) else {}
            row = {"test_scores": shape(fold, "scores"), **NO_FOLD}
            if with_train_scores:
                row["train_scores"] = shape(fold, "train_scores")
            folds.append(row | {name: fold[name] for name in NO_FOLD if name in fold})
    extra: dict[str, list[Any]] = {
        "trial_number": [trial.number for trial in trials],
        "state": [trial.state.name.lower() for trial in trials],
    }
    return parameters, folds, extra


def report_failures(
    trials: Sequence[FrozenTrial],
    n_folds: int,
    error_score: ErrorScore,
    first_error: BaseException | None,
) -> None:
    """Warn about fits that failed, with the messages of scikit-learn's searches.

    Parameters
    ----------
    trials : sequence of FrozenTrial
        Finished trials.
    n_folds : int
    error_score : "raise" or float
    first_error : exception or None
        The first error in this process.

    Raises
    ------
    Exception
        If all trials failed: `first_error`, or ValueError if that is None. Also ValueError if all
        fits failed and `error_score` is a number.
    """
    all_failed = all(trial.state == TrialState.FAIL for trial in trials)
    failed = [
        trial
        for trial in trials
        # scikit-learn itself warns about scores that are nan when it formats the results.
        if ERROR in trial.user_attrs and (all_failed or trial.user_attrs[ERROR] != NO_NUMBER)
    ]
    if not failed:
        return
    counts: Counter[str] = Counter()
    for trial in failed:
        folds = trial.user_attrs.get(FOLDS) or [{"failed": True}] * n_folds
        counts[trial.user_attrs[ERROR]] += sum(fold["failed"] for fold in folds) or len(folds)
    n_failed = sum(counts.values())
    n_fits = sum(len(trial.user_attrs.get(FOLDS) or range(n_folds)) for trial in trials)
    details = "Below are more details about the failures:\n" + "\n".join(
        f"{'-' * 80}\n{count} fits failed with the following error:\n{error}"
        for error, count in counts.items()
    )
    if all_failed or n_failed == n_fits:
        text = (
            f"\nAll the {n_failed} fits failed.\nIt is very likely that your model is "
            "misconfigured.\nYou can try to debug the error by setting error_score='raise'.\n\n"
            f"{details}"
        )
        if first_error is None:
            raise ValueError(text)
        first_error.add_note(text)
        raise first_error
    warnings.warn(
        f"{len(failed)} of {len(trials)} trials failed, the first with {failed[0].params}:\n"
        f"{n_failed} fits failed out of a total of {n_fits}.\nThe score on these train-test "
        f"partitions for these parameters will be set to {error_score}.\nIf these failures are not "
        f"expected, you can try to debug them by setting error_score='raise'.\n\n{details}",
        FitFailedWarning,
        stacklevel=4,
    )


def make_cv_results(
    search: BaseSearchCV, trials: Sequence[FrozenTrial], *arguments: Any
) -> dict[str, Any]:
    """Return cv_results_, without a warning that pruned trials have no mean score."""
    with warnings.catch_warnings():
        if not any(trial.user_attrs.get(ERROR) == NO_NUMBER for trial in trials):
            warnings.filterwarnings("ignore", "One or more of the (test|train) scores are non-fini")
        return format_results(search, *arguments)


def rank_minimized(results: dict[str, Any], directions: Mapping[str, str]) -> None:
    """Recompute the ranks of objectives that are minimised, in place."""
    for name, direction in directions.items():
        if direction == "minimize":
            means: NDArray[np.float64] = results[f"mean_test_{name}"]
            worst = np.nanmax(means) + 1 if np.isfinite(means).any() else 0.0
            ranks = rankdata(np.where(np.isnan(means), worst, means), method="min")
            results[f"rank_test_{name}"] = ranks.astype(np.int32)


def require_complete(trials: Sequence[FrozenTrial]) -> None:
    """Raise ValueError unless the folds of at least one trial were all scored."""
    if not any(trial.state == TrialState.COMPLETE for trial in trials):
        raise ValueError(
            f"None of {len(trials)} trials completed all folds: increase n_trials or timeout, "
            "or use a less strict pruner."
        )
