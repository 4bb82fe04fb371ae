"""Tables and plots of the results of a search; most plots are those of Optuna."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import pandas as pd
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from imgfeat._compat.sklearn_search import BaseSearchCV
from imgfeat._files import replace_atomically
from imgfeat.tuning.objectives import list_directions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def list_pareto_front(search: BaseSearchCV) -> pd.DataFrame:
    """Return the Pareto front: the trials that no other trial dominates.

    Parameters
    ----------
    search : OptunaSearchCV
        Fitted.

    Returns
    -------
    front : DataFrame
        One row for each trial, with its parameters and the mean and standard deviation of each
        objective over the folds. Rows are sorted by the first objective, the best first; the index
        is the number of the trial.

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
    results, directions = search.cv_results_, list_directions(search)
    table = pd.DataFrame(results["params"], index=pd.Index(results["trial_number"], name="trial"))
    for name in directions:
        table[f"mean_{name}"] = results[f"mean_test_{name}"]
        table[f"std_{name}"] = results[f"std_test_{name}"]
    first, direction = next(iter(directions.items()))
    best = [trial.number for trial in search.study_.best_trials]
    return table.loc[best].sort_values(f"mean_{first}", ascending=direction == "minimize")


def plot_pareto_front(search: BaseSearchCV) -> "Figure":
    """Plot all trials of a search with two objectives, and the Pareto front.

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

    directions = list_directions(search)
    if len(directions) != 2:
        raise ValueError(
            f"plot_pareto_front needs a search of 2 objectives, got {len(directions)}: "
            f"{', '.join(directions)}. list_pareto_front takes any number of objectives."
        )
    x, y = directions
    results, front = search.cv_results_, list_pareto_front(search)
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(
        results[f"mean_test_{x}"], results[f"mean_test_{y}"], color="0.7", label="other trials"
    )
    axes.plot(front[f"mean_{x}"], front[f"mean_{y}"], "o-", color="tab:blue", label="Pareto front")
    for number, row in front.iterrows():
        axes.annotate(
            str(number), (row[f"mean_{x}"], row[f"mean_{y}"]), (4, 4), textcoords="offset points"
        )
    axes.set(xlabel=f"{x} ({directions[x]})", ylabel=f"{y} ({directions[y]})")
    axes.legend()
    return figure


def measure_importances(study: optuna.Study) -> dict[str, float]:
    """Return Optuna's importances of the parameters; empty if they cannot be computed.

    Parameters
    ----------
    study : Study
        With one objective.

    Returns
    -------
    importances : dict of str to float
        Share of the scores' variance that each parameter explains, the largest first.
    """
    done = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if len({trial.value for trial in done}) < 2:
        return {}
    try:
        return optuna.importance.get_param_importances(study)
    except (RuntimeError, ValueError):  # such as no parameter that all trials have
        return {}


def write_pictures(study: optuna.Study, model: Path) -> list[Path]:
    """Write Optuna's plots of a study as PNG files next to a model file.

    Parameters
    ----------
    study : Study
        With one objective.
    model : Path
        For ``MODEL.skops``, the files are ``MODEL-history.png``, ``MODEL-parallel.png`` and, if
        importances can be computed, ``MODEL-importances.png``.

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
        with _plotted(plot, study) as figure, replace_atomically(path) as temporary:
            figure.savefig(temporary, format="png", bbox_inches="tight", dpi=120)
        paths.append(path)
    return paths


@contextlib.contextmanager
def _plotted(plot: Callable[..., Any], study: optuna.Study) -> Iterator[Any]:
    """Plot with Optuna, which uses pyplot, and close the figures that it opens."""
    import matplotlib
    from matplotlib import pyplot

    before = set(pyplot.get_fignums())
    try:
        # Optuna changes matplotlib's style for all later plots.
        with matplotlib.rc_context(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            # If all scores are equal, matplotlib warns about the limits of the axis.
            warnings.filterwarnings("ignore", "Attempting to set identical", UserWarning)
            axes = plot(study)
            _label_parameters(axes, study)
            axes.figure.set_size_inches(10, 5)
            yield axes.figure
    finally:
        for number in set(pyplot.get_fignums()) - before:
            pyplot.close(number)


def _label_parameters(axes: "Axes", study: optuna.Study) -> None:
    """Label parameters by the last part of their names, which Optuna truncates."""
    names = sorted({name for trial in study.trials for name in trial.params})
    labels = [label.get_text() for label in axes.get_xticklabels()]
    if len(labels) == len(names) + 1 and labels[0] == "Objective Value":
        axes.set_xticklabels(["score", *(name.split("__")[-1] for name in names)])
