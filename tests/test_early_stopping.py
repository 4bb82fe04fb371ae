import pickle

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.utils.estimator_checks import check_estimator

from imgfeat.heads.early_stopping import EarlyStopped

X, Y = load_digits(return_X_y=True)
TRAIN, TEST = slice(700), slice(700, 1300)
NAMES = np.array([f"digit {9 - k}" for k in Y])


def make_booster(library, n_estimators=150, **options):
    common = {"n_estimators": n_estimators, "learning_rate": 0.3, "n_jobs": 1, **options}
    if library == "lightgbm":
        return lightgbm.LGBMClassifier(num_leaves=4, min_child_samples=5, verbose=-1, **common)
    return xgboost.XGBClassifier(max_depth=2, **common)


def fit_by_hand(library, images, codes, weights, patience, **options):
    """The same split, and the library's own callback and its own validation set."""
    parts = train_test_split(images, codes, weights, test_size=0.1, stratify=codes, random_state=5)
    train, watched, y_train, y_watched, w_train, w_watched = parts
    if library == "lightgbm":
        return make_booster(library, **options).fit(
            train,
            y_train,
            sample_weight=w_train,
            eval_X=watched,
            eval_y=y_watched,
            eval_sample_weight=[w_watched],
            callbacks=[lightgbm.early_stopping(patience, verbose=False)],
        )
    return make_booster(library, early_stopping_rounds=patience, **options).fit(
        train,
        y_train,
        sample_weight=w_train,
        eval_set=[(watched, y_watched)],
        sample_weight_eval_set=[w_watched],
        verbose=False,
    )


libraries = pytest.mark.parametrize("library", ["lightgbm", "xgboost"])


@libraries
@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("weighed", [False, True])
def test_it_is_the_booster_stopped_by_hand(library, n_classes, weighed):
    rows = np.flatnonzero(Y[:1000] >= 10 - n_classes)[:500]
    weights = np.random.default_rng(0).uniform(0, 2, len(rows)) if weighed else None
    names, codes = NAMES[rows], 9 - Y[rows]
    class_weight = {"digit 1": 3.0} if weighed else None
    total = np.ones(len(rows)) if weights is None else weights * np.where(codes == 1, 3, 1)
    model = EarlyStopped(
        make_booster(library), n_iter_no_change=3, class_weight=class_weight, random_state=5
    ).fit(X[rows], names, sample_weight=weights)
    reference = fit_by_hand(library, X[rows], codes, total, 3)
    likely = reference.predict_proba(X[TEST])
    np.testing.assert_allclose(model.predict_proba(X[TEST]), likely, rtol=1e-6)
    expected = np.unique(names)[likely.argmax(axis=1)]
    np.testing.assert_array_equal(model.predict(X[TEST]), expected)
    assert model.classes_.tolist() == np.unique(names).tolist()
    if library == "lightgbm":
        assert model.n_iter_ == reference.best_iteration_
    else:
        assert model.n_iter_ == reference.best_iteration + 1
    assert 1 < model.n_iter_ < 150


@libraries
def test_it_stops_early_and_uses_its_best_round(library):
    model = EarlyStopped(make_booster(library), n_iter_no_change=5, random_state=0)
    model.fit(X[TRAIN], NAMES[TRAIN])
    assert 5 < model.n_iter_ < 150
    assert model.score(X[TEST], NAMES[TEST]) > 0.85
    # As many rounds without early stopping, on the images that it trained on.
    train, watched, y_train, y_watched = train_test_split(
        X[TRAIN], 9 - Y[TRAIN], test_size=0.1, stratify=9 - Y[TRAIN], random_state=0
    )
    losses = []
    for more in (-4, 0, 4):
        booster = make_booster(library, n_estimators=model.n_iter_ + more).fit(train, y_train)
        losses.append(log_loss(y_watched, booster.predict_proba(watched)))
        if not more:
            likely = booster.predict_proba(X[TEST])
            np.testing.assert_allclose(model.predict_proba(X[TEST]), likely, rtol=1e-4)
    assert losses[1] == min(losses)


@libraries
def test_none_means_all_rounds_on_all_images(library):
    model = EarlyStopped(make_booster(library, 8), n_iter_no_change=None)
    model.fit(X[TRAIN], NAMES[TRAIN])
    reference = make_booster(library, 8).fit(X[TRAIN], 9 - Y[TRAIN])
    likely = reference.predict_proba(X[TEST])
    np.testing.assert_allclose(model.predict_proba(X[TEST]), likely, rtol=1e-6)
    assert model.n_iter_ == 8
    # XGBoost's own default is None.
    default = {"lightgbm": lightgbm.LGBMClassifier, "xgboost": xgboost.XGBClassifier}[library]
    model.set_params(estimator=default().set_params(n_jobs=1, max_depth=1))
    assert model.fit(X[:100], NAMES[:100]).n_iter_ == 100


