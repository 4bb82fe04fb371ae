import pickle
import sys

import cv2
import numpy as np
import pytest
from helpers.halves import FAMILIES, NAMES, TEST, TRAIN, X, Y
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import f1_score, log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from imgfeat import HOG, LBP, MissingExtraError
from imgfeat.ensembles import bagging, boosting, stacking, svm, voting
from imgfeat.heads.kernel_svm import KernelSVC

BOOST = {"max_iter": 40, "max_features": 0.3, "learning_rate": 0.2, "n_jobs": 1}
HEADS = {
    "svm": svm,
    "svm with probabilities": lambda **kw: svm(probability=True, **kw),
    "large svm": lambda **kw: svm(max_exact=0, n_components=200, probability=True, **kw),
    "svm of families": lambda **kw: svm(weights="align", probability=True, **kw),
    "linear svm": lambda **kw: svm(**{"kernel": "linear", "C": 1e-3, **kw}),
    "linear svm with probabilities": lambda **kw: svm(kernel="linear", probability=True, **kw),
    "boosting": lambda **kw: boosting(**BOOST, **kw),
    "LightGBM": lambda **kw: boosting(library="lightgbm", **BOOST, **kw),
    "XGBoost": lambda **kw: boosting(library="xgboost", **BOOST, **kw),
    "bagging": lambda **kw: bagging(n_estimators=40, **kw),
    "stacking": lambda **kw: stacking(FAMILIES, cv=3, **kw),
    "voting": lambda **kw: voting(FAMILIES, **kw),
}
heads = pytest.mark.parametrize("build", HEADS.values(), ids=HEADS.keys())


@pytest.fixture(scope="module")
def pairs():
    """Pictures of two digits side by side, of four kinds: features, and which kinds are there."""
    images, labels = load_digits(n_class=4, return_X_y=True)
    large = [
        cv2.resize(image, (16, 16), interpolation=cv2.INTER_CUBIC)
        for image in (images.reshape(-1, 8, 8) * 15.9).astype(np.uint8)
    ]
    # Every digit is in one picture only: nothing is known by heart.
    rows = np.random.default_rng(0).permutation(720).reshape(360, 2)
    pictures = np.stack([np.hstack([large[i], large[j]]) for i, j in rows])
    kinds = (labels[rows][:, :, np.newaxis] == np.arange(4)).any(axis=1).astype(int)
    union = FeatureUnion([("top", HOG(pixels_per_cell=4)), ("bottom", LBP(grid=2))])
    features = union.set_output(transform="pandas").fit_transform(pictures)
    return features[:240], kinds[:240], features[240:], kinds[240:]


def make_rare():
    """Many of two digits, and five images of a third that looks like them."""
    rows = np.r_[np.flatnonzero(Y == 3)[:5], np.flatnonzero((Y == 8) | (Y == 9))[:220]]
    # A few pixels, which do not separate them: weights matter.
    few = X.iloc[:, [18, 20, 29, 34, 37, 42]]
    return few.iloc[rows], NAMES[rows], few[Y == 3][60:]


@heads
def test_labels(build):
    head = build(random_state=0)
    assert is_classifier(head)
    model = clone(head).fit(X[TRAIN], NAMES[TRAIN])
    assert model.score(X[TEST], NAMES[TEST]) > 0.75
    assert model.classes_.tolist() == np.unique(NAMES).tolist()
    if hasattr(model, "predict_proba"):
        likely = model.predict_proba(X[TEST])
        assert likely.shape == (500, 10)
        np.testing.assert_allclose(likely.sum(axis=1), 1, atol=1e-5)
        assert likely.min() >= 0
        np.testing.assert_array_equal(model.predict(X[TEST]), model.classes_[likely.argmax(axis=1)])
        assert log_loss(NAMES[TEST], likely) < 1.2
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(X[TEST]), model.predict(X[TEST]))
    again = clone(head).fit(X[TRAIN], NAMES[TRAIN])
    np.testing.assert_array_equal(again.predict(X[TEST]), model.predict(X[TEST]))
    # Built anew, not cloned.
    again = build(random_state=0).fit(X[TRAIN], NAMES[TRAIN])
    np.testing.assert_array_equal(again.predict(X[TEST]), model.predict(X[TEST]))


