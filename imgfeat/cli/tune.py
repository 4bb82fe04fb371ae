"""`imgfeat tune`: search for the best parameters of a recipe."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgfeat._near_names import suggest
from imgfeat.cli.arguments import (
    Subcommands,
    add_folds,
    add_recipe_and_folder,
    add_seed,
    add_skip_bad,
    at_least,
    one_of,
)
from imgfeat.cli.inputs import list_folder
from imgfeat.cli.models import check_out

if TYPE_CHECKING:
    from imgfeat.recipes import Recipe
    from imgfeat.tuning import OptunaSearchCV

SAMPLERS = ("tpe", "random", "grid", "gp")


def add_parser(commands: Subcommands) -> None:
    """Add `imgfeat tune` to the commands."""
    parser = commands.add_parser(
        "tune", help="search for the best parameters of a recipe and save the model"
    )
    add_recipe_and_folder(parser)
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="model file to write; plots are written beside it",
    )
    parser.add_argument(
        "--trials",
        type=at_least(1),
        default=50,
        help="total number of trials in the study (default: 50)",
    )
    parser.add_argument(
        "--storage",
        metavar="FILE",
        help="file such as tune.db, or URL of a database, that stores the trials",
    )
    parser.add_argument(
        "--study",
        metavar="NAME",
        help="name of the study in the storage (default: name of the recipe)",
    )
    parser.add_argument(
        "--sampler",
        type=one_of(SAMPLERS),
        default="tpe",
        metavar=f"{{{','.join(SAMPLERS)}}}",
        help="Optuna sampler that suggests the parameters (default: tpe)",
    )
    add_folds(parser)
    parser.add_argument(
        "--scoring", default="accuracy", help="name of a scikit-learn scorer (default: accuracy)"
    )
    parser.add_argument(
        "--prune",
        action="store_true",
        help="after each fold, stop trials that are worse than the median",
    )
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="start no trials after this time"
    )
    parser.add_argument(
        "--memory", metavar="DIR", help="folder that caches features for later calls"
    )
    parser.add_argument(
        "--jobs", type=int, help="number of folds that run in parallel; -1 uses all cores"
    )
    add_seed(parser, "the recipe and the sampler")
    add_skip_bad(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Search for the best parameters of a recipe and save the model."""
    from sklearn.metrics import get_scorer_names

    from imgfeat.recipes import load_recipe

    out = check_out(arguments.out)
    scorers = get_scorer_names()
    if arguments.scoring not in scorers:
        raise ValueError(
            f"'scoring' must be the name of a scikit-learn scorer, got {arguments.scoring!r}. "
            f"{suggest(arguments.scoring, scorers)}Choose from {', '.join(scorers)}."
        )
    recipe = load_recipe(arguments.recipe)
    X, y = list_folder(arguments.folder, ["train"], verify=arguments.skip_bad)
    _tune_recipe(
        recipe,
        X,
        y,
        out,
        seed=arguments.seed,
        prune=arguments.prune,
        n_trials=arguments.trials,
        storage=arguments.storage,
        study_name=arguments.study or recipe.name,
        sampler=arguments.sampler,
        cv=arguments.folds,
        scoring=arguments.scoring,
        timeout=arguments.timeout,
        memory=arguments.memory,
        n_jobs=arguments.jobs,
    )
    return 0


def _tune_recipe(
    recipe: "Recipe",
    X: NDArray[np.str_],
    y: NDArray[np.str_],
    out: Path,
    *,
    seed: int,
    prune: bool,
    **options: Any,
) -> "OptunaSearchCV":
    """Tune a recipe over its search space, save the model, and print the result.

    Parameters
    ----------
    recipe : Recipe
    X : ndarray of str
        Paths of the images.
    y : ndarray of str
        Their labels.
    out : Path
        Path of the model file.
    seed : int
        Random seed of the recipe and the sampler.
    prune : bool
        After each fold, stop trials that are worse than the median of the others.
    **options : dict
        Parameters of OptunaSearchCV.

    Returns
    -------
    search : OptunaSearchCV
        The fitted search.
    """
    from optuna.pruners import MedianPruner

    from imgfeat.persistence import save_model
    from imgfeat.tuning.pictures import write_pictures
    from imgfeat.tuning.search import OptunaSearchCV

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
        _print_how_to_resume(search)
        raise
    save_model(search.best_estimator_, out)
    pictures = write_pictures(search.study_, out)
    _report(search)
    print(f"\nModel: {out}\nPlots: {', '.join(map(str, pictures))}")
    return search


def _report(search: "OptunaSearchCV") -> None:
    from imgfeat.tuning.pictures import measure_importances

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
        print("\nImportance of the parameters: too few trials with different scores.")
        return
    print("\nImportance of the parameters:")
    for name, share in importances.items():
        print(f"  {name:{width}}  {share:.3f}")


def _print_how_to_resume(search: "OptunaSearchCV") -> None:
    from optuna.trial import TrialState

    study: Any = getattr(search, "study_", None)
    if study is None:
        return
    done = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))
    if search.storage is None:
        print(f"\n{done} trials are lost. Use --storage FILE.db to keep them.", file=sys.stderr)
    else:
        print(
            f"\n{done} trials are in {search.storage}. Run the same command to resume.",
            file=sys.stderr,
        )