@libraries
def test_rare_classes_gain_from_balance(library):
    rows = np.r_[np.flatnonzero(Y == 3)[:6], np.flatnonzero((Y == 8) | (Y == 9))[:250]]
    recall = {}
    for class_weight in (None, "balanced"):
        model = EarlyStopped(
            make_booster(library, 10),
            n_iter_no_change=None,
            class_weight=class_weight,
        )
        labels = model.fit(X[rows], NAMES[rows]).predict(X[900:][Y[900:] == 3])
        recall[class_weight] = (labels == "digit 6").mean()
    assert recall["balanced"] > recall[None] + 0.05


@libraries
def test_random_state_draws_the_images(library):
    def fit(state):
        model = EarlyStopped(make_booster(library, 10), random_state=state)
        return model.fit(X[TRAIN], Y[TRAIN]).predict_proba(X[TEST])

    np.testing.assert_array_equal(fit(0), fit(0))
    np.testing.assert_array_equal(fit(np.random.RandomState(0)), fit(0))
    assert not np.allclose(fit(0), fit(1))


@libraries
def test_at_least_one_image_of_each_class_is_held_out(library):
    images, labels = X[:40], np.arange(40) % 10
    model = EarlyStopped(make_booster(library, 3), random_state=0).fit(images, labels)
    assert model.predict_proba(images).shape == (40, 10)


@libraries
@pytest.mark.filterwarnings("ignore:Skipping check check_array_api_input")
@pytest.mark.parametrize("patience", [10, None])
def test_scikit_learns_checks(library, patience):
    model = EarlyStopped(make_booster(library, 3), n_iter_no_change=patience, random_state=0)
    excused = {}
    if patience or library == "lightgbm":
        reason = "images are held out, and counted in LightGBM's leaves, whatever they weigh"
        excused = {"check_sample_weight_equivalence_on_dense_data": reason}
    check_estimator(model, expected_failed_checks=excused)


@libraries
def test_frames_agree_and_it_clones_and_pickles(library):
    booster = make_booster(library, 10)
    model = EarlyStopped(booster, random_state=0).fit(X[TRAIN], NAMES[TRAIN])
    frame = pd.DataFrame(X).add_prefix("pixel_")
    framed = clone(model).fit(frame[TRAIN], pd.Series(NAMES[TRAIN]))
    likely = model.predict_proba(X[TEST])
    np.testing.assert_array_equal(framed.predict_proba(frame[TEST]), likely)
    with pytest.raises(ValueError, match="feature names should match"):
        framed.predict(frame.iloc[:, ::-1])
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict_proba(X[TEST]), likely)
    assert not hasattr(booster, "classes_")
    assert booster.get_params() == make_booster(library, 10).get_params()


@libraries
def test_it_can_be_searched(library):
    model = EarlyStopped(make_booster(library, 30), random_state=0)
    grid = {"estimator__learning_rate": [1e-6, 0.3]}
    search = GridSearchCV(model, grid, cv=2).fit(X[:300], NAMES[:300])
    assert search.best_params_ == {"estimator__learning_rate": 0.3}


@libraries
def test_a_class_with_one_image_is_an_error_that_names_it(library):
    names = NAMES[TRAIN].copy()
    names[0] = "owl"
    model = EarlyStopped(make_booster(library, 3))
    with pytest.raises(ValueError, match=r"Class 'owl' has 1 image, .* turn early stopping off"):
        model.fit(X[TRAIN], names)
    model.set_params(n_iter_no_change=None).fit(X[TRAIN], names)
    assert "owl" in model.classes_


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"validation_fraction": 0}, "'validation_fraction' parameter"),
        ({"validation_fraction": 1.0}, "'validation_fraction' parameter"),
        ({"n_iter_no_change": 0}, "'n_iter_no_change' parameter"),
        ({"class_weight": "even"}, "'class_weight' parameter"),
        ({"estimator": 3}, "'estimator' parameter"),
        ({"random_state": "chance"}, "'random_state' parameter"),
    ],
)
def test_parameters_are_checked(parameters, message):
    model = EarlyStopped(**{"estimator": make_booster("lightgbm"), **parameters})
    with pytest.raises(ValueError, match=message):
        model.fit(X[TRAIN], Y[TRAIN])


@libraries
@pytest.mark.parametrize("patience", [10, None])
def test_data_are_checked(library, patience):
    model = EarlyStopped(make_booster(library, 3), n_iter_no_change=patience)
    with pytest.raises(NotFittedError):
        model.predict(X)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.where(X[TRAIN] == 3, np.nan, X[TRAIN]), Y[TRAIN])
    with pytest.raises(ValueError, match="2 classes or more, got 1 class: 'cat'"):
        model.fit(X[TRAIN], np.full(700, "cat", dtype=object))
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        model.fit(X[TRAIN], X[TRAIN, 20] + 0.1)
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(3,\)"):
        model.fit(X[TRAIN], Y[TRAIN], sample_weight=[1, 2, 3])
    with pytest.raises(ValueError, match="10 features, but EarlyStopped is expecting 64"):
        model.fit(X[TRAIN], Y[TRAIN]).predict(X[:, :10])
