"""Search spaces: conversion of `param_distributions` to Optuna's distributions."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.trial import BaseTrial, Trial

from imgfeat._protocols import Estimator

# Range of quantiles of scipy's distributions, many of which are infinite at 0 and 1.
QUANTILES = (0.001, 0.999)
N_QUANTILES = 65

# The type of the parameter `param_distributions`.
ParamDistributions = (
    Mapping[str, Any] | Sequence[Mapping[str, Any]] | Callable[[Trial], dict[str, Any]]
)

PLAIN = (str, int, float, bool, type(None))


class SpaceError(ValueError):
    """A search space that is empty or invalid, or has parameters that the estimator lacks."""


class Space(ABC):
    """A search space."""

    @abstractmethod
    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Return the estimator's parameters for an Optuna trial, which may be a FixedTrial."""

    @property
    @abstractmethod
    def content(self) -> Any:
        """An object that identifies the space, for `imgfeat.tuning.study.digests.digest`."""

    @abstractmethod
    def __str__(self) -> str:
        """Return a one-line description."""

    @abstractmethod
    def check(self, estimator: Estimator) -> None:
        """Raise SpaceError if the estimator lacks one of the parameters."""


def read_space(param_distributions: ParamDistributions) -> Space:
    """Return the search space for the `param_distributions` of `imgfeat.OptunaSearchCV`.

    Parameters
    ----------
    param_distributions : dict, list of dict, or callable
        A dict with Optuna's or scipy's distributions, or lists, by parameter name; several such
        dicts, of which each trial uses one; or a function that takes a trial and returns
        parameters.

    Returns
    -------
    space : Space

    Raises
    ------
    SpaceError
        If the space is empty, or a value has another type.

    Examples
    --------
    >>> from optuna.trial import FixedTrial
    >>> from scipy.stats import loguniform
    >>> from imgfeat.tuning.space import read_space
    >>> space = read_space({"C": loguniform(0.1, 100), "kernel": ["rbf", "linear"]})
    >>> space.suggest(FixedTrial({"C": 10, "kernel": "rbf"}))
    {'C': 10, 'kernel': 'rbf'}
    """
    if callable(param_distributions):
        return CallableSpace(param_distributions)
    alone = isinstance(param_distributions, Mapping)
    tables: Any = [param_distributions] if alone else param_distributions
    if not isinstance(tables, Sequence) or not all(isinstance(t, Mapping) for t in tables):
        raise SpaceError(
            "param_distributions must be a dict, a list of dicts, or a function of a trial, got "
            f"{type(param_distributions).__name__}."
        )
    if not tables or not all(tables):
        raise SpaceError(
            f"param_distributions={param_distributions!r} is empty: name at least 1 parameter."
        )
    return TableSpace(
        [
            [_read(name, values, "" if alone else f"{number}: ") for name, values in table.items()]
            for number, table in enumerate(tables)
        ]
    )


class Dimension(NamedTuple):
    """One parameter: its distribution in the study, and the conversion of the study's values."""

    name: str
    label: str
    distribution: BaseDistribution
    decode: Callable[[Any], Any]
    # Identifies what `decode` returns if the distribution alone does not.
    meaning: Any = None


class TableSpace(Space):
    """A search space of one or more dicts of distributions, of which each trial uses one."""

    def __init__(self, tables: list[list[Dimension]]):
        self.tables = tables

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Return parameters sampled from one of the dicts."""
        number = 0
        if len(self.tables) > 1:
            number = trial.suggest_categorical("space", list(range(len(self.tables))))
        return {
            d.name: d.decode(_suggest(trial, d.label, d.distribution)) for d in self.tables[number]
        }

    @property
    def content(self) -> Any:
        """All distributions, and the values that they are converted to."""
        return [
            sorted((d.label, distribution_to_json(d.distribution), d.meaning) for d in table)
            for table in self.tables
        ]

    def __str__(self) -> str:
        """List the parameters and their values."""
        return "; ".join(f"{d.label}: {_show(d)}" for table in self.tables for d in table)

    def check(self, estimator: Estimator) -> None:
        """Check all parameter names."""
        for table in self.tables:
            _check_names(estimator, [dimension.name for dimension in table])

    def list_grid(self, n_points: int = 5) -> dict[str, list[Any]]:
        """Return the values of each parameter for a grid: `n_points` evenly spaced ones of a range.

        Raises
        ------
        SpaceError
            If there are several dicts.
        """
        if len(self.tables) > 1:
            raise SpaceError("sampler='grid' takes one dict of parameters, got several.")
        return {d.label: _list_values(d.distribution, n_points) for d in self.tables[0]}


class CallableSpace(Space):
    """A search space given by a function that takes a trial and returns parameters."""

    def __init__(self, function: Callable[[Any], dict[str, Any]]):
        self.function = function

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Return the parameters that the function returns for the trial."""
        parameters = self.function(trial)
        if not isinstance(parameters, dict) or not parameters:
            raise SpaceError(
                "param_distributions must return a dict with at least 1 parameter, got "
                f"{parameters!r}."
            )
        return parameters

    @property
    def content(self) -> Any:
        """The function."""
        return self.function

    def __str__(self) -> str:
        """Return the name of the function."""
        return f"function {getattr(self.function, '__qualname__', type(self.function).__name__)}"

    def check(self, estimator: Estimator) -> None:
        """Check the names of the parameters that the function returns for a random trial."""
        dry_run = optuna.study.Study("dry_run", _quiet_storage("dry_run"))
        dry_run.sampler = optuna.samplers.RandomSampler(seed=0)
        _check_names(estimator, list(self.suggest(dry_run.ask())))


