"""Early stopping for LightGBM and XGBoost, whose classifiers want the validation set handed in.

Also where it is turned off: if there are too few images to hold some of each class out.
"""

import warnings
from math import ceil
from numbers import Integral, Real
from typing import Any, Self

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
from imgfeat.heads.classes import number_classes, read_labels
from imgfeat.heads.midpoints import merge_close, move_thresholds


class EarlyStopped(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Stop a boosting classifier once it no longer gets better on a part of its images.

    Thresholds of its trees then move midway between images: see `imgfeat.heads.midpoints`.

    Parameters
    ----------
    estimator : LGBMClassifier or XGBClassifier
        Its number of estimators is the most there will be.
    validation_fraction : float, default=0.1
        Share of the images that are only looked at; at least one of each class is.
    n_iter_no_change : int or None, default=10
        Rounds without progress after which it stops; None holds nothing out and stops never.
    class_weight : dict or "balanced", default=None
        As scikit-learn has it.
    random_state : int, RandomState instance or None, default=None
        Draws the validation images.

    Attributes
    ----------
    estimator_ : classifier
        Fitted on codes of the labels.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    n_iter_ : int
        Rounds that its predictions use.

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
        estimator: Any,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = 10,
        class_weight: dict | str | None = None,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.estimator = estimator
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Fit on most of the images, watching the others.

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
            If there is a single class, or a class of which no image can be held out.
        """
        validate_params(self)
        X, y = validate_data(self, X, read_labels(y), dtype=(np.float32, np.float64))
        self.classes_, codes = number_classes(y, self.estimator)
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
        train, watched, y_train, y_watched, w_train, w_watched = train_test_split(
            merged,
            codes,
            weights,
            test_size=self._count_watched(codes),
            stratify=codes,
            random_state=self.random_state,
        )
        options = self._watch(watched, y_watched, w_watched)
        self.estimator_.fit(train, y_train, sample_weight=w_train, **options)
        move_thresholds(self.estimator_, X[used], merged[used])
        self.n_iter_ = self._count_rounds()
        return self

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Return the probability of each class, of shape (n, n_classes)."""
        check_is_fitted(self, "estimator_")
        X = validate_data(self, X, reset=False, dtype=(np.float32, np.float64))
        return self.estimator_.predict_proba(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest label of each image, of shape (n,)."""
        codes = self.predict_proba(X).argmax(axis=1)
        return self.classes_[codes]

    def _count_watched(self, codes: NDArray[np.intp]) -> int:
        _refuse_single_images(codes, self.classes_)
        return max(ceil(self.validation_fraction * len(codes)), len(self.classes_))

    def _watch(self, X: NDArray, y: NDArray, sample_weight: NDArray) -> dict[str, Any]:
        """Ask for early stopping in the booster's own way; return what its `fit` wants."""
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


def adapt_early_stopping(booster: Any, codes: NDArray[np.intp], classes: NDArray[Any]) -> None:
    """Turn early stopping off where the images to be held out are fewer than the classes.

    Parameters
    ----------
    booster : classifier
        Not fitted; changed in place if it is EarlyStopped or a HistGradientBoostingClassifier.
    codes : ndarray of shape (n,)
    classes : ndarray of shape (n_classes,)
        The labels, for messages.

    Raises
    ------
    ValueError
        If there are images enough, but a class has one, which cannot be on both sides.

    Warns
    -----
    UserWarning
        Where it is turned off.
    """
    held_out = _count_held_out(booster, len(codes))
    if held_out is None:
        return
    if held_out >= len(classes):
        _refuse_single_images(codes, classes)
    else:
        _turn_off(
            booster,
            f"{held_out} of {len(codes)} images to hold out are fewer than the {len(classes)} "
            "classes",
        )


def adapt_early_stopping_per_label(booster: Any, indicators: NDArray[Any]) -> None:
    """Turn early stopping off where a label has too few images, or too few are without it.

    Parameters
    ----------
    booster : classifier
        As `adapt_early_stopping` has it; copies of it are fitted, one for each label.
    indicators : ndarray of shape (n, n_labels)

    Warns
    -----
    UserWarning
        Where it is turned off.
    """
    held_out = _count_held_out(booster, len(indicators))
    if held_out is None:
        return
    present = np.count_nonzero(indicators, axis=0)
    rarer = np.minimum(present, len(indicators) - present)
    single = np.flatnonzero(rarer == 1)
    if held_out < 2:
        _turn_off(booster, f"of {len(indicators)} images, {held_out} would be held out")
    elif len(single):
        _turn_off(booster, f"1 image differs from all others in label {single[0]}")


def _count_held_out(booster: Any, n: int) -> int | None:
    """Return how many of n images a booster will only look at; None if it trains on all."""
    if isinstance(booster, EarlyStopped):
        stops = booster.n_iter_no_change is not None
    elif isinstance(booster, HistGradientBoostingClassifier):
        # What scikit-learn takes for many.
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
            f"Class {str(classes[counts.argmin()])!r} has 1 image, and early stopping holds one of "
            "each class out: give it more images, or turn early stopping off."
        )


def _turn_off(booster: Any, reason: str) -> None:
    off = (
        {"n_iter_no_change": None}
        if isinstance(booster, EarlyStopped)
        else {"early_stopping": False}
    )
    booster.set_params(**off)
    warnings.warn(
        f"Early stopping is turned off, and boosting takes all its rounds: {reason}.", stacklevel=4
    )
