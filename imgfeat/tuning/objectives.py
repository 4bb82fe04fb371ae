"""Objectives of a search: the scores that its study maximises or minimises."""

from collections.abc import Callable, Mapping, Sequence

from optuna.pruners import BasePruner, NopPruner

from imgfeat._compat.sklearn_search import BaseSearchCV, check_refit, list_scorers


def name_objectives(search: BaseSearchCV, scorer: Callable) -> list[str]:
    """Return the names of the scores that are the objectives of the study.

    Parameters
    ----------
    search : OptunaSearchCV
    scorer : callable
        A scorer, or scikit-learn's multimetric scorer.

    Returns
    -------
    names : list of str

    Raises
    ------
    ValueError
        If `directions` name an unknown score or direction, or there are several and a pruner.
    """
    scorers = list_scorers(scorer)
    names = None if scorers is None else list(scorers)
    if search.directions is not None:
        _check_directions(search, names or ["score"])
        return list(search.directions)
    if names is None and not (callable(search.scoring) and isinstance(search.refit, str)):
        return ["score"]
    return [search.refit if isinstance(search.refit, str) else (names or ["score"])[0]]


def choose_objectives(
    search: BaseSearchCV, wanted: Sequence[str], scores: Mapping[str, float]
) -> list[str]:
    """Return the names of the objectives, given the scores of a fold.

    The names of the scores of a callable `scoring` are only known from its output.

    Parameters
    ----------
    search : OptunaSearchCV
    wanted : sequence of str
        From `name_objectives`.
    scores : dict of str to float

    Returns
    -------
    names : list of str

    Raises
    ------
    ValueError
        If `directions` or `refit` name no score.
    """
    if search.directions is not None:
        missing = [name for name in wanted if name not in scores]
        if missing:
            raise ValueError(
                f"directions={dict(search.directions)!r} must have scores as keys, which are "
                f"{', '.join(scores)}."
            )
        return list(wanted)
    if list(scores) == ["score"]:
        return ["score"]
    check_refit(search, scores)
    return [search.refit if isinstance(search.refit, str) else next(iter(scores))]


def list_directions(search: BaseSearchCV) -> dict[str, str]:
    """Return the direction of each objective of a fitted search, by the name of its score."""
    if search.directions is not None:
        return dict(search.directions)
    return {search.refit if search.multimetric_ else "score": "maximize"}


def _check_directions(search: BaseSearchCV, known: Sequence[str]) -> None:
    wrong = [
        name
        for name, direction in search.directions.items()
        if direction not in ("maximize", "minimize")
        or (name not in known and not callable(search.scoring))
    ]
    if wrong or not search.directions:
        raise ValueError(
            f"directions={dict(search.directions)!r} must map scores, which are "
            f"{', '.join(known)}, to 'maximize' or 'minimize'."
        )
    if len(search.directions) > 1 and _prunes(search.pruner):
        raise ValueError(
            f"pruner={search.pruner!r} works with one objective only, got directions of "
            f"{len(search.directions)}: use pruner=None."
        )


def _prunes(pruner: BasePruner | None) -> bool:
    return pruner is not None and not isinstance(pruner, NopPruner)