def _quiet_storage(name: str) -> optuna.storages.InMemoryStorage:
    """Return a storage with an empty study; optuna.create_study would log a message."""
    storage = optuna.storages.InMemoryStorage()
    storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], name)
    return storage


def _read(name: Any, values: Any, prefix: str) -> Dimension:
    if not isinstance(name, str):
        raise SpaceError(f"param_distributions has the key {name!r}: keys must be strings.")
    if isinstance(values, BaseDistribution):
        return Dimension(name, prefix + name, values, _identity)
    if hasattr(values, "ppf"):
        return _read_scipy(name, values, prefix)
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
        choices = [v.item() if isinstance(v, np.generic) else v for v in values]
        if choices:
            return _read_choices(name, choices, prefix)
    raise SpaceError(
        f"param_distributions[{name!r}]={values!r} must be a distribution of Optuna or scipy, or a "
        "list with at least 1 value."
    )


def _read_choices(name: str, choices: list[Any], prefix: str) -> Dimension:
    if all(isinstance(choice, PLAIN) for choice in choices):
        return Dimension(name, prefix + name, CategoricalDistribution(choices), _identity)
    # Storages keep plain values only, so other choices are stored by a label.
    labels = [f"{n}: {_label_choice(choice)}" for n, choice in enumerate(choices)]
    decode = dict(zip(labels, choices, strict=True)).__getitem__
    return Dimension(name, prefix + name, CategoricalDistribution(labels), decode, choices)


def _label_choice(choice: Any) -> str:
    """Return a label of a choice that is equal in all processes: without a memory address."""
    name = getattr(choice, "__qualname__", None) or " ".join(repr(choice).split())
    return re.sub(r" at 0x[0-9a-fA-F]+", "", name)[:60]


def _show(dimension: Dimension) -> str:
    distribution = dimension.distribution
    if isinstance(distribution, CategoricalDistribution):
        return str(list(distribution.choices))
    return re.sub(r"\w+Distribution|(, )?(log=False|step=None)", "", str(distribution))


def _read_scipy(name: str, frozen: Any, prefix: str) -> Dimension:
    kind = getattr(getattr(frozen, "dist", None), "name", "")
    low, high = frozen.support()
    if kind == "uniform":
        return Dimension(name, prefix + name, FloatDistribution(float(low), float(high)), _identity)
    if kind in ("loguniform", "reciprocal") and low > 0:
        distribution: BaseDistribution = FloatDistribution(float(low), float(high), log=True)
        return Dimension(name, prefix + name, distribution, _identity)
    if kind == "randint":
        return Dimension(name, prefix + name, IntDistribution(int(low), int(high)), _identity)
    whole = hasattr(frozen, "pmf")

    def decode(quantile: float) -> float | int:
        value = float(frozen.ppf(quantile))
        return int(value) if whole else value

    # The values at some quantiles identify a distribution. They are rounded, since the last digits
    # differ between processors.
    meaning = [f"{value:.6g}" for value in frozen.ppf(np.linspace(*QUANTILES, N_QUANTILES))]
    label = f"{prefix}{name} (quantile)"
    return Dimension(name, label, FloatDistribution(*QUANTILES), decode, meaning)


def _identity(value: Any) -> Any:
    return value


def _suggest(trial: BaseTrial, label: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(label, distribution.choices)
    options = {"step": distribution.step, "log": distribution.log}  # type: ignore[attr-defined]
    suggest = (
        trial.suggest_int if isinstance(distribution, IntDistribution) else trial.suggest_float
    )
    return suggest(label, distribution.low, distribution.high, **options)  # type: ignore[attr-defined]


def _list_values(distribution: BaseDistribution, n_points: int) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    spread = np.geomspace if distribution.log else np.linspace
    values = spread(distribution.low, distribution.high, n_points)
    if distribution.step is not None and not distribution.log:
        steps = np.round((values - distribution.low) / distribution.step)
        values = distribution.low + steps * distribution.step
    if isinstance(distribution, IntDistribution):
        return sorted({round(value) for value in values.tolist()})
    return sorted({min(max(v, distribution.low), distribution.high) for v in values.tolist()})


def _check_names(estimator: Estimator, names: list[str]) -> None:
    known = list(estimator.get_params())
    for name in names:
        parts = name.split("__")
        # Parameters of a step that is itself a parameter of the space cannot be checked.
        owners = ["__".join(parts[:count]) for count in range(1, len(parts))]
        if name in known or any(owner in names for owner in owners):
            continue
        near = [k for k in known if k.split("__")[-1] == parts[-1]]
        near = list(dict.fromkeys(near + get_close_matches(name, known, n=3, cutoff=0.4)))[:4]
        hint = f"Similar names: {', '.join(near)}." if near else "See its get_params()."
        raise SpaceError(
            f"param_distributions has {name!r}, which is no parameter of "
            f"{type(estimator).__name__}. {hint}"
        )
