"""Checks of those fitted attributes that scikit-learn's compiled code uses without checks.

All other attributes are used by NumPy, which checks bounds itself.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    RandomTreesEmbedding,
)
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
    LocalOutlierFactor,
    NearestNeighbors,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
    RadiusNeighborsTransformer,
)
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, NuSVR, OneClassSVM
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from imgfeat._compat.model_files import Tree
from imgfeat._compat.scipy import check_coo
from imgfeat._compat.sklearn_fitted import (
    has_histogram_trees,
    read_histogram_trees,
    read_neighbors,
    read_svm,
)
from imgfeat._models.conditions import require
from imgfeat._models.trees import check_predictor, is_array

FORESTS = (
    RandomForestClassifier,
    RandomForestRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomTreesEmbedding,
)
BAGS = (BaggingClassifier, BaggingRegressor, IsolationForest)
SINGLE_TREES = (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
NEIGHBORS = (
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
    LocalOutlierFactor,
    NearestNeighbors,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
    RadiusNeighborsTransformer,
)
MOST_TREES = 1 << 20


def check_scikit(part: object) -> None:
    """Raise ValueError if an object of scikit-learn has inconsistent fitted attributes.

    Parameters
    ----------
    part : object
        An estimator, or an object inside one, such as a sparse matrix or a random generator.
    """
    for types, check in CHECKS:
        if isinstance(part, types):
            check(part)


def _check_tree(estimator: BaseEstimator) -> None:
    tree = getattr(estimator, "tree_", None)
    if tree is None:
        return
    require(type(tree) is Tree, "tree_")
    require(tree.n_features == estimator.n_features_in_, "tree_: n_features")
    require(tree.n_outputs == estimator.n_outputs_, "tree_: n_outputs")
    if hasattr(estimator, "n_classes_"):
        same = np.array_equal(np.atleast_1d(estimator.n_classes_), tree.n_classes)
        require(same, "tree_: n_classes")
        classes = estimator.classes_ if tree.n_outputs > 1 else [estimator.classes_]
        lengths = [len(labels) for labels in classes]
        require(lengths == tree.n_classes.tolist(), "classes_")


def _check_forest(estimator: BaseEstimator) -> None:
    for tree in _list_members(estimator):
        require(isinstance(tree, SINGLE_TREES), "estimators_")
        require(tree.n_features_in_ == estimator.n_features_in_, "estimators_: n_features_in_")
        if hasattr(estimator, "n_classes_"):
            same = np.array_equal(tree.n_classes_, estimator.n_classes_)
            require(same, "estimators_: n_classes_")


def _check_bag(estimator: BaseEstimator) -> None:
    members = _list_members(estimator)
    columns = getattr(estimator, "estimators_features_", [])
    require(len(members) == len(columns), "estimators_features_")
    for member, chosen in zip(members, columns, strict=True):
        require(is_array(chosen, 1, np.integer) and len(chosen) > 0, "estimators_features_")
        within = chosen.min() >= 0 and chosen.max() < estimator.n_features_in_
        require(bool(within), "estimators_features_: out of range")
        require(getattr(member, "n_features_in_", len(chosen)) == len(chosen), "estimators_")


def _check_adaboost(estimator: BaseEstimator) -> None:
    for member in _list_members(estimator):
        known = getattr(member, "n_features_in_", estimator.n_features_in_)
        require(known == estimator.n_features_in_, "estimators_: n_features_in_")


def _list_members(estimator: BaseEstimator) -> list[BaseEstimator]:
    members = getattr(estimator, "estimators_", [])
    require(isinstance(members, (list, np.ndarray)), "estimators_")
    require(len(members) <= MOST_TREES, "estimators_: too many")
    return list(members)


def _check_gradient_boosting(estimator: BaseEstimator) -> None:
    if not hasattr(estimator, "estimators_"):
        return
    trees = estimator.estimators_
    n_classes = len(getattr(estimator, "classes_", (0, 1)))
    width = n_classes if n_classes > 2 else 1
    require(is_array(trees, 2, np.object_) and trees.shape[1] == width, "estimators_")
    require(estimator.n_trees_per_iteration_ == width, "n_trees_per_iteration_")
    for tree in trees.ravel():
        require(type(tree) is DecisionTreeRegressor, "estimators_")
        require(tree.n_features_in_ == estimator.n_features_in_, "estimators_: n_features_in_")
        require(tree.tree_.value.shape[1:] == (1, 1), "estimators_: value")
    first = estimator.init_
    if isinstance(first, DummyClassifier):
        shares: Any = getattr(first, "class_prior_", None)
        require(np.shape(shares) == (n_classes,) == np.shape(first.classes_), "init_")
        require(first.n_outputs_ == 1 and first.n_classes_ == n_classes, "init_")
    elif isinstance(first, DummyRegressor):
        require(np.shape(first.constant_) == (1, 1) and first.n_outputs_ == 1, "init_")
    else:
        require(isinstance(first, str) and first == "zero", "init_: only the default can be kept")


def _check_histogram_boosting(estimator: BaseEstimator) -> None:
    if not has_histogram_trees(estimator):
        return
    fitted = read_histogram_trees(estimator)
    require(fitted.preprocessor is None, "categorical_features: only numbers can be kept")
    require(not np.any(fitted.bin_mapper.is_categorical_), "_bin_mapper")
    n_classes = len(getattr(estimator, "classes_", (0, 1)))
    width = n_classes if n_classes > 2 else 1
    require(estimator.n_trees_per_iteration_ == width, "n_trees_per_iteration_")
    baseline = fitted.baseline
    require(isinstance(baseline, np.ndarray) and baseline.dtype == np.float64, "baseline")
    require(baseline.shape == (1, width), "_baseline_prediction")
    for trees in fitted.predictors:
        require(len(trees) == width, "_predictors")
        for tree in trees:
            check_predictor(tree, estimator.n_features_in_)


def _check_libsvm(estimator: BaseEstimator) -> None:
    if not hasattr(estimator, "support_"):
        return
    fitted = read_svm(estimator)
    require(fitted.sparse is False, "only support vectors of dense features can be kept")
    n = len(estimator.support_)
    counts, coefficients = fitted.n_support, fitted.dual_coef
    require(is_array(estimator.support_, 1, np.int32), "support_")
    require(is_array(estimator.support_vectors_, 2, np.float64), "support_vectors_")
    require(is_array(counts, 1, np.int32) and is_array(coefficients, 2, np.float64), "_n_support")
    n_classes = len(estimator.classes_) if isinstance(estimator, (SVC, NuSVC)) else 2
    n_pairs = n_classes * (n_classes - 1) // 2
    require(len(counts) == n_classes >= 2 and counts.min() >= 0, "_n_support")
    if isinstance(estimator, (SVC, NuSVC)):
        require(counts.sum() == n, "_n_support: sum")
    require(coefficients.shape == (n_classes - 1, n), "_dual_coef_")
    require(is_array(fitted.intercept, 1, np.float64), "_intercept_")
    require(len(fitted.intercept) == n_pairs, "_intercept_: length")
    for name, values in fitted.platt.items():
        require(is_array(values, 1, np.float64) and len(values) in (0, n_pairs), name)
    n_fit, n_columns = estimator.shape_fit_
    if estimator.kernel == "precomputed" or callable(estimator.kernel):
        require(
            n == 0 or 0 <= estimator.support_.min() <= estimator.support_.max() < n_fit, "support_"
        )
        require(callable(estimator.kernel) or estimator.n_features_in_ == n_fit, "shape_fit_")
    else:
        shape = (n, estimator.n_features_in_)
        require(estimator.support_vectors_.shape == shape, "support_vectors_")
        require(n_columns == estimator.n_features_in_, "shape_fit_")


def _check_neighbors(estimator: BaseEstimator) -> None:
    fitted = read_neighbors(estimator)
    if fitted is None:
        return
    data = fitted.X
    require(is_array(data, 2, np.number) or is_array(data, 2, np.bool_), "_fit_X")
    require(data.shape == (estimator.n_samples_fit_, estimator.n_features_in_), "_fit_X: shape")
    tree = fitted.tree
    if tree is not None:
        require(np.shape(tree.data) == data.shape, "_tree")
    if not isinstance(estimator, (KNeighborsClassifier, RadiusNeighborsClassifier)):
        return
    codes = fitted.codes
    require(isinstance(codes, np.ndarray) and codes.dtype.kind == "i", "_y")
    require(len(codes) == len(data), "_y: length")
    many = isinstance(estimator.classes_, list)
    require(codes.ndim == 1 + many, "_y: shape")
    columns = codes.T if many else [codes]
    classes = estimator.classes_ if many else [estimator.classes_]
    for column, labels in zip(columns, classes, strict=True):
        require(column.min() >= 0 and column.max() < len(labels), "_y: codes")


def _check_centers(estimator: BaseEstimator) -> None:
    if hasattr(estimator, "cluster_centers_"):
        shape = (estimator.n_clusters, estimator.n_features_in_)
        require(is_array(estimator.cluster_centers_, 2, np.floating), "cluster_centers_")
        require(estimator.cluster_centers_.shape == shape, "cluster_centers_: shape")


def _check_components(estimator: object) -> None:
    components = getattr(estimator, "components_", None)
    if isinstance(components, np.ndarray) and hasattr(estimator, "n_features_in_"):
        fits = components.ndim == 2 and components.shape[1] == estimator.n_features_in_
        require(fits, "components_")


def _check_linear(estimator: BaseEstimator) -> None:
    if hasattr(estimator, "coef_"):
        n_classes = len(estimator.classes_)
        rows = n_classes if n_classes > 2 else 1
        require(np.shape(estimator.coef_) == (rows, estimator.n_features_in_), "coef_")


def _check_sparse(matrix: scipy.sparse.sparray) -> None:
    """Check the indices of a sparse matrix against its shape."""
    require(matrix.format in ("csr", "csc", "coo"), "sparse matrix")
    if matrix.format == "coo":
        check_coo(matrix)
    else:
        matrix.check_format(full_check=True)


def _check_random(random: np.random.RandomState | np.random.Generator) -> None:
    """Check the position in the generator's state, which could be beyond its end."""
    if isinstance(random, np.random.Generator):
        require(isinstance(random.bit_generator, np.random.PCG64), "random generator: not PCG64")
        return
    state = random.get_state(legacy=False)
    require(state["bit_generator"] == "MT19937", "random_state")
    require(0 <= state["state"]["pos"] <= 624, "random_state: position")


CHECKS: list[tuple[type | tuple[type, ...], Callable[[Any], None]]] = [
    (SINGLE_TREES, _check_tree),
    (FORESTS, _check_forest),
    (BAGS, _check_bag),
    ((AdaBoostClassifier, AdaBoostRegressor), _check_adaboost),
    ((GradientBoostingClassifier, GradientBoostingRegressor), _check_gradient_boosting),
    ((HistGradientBoostingClassifier, HistGradientBoostingRegressor), _check_histogram_boosting),
    ((SVC, NuSVC, SVR, NuSVR, OneClassSVM), _check_libsvm),
    (NEIGHBORS, _check_neighbors),
    ((KMeans, MiniBatchKMeans), _check_centers),
    ((LogisticRegression, LinearSVC), _check_linear),
    (object, _check_components),
    ((scipy.sparse.spmatrix, scipy.sparse.sparray), _check_sparse),
    ((np.random.RandomState, np.random.Generator), _check_random),
]
