"""Private interfaces of scikit-learn: fitted attributes and methods of estimators."""

from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.multiclass import _ConstantPredictor

if TYPE_CHECKING:
    from sklearn.ensemble import (
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
        VotingClassifier,
    )
    from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
    from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

__all__ = [
    "TRANSFORMERS_NAMES_OUT",
    "ConstantPredictor",
    "FittedNeighbors",
    "FittedSVM",
    "HistogramTrees",
    "find_positive_label",
    "find_response_method",
    "get_svc_gamma",
    "get_voting_weights",
    "has_histogram_trees",
    "predict_initial_values",
    "read_histogram_trees",
    "read_neighbors",
    "read_svm",
]

ConstantPredictor = _ConstantPredictor

# The attribute of a fitted FeatureUnion that holds the names of columns, by transformer.
TRANSFORMERS_NAMES_OUT = "_transformers_feature_names_out"


class HistogramTrees(NamedTuple):
    """Of a fitted HistGradientBoostingClassifier or HistGradientBoostingRegressor."""

    predictors: list[list[Any]]
    baseline: NDArray[Any]
    preprocessor: Any
    bin_mapper: Any


def has_histogram_trees(estimator: BaseEstimator) -> bool:
    """Return whether histogram boosting is fitted."""
    return hasattr(estimator, "_predictors")


def read_histogram_trees(
    estimator: "HistGradientBoostingClassifier | HistGradientBoostingRegressor",
) -> HistogramTrees:
    """Return the trees of fitted histogram boosting."""
    return HistogramTrees(
        estimator._predictors,
        estimator._baseline_prediction,
        estimator._preprocessor,
        estimator._bin_mapper,
    )


class FittedSVM(NamedTuple):
    """Of a fitted SVC, NuSVC, SVR, NuSVR or OneClassSVM."""

    sparse: bool
    n_support: NDArray[Any]
    dual_coef: NDArray[Any]
    intercept: NDArray[Any]
    platt: dict[str, NDArray[Any]]


def read_svm(estimator: "SVC | NuSVC | SVR | NuSVR | OneClassSVM") -> FittedSVM:
    """Return what libsvm reads of a fitted SVM."""
    return FittedSVM(
        estimator._sparse,
        estimator._n_support,
        estimator._dual_coef_,
        estimator._intercept_,
        {"_probA": estimator._probA, "_probB": estimator._probB},
    )


def get_svc_gamma(estimator: "SVC | NuSVC") -> float:
    """Return the gamma of a fitted SVC or NuSVC as a number, also if the parameter is a word."""
    return estimator._gamma


class FittedNeighbors(NamedTuple):
    """Of a fitted estimator of ``sklearn.neighbors``."""

    X: Any
    tree: Any
    codes: Any


def read_neighbors(estimator: BaseEstimator) -> FittedNeighbors | None:
    """Return the samples, the tree and, of a classifier, the labels' codes; None if not fitted."""
    if not hasattr(estimator, "_fit_X"):
        return None
    return FittedNeighbors(estimator._fit_X, estimator._tree, getattr(estimator, "_y", None))


def predict_initial_values(
    estimator: "GradientBoostingClassifier", X: NDArray[Any]
) -> NDArray[Any]:
    """Return what a fitted GradientBoostingClassifier predicts before its first tree."""
    return estimator._raw_predict_init(X)


def find_response_method(
    estimator: "FixedThresholdClassifier | TunedThresholdClassifierCV",
) -> str | list[str]:
    """Return the methods, in order, whose values a classifier with a threshold compares."""
    return estimator._get_response_method()


def find_positive_label(estimator: "TunedThresholdClassifierCV") -> Any:
    """Return the positive class of a fitted TunedThresholdClassifierCV."""
    return estimator._curve_scorer._get_pos_label()


def get_voting_weights(estimator: "VotingClassifier") -> Any:
    """Return the weights of a VotingClassifier without those of dropped estimators, or None."""
    return estimator._weights_not_none
