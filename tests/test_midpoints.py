"""Thresholds of boosted trees: between training images, none of which changes sides."""

import numpy as np
import pandas as pd
import pytest
from helpers.heads import load
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.estimator_checks import check_estimator

from imgfeat.ensembles import boosting
from imgfeat.heads.midpoints import (
    MidpointBoosting,
    find_midpoints,
    merge_close,
    move_thresholds,
)

LIBRARIES = ["sklearn", "lightgbm", "xgboost"]


@pytest.fixture(params=LIBRARIES)
def booster(request):
    """The booster inside `boosting`, not yet fitted, as its own library has it."""
    if request.param != "sklearn":
        pytest.importorskip(request.param)
    head = boosting(library=request.param, max_iter=8, random_state=0, n_jobs=1)
    if request.param != "sklearn":
        return head.estimator.estimator
    plain = HistGradientBoostingClassifier(**head.estimator.get_params())
    return plain.set_params(early_stopping=False)


def fit_both(booster, X, y):
    """Fit a booster on merged features, and a copy whose thresholds are moved."""
    merged = merge_close(X)
    plain = clone(booster).fit(merged, y)
    if isinstance(booster, HistGradientBoostingClassifier):
        return plain, MidpointBoosting(**booster.get_params()).fit(X, y)
    moved = clone(booster).fit(merged, y)
    move_thresholds(moved, X, merged)
    return plain, moved


def list_splits(model):
    """Return columns and thresholds, from what each library shows of its trees."""
    if isinstance(model, HistGradientBoostingClassifier):
        nodes = np.concatenate([tree.nodes for row in model._predictors for tree in row])
        nodes = nodes[nodes["is_leaf"] == 0]
        return nodes["feature_idx"], nodes["num_threshold"]
    if hasattr(model, "get_booster"):
        table = model.get_booster().trees_to_dataframe().dropna(subset="Split")
        names, thresholds = table["Feature"].str[1:], table["Split"]
    else:
        table = model.booster_.trees_to_dataframe().dropna(subset="threshold")
        names, thresholds = table["split_feature"].str.removeprefix("Column_"), table["threshold"]
    return names.astype(int).to_numpy(), thresholds.to_numpy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("data", ["two", "many"])
def test_no_training_image_is_near_a_threshold_or_predicted_otherwise(booster, data, dtype):
    data = load(data)
    X, y = data.X.astype(dtype), np.unique(data.y, return_inverse=True)[1]
    plain, moved = fit_both(booster, X, y)
    np.testing.assert_array_equal(moved.predict_proba(X), plain.predict_proba(merge_close(X)))
    columns, thresholds = list_splits(moved)
    assert np.array_equal(columns, list_splits(plain)[0])
    for column, threshold in zip(columns, thresholds, strict=True):
        values = X[:, column].astype(float)
        below, above = values[values < threshold].max(), values[values > threshold].min()
        assert threshold == pytest.approx((below + above) / 2, rel=1e-7)


def test_rounded_features_of_training_images_get_the_same_predictions(booster):
    # What an exported file, or another processor, makes of them.
    data = load("two")
    rounded = data.X * (1 + 2.0**-20 * np.random.default_rng(0).choice([-1, 1], data.X.shape))
    plain, moved = fit_both(booster, data.X, data.y)
    expected = moved.predict_proba(data.X)
    np.testing.assert_array_equal(moved.predict_proba(rounded.astype(np.float32)), expected)
    changed = plain.predict_proba(rounded.astype(np.float32)) != expected
    # LightGBM has thresholds next to 0 only, which remains itself.
    assert changed.any() or hasattr(booster, "num_leaves")


def test_zero_is_away_from_thresholds(booster):
    rng = np.random.default_rng(0)
    X = rng.choice(np.float32([0, 0.25, 0.5]), (300, 4))
    y = (X[:, 0] > 0).astype(int)
    _, moved = fit_both(booster.set_params(**{_share(booster): 1.0}), X, y)
    _, thresholds = list_splits(moved)
    assert set(thresholds.tolist()) <= {0.125, 0.375}
    # Rounding makes such numbers of 0.
    noisy = np.where(X == 0, np.float32(1e-8), X)
    np.testing.assert_array_equal(moved.predict_proba(noisy), moved.predict_proba(X))


def _share(booster):
    return "max_features" if hasattr(booster, "max_features") else "colsample_bytree"


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("library", LIBRARIES)
def test_heads_have_moved_thresholds(library, early_stopping):
    if library != "sklearn":
        pytest.importorskip(library)
    data = load("many")
    options = {"max_iter": 10, "early_stopping": early_stopping, "random_state": 0, "n_jobs": 1}
    head = boosting(library=library, **options).fit(data.X, data.y).classifier_
    columns, thresholds = list_splits(getattr(head, "estimator_", head))
    distances = np.abs(data.X[:, columns] - thresholds)
    assert (distances > 2.0**-21 * np.abs(thresholds)).all()


