"""Heads: classifiers of features, scaled where they need it, calibrated where asked for.

Each function returns an ordinary scikit-learn estimator, takes labels or indicator matrices, and
goes at the end of a Pipeline.
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
    """Return a support vector machine behind a StandardScaler.

    With an RBF kernel it is scikit-learn's SVC, many times faster, up to `max_exact` images, of
    which any two classes may have 15,000; beyond, it is an approximation fitted in the primal: see
    `imgfeat.heads.kernel_svm.KernelSVC`.

    Parameters
    ----------
    kernel : {"rbf", "linear"}, default="rbf"
        "linear" is scikit-learn's LinearSVC.
    C : float, default=None
        How much a violated margin costs; None is 10 for "rbf" and 0.01 for "linear".
    gamma : {"scale", "auto"} or float, default="scale"
        Of the RBF kernel, as SVC has it.
    gamma_factor : float, default=1.0
        Multiplies gamma, also where there are several.
    weights : {"equal", "align"} or dict of str to float, default=None
        One RBF kernel for each family of features, and how they are weighed; None is one kernel
        for all. Features have names then: ``FeatureUnion(...).set_output(transform="pandas")``.
    probability : bool, default=False
        Calibrate: temperature scaling of the decision function over 3 folds. For more than two
        classes the decision function counts how surely each wins its pairs, not its votes, which
        tell little about how likely it is; labels stay the same, but for narrow votes.
    class_weight : dict or "balanced", default=None
        As scikit-learn has it.
    max_exact : int, default=100_000
        Up to how many images the RBF kernel's solution is exact.
    n_components : int, default=6000
        Images that span the decision function beyond that.
    random_state : int, RandomState instance or None, default=None
        Draws these images.
    n_jobs : int, default=None
        Folds, or labels of an indicator matrix, fitted at the same time.

    Returns
    -------
    head : Pipeline
        ``scale`` and ``svm``.

    Raises
    ------
    ValueError
        If `kernel` is neither, or "linear" gets `weights`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from imgfeat.heads.factory import svm
    >>> X, y = load_digits(return_X_y=True)
    >>> svm(probability=True).fit(X[:1000], y[:1000]).predict_proba(X[1000:]).shape
    (797, 10)
    """
    machine: BaseEstimator
    if kernel == "rbf":
        machine = KernelSVC(
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
        machine = LinearSVC(
            C=0.01 if C is None else C,
            dual="auto",
            class_weight=class_weight,
            max_iter=10_000,
            random_state=random_state,
        )
    else:
        raise ValueError(
            f"kernel={kernel!r} must be 'rbf' or 'linear', and weights={weights!r} None for "
            "'linear'."
        )
    if probability:
        machine = TemperatureScaledClassifier(machine, cv=3, n_jobs=n_jobs)
    scale = StandardScaler()
    if weights is not None:
        scale.set_output(transform="pandas")
    return Pipeline([("scale", scale), ("svm", PerLabel(machine, n_jobs=n_jobs))])


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
    """Return gradient boosting that stops when it no longer gets better on held-out images.

    To scikit-learn's, NaN is a value like another; the other libraries get none. Thresholds lie
    midway between training images, where the last bit of a feature decides nothing.

    Parameters
    ----------
    library : {"sklearn", "lightgbm", "xgboost"}, default="sklearn"
        scikit-learn's HistGradientBoostingClassifier, or those of the extra ``boosting``.
    max_iter : int, default=300
        Most rounds.
    learning_rate : float, default=0.1
        Shrinks each round's step.
    max_leaf_nodes : int, default=15
        Leaves of a tree.
    max_features : float, default=0.1
        Share of the features that a tree (in scikit-learn, a split) may look at: features of
        images are many and alike, and a few will do.
    early_stopping : bool, default=True
        Hold out a tenth of the images, of each class, and stop after 10 rounds without progress.
        Where these are fewer than the classes, as below ten images a class, it is turned off, and a
        UserWarning says so.
    class_weight : dict or "balanced", default=None
        As scikit-learn has it.
    random_state : int, RandomState instance or None, default=None
        Draws images and features.
    n_jobs : int, default=None
        Threads of LightGBM and XGBoost, which take all cores for None, as scikit-learn does. Labels
        of an indicator matrix are fitted one after another.

    Returns
    -------
    head : PerLabel
        Of the booster; its `estimator` parameter holds it.

    Raises
    ------
    MissingExtraError
        If the library is not installed.
    ValueError
        If `library` is none of the three.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from imgfeat.heads.factory import boosting
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
    """Return copies of a classifier, each fitted on another sample of the images, that vote.

    To the default trees, NaN is a value like another.

    Parameters
    ----------
    estimator : classifier, default=None
        By default a tree with random splits, of which 300 make a forest. It sees columns without
        names, so it cannot be one that looks for families.
    n_estimators : int, default=None
        Copies; None is 300 trees, or 10 of your own `estimator`.
    max_samples : float, default=None
        Share of the images drawn for each copy, with replacement; None draws as many as there are.
    max_features : float, default=1.0
        Share of the features drawn for each copy.
    class_weight : dict or "balanced", default=None
        Of the default trees; give it to your own `estimator` yourself.
    random_state : int, RandomState instance or None, default=None
        Draws images and features.
    n_jobs : int, default=None
        Copies fitted at the same time.

    Returns
    -------
    head : PerLabel
        Of a BaggingClassifier.

    Raises
    ------
    ValueError
        If there are both an `estimator` and a `class_weight`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from imgfeat.heads.factory import bagging, svm
    >>> X, y = load_digits(return_X_y=True)
    >>> head = bagging(svm(), n_estimators=5, max_features=0.5, random_state=0)
    >>> head.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.9
    True
    """
    if estimator is not None and class_weight is not None:
        raise ValueError(
            f"class_weight={class_weight!r} is for the default trees: give it to the estimator."
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
    """Return late fusion: a head for each family of features, and a pool of what they say.

    The pool learns from out-of-fold outputs how far each family can be trusted. Features are
    computed once, before: the folds only select rows, and the heads columns.

    Parameters
    ----------
    families : sequence of str, or dict of str to classifier
        Names of the transformers in the FeatureUnion before, which must say
        ``.set_output(transform="pandas")``; a dict gives a family a head of its own.
    head : classifier, default=None
        For families without one; by default `svm` with a smooth kernel, one class against the
        rest: its margins can be weighed against those of other families, the votes of exact
        one-against-one machines cannot.
    final_estimator : classifier, default=None
        Learns from the heads' outputs; by default `imgfeat.heads.family_pool.FamilyPool`.
    cv : int, cross-validation generator or iterable, default=3
        Folds; of a number of them, every class must have as many images.
    class_weight : dict or "balanced", default=None
        Of the default heads and the default last one.
    random_state : int, RandomState instance or None, default=None
        Of the default heads and the folds.
    n_jobs : int, default=None
        Heads fitted at the same time.

    Returns
    -------
    head : FamilyStack
        A StackingClassifier whose ``estimators`` are named after the families.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import FeatureUnion, make_pipeline
    >>> from imgfeat import HOG, LBP, ImageLoader
    >>> from imgfeat.images.datasets import load_textures
    >>> from imgfeat.heads.factory import stacking
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
    """Return late fusion without learning: the mean of what each family's head finds likely.

    Parameters
    ----------
    families : sequence of str, or dict of str to classifier
        As `stacking` has them.
    head : classifier, default=None
        For families without one; by default ``svm(probability=True)``.
    weights : sequence of float, default=None
        Of the families' probabilities; None is equal.
    class_weight : dict or "balanced", default=None
        Of the default heads.
    random_state : int, RandomState instance or None, default=None
        Of the default heads.
    n_jobs : int, default=None
        Heads fitted at the same time.

    Returns
    -------
    head : PerLabel
        Of a VotingClassifier.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.datasets import load_digits
    >>> from imgfeat.heads.factory import voting
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
    mute = [name for name, pipeline in heads if not hasattr(pipeline, "predict_proba")]
    if mute:
        raise ValueError(
            f"The heads of {mute} have no predict_proba, and voting is the mean of probabilities: "
            "take one that has, such as svm(probability=True)."
        )
    return PerLabel(VotingClassifier(heads, voting="soft", weights=weights, n_jobs=n_jobs))


def _select_families(families: Families, shared: BaseEstimator) -> list[tuple[str, Pipeline]]:
    if isinstance(families, str) or not families:
        raise ValueError(
            f"families={families!r} must name one family of features or more, as a list or dict."
        )
    own = families if isinstance(families, Mapping) else dict.fromkeys(families)
    # Clones, so that parameters of one family's head can be set without setting the others'.
    heads = {name: clone(shared if head is None else head) for name, head in own.items()}
    return [
        (name, Pipeline([("columns", FamilyColumns(name)), ("head", head)]))
        for name, head in heads.items()
    ]
