"""Thresholds of boosted trees, midway between the training images on either side.

Boosting libraries put most thresholds on a feature of a training image, some between two that
differ by rounding alone. There, the last bit of a feature decides, and that differs between
processors and in exported files. So what differs by rounding is made one value for the fit, and
thresholds are moved midway afterwards, by which all training images stay on their sides.
"""

import json
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from imgfeat._compat.sklearn_fitted import read_histogram_trees

# Neighbours that are not further apart, relative to their size, may differ by rounding alone.
CLOSE = 16
# A run of such neighbours is one value if it is not longer; else features are simply dense there.
LONGEST = 64


def merge_close(X: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the features, those that differ by rounding alone made equal.

    Parameters
    ----------
    X : ndarray of shape (n, d), dtype float32 or float64
        NaN and infinities remain what they are.

    Returns
    -------
    merged : ndarray of shape (n, d), same dtype
        Each column in the order of `X`.

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
        with np.errstate(over="ignore"):  # of the largest numbers, the gap is infinite
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
    """Return the thresholds midway between the nearest training images on their two sides.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Features of the training images.
    merged : ndarray of shape (n, d)
        What `merge_close` makes of them, or themselves: by these, images are on one side or the
        other.
    features : ndarray of shape (n_splits,)
        Which column each split looks at.
    thresholds : ndarray of shape (n_splits,)
        What is at or below them goes left.
    strict : bool, default=False
        Whether what equals them goes right instead.

    Returns
    -------
    midpoints : ndarray of shape (n_splits,), dtype of `thresholds`
        A threshold stays as it is where there are no images on one of its sides.

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
        # The one is in the order of the other.
        values, levels = np.sort(X[finite, feature]), np.sort(merged[finite, feature])
        right = np.searchsorted(levels, thresholds[splits], side="left" if strict else "right")
        between = (right > 0) & (right < len(values))
        splits, right = splits[between], right[between]
        low, high = values[right - 1].astype(np.float64), values[right].astype(np.float64)
        middle = (low / 2 + high / 2).astype(thresholds.dtype)
        # Nothing lies between neighbouring floats: one of the two also divides them.
        apart = (low < middle) & (middle < high)
        midpoints[splits] = np.where(apart, middle, high if strict else low)
    return midpoints


class MidpointBoosting(HistGradientBoostingClassifier):
    """HistGradientBoostingClassifier with its thresholds midway between training images.

    Where columns are categories, all is as HistGradientBoostingClassifier has it. Parameters and
    attributes are the same.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from imgfeat.heads.midpoints import MidpointBoosting
    >>> X, y = load_iris(return_X_y=True)
    >>> MidpointBoosting(max_iter=10, min_samples_leaf=5).fit(X, y).score(X, y) > 0.9
    True
    """

    def fit(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
    ) -> Self:
        """Fit as HistGradientBoostingClassifier does, then move the thresholds.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), default=None
            Images without weight count for nothing.
        **options : object
            A validation set, as HistGradientBoostingClassifier has it.

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
        validate_data(self, X, skip_check_array=True)  # names of columns, which arrays lack
        used = np.asarray(sample_weight) != 0 if sample_weight is not None else slice(None)
        self._move_thresholds(values[used], merged[used])
        return self

    def _move_thresholds(self, X: NDArray[np.floating], merged: NDArray[np.floating]) -> None:
        trees = [
            predictor.nodes for row in read_histogram_trees(self).predictors for predictor in row
        ]
        nodes = np.concatenate(trees)
        # An infinite threshold has NaN on its other side.
        inner = (nodes["is_leaf"] == 0) & np.isfinite(nodes["num_threshold"])
        nodes["num_threshold"][inner] = find_midpoints(
            X, merged, nodes["feature_idx"][inner], nodes["num_threshold"][inner]
        )
        ends = np.cumsum([len(tree) for tree in trees])
        for tree, moved in zip(trees, np.split(nodes, ends[:-1]), strict=True):
            tree["num_threshold"] = moved["num_threshold"]


def _has_categories(X: Any) -> bool:
    """Tell whether X is a frame of pandas or polars with columns of categories."""
    kinds = map(str, X.dtypes) if hasattr(X, "columns") else []
    return any(kind.lower().startswith(("category", "categorical", "enum")) for kind in kinds)


def move_thresholds(estimator: Any, X: NDArray[np.floating], merged: NDArray[np.floating]) -> None:
    """Move the thresholds of a fitted LGBMClassifier or XGBClassifier midway, in place.

    Boosters of other kinds than plain trees, and splits by category, are left as they are.

    Parameters
    ----------
    estimator : LGBMClassifier or XGBClassifier
    X : ndarray of shape (n, d)
        Features of the images that it was fitted on, or watched.
    merged : ndarray of shape (n, d)
        What `merge_close` makes of them, which it got.
    """
    if hasattr(estimator, "get_booster"):
        _move_xgboost(estimator.get_booster(), X, merged)
    else:
        _move_lightgbm(estimator.booster_, X, merged)


def _move_xgboost(booster: Any, X: NDArray[np.floating], merged: NDArray[np.floating]) -> None:
    """XGBoost compares floats, and what equals a threshold goes right."""
    model = json.loads(booster.save_raw("json"))
    part = model["learner"]["gradient_booster"]
    if part["name"] != "gbtree":
        return
    X, merged = X.astype(np.float32, copy=False), merged.astype(np.float32, copy=False)
    for tree in part["model"]["trees"]:
        thresholds = np.array(tree["split_conditions"], np.float32)
        # Leaves keep their values there.
        splits = (np.array(tree["left_children"]) >= 0) & (np.array(tree["split_type"]) == 0)
        features = np.array(tree["split_indices"])
        thresholds[splits] = find_midpoints(
            X, merged, features[splits], thresholds[splits], strict=True
        )
        # The shortest form of a float, as XGBoost writes it itself.
        tree["split_conditions"] = [float(str(value)) for value in thresholds]
    booster.load_model(bytearray(json.dumps(model).encode()))


def _move_lightgbm(booster: Any, X: NDArray[np.floating], merged: NDArray[np.floating]) -> None:
    """LightGBM parts zeros from the rest at 1e-35, where rounding could put them on either side."""
    # Without the trees' sizes, which change, LightGBM reads them one after another.
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
