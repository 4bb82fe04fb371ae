"""Conversion of a model before it is saved: parts that skops cannot store are replaced."""

import os
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import FeatureUnion

from imgfeat._compat.sklearn_fitted import TRANSFORMERS_NAMES_OUT
from imgfeat._compat.sklearn_search import BaseSearchCV
from imgfeat._files import ModelFileError
from imgfeat._models.boosters import keep_booster

# Parameters of a search that only `fit` uses, and that may be objects of other libraries.
SEARCH_ONLY = ("sampler", "pruner", "callbacks", "storage")
SPACES = ("param_distributions", "param_grid")
PLAIN = (str, bytes, int, float, bool, type(None), np.generic, np.ndarray)


def make_portable(model: Any) -> Any:
    """Return a model that skops can store: the model itself, or a copy with parts replaced.

    Parameters
    ----------
    model : object
        Not changed.

    Raises
    ------
    ModelFileError
        If a part cannot be stored in any form.
    """
    return _copy(model, {})


def _copy(part: Any, done: dict[int, tuple[Any, Any]]) -> Any:
    if not isinstance(part, (BaseEstimator, dict, list, tuple)):
        return part
    if id(part) in done:
        return done[id(part)][1]
    # Entered before the copy is made, so that objects that contain themselves do not recurse.
    done[id(part)] = (part, part)
    copy = part
    if isinstance(part, BaseEstimator):
        copy = _copy_estimator(part, done)
    elif type(part) is dict:
        values = {key: _copy(value, done) for key, value in part.items()}
        copy = values if any(values[key] is not part[key] for key in part) else part
    elif type(part) in (list, tuple):
        items = [_copy(item, done) for item in part]
        changed = any(new is not old for new, old in zip(items, part, strict=True))
        copy = type(part)(items) if changed else part
    done[id(part)] = (part, copy)
    return copy


def _copy_estimator(estimator: BaseEstimator, done: dict[int, tuple[Any, Any]]) -> BaseEstimator:
    before = vars(estimator)
    after = {name: keep_booster(_copy(value, done)) for name, value in before.items()}
    if isinstance(estimator, FeatureUnion) and TRANSFORMERS_NAMES_OUT in after:
        # These are pandas Index objects, which skops does not support.
        names = after[TRANSFORMERS_NAMES_OUT]
        after[TRANSFORMERS_NAMES_OUT] = [np.array(n, dtype=object) for n in names]
    if isinstance(estimator, BaseSearchCV):
        _strip_search(after)
    if type(estimator).__name__ == "CNNEmbedding":
        _check_backbone(after["backbone"])
    if all(after.get(name) is value for name, value in before.items()):
        return estimator
    copy: BaseEstimator = object.__new__(type(estimator))
    copy.__dict__.update(after)
    return copy


def _strip_search(state: dict[str, Any]) -> None:
    """Remove the study, and the parameters that are objects of other libraries, in place."""
    state.pop("study_", None)
    for name in SEARCH_ONLY:
        if name in state and not isinstance(state[name], (str, os.PathLike)):
            state[name] = None
    for name in SPACES:
        if name in state and not _is_plain(state[name]):
            state[name] = {}


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, PLAIN)


def _check_backbone(backbone: object) -> None:
    if not isinstance(backbone, (str, os.PathLike)):
        raise ModelFileError(
            f"CNNEmbedding(backbone={type(backbone).__name__}(...)) cannot be saved: a module is "
            "code, which model files do not contain. Write its graph with "
            "CNNEmbedding.save_onnx(path) and use CNNEmbedding(backbone=path), or use a model of "
            "timm: backbone='timm:NAME'."
        )
