"""Thresholds of boosted trees, midway between the nearest training images on both sides.

Boosting libraries put most thresholds exactly on a feature value of a training image, and some
between two values that differ only by rounding. The prediction of such an image then depends on
the last bit of a feature, which differs between processors and in exported files. Therefore, values
that differ only by rounding are merged before the fit, and thresholds are moved midway between
values after it. All training images stay on the same side of each threshold.
"""

import json
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from imgfeat._compat.sklearn_fitted import read_histogram_trees

if TYPE_CHECKING:
    import lightgbm
    import xgboost
    from lightgbm import LGBMClassifier
    from xgboost import XGBClassifier

# Neighbouring values are close if they differ by at most so many units in the last place.
CLOSE = 16
# Runs of close values are merged if they span at most so many units in the last place. Longer runs
# are densely spaced values rather than rounding errors.
LONGEST = 64


def merge_close(X: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the features, with values that differ only by rounding replaced by one of them.

    Parameters
    ----------
    X : ndarray of shape (n, d), dtype float32 or float64
        NaN and infinities are left unchanged.

    Returns
    -------
    merged : ndarray of shape (n, d), same dtype
        Sorting a column of `X` also sorts the same column here.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.heads.midpoints import merge_close
    >>> merge_close(np.array([[0.3], [0.1 + 0.2], [0.4]])).ravel().tolist()
    [0.3, 0.3, 0.4]
    """
    merged = np.array(X.T, order="C")
    eps = np.finfo(X.dtype).eps
    for column in merged:
        values = np.unique(column[np.isfinite(column)]).astype(np.float64)
        room = eps * np.maximum(np.abs(values[1:]), np.abs(values[:-1]))
        with np.errstate(over="ignore"):  # differences of the largest numbers are infinite
            close = np.diff(values) <= CLOSE * room
        if close.any():
            first = np.flatnonzero(np.concatenate([[True], ~close]))
            last = np.append(first[1:] - 1, len(values) - 1)
            short = values[last] - values[first] <= LONGEST * eps * np.abs(values[last])
            run = np.repeat(np.arange(len(first)), last - first + 1)
            ones = np.where(short[run], values[first][run], values)
            finite = np.isfinite(column)
            column[finite] = ones[np.searchsorted(values, column[finite])]
    return merged.T


def find_midpoints(
    X: NDArray[np.floating],
    merged: NDArray[np.floating],
    features: NDArray[np.integer],
    thresholds: NDArray[np.floating],
    *,
    strict: bool = False,
) -> NDArray[np.floating]:
    """Return thresholds moved midway between the nearest training images on both sides.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Features of the training images.
    merged : ndarray of shape (n, d)
        `merge_close` of X, or X itself; these values determine on which side an image is.
    features : ndarray of shape (n_splits,)
        Column that each split compares with its threshold.
    thresholds : ndarray of shape (n_splits,)
        Values at or below the threshold go left.
    strict : bool, default=False
        Whether values equal to the threshold go right instead.

    Returns
    -------
    midpoints : ndarray of shape (n_splits,), dtype of `thresholds`
        A threshold is unchanged if one of its sides has no images.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.heads.midpoints import find_midpoints
    >>> X = np.array([[1.0], [2.0], [4.0]])
    >>> find_midpoints(X, X, np.array([0, 0]), np.array([2.0, 4.0])).tolist()
    [3.0, 4.0]
    """
    midpoints = thresholds.copy()
    for feature in np.unique(features):
        splits = np.flatnonzero(features == feature)
        finite = np.isfinite(X[:, feature])
        # Sorted separately, since merging preserves the order.
        values, levels = np.sort(X[finite, feature]), np.sort(merged[finite, feature])
        right = np.searchsorted(levels, thresholds[splits], side="left" if strict else "right")
        between = (right > 0) & (right < len(values))
        splits, right = splits[between], right[between]
        low, high = values[right - 1].astype(np.float64), values[right].astype(np.float64)
        middle = (low / 2 + high / 2).astype(thresholds.dtype)
        # Between neighbouring floats there is no midpoint; one of the two separates them as well.
        apart = (low < middle) & (middle < high)
        midpoints[splits] = np.where(apart, middle, high if strict else low)
    return midpoints


class MidpointBoosting(HistGradientBoostingClassifier):
    """HistGradientBoostingClassifier with thresholds midway between training images.

    Parameters and attributes are those of HistGradientBoostingClassifier. With categorical
    features, thresholds are not moved.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from imgfeat.heads.midpoints import MidpointBoosting
    >>> X, y = load_iris(return_X_y=True)
    >>> MidpointBoosting(max_iter=10, min_samples_leaf=5).fit(X, y).score(X, y) > 0.9
    True
    """

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
    ) -> Self:
        """Fit as HistGradientBoostingClassifier does, then move the thresholds.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), default=None
            Images of weight 0 are ignored when thresholds are moved.
        **options : object
            Passed to `HistGradientBoostingClassifier.fit`, such as a validation set.

        Returns
        -------
        self : object
        """
        numbers = isinstance(self.categorical_features, str | None) and not _has_categories(X)
        if not numbers:
            return super().fit(X, y, sample_weight, **options)
        values = check_array(
            X, dtype=(np.float64, np.float32), ensure_all_finite=False, estimator=self
        )
        merged = merge_close(values)
        super().fit(merged, y, sample_weight, **options)
        validate_data(self, X, skip_check_array=True)  # records the column names of X
        used = np.asarray(sample_weight) != 0 if sample_weight is not None else slice(None)
        self._move_thresholds(values[used], merged[used])
        return self

    def _move_thresholds(self, X: NDArray[np.floating], merged: NDArray[np.floating]) -> None:
        trees = [
            predictor.nodes for row in read_histogram_trees(self).predictors for predictor in row
        ]
        nodes = np.concatenate(trees)
        # An infinite threshold separates missing values from all others.
        inner = (nodes["is_leaf"] == 0) & np.isfinite(nodes["num_threshold"])
        nodes["num_threshold"][inner] = find_midpoints(
            X, merged, nodes["feature_idx"][inner], nodes["num_threshold"][inner]
        )
        ends = np.cumsum([len(tree) for tree in trees])
        for tree, moved in zip(trees, np.split(nodes, ends[:-1]), strict=True):
            tree["num_threshold"] = moved["num_threshold"]


def _has_categories(X: Any) -> bool:
    """Return whether X is a pandas or polars DataFrame with categorical columns."""
    kinds = map(str, X.dtypes) if hasattr(X, "columns") else []
    return any(kind.lower().startswith(("category", "categorical", "enum")) for kind in kinds)


def move_thresholds(
    estimator: "LGBMClassifier | XGBClassifier",
    X: NDArray[np.floating],
    merged: NDArray[np.floating],
) -> None:
    """Move the thresholds of a fitted LGBMClassifier or XGBClassifier midway, in place.

    XGBoost's "dart" and "gblinear" boosters, and categorical splits, are left unchanged.

    Parameters
    ----------
    estimator : LGBMClassifier or XGBClassifier
    X : ndarray of shape (n, d)
        Features of the training and validation images.
    merged : ndarray of shape (n, d)
        `merge_close` of X, on which the estimator was fitted.
    """
    if hasattr(estimator, "get_booster"):
        _move_xgboost(estimator.get_booster(), X, merged)
    else:
        _move_lightgbm(estimator.booster_, X, merged)


def _move_xgboost(
    booster: "xgboost.Booster", X: NDArray[np.floating], merged: NDArray[np.floating]
) -> None:
    """Move the thresholds of XGBoost, which compares float32; values equal to them go right."""
    model = json.loads(booster.save_raw("json"))
    part = model["learner"]["gradient_booster"]
    if part["name"] != "gbtree":
        return
    X, merged = X.astype(np.float32, copy=False), merged.astype(np.float32, copy=False)
    for tree in part["model"]["trees"]:
        thresholds = np.array(tree["split_conditions"], np.float32)
        # In leaves, split_conditions holds the leaf's value.
        splits = (np.array(tree["left_children"]) >= 0) & (np.array(tree["split_type"]) == 0)
        features = np.array(tree["split_indices"])
        thresholds[splits] = find_midpoints(
            X, merged, features[splits], thresholds[splits], strict=True
        )
        # The shortest decimal form of a float32, as XGBoost writes it.
        tree["split_conditions"] = [float(str(value)) for value in thresholds]
    booster.load_model(bytearray(json.dumps(model).encode()))


def _move_lightgbm(
    booster: "lightgbm.Booster", X: NDArray[np.floating], merged: NDArray[np.floating]
) -> None:
    """Move the thresholds of LightGBM, also those at 1e-35, by which it separates zeros."""
    # tree_sizes, which would no longer be right, is left out; LightGBM reads trees without it.
    lines = [
        line
        for line in booster.model_to_string(num_iteration=-1).split("\n")
        if not line.startswith("tree_sizes=")
    ]
    features = np.empty(0, int)
    for number, line in enumerate(lines):
        name, _, text = line.partition("=")
        if name == "split_feature":
            features = np.array(text.split(), int)
        elif name == "threshold":
            place, thresholds = number, np.array(text.split(), float)
        elif name == "decision_type":
            splits = np.array(text.split(), int) & 1 == 0
            thresholds[splits] = find_midpoints(X, merged, features[splits], thresholds[splits])
            lines[place] = "threshold=" + " ".join(map(repr, thresholds.tolist()))
    booster.model_from_string("\n".join(lines))
