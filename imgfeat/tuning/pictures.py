"""What a search found, as pictures and tables: mostly Optuna's own."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from imgfeat._files import replace_atomically


def list_pareto_front(search: Any) -> pd.DataFrame:
    """Return the trials that no other surpasses in all objectives.

    Parameters
    ----------
    search : OptunaSearchCV
        Fitted.

    Returns
    -------
    front : DataFrame
        A row a trial: parameters, and mean and standard deviation of each objective over the folds,
        the best in the first objective first. The index has the trials' numbers.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.svm import SVC
    >>> from imgfeat.tuning import OptunaSearchCV, list_pareto_front, size_scorer
    >>> X, y = load_digits(return_X_y=True)
    >>> search = OptunaSearchCV(
    ...     SVC(),
    ...     {"C": [0.01, 0.1, 1]},
    ...     sampler="grid",
    ...     cv=2,
    ...     scoring={"accuracy": "accuracy", "mb": size_scorer},
    ...     directions={"accuracy": "maximize", "mb": "minimize"},
    ...     refit="accuracy",
    ... ).fit(X[:500], y[:500])
    >>> list_pareto_front(search)["C"].tolist()
    [1.0]
    """
    results, directions = search.cv_results_, _list_directions(search)
    table = pd.DataFrame(results["params"], index=pd.Index(results["trial_number"], name="trial"))
    for name in directions:
        table[f"mean_{name}"] = results[f"mean_test_{name}"]
        table[f"std_{name}"] = results[f"std_test_{name}"]
    first, way = next(iter(directions.items()))
    best = [trial.number for trial in search.study_.best_trials]
    return table.loc[best].sort_values(f"mean_{first}", ascending=way == "minimize")


def plot_pareto_front(search: Any) -> Any:
    """Draw all trials in two objectives, and the front among them.

    Parameters
    ----------
    search : OptunaSearchCV
        Fitted, with two objectives.

    Returns
    -------
    figure : matplotlib Figure

    Raises
    ------
    ValueError
        If there are not two objectives.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.svm import SVC
    >>> from imgfeat.tuning import OptunaSearchCV, plot_pareto_front, size_scorer
    >>> X, y = load_digits(return_X_y=True)
    >>> search = OptunaSearchCV(
    ...     SVC(),
    ...     {"C": [0.1, 1]},
    ...     sampler="grid",
    ...     cv=2,
    ...     scoring={"accuracy": "accuracy", "mb": size_scorer},
    ...     directions={"accuracy": "maximize", "mb": "minimize"},
    ...     refit="accuracy",
    ... ).fit(X[:500], y[:500])
    >>> [axis.get_xlabel() for axis in plot_pareto_front(search).axes]
    ['accuracy (maximize)']
    """
    from matplotlib.figure import Figure

    directions = _list_directions(search)
    if len(directions) != 2:
        raise ValueError(
            f"A Pareto front is drawn of 2 objectives, got {len(directions)}: "
            f"{', '.join(directions)}. See list_pareto_front for its table."
        )
    x, y = directions
    results, front = search.cv_results_, list_pareto_front(search)
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(
        results[f"mean_test_{x}"], results[f"mean_test_{y}"], color="0.7", label="other trials"
    )
    axes.plot(front[f"mean_{x}"], front[f"mean_{y}"], "o-", color="tab:blue", label="not surpassed")
    for number, row in front.iterrows():
        axes.annotate(
            str(number), (row[f"mean_{x}"], row[f"mean_{y}"]), (4, 4), textcoords="offset points"
        )
    axes.set(xlabel=f"{x} ({directions[x]})", ylabel=f"{y} ({directions[y]})")
    axes.legend()
    return figure


def measure_importances(study: optuna.Study) -> dict[str, float]:
    """Return how much of the scores' variance each parameter explains, by Optuna; empty if unknown.

    Parameters
    ----------
    study : Study
        Of one objective.

    Returns
    -------
    importances : dict of str to float
        The largest first.
    """
    done = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if len({trial.value for trial in done}) < 2:
        return {}
    try:
        return optuna.importance.get_param_importances(study)
    except (RuntimeError, ValueError):  # such as no parameter that all trials have
        return {}


def write_pictures(study: optuna.Study, model: Path) -> list[Path]:
    """Write Optuna's pictures of a study beside a model file.

    Parameters
    ----------
    study : Study
        Of one objective.
    model : Path
        ``MODEL.skops`` gives ``MODEL-history.png``, ``MODEL-parallel.png`` and, if there are
        importances, ``MODEL-importances.png``.

    Returns
    -------
    paths : list of Path
    """
    library = optuna.visualization.matplotlib
    kinds: dict[str, Callable[..., Any]] = {
        "history": library.plot_optimization_history,
        "parallel": library.plot_parallel_coordinate,
    }
    if measure_importances(study):
        kinds["importances"] = library.plot_param_importances
    paths = []
    for name, plot in kinds.items():
        path = model.with_name(f"{model.stem}-{name}.png")
        with _drawn(plot, study) as figure, replace_atomically(path) as temporary:
            figure.savefig(temporary, format="png", bbox_inches="tight", dpi=120)
        paths.append(path)
    return paths


def _list_directions(search: Any) -> dict[str, str]:
    if search.directions is not None:
        return dict(search.directions)
    return {search.refit if search.multimetric_ else "score": "maximize"}


@contextlib.contextmanager
def _drawn(plot: Callable[..., Any], study: optuna.Study) -> Iterator[Any]:
    """Draw with Optuna, which goes through pyplot, and leave no figure open there."""
    import matplotlib
    from matplotlib import pyplot

    before = set(pyplot.get_fignums())
    try:
        # It sets the style of everything that is drawn later.
        with matplotlib.rc_context(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            # All scores may be the same.
            warnings.filterwarnings("ignore", "Attempting to set identical", UserWarning)
            axes = plot(study)
            _write_names_out(axes, study)
            axes.figure.set_size_inches(10, 5)
            yield axes.figure
    finally:
        for number in set(pyplot.get_fignums()) - before:
            pyplot.close(number)


def _write_names_out(axes: Any, study: optuna.Study) -> None:
    """Name parameters by their last words: Optuna cuts the ends off, which tell them apart."""
    names = sorted({name for trial in study.trials for name in trial.params})
    labels = [label.get_text() for label in axes.get_xticklabels()]
    if len(labels) == len(names) + 1 and labels[0] == "Objective Value":
        axes.set_xticklabels(["score", *(name.split("__")[-1] for name in names)])
