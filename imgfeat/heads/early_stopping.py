"""Early stopping for LightGBM and XGBoost, whose classifiers do not split off a validation set.

The functions here also turn early stopping off where there are too few images to hold out.
"""

import warnings
from math import ceil
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from sklearn.utils import compute_sample_weight
from sklearn.utils.validation import check_is_fitted, validate_data

from imgfeat._compat.sklearn import (
    HasMethods,
    Interval,
    StrOptions,
    check_sample_weight,
    validate_params,
)
from imgfeat._protocols import Estimator
from imgfeat.heads.class_weights import ClassWeight
from imgfeat.heads.classes import encode_labels, read_labels
from imgfeat.heads.midpoints import merge_close, move_thresholds

if TYPE_CHECKING:
    from lightgbm import LGBMClassifier
    from xgboost import XGBClassifier


class EarlyStopped(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Fit a boosting classifier with early stopping on a validation set drawn from its images.

    The thresholds of its trees are then moved midway between training images: see
    `imgfeat.heads.midpoints`.

    Parameters
    ----------
    estimator : LGBMClassifier or XGBClassifier
        Its `n_estimators` is the maximum number of rounds.
    validation_fraction : float, default=0.1
        Share of the images in the validation set, which has at least as many images as there are
        classes.
    n_iter_no_change : int or None, default=10
        Fitting stops after so many rounds without improvement. None turns early stopping off and
        fits on all images.
    class_weight : dict or "balanced", default=None
        As in scikit-learn.
    random_state : int, RandomState instance or None, default=None
        Determines which images are in the validation set.

    Attributes
    ----------
    estimator_ : classifier
        Fitted on encoded labels.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    n_iter_ : int
        Number of rounds that predictions use.

    Examples
    --------
    >>> from lightgbm import LGBMClassifier
    >>> from sklearn.datasets import load_digits
    >>> from imgfeat.heads.early_stopping import EarlyStopped
    >>> X, y = load_digits(return_X_y=True)
    >>> booster = LGBMClassifier(learning_rate=0.3, n_jobs=1, verbose=-1)
    >>> model = EarlyStopped(booster, random_state=0).fit(X[:1000], y[:1000])
    >>> model.n_iter_ < 100, model.score(X[1000:], y[1000:]) > 0.9
    (True, True)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "estimator": [HasMethods(["fit", "predict_proba"])],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: "LGBMClassifier | XGBClassifier",
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = 10,
        class_weight: ClassWeight = None,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.estimator = estimator
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Fit on the training part of the images; the validation part decides when to stop.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If there is only one class, or a class has only one image.
        """
        validate_params(self)
        X, y = validate_data(self, X, read_labels(y), dtype=(np.float32, np.float64))
        self.classes_, codes = encode_labels(y, self.estimator)
        weights = compute_sample_weight(self.class_weight, y)
        if sample_weight is not None:
            weights = weights * check_sample_weight(sample_weight, X)
        self.estimator_ = clone(self.estimator)
        merged = merge_close(X)
        used = weights != 0
        if self.n_iter_no_change is None:
            self.estimator_.fit(merged, codes, sample_weight=weights)
            move_thresholds(self.estimator_, X[used], merged[used])
            self.n_iter_ = self._count_rounds()
            return self
        train, held_out, y_train, y_held_out, w_train, w_held_out = train_test_split(
            merged,
            codes,
            weights,
            test_size=self._count_validation(codes),
            stratify=codes,
            random_state=self.random_state,
        )
        options = self._enable_stopping(held_out, y_held_out, w_held_out)
        self.estimator_.fit(train, y_train, sample_weight=w_train, **options)
        move_thresholds(self.estimator_, X[used], merged[used])
        self.n_iter_ = self._count_rounds()
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the probability of each class, of shape (n, n_classes)."""
        check_is_fitted(self, "estimator_")
        X = validate_data(self, X, reset=False, dtype=(np.float32, np.float64))
        return self.estimator_.predict_proba(X)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable label of each image, of shape (n,)."""
        codes = self.predict_proba(X).argmax(axis=1)
        return self.classes_[codes]

    def _count_validation(self, codes: NDArray[np.intp]) -> int:
        _refuse_single_images(codes, self.classes_)
        return max(ceil(self.validation_fraction * len(codes)), len(self.classes_))

    def _enable_stopping(self, X: NDArray, y: NDArray, sample_weight: NDArray) -> dict[str, Any]:
        """Set up early stopping as the library requires; return the arguments for `fit`."""
        patience: Any = self.n_iter_no_change
        if hasattr(self.estimator_, "get_booster"):
            self.estimator_.set_params(early_stopping_rounds=patience)
            return {
                "eval_set": [(X, y)],
                "sample_weight_eval_set": [sample_weight],
                "verbose": False,
            }
        from lightgbm import early_stopping

        return {
            "eval_X": X,
            "eval_y": y,
            "eval_sample_weight": [sample_weight],
            "callbacks": [early_stopping(patience, verbose=False)],
        }

    def _count_rounds(self) -> int:
        stopped = self.n_iter_no_change is not None
        if hasattr(self.estimator_, "get_booster"):
            booster = self.estimator_.get_booster()
            return booster.best_iteration + 1 if stopped else booster.num_boosted_rounds()
        return self.estimator_.best_iteration_ if stopped else self.estimator_.n_estimators_


def adapt_early_stopping(
    booster: Estimator, codes: NDArray[np.intp], classes: NDArray[Any]
) -> None:
    """Turn early stopping off if the validation set would have fewer images than classes.

    Parameters
    ----------
    booster : classifier
        Not fitted; changed in place if it is EarlyStopped or a HistGradientBoostingClassifier.
    codes : ndarray of shape (n,)
        Encoded labels.
    classes : ndarray of shape (n_classes,)
        The labels, for error messages.

    Raises
    ------
    ValueError
        If the validation set is large enough, but a class has only one image, which cannot be in
        both the training and the validation set.

    Warns
    -----
    UserWarning
        If early stopping is turned off.
    """
    held_out = _count_held_out(booster, len(codes))
    if held_out is None:
        return
    if held_out >= len(classes):
        _refuse_single_images(codes, classes)
    else:
        _turn_off(
            booster,
            f"the validation set would have {held_out} of {len(codes)} images, fewer than the "
            f"{len(classes)} classes",
        )


def adapt_early_stopping_per_label(booster: Estimator, indicators: NDArray[Any]) -> None:
    """Turn early stopping off if too few images have some label, or too few lack it.

    Parameters
    ----------
    booster : classifier
        As in `adapt_early_stopping`; one copy of it is fitted for each label.
    indicators : ndarray of shape (n, n_labels)

    Warns
    -----
    UserWarning
        If early stopping is turned off.
    """
    held_out = _count_held_out(booster, len(indicators))
    if held_out is None:
        return
    present = np.count_nonzero(indicators, axis=0)
    rarer = np.minimum(present, len(indicators) - present)
    single = np.flatnonzero(rarer == 1)
    if held_out < 2:
        _turn_off(booster, f"the validation set would have {held_out} of {len(indicators)} images")
    elif len(single):
        _turn_off(booster, f"only 1 image has, or only 1 image lacks, label {single[0]}")


def _count_held_out(booster: Estimator, n: int) -> int | None:
    """Return the size of the validation set out of n images; None without early stopping."""
    if isinstance(booster, EarlyStopped):
        stops = booster.n_iter_no_change is not None
    elif isinstance(booster, HistGradientBoostingClassifier):
        # With "auto", scikit-learn stops early only beyond 10,000 images.
        stops = n > 10_000 if booster.early_stopping == "auto" else booster.early_stopping
    else:
        return None
    fraction: Any = booster.validation_fraction
    if not stops or not isinstance(fraction, Real):
        return None
    return int(fraction) if isinstance(fraction, Integral) else ceil(float(fraction) * n)


def _refuse_single_images(codes: NDArray[np.intp], classes: NDArray[Any]) -> None:
    counts = np.bincount(codes)
    if counts.min() < 2:
        raise ValueError(
            f"Class {str(classes[counts.argmin()])!r} has 1 image, and early stopping splits each "
            "class into a training and a validation part: add images, or turn early stopping off."
        )


def _turn_off(booster: Estimator, reason: str) -> None:
    off = (
        {"n_iter_no_change": None}
        if isinstance(booster, EarlyStopped)
        else {"early_stopping": False}
    )
    booster.set_params(**off)
    warnings.warn(
        f"Early stopping is turned off, and boosting runs all rounds: {reason}.", stacklevel=4
    )
