"""Trees as nodes: one node however many, and comparisons exact to the last bit."""

import numpy as np
import pytest
from helpers.heads import compare, convert, fit_and_compare, load
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from imgfeat.ensembles import bagging, boosting

both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])
both_counts = pytest.mark.parametrize("data", ["two", "many"])
SEED = {"random_state": 0}
ONE = {"random_state": 0, "n_jobs": 1}
HEADS = {
    "tree": DecisionTreeClassifier(min_samples_leaf=3, **SEED),
    "random tree": ExtraTreeClassifier(**SEED),
    "forest": RandomForestClassifier(30, **SEED),
    "extra trees": ExtraTreesClassifier(30, min_samples_leaf=2, **SEED),
    "bag": bagging(**SEED),
    "bag of columns": bagging(max_features=0.2, max_samples=0.3, n_estimators=30, **SEED),
    "bag, weighed": bagging(n_estimators=20, class_weight="balanced", **SEED),
    "gradient boosting": GradientBoostingClassifier(n_estimators=5, **SEED),
    "hist boosting": HistGradientBoostingClassifier(max_iter=10, **SEED),
    "boosting": boosting(max_iter=20, **SEED),
}


@both_types
@both_counts
@pytest.mark.parametrize("name", HEADS)
def test_all_trees_are_one_node(name, data, dtype):
    graph = fit_and_compare(HEADS[name], data, dtype).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("TreeEnsembleRegressor") == 1
    assert len(kinds) <= 7


@both_types
@both_counts
@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_boosting_libraries(library, early_stopping, data, dtype):
    pytest.importorskip(library)
    head = boosting(library=library, max_iter=30, early_stopping=early_stopping, **ONE)
    head.set_params(estimator__estimator__learning_rate=0.5)
    fit_and_compare(head, data, dtype)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_rounds_after_the_best_do_not_count(library):
    pytest.importorskip(library)
    data = load("many")
    head = boosting(library=library, max_iter=100, **ONE)
    head.set_params(estimator__estimator__learning_rate=0.5).fit(data.X, data.y)
    assert head.classifier_.n_iter_ < 100
    compare(head, data.unseen, np.float64)


@both_types
@both_counts
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("seen", [True, False])
def test_missing_values_in_boosting_libraries(library, seen, data, dtype):
    module = pytest.importorskip(library)
    kind = module.LGBMClassifier if library == "lightgbm" else module.XGBClassifier
    options = {"verbose": -1, "min_child_samples": 5} if library == "lightgbm" else {}
    data = load(data)
    codes = np.unique(data.y, return_inverse=True)[1]
    head = kind(n_estimators=5, n_jobs=1, **options)
    head.fit(_lose(data.X, 0) if seen else np.nan_to_num(_lose(data.X, 0)), codes)
    compare(head, _lose(data.unseen, 1), dtype)


@both_types
@both_counts
@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize(
    "head",
    [
        HistGradientBoostingClassifier(max_iter=10, **SEED),
        RandomForestClassifier(10, **SEED),
        BaggingClassifier(DecisionTreeClassifier(), 5, **SEED),
    ],
    ids=["hist boosting", "forest", "bag"],
)
def test_missing_values(head, seen, data, dtype):
    data = load(data)
    head.fit(_lose(data.X, 0) if seen else np.nan_to_num(_lose(data.X, 0)), data.y)
    compare(head, _lose(data.unseen, 1), dtype)


def _lose(X, seed):
    """Lose a fifth of the features, and round the others: none is near a threshold by accident."""
    lost = np.random.default_rng(seed).random(X.shape) < 0.2
    return np.where(lost, np.float32(np.nan), np.round(X * 64) / 64)


@both_types
def test_features_one_float_from_the_thresholds_of_a_forest(dtype):
    data = load("many")
    head = RandomForestClassifier(5, **SEED).fit(data.X, data.y)
    columns = np.concatenate([part.tree_.feature for part in head.estimators_])
    thresholds = np.concatenate([part.tree_.threshold for part in head.estimators_])
    near = thresholds[columns >= 0].astype(np.float32)
    sides = [np.nextafter(near, np.float32(side)) for side in (-np.inf, np.inf)]
    X = _move(data.unseen[0], columns[columns >= 0], [near, *sides])
    compare(head, X, dtype)


