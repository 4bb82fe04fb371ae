"""Private interface of LightGBM: parameters passed as keywords."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightgbm import LGBMModel


def get_other_params(estimator: "LGBMModel") -> dict[str, Any]:
    """Return the parameters of an LGBMModel that its constructor does not name."""
    return estimator._other_params