@heads
def test_indicator_matrices(build, pairs):
    X_train, y_train, X_test, y_test = pairs
    model = build(random_state=0).fit(X_train, y_train)
    labels = model.predict(X_test)
    assert labels.shape == y_test.shape
    # All labels everywhere would make 0.6.
    assert f1_score(y_test, np.ones_like(y_test), average="macro") < 0.63
    assert f1_score(y_test, labels, average="macro") > 0.75
    if hasattr(model, "predict_proba"):
        likely = model.predict_proba(X_test)
        assert likely.shape == y_test.shape
        np.testing.assert_array_equal(likely > 0.5, labels == 1)
        assert all(log_loss(y_test[:, k], likely[:, k]) < 0.6 for k in range(4))


@heads
def test_two_classes(build):
    rows = np.flatnonzero((Y == 3) | (Y == 8))
    model = build(random_state=0).fit(X.iloc[rows[:150]], NAMES[rows[:150]])
    assert model.score(X.iloc[rows[150:]], NAMES[rows[150:]]) > 0.85
    if hasattr(model, "predict_proba"):
        assert model.predict_proba(X[TEST]).shape == (500, 2)


@heads
def test_class_weight_finds_more_of_a_rare_class(build):
    X_train, y_train, rare = make_rare()
    name = next(name for name, head in HEADS.items() if head is build)
    options = {"random_state": 0}
    if name in ("boosting", "LightGBM", "XGBoost"):
        options["early_stopping"] = False
    elif "svm" in name:
        options["C"] = 0.01  # five images alone are separable, and then no weight matters
    found = []
    for class_weight in ({"digit 6": 1e-3}, None, {"digit 6": 20}, "balanced"):
        model = build(class_weight=class_weight, **options).fit(X_train, y_train)
        method = "predict_proba" if hasattr(model, "predict_proba") else "decision_function"
        assert model.classes_[2] == "digit 6"
        found.append(getattr(model, method)(rare)[:, 2].mean())
    assert found[0] < found[1] < found[2]
    assert found[1] < found[3]


@pytest.mark.parametrize("name", ["boosting", "LightGBM", "XGBoost", "bagging", "large svm"])
def test_random_state_decides(name):
    def fit(state):
        return HEADS[name](random_state=state).fit(X[TRAIN], Y[TRAIN]).predict_proba(X[TEST])

    np.testing.assert_array_equal(fit(3), fit(3))
    assert not np.allclose(fit(3), fit(4))


@pytest.mark.parametrize("options", [{}, {"max_exact": 0}, {"kernel": "linear"}], ids=str)
@pytest.mark.parametrize("kind", ["labels", "two classes", "indicators"])
def test_calibration_leaves_labels_alone(options, kind):
    labels = {
        "labels": NAMES,
        "two classes": NAMES > "digit 4",
        "indicators": np.c_[Y % 2, Y > 4, Y % 3 == 0],
    }[kind]
    plain = svm(**options).fit(X[TRAIN], labels[TRAIN])
    likely = svm(probability=True, **options).fit(X[TRAIN], labels[TRAIN])
    assert not hasattr(plain, "predict_proba")
    # Unlike all that was seen, an image may be of any class: to the last digit, probabilities tie.
    even = 0.1 if kind == "labels" else 0.5
    known = np.abs(likely.predict_proba(X[TEST]) - even) > 1e-12
    known = known if kind == "indicators" else known.any(axis=1)
    assert known.mean() > 0.99
    same = likely.predict(X[TEST])[known] == plain.predict(X[TEST])[known]
    assert same.mean() >= (0.99 if kind == "labels" and not options else 1)  # narrow votes


def test_calibration_is_worth_its_while():
    rows = np.random.default_rng(0).permutation(len(X))
    X_train, y_train = X.iloc[rows[:300]], Y[rows[:300]]
    X_test, y_test = X.iloc[rows[300:]], Y[rows[300:]]
    losses = {}
    for max_exact in (0, 1000):
        options = {"max_exact": max_exact, "random_state": 0}
        likely = svm(probability=True, **options).fit(X_train, y_train).predict_proba(X_test)
        values = svm(**options).fit(X_train, y_train).decision_function(X_test)
        softmax = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
        losses[max_exact] = log_loss(y_test, likely)
        assert losses[max_exact] < 0.9 * log_loss(y_test, softmax)
    platt = CalibratedClassifierCV(SVC(C=10), cv=3, ensemble=False)
    likely = make_pipeline(StandardScaler(), platt).fit(X_train, y_train).predict_proba(X_test)
    votes = make_pipeline(
        StandardScaler(), CalibratedClassifierCV(KernelSVC(), method="temperature", ensemble=False)
    )
    hard = votes.fit(X_train, y_train).predict_proba(X_test)
    assert max(losses.values()) < 0.8 * min(log_loss(y_test, p) for p in (likely, hard))


