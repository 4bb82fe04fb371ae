"""Boosters of LightGBM and XGBoost, as text that is checked and written anew before they read it.

Both libraries follow the nodes of trees unchecked, and read more from their files than trees.
"""

import re
from typing import Any

from imgfeat._compat.lightgbm import get_other_params
from imgfeat._models.conditions import require
from imgfeat._models.lightgbm_text import rewrite_lightgbm
from imgfeat._models.xgboost_text import rewrite_xgboost
from imgfeat._optional import import_optional

NAMES = {"lightgbm.basic": "lightgbm", "xgboost.core": "xgboost"}
# LightGBM gets parameters as one text, of which a space or = would make others.
WORD = re.compile(r"[\w.:-]*")
# Beyond those of the classifiers: what `imgfeat.heads.factory.boosting` sets.
KNOWN = {"max_bin", "verbose"}


class KeptBooster:
    """A booster as a model file holds it.

    Attributes
    ----------
    library : {"lightgbm", "xgboost"}
    text : str
        The trees, as the library writes them.
    best_iteration : int
        Rounds that predictions use, of LightGBM; 0 is all.
    """

    def __init__(self, library: str, text: str, best_iteration: int):
        self.library = library
        self.text = text
        self.best_iteration = best_iteration


def keep_booster(booster: Any) -> Any:
    """Return what is written in place of a booster; other objects come back as they are."""
    library = NAMES.get(type(booster).__module__) if type(booster).__name__ == "Booster" else None
    if library == "lightgbm":
        text = booster.model_to_string(num_iteration=-1)
        return KeptBooster(library, text, booster.best_iteration)
    if library == "xgboost":
        return KeptBooster(library, booster.save_raw("json").decode(), 0)
    return booster


def build_booster(state: Any) -> Any:
    """Return the booster that was kept, once its trees are known to be sound.

    Parameters
    ----------
    state : dict
        Attributes of a `KeptBooster`.

    Raises
    ------
    ValueError
        If they are not, or have splits by category or linear leaves.
    """
    library, text, best = state["library"], state["text"], state["best_iteration"]
    require(isinstance(text, str) and type(best) is int and best >= 0, "booster")
    if library == "xgboost":
        xgboost = import_optional("xgboost", extra="boosting")
        return xgboost.Booster(model_file=bytearray(rewrite_xgboost(text).encode()))
    require(library == "lightgbm", "booster: library")
    lightgbm = import_optional("lightgbm", extra="boosting")
    booster = lightgbm.Booster(model_str=rewrite_lightgbm(text))
    booster.best_iteration = best
    return booster


def check_parameters(estimator: Any) -> None:
    """Raise ValueError where LightGBM would take a parameter for others, such as names of files.

    Parameters
    ----------
    estimator : estimator
        Those of other libraries pass.
    """
    if type(estimator).__module__ != "lightgbm.sklearn":
        return
    require(set(get_other_params(estimator)) <= KNOWN, "LightGBM: parameters")
    for name, value in estimator.get_params(deep=False).items():
        simple = value is None or isinstance(value, (int, float, dict))
        word = isinstance(value, str) and WORD.fullmatch(value) is not None
        require(simple or word or name == "random_state", f"LightGBM: {name}")