def test_missing_infinite_and_categorical_values():
    data = load("many")
    X = data.X[:, :20].astype(np.float64)
    X[::7, :5], X[1::7, 5:9], X[2::7, 7:12] = np.nan, np.inf, -np.inf
    plain = HistGradientBoostingClassifier(max_iter=5, random_state=0)
    moved = MidpointBoosting(max_iter=5, random_state=0)
    merged = merge_close(X)
    expected = plain.fit(merged, data.y).predict_proba(merged)
    np.testing.assert_array_equal(moved.fit(X, data.y).predict_proba(X), expected)
    frame = pd.DataFrame(X[:, 12:], columns=list("abcdefgh"))
    frame["place"] = pd.Categorical(np.where(np.arange(len(X)) % 3, "in", "out"))
    expected = plain.fit(frame, data.y).predict_proba(frame)
    np.testing.assert_array_equal(moved.fit(frame, data.y).predict_proba(frame), expected)


@pytest.mark.parametrize("options", [{"booster": "gblinear"}, {"booster": "dart"}])
def test_other_kinds_of_boosters_are_left_alone(options):
    xgboost = pytest.importorskip("xgboost")
    data = load("two")
    model = xgboost.XGBClassifier(n_estimators=3, n_jobs=1, **options).fit(data.X, data.y)
    expected = model.predict_proba(data.unseen)
    move_thresholds(model, data.X, data.X)
    np.testing.assert_array_equal(model.predict_proba(data.unseen), expected)


# Neighbouring floats, zeros of both signs and the smallest numbers come up by themselves.
FLOATS = st.one_of(
    st.floats(width=32, allow_nan=True),
    st.integers(-3, 3).map(lambda k: np.float32(1 + k * 2.0**-23)),
)


@given(
    column=arrays(np.float32, st.integers(1, 12), elements=FLOATS),
    row=st.integers(0, 11),
    strict=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_all_values_stay_on_their_sides(column, row, strict, dtype):
    threshold = column[row % len(column)].astype(dtype)
    if not np.isfinite(threshold):
        threshold = dtype(0)
    zero = np.array([0])
    X = column[:, np.newaxis].astype(dtype)
    (moved,) = find_midpoints(X, X, zero, np.array([threshold]), strict=strict)
    goes_left = np.less if strict else np.less_equal
    np.testing.assert_array_equal(goes_left(X, moved), goes_left(X, threshold))
    assert moved.dtype == dtype


@given(arrays(np.float32, st.integers(1, 12), elements=FLOATS))
def test_merged_values_are_in_order_and_next_to_themselves(column):
    merged = merge_close(column[:, np.newaxis])[:, 0]
    assert merged.dtype == column.dtype
    np.testing.assert_array_equal(np.isfinite(merged), np.isfinite(column))
    np.testing.assert_allclose(merged, column, rtol=1e-5, atol=0)
    order = np.argsort(column)
    assert (np.diff(merged[order][np.isfinite(column[order])].astype(float)) >= 0).all()
    finite = np.unique(merged[np.isfinite(merged)])
    np.testing.assert_array_equal(merge_close(finite[:, np.newaxis])[:, 0], finite)


def test_dense_features_are_not_merged():
    dense = (0.5 + np.arange(1000) * 2.0**-24).astype(np.float32)[:, np.newaxis]
    np.testing.assert_array_equal(merge_close(dense), dense)
    pairs = np.vstack([dense[::200], dense[::200] + np.float32(2.0**-23)])
    assert len(np.unique(merge_close(pairs))) == 5


def test_names_of_columns_are_kept():
    data = load("two")
    frame = pd.DataFrame(data.X[:, :4], columns=list("abcd"))
    head = MidpointBoosting(max_iter=2).fit(frame, data.y)
    assert head.feature_names_in_.tolist() == list("abcd")
    assert head.predict(frame).shape == (len(frame),)


@pytest.mark.parametrize("library", LIBRARIES)
def test_images_without_weight_move_nothing(library):
    if library != "sklearn":
        pytest.importorskip(library)
    data = load("two")
    head = boosting(library=library, max_iter=5, early_stopping=False, random_state=0, n_jobs=1)
    head = head.estimator
    kept = np.arange(len(data.X)) % 5 > 0
    X = np.where(kept[:, np.newaxis], data.X, data.X + np.float32(1e-3))[:, ::10]
    head.fit(X, data.y, sample_weight=kept.astype(float))
    columns, thresholds = list_splits(getattr(head, "estimator_", head))
    for column, threshold in zip(columns, thresholds, strict=True):
        values = X[kept, column].astype(float)
        below, above = values[values < threshold].max(), values[values > threshold].min()
        assert threshold == pytest.approx((below + above) / 2, rel=1e-6)


def test_scikit_learns_checks():
    # Its own HistGradientBoostingClassifier does not pass that one either.
    weights = {"check_sample_weight_equivalence_on_dense_data": "not so in scikit-learn"}
    model = MidpointBoosting(max_iter=5, min_samples_leaf=5)
    check_estimator(model, on_skip=None, expected_failed_checks=weights)
