"""Probabilities from a decision function: temperature scaling with smoothed targets."""

from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.model_selection import check_cv, cross_val_predict
from sklearn.utils import get_tags, indexable
from sklearn.utils.validation import check_is_fitted

from imgfeat._compat.sklearn import HasMethods, check_sample_weight, safe_indexing, validate_params
from imgfeat._protocols import Estimator
from imgfeat.heads.classes import encode_labels
from imgfeat.heads.stratified_folds import EveryClassKFold

# Bounds of log(beta_): wide, since decision functions differ in scale.
LOG_BETA = (-10.0, 10.0)


class TemperatureScaledClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Fit a classifier, and calibrate its decision function by temperature scaling.

    Probabilities are ``softmax(beta_ * values)``, where `values` is the decision function; for two
    classes, it is the decision function and its negative. ``beta_`` minimises the log loss of
    out-of-fold values [1]_.

    Parameters
    ----------
    estimator : classifier
        Its decision function returns one value for each class, or one value in all for two
        classes.
    cv : int, cross-validation generator or iterable, default=3
        Cross-validation folds. If this is a number, every class needs at least as many images.
    n_jobs : int, default=None
        Number of folds fitted in parallel.

    Attributes
    ----------
    estimator_ : classifier
        Fitted on all images, with the labels encoded as 0 to n_classes - 1.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    beta_ : float
        Inverse temperature.

    Notes
    -----
    If all images are classified correctly, the log loss alone has no minimum: ``beta_`` would grow
    until probabilities are exactly 0 and 1. As in Platt scaling [2]_, targets are therefore
    smoothed: for n images, the target of an image's own class is (n + 1) / (n + 2), by Laplace's
    rule of succession, and the remainder goes to the other class with the largest value. Where
    there are errors, smoothing hardly changes ``beta_``. With sample weights, n is the effective
    sample size ``sum(weights) ** 2 / sum(weights ** 2)``.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural
           Networks", ICML 2017.
    .. [2] J. Platt, "Probabilistic Outputs for Support Vector Machines and Comparisons to
           Regularized Likelihood Methods", 1999, section 2.2.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from imgfeat.heads.calibration import TemperatureScaledClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = TemperatureScaledClassifier(SVC()).fit(X[::2], y[::2])
    >>> model.predict_proba(X[[1]]).round(1)
    array([[0.9, 0.1, 0. ]])
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "estimator": [HasMethods(["fit", "decision_function"])],
        "cv": ["cv_object"],
        "n_jobs": [Integral, None],
    }

    def __init__(self, estimator: Estimator, cv: Any = 3, n_jobs: int | None = None):
        self.estimator = estimator
        self.cv = cv
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the classifier, and the temperature.

        Parameters
        ----------
        X : array-like of shape (n, d)
            What `estimator` takes.
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), default=None
            Used by the classifier and by the log loss. Images of weight 0 are ignored if `cv` is a
            number.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If there is only one class, or a class has fewer images than there are folds.
        """
        validate_params(self)
        X, y = indexable(X, y)
        n_folds_given = isinstance(self.cv, Integral)
        params: dict[str, NDArray] = {}
        if sample_weight is not None:
            weights = check_sample_weight(sample_weight, X, ensure_non_negative=True)
            kept = np.flatnonzero(weights) if n_folds_given else np.arange(len(weights))
            X, y = safe_indexing(X, kept), safe_indexing(y, kept)
            params = {"sample_weight": weights[kept]}
        self.classes_, codes = encode_labels(y, self.estimator)
        if n_folds_given:
            # Raises an error if a class has fewer images than there are folds.
            next(EveryClassKFold(self.cv).split(codes, self.classes_[codes]))
        values = cross_val_predict(
            self.estimator,
            X,
            codes,
            cv=check_cv(self.cv, codes, classifier=True),
            n_jobs=self.n_jobs,
            method="decision_function",
            params=params,
        )
        self.beta_ = find_beta(_expand_binary(values), codes, params.get("sample_weight"))
        self.estimator_ = clone(self.estimator).fit(X, codes, **params)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of each class, of shape (n, n_classes)."""
        check_is_fitted(self, "estimator_")
        return softmax(self.beta_ * _expand_binary(self.estimator_.decision_function(X)), axis=1)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable label of each image, of shape (n,)."""
        codes = self.predict_proba(X).argmax(axis=1)
        return self.classes_[codes]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags


def find_beta(
    values: NDArray[np.floating],
    codes: NDArray[np.intp],
    sample_weight: NDArray[np.floating] | None = None,
) -> float:
    """Return the inverse temperature that minimises the log loss of smoothed targets.

    Parameters
    ----------
    values : ndarray of shape (n, n_classes)
        Decision function of images that the classifier was not fitted on.
    codes : ndarray of shape (n,)
        Encoded labels.
    sample_weight : ndarray of shape (n,), default=None

    Returns
    -------
    beta : float
    """
    values = values.astype(np.float64)
    weights = np.ones(len(codes)) if sample_weight is None else sample_weight.astype(np.float64)
    shares = weights / weights.sum()
    smoothing = find_smoothing(shares)
    rows = np.arange(len(codes))
    others = values.copy()
    others[rows, codes] = -np.inf
    runners_up = others.argmax(axis=1)

    def measure_loss(log_beta: float) -> float:
        logs = log_softmax(np.exp(log_beta) * values, axis=1)
        return -shares @ ((1 - smoothing) * logs[rows, codes] + smoothing * logs[rows, runners_up])

    found = minimize_scalar(
        measure_loss, bounds=LOG_BETA, method="bounded", options={"xatol": 1e-10}
    )
    return float(np.exp(found.x))


def find_smoothing(shares: NDArray[np.float64]) -> float:
    """Return the part of an image's target that smoothing gives to other classes.

    This is 1 / (n + 2), by Laplace's rule of succession, where n is the effective sample size.

    Parameters
    ----------
    shares : ndarray
        Sample weights that sum to 1.

    Returns
    -------
    smoothing : float
    """
    return 1 / (1 / (shares**2).sum() + 2)


def _expand_binary(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return one column for each class, also for two classes, where `values` is 1-D."""
    return np.column_stack([-values, values]) if values.ndim == 1 else values
