"""The functions `boosting` and `bagging`, which return ensembles, by default of trees."""

from typing import Any, Literal

import numpy as np
from sklearn.ensemble import BaggingClassifier
from sklearn.tree import ExtraTreeClassifier

from imgfeat._optional import import_optional
from imgfeat._protocols import Classifier
from imgfeat.heads.class_weights import ClassWeight
from imgfeat.heads.early_stopping import EarlyStopped
from imgfeat.heads.midpoints import MidpointBoosting
from imgfeat.heads.multilabel import PerLabel


def boosting(
    *,
    library: Literal["sklearn", "lightgbm", "xgboost"] = "sklearn",
    max_iter: int = 300,
    learning_rate: float = 0.1,
    max_leaf_nodes: int = 15,
    max_features: float = 0.1,
    early_stopping: bool = True,
    class_weight: ClassWeight = None,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> PerLabel:
    """Return gradient boosting with early stopping on a validation set.

    With ``library="sklearn"``, missing values (NaN) are supported; with the other libraries, they
    are an error. Thresholds are midway between training images, so that rounding of a feature does
    not change the prediction.

    Parameters
    ----------
    library : {"sklearn", "lightgbm", "xgboost"}, default="sklearn"
        HistGradientBoostingClassifier, LGBMClassifier or XGBClassifier; the last two come with the
        extra ``boosting``.
    max_iter : int, default=300
        Maximum number of rounds.
    learning_rate : float, default=0.1
        Shrinkage of each round's trees.
    max_leaf_nodes : int, default=15
        Maximum number of leaves of a tree.
    max_features : float, default=0.1
        Share of the features drawn for each tree, or in scikit-learn for each split. Features of
        images are many and correlated, so a small share is enough.
    early_stopping : bool, default=True
        Whether to hold out a stratified tenth of the images and stop after 10 rounds without
        improvement on them. If that is fewer images than classes, as with fewer than ten images for
        each class, early stopping is turned off with a UserWarning.
    class_weight : dict or "balanced", default=None
        As in scikit-learn.
    random_state : int, RandomState instance or None, default=None
        Determines the validation set and the draws of features.
    n_jobs : int, default=None
        Number of threads of LightGBM and XGBoost; None is all cores, as for scikit-learn. Labels of
        an indicator matrix are fitted one after another.

    Returns
    -------
    head : PerLabel
        With the booster as its `estimator` parameter.

    Raises
    ------
    MissingExtraError
        If the library is not installed.
    ValueError
        If `library` is unknown.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from imgfeat.heads import boosting
    >>> X, y = load_digits(return_X_y=True)
    >>> boosting(random_state=0).fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.9
    True
    """
    common: dict[str, Any] = {"learning_rate": learning_rate, "random_state": random_state}
    if library == "sklearn":
        return PerLabel(
            MidpointBoosting(
                max_iter=max_iter,
                max_leaf_nodes=max_leaf_nodes,
                max_features=max_features,
                max_bins=63,
                min_samples_leaf=5,
                early_stopping=early_stopping,
                class_weight=class_weight,
                **common,
            )
        )
    common |= {"n_estimators": max_iter, "colsample_bytree": max_features, "n_jobs": n_jobs}
    if library == "lightgbm":
        booster = import_optional("lightgbm", extra="boosting").LGBMClassifier(
            num_leaves=max_leaf_nodes, max_bin=63, min_child_samples=5, verbose=-1, **common
        )
    elif library == "xgboost":
        booster = import_optional("xgboost", extra="boosting").XGBClassifier(
            max_leaves=max_leaf_nodes, max_depth=0, grow_policy="lossguide", max_bin=64, **common
        )
    else:
        raise ValueError(f"library={library!r} must be 'sklearn', 'lightgbm' or 'xgboost'.")
    patience = 10 if early_stopping else None
    return PerLabel(
        EarlyStopped(
            booster, n_iter_no_change=patience, class_weight=class_weight, random_state=random_state
        )
    )


def bagging(
    estimator: Classifier | None = None,
    *,
    n_estimators: int | None = None,
    max_samples: float | None = None,
    max_features: float = 1.0,
    class_weight: ClassWeight = None,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> PerLabel:
    """Return bagging: copies of a classifier, each fitted on a bootstrap sample of the images.

    Missing values (NaN) are supported by the default trees.

    Parameters
    ----------
    estimator : classifier, default=None
        None is an ExtraTreeClassifier. BaggingClassifier passes arrays without column names, so an
        estimator that selects features by name, such as ``svm(weights="equal")``, does not work
        here.
    n_estimators : int, default=None
        Number of copies; None is 300 of the default tree, or 10 of your own `estimator`.
    max_samples : float, default=None
        Share of the images drawn for each copy, with replacement; None draws as many images as
        there are.
    max_features : float, default=1.0
        Share of the features drawn for each copy.
    class_weight : dict or "balanced", default=None
        Of the default trees only; set it on your own `estimator` directly.
    random_state : int, RandomState instance or None, default=None
        Determines the draws of images and features.
    n_jobs : int, default=None
        Number of copies fitted in parallel.

    Returns
    -------
    head : PerLabel
        With a BaggingClassifier as its `estimator` parameter.

    Raises
    ------
    ValueError
        If both `estimator` and `class_weight` are given.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from imgfeat.heads import bagging, svm
    >>> X, y = load_digits(return_X_y=True)
    >>> head = bagging(svm(), n_estimators=5, max_features=0.5, random_state=0)
    >>> head.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.9
    True
    """
    if estimator is not None and class_weight is not None:
        raise ValueError(
            f"class_weight={class_weight!r} applies to the default trees only: set it on the "
            "estimator instead."
        )
    if n_estimators is None:
        n_estimators = 300 if estimator is None else 10
    if estimator is None:
        estimator = ExtraTreeClassifier(max_features="sqrt", class_weight=class_weight)
    bag = BaggingClassifier(
        estimator,
        n_estimators=n_estimators,
        max_samples=max_samples,
        max_features=max_features,
        random_state=random_state,
        n_jobs=n_jobs,
    )
    return PerLabel(bag)
