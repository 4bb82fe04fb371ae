"""Private interfaces of scikit-learn: validation, and attributes of any estimator."""

from typing import Any

from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.multiclass import _ovr_decision_function
from sklearn.utils.validation import _check_method_params, _check_sample_weight, _num_samples

__all__ = [
    "OUTPUT_CONFIG",
    "HasMethods",
    "Interval",
    "StrOptions",
    "check_method_params",
    "check_sample_weight",
    "fit_context",
    "get_metadata_request",
    "get_output_config",
    "num_samples",
    "ovr_decision_function",
    "safe_indexing",
    "validate_params",
]

# The attribute in which `set_output` stores its configuration.
OUTPUT_CONFIG = "_sklearn_output_config"

check_method_params = _check_method_params
check_sample_weight = _check_sample_weight
fit_context = _fit_context
num_samples = _num_samples
ovr_decision_function = _ovr_decision_function
safe_indexing = _safe_indexing


def validate_params(estimator: BaseEstimator) -> None:
    """Raise InvalidParameterError where a parameter does not meet ``_parameter_constraints``."""
    estimator._validate_params()


def get_output_config(estimator: BaseEstimator) -> dict[str, Any]:
    """Return what `set_output` was called with; an empty dict where it was not called."""
    return getattr(estimator, OUTPUT_CONFIG, {})


def get_metadata_request(estimator: BaseEstimator) -> Any:
    """Return what the ``set_*_request`` methods were called with; None where none was called."""
    return getattr(estimator, "_metadata_request", None)
