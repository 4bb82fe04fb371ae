"""Boosters of LightGBM and XGBoost in model files, as text that is validated before loading.

Both libraries follow the node indices of trees without checks, and read more than trees from their
files. The text is therefore parsed strictly, and only its trees are written to a new text that the
library reads.
"""

import re
from typing import Any

from sklearn.base import BaseEstimator

from imgfeat._compat.lightgbm import get_other_params
from imgfeat._models.conditions import require
from imgfeat._models.lightgbm_text import rewrite_lightgbm
from imgfeat._models.xgboost_text import rewrite_xgboost
from imgfeat._optional import import_optional

NAMES = {"lightgbm.basic": "lightgbm", "xgboost.core": "xgboost"}
# LightGBM gets all parameters in one string, in which a space or "=" would start another one.
WORD = re.compile(r"[\w.:-]*")
# Parameters set by `imgfeat.heads.boosting` that are not in the classifiers' signatures.
KNOWN = {"max_bin", "verbose"}


class KeptBooster:
    """A booster in the form in which model files store it.

    Attributes
    ----------
    library : {"lightgbm", "xgboost"}
    text : str
        The booster in the text format of the library.
    best_iteration : int
        For LightGBM, the number of rounds that predictions use; 0 is all rounds.
    """

    def __init__(self, library: str, text: str, best_iteration: int):
        self.library = library
        self.text = text
        self.best_iteration = best_iteration


def keep_booster(booster: Any) -> Any:
    """Convert a booster to a `KeptBooster`; return other objects unchanged."""
    library = NAMES.get(type(booster).__module__) if type(booster).__name__ == "Booster" else None
    if library == "lightgbm":
        text = booster.model_to_string(num_iteration=-1)
        return KeptBooster(library, text, booster.best_iteration)
    if library == "xgboost":
        return KeptBooster(library, booster.save_raw("json").decode(), 0)
    return booster


def build_booster(state: dict[str, Any]) -> Any:
    """Return the booster of a `KeptBooster`, after validating its trees.

    Parameters
    ----------
    state : dict
        Attributes of a `KeptBooster`.

    Raises
    ------
    ValueError
        If the trees are invalid, or have categorical splits or linear leaves.
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


def check_parameters(estimator: BaseEstimator) -> None:
    """Raise ValueError if a parameter of LightGBM could set others, such as names of files.

    Parameters
    ----------
    estimator : estimator
        Estimators of other libraries are accepted.
    """
    if type(estimator).__module__ != "lightgbm.sklearn":
        return
    require(set(get_other_params(estimator)) <= KNOWN, "LightGBM: parameters")
    for name, value in estimator.get_params(deep=False).items():
        simple = value is None or isinstance(value, (int, float, dict))
        word = isinstance(value, str) and WORD.fullmatch(value) is not None
        require(simple or word or name == "random_state", f"LightGBM: {name}")
