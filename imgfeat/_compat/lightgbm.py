"""What imgfeat uses of LightGBM that LightGBM keeps private."""

from typing import Any


def get_other_params(estimator: Any) -> dict[str, Any]:
    """Return the parameters of an LGBMModel that its constructor does not name."""
    return estimator._other_params