def test_svm_is_scikit_learns():
    # Up to the rounding of kernels, which changes where libsvm stops.
    for C, expected in ((None, 10.0), (0.5, 0.5)):
        reference = make_pipeline(StandardScaler(), SVC(C=expected, break_ties=True))
        reference.fit(X[TRAIN], NAMES[TRAIN])
        values = svm(C=C).fit(X[TRAIN], NAMES[TRAIN]).decision_function(X[TEST])
        np.testing.assert_allclose(values, reference.decision_function(X[TEST]), atol=2e-3)


def test_svm_passes_its_parameters_on():
    machine = svm(
        C=3, gamma=0.1, gamma_factor=0.5, weights="equal", max_exact=7, n_components=9,
        class_weight="balanced", random_state=4,
    )["svm"].estimator  # fmt: skip
    assert machine.get_params() == {
        "C": 3, "gamma": 0.1, "gamma_factor": 0.5, "weights": "equal", "max_exact": 7,
        "n_components": 9, "class_weight": "balanced", "random_state": 4, "votes": "hard",
    }  # fmt: skip
    linear = svm(kernel="linear", class_weight="balanced")["svm"].estimator
    assert (linear.C, linear.class_weight) == (0.01, "balanced")
    assert bagging(n_estimators=3, max_samples=0.5).estimator.max_samples == 0.5


def test_boosting_stops_early_where_asked_to():
    # Every third label is wrong: there is always one more tree to grow, and soon no use in it.
    labels = np.where(np.arange(300) % 3, Y[:300], np.roll(Y[:300], 1))
    for library in ("sklearn", "lightgbm", "xgboost"):
        options = {"library": library, "max_iter": 60, "learning_rate": 0.3, "random_state": 0}
        stopped = boosting(**options, n_jobs=1).fit(X[:300], labels).classifier_
        whole = boosting(early_stopping=False, **options, n_jobs=1).fit(X[:300], labels)
        assert stopped.n_iter_ < 60
        assert whole.classifier_.n_iter_ == 60


def test_bagging_bags_what_it_is_given():
    forest = bagging(n_estimators=60, random_state=0).fit(X[TRAIN], Y[TRAIN])
    assert forest.classifier_.estimators_[0].max_features == "sqrt"
    extra = ExtraTreesClassifier(60, bootstrap=True, random_state=0).fit(X[TRAIN], Y[TRAIN])
    assert abs(forest.score(X[TEST], Y[TEST]) - extra.score(X[TEST], Y[TEST])) < 0.05
    own = bagging(DecisionTreeClassifier(max_depth=3), max_features=0.5, random_state=0)
    copies = own.fit(X[TRAIN], Y[TRAIN]).classifier_
    assert len(copies.estimators_) == 10
    assert copies.estimators_[0].get_depth() == 3
    assert len(copies.estimators_features_[0]) == 32


