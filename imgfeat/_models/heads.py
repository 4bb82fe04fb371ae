"""Checks of the fitted attributes of imgfeat's own estimators, when loaded from a file."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.multiclass import OneVsRestClassifier

from imgfeat._base import ImageTransformer
from imgfeat._models.conditions import require
from imgfeat._models.trees import is_array
from imgfeat.heads.calibration import TemperatureScaledClassifier
from imgfeat.heads.families import FamilyColumns
from imgfeat.heads.family_pool import FamilyPool
from imgfeat.heads.kernel_svm import KernelSVC
from imgfeat.heads.multilabel import PerLabel


def check_own(part: object) -> None:
    """Raise ValueError if an estimator of imgfeat has inconsistent fitted attributes.

    Parameters
    ----------
    part : object
        Any object inside a model; objects of other types are accepted.
    """
    if isinstance(part, ImageTransformer):
        part._check_state()
    if isinstance(part, KernelSVC):
        _check_kernel_svm(part)
    elif isinstance(part, FamilyPool):
        _check_pool(part)
    elif isinstance(part, FamilyColumns):
        _check_columns(part)
    elif isinstance(part, TemperatureScaledClassifier):
        _check_calibrated(part)
    elif isinstance(part, PerLabel):
        _check_per_label(part)


def _check_kernel_svm(estimator: KernelSVC) -> None:
    if not hasattr(estimator, "landmarks_"):
        return
    n_classes, n_features = len(estimator.classes_), estimator.n_features_in_
    landmarks = estimator.landmarks_
    require(is_array(landmarks, 2, np.floating), "landmarks_")
    require(landmarks.shape[1] == n_features, "landmarks_: features")
    require(is_array(estimator.center_, 1, np.floating), "center_")
    require(len(estimator.center_) == n_features, "center_: length")
    names = set(estimator.families_)
    require(names == set(estimator.weights_) == set(estimator.gamma_), "families_")
    for columns in estimator.families_.values():
        _check_positions(columns, n_features, "families_")
    numbers = [*estimator.weights_.values(), *estimator.gamma_.values()]
    finite = all(isinstance(n, (int, float)) and np.isfinite(n) and n >= 0 for n in numbers)
    require(finite, "weights_ or gamma_")
    if hasattr(estimator, "coefficients_"):
        shape = (len(landmarks), n_classes if n_classes > 2 else 1)
        require(np.shape(estimator.coefficients_) == shape, "coefficients_")
        require(np.shape(estimator.intercept_) == shape[1:], "intercept_")
        return
    counts = estimator.n_support_
    require(is_array(counts, 1, np.integer) and len(counts) == n_classes, "n_support_")
    require(counts.min() >= 0 and counts.sum() == len(landmarks), "n_support_: sum")
    require(np.shape(estimator.dual_coef_) == (n_classes - 1, len(landmarks)), "dual_coef_")
    require(np.shape(estimator.intercept_) == (n_classes * (n_classes - 1) // 2,), "intercept_")


def _check_calibrated(part: TemperatureScaledClassifier) -> None:
    if hasattr(part, "beta_"):
        require(isinstance(part.beta_, float) and 0 < part.beta_ < np.inf, "beta_")
        require(len(part.estimator_.classes_) == len(part.classes_), "classes_")


def _check_pool(pool: FamilyPool) -> None:
    if not hasattr(pool, "weights_"):
        return
    require(is_array(pool.weights_, 1, np.floating), "weights_")
    require(is_array(pool.bias_, 1, np.floating), "bias_")
    n_classes = len(pool.classes_)
    binary = n_classes == 2 and np.ndim(pool.classes_) == 1
    require(len(pool.bias_) == (1 if binary else n_classes), "bias_: length")
    require(pool.n_features_in_ == len(pool.bias_) * len(pool.weights_), "n_features_in_")


def _check_columns(part: FamilyColumns) -> None:
    if hasattr(part, "columns_"):
        _check_positions(part.columns_, part.n_features_in_, "columns_")


def _check_positions(columns: NDArray[Any], n_features: int, name: str) -> None:
    require(is_array(columns, 1, np.integer) and len(columns) > 0, name)
    require(bool(columns.min() >= 0 and columns.max() < n_features), f"{name}: out of range")


def _check_per_label(head: PerLabel) -> None:
    classifier: Any = getattr(head, "classifier_", None)
    if isinstance(classifier, OneVsRestClassifier):
        n_labels = len(classifier.label_binarizer_.classes_)
        require(len(classifier.estimators_) == n_labels == len(head.classes_), "classes_")
    elif hasattr(classifier, "classes_"):
        require(len(classifier.classes_) == len(head.classes_), "classes_")
