"""What `imgfeat tune` does."""

import sys
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import MedianPruner
from optuna.trial import TrialState

from imgfeat.persistence import save_model
from imgfeat.recipes import Recipe
from imgfeat.tuning.pictures import measure_importances, write_pictures
from imgfeat.tuning.search import OptunaSearchCV


def tune_recipe(
    recipe: Recipe,
    X: Any,
    y: Any,
    out: Path,
    *,
    seed: int,
    prune: bool,
    **options: Any,
) -> OptunaSearchCV:
    """Tune a recipe over its own space, keep the model, and say what was found.

    Parameters
    ----------
    recipe : Recipe
    X : sequence of paths
    y : array of labels
    out : Path
        Of the model file.
    seed : int
        Of the recipe and of the sampler.
    prune : bool
        Stop trials that are worse than the median of the others, fold by fold.
    **options : dict
        Of OptunaSearchCV.

    Returns
    -------
    search : OptunaSearchCV
        Fitted.
    """
    search = OptunaSearchCV(
        recipe.build(random_state=seed),
        dict(recipe.space),
        pruner=MedianPruner() if prune else None,
        random_state=seed,
        progress=True,
        error_score=float("nan"),
        **options,
    )
    try:
        search.fit(X, y)
    except KeyboardInterrupt:
        _say_how_to_go_on(search)
        raise
    save_model(search.best_estimator_, out)
    pictures = write_pictures(search.study_, out)
    _report(search)
    print(f"\nModel: {out}\nPictures: {', '.join(map(str, pictures))}")
    return search


def _report(search: OptunaSearchCV) -> None:
    states = [str(state) for state in search.cv_results_["state"]]
    counts = ", ".join(
        f"{states.count(state)} {word}"
        for state, word in (("complete", "complete"), ("pruned", "pruned"), ("fail", "failed"))
        if state in states
    )
    number = search.cv_results_["trial_number"][search.best_index_]
    print(
        f"Best score {search.best_score_:.4f}, the mean of {search.n_splits_} folds, in trial "
        f"{number} ({counts}):"
    )
    width = max(map(len, search.best_params_))
    for name, value in search.best_params_.items():
        text = f"{value:.4g}" if isinstance(value, float) else value
        print(f"  {name:{width}}  {text}")
    importances = measure_importances(search.study_)
    if not importances:
        print("\nImportance of the parameters: too few different scores to tell.")
        return
    print("\nImportance of the parameters:")
    for name, share in importances.items():
        print(f"  {name:{width}}  {share:.3f}")


def _say_how_to_go_on(search: OptunaSearchCV) -> None:
    study: optuna.Study | None = getattr(search, "study_", None)
    if study is None:
        return
    done = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))
    if search.storage is None:
        print(f"\n{done} trials are lost: --storage FILE.db would have kept them.", file=sys.stderr)
    else:
        print(
            f"\n{done} trials are in {search.storage}: the same command goes on with them.",
            file=sys.stderr,
        )
