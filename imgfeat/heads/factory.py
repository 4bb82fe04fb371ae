"""Heads: classifiers for the last step of a Pipeline, with scaling and optional calibration.

Each function returns an ordinary scikit-learn classifier, which takes labels or indicator matrices.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import ExtraTreeClassifier

from imgfeat._optional import import_optional
from imgfeat.heads.calibration import TemperatureScaledClassifier
from imgfeat.heads.early_stopping import EarlyStopped
from imgfeat.heads.families import FamilyColumns
from imgfeat.heads.family_pool import FamilyPool
from imgfeat.heads.kernel_svm import KernelSVC
from imgfeat.heads.midpoints import MidpointBoosting
from imgfeat.heads.multilabel import PerLabel
from imgfeat.heads.stack import FamilyStack
from imgfeat.heads.stratified_folds import EveryClassKFold

RandomState = int | np.random.RandomState | None
ClassWeight = dict | str | None
Families = Sequence[str] | Mapping[str, BaseEstimator]


def svm(
    *,
    kernel: Literal["rbf", "linear"] = "rbf",
    C: float | None = None,
    gamma: float | str = "scale",
    gamma_factor: float = 1.0,
    weights: str | Mapping[str, float] | None = None,
    probability: bool = False,
    class_weight: ClassWeight = None,
    max_exact: int = 100_000,
    n_components: int = 6000,
    random_state: RandomState = None,
    n_jobs: int | None = None,
) -> Pipeline:
    """Return a StandardScaler followed by a support vector machine.

    With an RBF kernel and up to `max_exact` images, it solves the same problem as scikit-learn's
    SVC, many times faster. For more images, or if two classes have more than 15,000 images
    together, it is an approximation fitted in the primal: see
    `imgfeat.heads.kernel_svm.KernelSVC`.

    Parameters
    ----------
    kernel : {"rbf", "linear"}, default="rbf"
        "linear" is scikit-learn's LinearSVC.
    C : float, default=None
        Inverse regularisation strength, as in SVC; None is 10 for "rbf" and 0.01 for "linear".
    gamma : {"scale", "auto"} or float, default="scale"
        Coefficient of the RBF kernel, as in SVC.
    gamma_factor : float, default=1.0
        Multiplies gamma; with `weights`, the gamma of each feature group.
    weights : {"equal", "align"} or dict of str to float, default=None
        Kernel weights: the kernel is the weighted mean of one RBF kernel for each feature group
        (family). None is one kernel of all features. With weights, features need names, as from
        ``FeatureUnion(...).set_output(transform="pandas")``.
    probability : bool, default=False
        Whether to calibrate probabilities, by temperature scaling of the decision function over 3
        folds. For more than two classes, this also sets ``votes="soft"`` (see KernelSVC), whose
        decision function calibrates better than counts of votes; predicted labels are the same but
        for close votes.
    class_weight : dict or "balanced", default=None
        As in scikit-learn.
    max_exact : int, default=100_000
        Largest number of images for which the problem with an RBF kernel is solved exactly.
    n_components : int, default=6000
        Number of landmarks of the approximation for more images.
    random_state : int, RandomState instance or None, default=None
        Determines which images are landmarks.
    n_jobs : int, default=None
        Number of folds, or of labels of an indicator matrix, fitted in parallel.

    Returns
    -------
    head : Pipeline
        With the steps ``scale`` and ``svm``.

    Raises
    ------
    ValueError
        If `kernel` is unknown, or `weights` are given with ``kernel="linear"``.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from imgfeat.heads import svm
    >>> X, y = load_digits(return_X_y=True)
    >>> svm(probability=True).fit(X[:1000], y[:1000]).predict_proba(X[1000:]).shape
    (797, 10)
    """
    classifier: BaseEstimator
    if kernel == "rbf":
        classifier = KernelSVC(
            C=10.0 if C is None else C,
            gamma=gamma,
            gamma_factor=gamma_factor,
            weights=weights,
            class_weight=class_weight,
            votes="soft" if probability else "hard",
            max_exact=max_exact,
            n_components=n_components,
            random_state=random_state,
        )
    elif kernel == "linear" and weights is None:
        classifier = LinearSVC(
            C=0.01 if C is None else C,
            dual="auto",
            class_weight=class_weight,
            max_iter=10_000,
            random_state=random_state,
        )
    else:
        raise ValueError(
            f"kernel={kernel!r} must be 'rbf' or 'linear', and weights={weights!r} must be None "
            "with kernel='linear'."
        )
    if probability:
        classifier = TemperatureScaledClassifier(classifier, cv=3, n_jobs=n_jobs)
    scale = StandardScaler()
    if weights is not None:
        scale.set_output(transform="pandas")
    return Pipeline([("scale", scale), ("svm", PerLabel(classifier, n_jobs=n_jobs))])


def boosting(
    *,
    library: Literal["sklearn", "lightgbm", "xgboost"] = "sklearn",
    max_iter: int = 300,
    learning_rate: float = 0.1,
    max_leaf_nodes: int = 15,
    max_features: float = 0.1,
    early_stopping: bool = True,
    class_weight: ClassWeight = None,
    random_state: RandomState = None,
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
    estimator: BaseEstimator | None = None,
    *,
    n_estimators: int | None = None,
    max_samples: float | None = None,
    max_features: float = 1.0,
    class_weight: ClassWeight = None,
    random_state: RandomState = None,
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


def stacking(
    families: Families,
    *,
    head: BaseEstimator | None = None,
    final_estimator: BaseEstimator | None = None,
    cv: Any = 3,
    class_weight: ClassWeight = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
) -> FamilyStack:
    """Return late fusion by stacking: a head for each feature group, and a final estimator.

    The final estimator learns from out-of-fold outputs how much each head counts. Features are
    computed once, by the steps before: folds only select rows of them, and heads select columns.

    Parameters
    ----------
    families : sequence of str, or dict of str to classifier
        Feature groups, named after the transformers of the preceding FeatureUnion, which needs
        ``.set_output(transform="pandas")``. A dict also gives the head of each group, or None for
        `head`.
    head : classifier, default=None
        For feature groups that have no head of their own. None is a one-vs-rest `svm` with a smooth
        kernel (``max_exact=0, gamma_factor=0.3``): its margins are comparable between feature
        groups, whereas the votes of one-vs-one SVMs are not.
    final_estimator : classifier, default=None
        Fitted on the heads' outputs. None is `imgfeat.heads.family_pool.FamilyPool`.
    cv : int, cross-validation generator or iterable, default=3
        Cross-validation folds. If this is a number, every class needs at least as many images.
    class_weight : dict or "balanced", default=None
        Of the default heads and the default final estimator.
    random_state : int, RandomState instance or None, default=None
        Of the default heads and the folds.
    n_jobs : int, default=None
        Number of heads fitted in parallel.

    Returns
    -------
    head : FamilyStack
        A StackingClassifier whose ``estimators`` are named after the feature groups.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import FeatureUnion, make_pipeline
    >>> from imgfeat import HOG, LBP, ImageLoader
    >>> from imgfeat.datasets import load_textures
    >>> from imgfeat.heads import stacking
    >>> union = FeatureUnion([("hog", HOG()), ("lbp", LBP(grid=2))]).set_output(transform="pandas")
    >>> model = make_pipeline(ImageLoader(64, color="gray"), union, stacking(["hog", "lbp"]))
    >>> train, test = load_textures("train"), load_textures("test")
    >>> model.fit(train.images, train.target).score(test.images, test.target) > 0.9
    True
    """
    if final_estimator is None:
        final_estimator = FamilyPool(class_weight=class_weight)
    if head is None:
        head = svm(
            max_exact=0, gamma_factor=0.3, class_weight=class_weight, random_state=random_state
        )
    return FamilyStack(
        _select_families(families, head),
        final_estimator=final_estimator,
        cv=(
            EveryClassKFold(cv, random_state=0 if random_state is None else random_state)
            if isinstance(cv, int)
            else cv
        ),
        n_jobs=n_jobs,
    )


def voting(
    families: Families,
    *,
    head: BaseEstimator | None = None,
    weights: Sequence[float] | None = None,
    class_weight: ClassWeight = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
) -> PerLabel:
    """Return late fusion by soft voting: the mean of the probabilities of each group's head.

    Parameters
    ----------
    families : sequence of str, or dict of str to classifier
        Feature groups, as in `stacking`.
    head : classifier, default=None
        For feature groups that have no head of their own. None is ``svm(probability=True)``.
    weights : sequence of float, default=None
        Weights of the feature groups' probabilities; None weights them equally.
    class_weight : dict or "balanced", default=None
        Of the default heads.
    random_state : int, RandomState instance or None, default=None
        Of the default heads.
    n_jobs : int, default=None
        Number of heads fitted in parallel.

    Returns
    -------
    head : PerLabel
        With a VotingClassifier as its `estimator` parameter.

    Raises
    ------
    ValueError
        If a head has no `predict_proba`.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.datasets import load_digits
    >>> from imgfeat.heads import voting
    >>> X, y = load_digits(return_X_y=True)
    >>> halves = [f"{'upper' if i < 32 else 'lower'}__{i}" for i in range(64)]
    >>> X = pd.DataFrame(X, columns=halves)
    >>> model = voting(["upper", "lower"]).fit(X[:1000], y[:1000])
    >>> model.score(X[1000:], y[1000:]) > 0.9
    True
    """
    if head is None:
        head = svm(probability=True, class_weight=class_weight, random_state=random_state)
    heads = _select_families(families, head)
    without_proba = [name for name, pipeline in heads if not hasattr(pipeline, "predict_proba")]
    if without_proba:
        raise ValueError(
            f"The heads of {without_proba} have no predict_proba, which voting needs: choose heads "
            "that have it, such as svm(probability=True)."
        )
    return PerLabel(VotingClassifier(heads, voting="soft", weights=weights, n_jobs=n_jobs))


def _select_families(families: Families, shared: BaseEstimator) -> list[tuple[str, Pipeline]]:
    if isinstance(families, str) or not families:
        raise ValueError(
            f"families={families!r} must name at least one feature group, as a list or dict."
        )
    own = families if isinstance(families, Mapping) else dict.fromkeys(families)
    # Cloned, so that setting a parameter of one head does not change the others.
    heads = {name: clone(shared if head is None else head) for name, head in own.items()}
    return [
        (name, Pipeline([("columns", FamilyColumns(name)), ("head", head)]))
        for name, head in heads.items()
    ]