@pytest.mark.parametrize(
    ("head", "grid"),
    [
        (svm(), {"svm__estimator__C": [1e-4, 10], "svm__estimator__gamma_factor": [0.5, 1]}),
        (svm(probability=True), {"svm__estimator__estimator__C": [1e-4, 10]}),
        (boosting(max_iter=9), {"estimator__learning_rate": [1e-6, 0.3]}),
        (
            boosting(library="lightgbm", max_iter=20, n_jobs=1),
            {"estimator__estimator__learning_rate": [1e-6, 0.3]},
        ),
        (bagging(random_state=0), {"estimator__n_estimators": [1, 20]}),
        (
            voting(FAMILIES, head=ExtraTreesClassifier(9, random_state=0)),
            {"estimator__top__head__max_depth": [1, 9]},
        ),
        (
            stacking(FAMILIES, head=ExtraTreesClassifier(9, random_state=0), cv=2),
            {"top__head__max_depth": [1, 9], "passthrough": [False]},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_parameters_can_be_searched(head, grid):
    search = GridSearchCV(head, grid, cv=2).fit(X[:300], Y[:300])
    name = next(iter(grid))
    assert search.best_params_[name] == grid[name][-1]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_cross_validation_takes_indicator_matrices(pairs):
    features, kinds, _, _ = pairs
    for head in (svm(), svm(probability=True), bagging(n_estimators=10, random_state=0)):
        assert cross_val_score(head, features, kinds, scoring="f1_macro", cv=2).min() > 0.7


@pytest.mark.parametrize("n_labels", [2, 3])
@heads
def test_probabilities_of_labels_are_scored(build, n_labels, pairs):
    features, kinds, _, _ = pairs
    features, kinds = features[:300], kinds[:300, :n_labels]
    head = build(random_state=0)
    method = "predict_proba" if hasattr(head, "predict_proba") else "decision_function"
    scores = cross_val_predict(head, features, kinds, cv=2, method=method)
    expected = [roc_auc_score(kinds[half], scores[half]) for _, half in KFold(2).split(features)]
    assert scores.shape == kinds.shape
    for scoring in ["roc_auc", "roc_auc_ovr"][: 1 + (method == "predict_proba")]:
        found = cross_val_score(head, features, kinds, cv=2, scoring=scoring)
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_missing_libraries_are_named(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"{library} .*pip install 'imgfeat\[boosting\]'"):
        boosting(library=library)
    boosting(), bagging(), svm(), stacking(FAMILIES), voting(FAMILIES)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: svm(kernel="poly"), "kernel='poly' must be 'rbf' or 'linear'"),
        (lambda: svm(kernel="linear", weights="equal"), "weights='equal' must be None with"),
        (lambda: boosting(library="catboost"), "library='catboost' must be 'sklearn', 'lightgbm'"),
        (lambda: bagging(SVC(), class_weight="balanced"), "class_weight='balanced' applies to the"),
        (lambda: stacking("hog"), "families='hog' must name at least one feature group"),
        (lambda: stacking([]), r"families=\[\] must name at least one feature group"),
        (lambda: voting({}), r"families=\{\} must name at least one feature group"),
        (
            lambda: voting(FAMILIES, head=svm()),
            r"heads of \['top', 'bottom'\] have no predict_prob",
        ),
        (lambda: voting({"a": svm(), "b": None}), r"heads of \['a'\] have no predict_proba"),
        (lambda: stacking(FAMILIES, cv=1), "n_splits=1"),
    ],
)
def test_arguments_are_checked(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (stacking(["top", "botom"]), r"family='botom' is not among .* \(top, bottom\)"),
        (voting(["top", "botom"]), r"family='botom' is not among .* \(top, bottom\)"),
        (voting(FAMILIES, weights=[1]), "1 weights, 2 estimators"),
        (svm(weights={"top": 1}), r"for each of the families \['bottom', 'top'\]"),
        (svm(C=-1), "'C' parameter of KernelSVC"),
        (bagging(max_samples=2.0), "max_samples"),
        (boosting(max_iter=0), "'max_iter' parameter"),
    ],
)
def test_mistakes_come_to_light_in_fit(head, message):
    with pytest.raises(ValueError, match=message):
        head.fit(X[TRAIN], Y[TRAIN])


@heads
def test_bad_data_are_a_clear_error(build):
    images, head = X[:60], build()
    with pytest.raises(ValueError, match="needs 2 classes or more, got 1 class: 'cat'"):
        clone(head).fit(images, ["cat"] * 60)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[60, 59\]"):
        clone(head).fit(images, NAMES[:59])


