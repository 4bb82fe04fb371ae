"""The function `svm`, which returns a pipeline with scaling and optional calibration."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from imgfeat.heads.calibration import TemperatureScaledClassifier
from imgfeat.heads.class_weights import ClassWeight
from imgfeat.heads.kernel_svm import KernelSVC
from imgfeat.heads.multilabel import PerLabel


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
    random_state: int | np.random.RandomState | None = None,
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