def _make_plain(library):
    """Return a booster as its library has it, with its thresholds on features of images."""
    if library == "sklearn":
        return HistGradientBoostingClassifier(max_iter=5, max_bins=63, **SEED)
    module = pytest.importorskip(library)
    if library == "lightgbm":
        return module.LGBMClassifier(n_estimators=5, min_child_samples=5, verbose=-1, n_jobs=1)
    return module.XGBClassifier(n_estimators=5, max_bin=64, n_jobs=1)


@both_types
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("library", ["sklearn", "lightgbm", "xgboost"])
def test_features_one_float_from_the_thresholds_of_boosting(library, plain, dtype):
    data = load("many")
    if plain:
        head = _make_plain(library)
        fitted = head.fit(data.X, np.unique(data.y, return_inverse=True)[1])
    else:
        head = boosting(library=library, max_iter=5, early_stopping=False, **ONE)
        fitted = head.fit(data.X, data.y).classifier_
    columns, thresholds = _find_thresholds(library, fitted)
    near = thresholds.astype(dtype)
    sides = [np.nextafter(near, dtype(side)) for side in (-np.inf, np.inf)]
    compare(head, _move(data.unseen[0].astype(dtype), columns, [near, *sides]), dtype)
    compare(head, data.X, dtype)


def _move(image, columns, values):
    """Return an image's features, in each row one of them moved to a value."""
    assert len(columns) > 10
    X = np.repeat(image[np.newaxis], len(columns) * len(values), axis=0)
    X[np.arange(len(X)), np.tile(columns, len(values))] = np.concatenate(values)
    return X


def _find_thresholds(library, head):
    if library == "sklearn":
        nodes = np.concatenate([p.nodes for row in head._predictors for p in row])
        nodes = nodes[nodes["is_leaf"] == 0]
        return nodes["feature_idx"], nodes["num_threshold"]
    booster = getattr(head, "estimator_", head)
    if library == "lightgbm":
        table = booster.booster_.trees_to_dataframe().dropna(subset="threshold")
        names = table["split_feature"].str.removeprefix("Column_")
        return names.astype(int).to_numpy(), table["threshold"].to_numpy()
    table = booster.get_booster().trees_to_dataframe().dropna(subset="Split")
    return table["Feature"].str[1:].astype(int).to_numpy(), table["Split"].to_numpy()


@both_types
def test_ties_between_classes_go_to_the_first(dtype):
    # Two pure trees that disagree are a tie, and so are ten that are of two opinions.
    data = load("many")
    for n_trees in (2, 10, 30):
        head = bagging(n_estimators=n_trees, **SEED).fit(data.X, data.y)
        best = np.sort(head.predict_proba(data.unseen), axis=1)
        assert (best[:, -1] == best[:, -2]).any()
        compare(head, data.unseen, dtype)


def test_forest_on_two_labels_of_which_one_is_constant():
    data = load("labels")
    y = np.column_stack([data.y[:, 0], np.ones(len(data.y), int)])
    head = RandomForestClassifier(10, **SEED).fit(data.X, y)
    session, _ = convert(head, data.X.shape[1], np.float32)
    labels, values = session.run(None, {"X": data.unseen})
    assert labels.tolist() == head.predict(data.unseen).tolist()
    of_first, _ = head.predict_proba(data.unseen)
    np.testing.assert_allclose(values[:, 0], of_first[:, 1], rtol=0, atol=1e-6)
    assert (values[:, 1] == 1).all()


def test_what_cannot_be_converted_is_named():
    data = load("two")
    coarse = np.digitize(data.X[:, :3], [0.1, 0.2])
    lightgbm = pytest.importorskip("lightgbm")
    xgboost = pytest.importorskip("xgboost")
    for head, message in [
        (HistGradientBoostingClassifier(categorical_features=[0]), "categorical"),
        (GradientBoostingClassifier(loss="exponential"), "exponential"),
        (lightgbm.LGBMClassifier(objective="multiclassova", num_class=2, verbose=-1), "ova"),
        (xgboost.XGBClassifier(n_estimators=2, booster="dart"), "dart"),
    ]:
        head.fit(coarse, data.y)
        with pytest.raises(NotImplementedError, match=message):
            convert(head, 3, np.float32)