@heads
def test_nan_is_an_error_but_to_trees(build):
    images, head = X[:200].copy(), build()
    images.iloc[3, 5] = np.nan
    if build in (HEADS["boosting"], HEADS["bagging"]):
        assert head.fit(images, NAMES[:200]).predict(images).shape == (200,)
    else:
        with pytest.raises(ValueError, match="contains NaN"):
            head.fit(images, NAMES[:200])


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (stacking(FAMILIES), r"Class 'owl' has 1 image\(s\), fewer than the 3 folds"),
        (svm(probability=True), r"Class 'owl' has 1 image\(s\), fewer than the 3 folds"),
        (boosting(), "Class 'owl' has 1 image.*turn early stopping off"),
        (boosting(library="lightgbm"), "Class 'owl' has 1 image.*turn early stopping off"),
        (boosting(library="xgboost"), "Class 'owl' has 1 image.*turn early stopping off"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_classes_of_one_image_are_a_clear_error(head, message):
    names = NAMES[TRAIN].copy()
    names[0] = "owl"
    with pytest.raises(ValueError, match=message):
        head.fit(X[TRAIN], names)
    for other in (svm(), bagging(n_estimators=20), boosting(early_stopping=False, max_iter=3)):
        assert "owl" in other.fit(X[TRAIN], names).classes_


@pytest.mark.parametrize("library", ["sklearn", "lightgbm", "xgboost"])
@pytest.mark.parametrize("counts", [(5, 5, 5), (9, 1, 8), (2, 2, 1)])
def test_boosting_of_few_images_takes_all_rounds_and_says_so(library, counts):
    rows = np.concatenate([np.flatnonzero(k == Y)[:n] for k, n in enumerate(counts)])
    options = {"library": library, "max_iter": 12, "random_state": 0, "n_jobs": 1}
    images, labels = X.iloc[rows], NAMES[rows]
    with pytest.warns(UserWarning, match="Early stopping is turned off.*fewer than the 3 classes"):
        model = boosting(**options).fit(images, labels)
    whole = boosting(early_stopping=False, **options).fit(images, labels)
    assert model.classifier_.n_iter_ == whole.classifier_.n_iter_
    np.testing.assert_array_equal(model.predict_proba(X[TEST]), whole.predict_proba(X[TEST]))


@pytest.mark.parametrize("library", ["sklearn", "lightgbm", "xgboost"])
def test_boosting_takes_labels_of_one_image_among_several(library):
    labels = np.c_[Y[:60] % 2, np.arange(60) == 7, np.ones(60)].astype(int)
    options = {"library": library, "max_iter": 5, "random_state": 0, "n_jobs": 1}
    with pytest.warns(UserWarning, match="only 1 image has, or only 1 image lacks, label 1"):
        model = boosting(**options).fit(X[:60], labels)
    assert model.predict(X[:60])[:, 2].all()
    # Below ten images, the tenth is one: it cannot be of both kinds.
    with pytest.warns(UserWarning, match="validation set would have 1 of 9 images"):
        boosting(**options).fit(X[:9], labels[:9, [0, 2]])


def test_a_family_can_be_dropped_from_a_stack():
    dropped = stacking(FAMILIES).set_params(top="drop").fit(X[TRAIN], NAMES[TRAIN])
    alone = stacking(["bottom"]).fit(X[TRAIN], NAMES[TRAIN])
    likely = alone.predict_proba(X[TEST])
    np.testing.assert_array_equal(dropped.predict_proba(X[TEST]), likely)
    voted = voting(FAMILIES).set_params(estimator__top="drop").fit(X[TRAIN], NAMES[TRAIN])
    assert voted.score(X[TEST], NAMES[TEST]) > 0.6


def test_a_stack_of_fitted_heads_fits_the_last_alone():
    first, second = slice(0, 200), slice(200, 400)
    fitted = stacking(FAMILIES).fit(X[first], NAMES[first])
    stack = stacking(FAMILIES).set_params(
        estimators=[(name, fitted.named_estimators_[name]) for name in FAMILIES], cv="prefit"
    )
    stack.fit(X[second], NAMES[second])
    assert stack.estimators_ == fitted.estimators_
    assert stack.score(X[TEST], NAMES[TEST]) > 0.6


def test_stacks_of_two_labels_keep_both(pairs):
    # scikit-learn takes two labels for two classes, and drops the first one's probabilities.
    X_train, y_train, X_test, y_test = pairs
    for head in (svm(probability=True), ExtraTreesClassifier(100, random_state=0)):
        model = stacking(FAMILIES, head=head).fit(X_train, y_train[:, :2])
        assert model.transform(X_test).shape == (120, 4)
        assert f1_score(y_test[:, :2], model.predict(X_test), average="macro") > 0.7


@heads
def test_labels_that_never_vary_are_predicted_as_they_were(build, pairs):
    X_train, y_train, X_test, y_test = pairs
    ones, zeros = np.ones(len(y_train), int), np.zeros(len(y_train), int)
    model = build(random_state=0).fit(X_train, np.c_[ones, y_train[:, :2], zeros])
    labels = model.predict(X_test)
    assert labels.shape == (120, 4)
    assert labels[:, 0].all()
    assert not labels[:, 3].any()
    assert f1_score(y_test[:, :2], labels[:, 1:3], average="macro") > 0.7
    if hasattr(model, "predict_proba"):
        likely = model.predict_proba(X_test)
        assert likely[:, 0].min() > 0.9
        assert likely[:, 3].max() < 0.1


def test_stacks_of_trees_take_labels_that_never_vary(pairs):
    # Of these, trees give one column of probabilities, not two.
    X_train, y_train, X_test, y_test = pairs
    labels = np.c_[np.ones(len(y_train), int), y_train[:, :2], np.zeros(len(y_train), int)]
    model = stacking(FAMILIES, head=ExtraTreesClassifier(100, random_state=0))
    found = model.fit(X_train, labels).predict(X_test)
    assert found[:, 0].all()
    assert not found[:, 3].any()
    assert f1_score(y_test[:, :2], found[:, 1:3], average="macro") > 0.7
