"""Labels of any kind: every head, recipe and search says the same of them as of codes."""

from functools import cache

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMClassifier
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import FeatureUnion
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.estimator_checks import check_estimator

from imgfeat import HOG, LBP, ImageLoader, OptunaSearchCV
from imgfeat.datasets import load_textures
from imgfeat.ensembles import bagging, boosting, stacking, svm, voting
from imgfeat.evaluation import compare, evaluate
from imgfeat.heads.calibration import TemperatureScaledClassifier
from imgfeat.heads.classes import encode_labels, read_labels
from imgfeat.heads.early_stopping import EarlyStopped
from imgfeat.heads.family_pool import FamilyPool
from imgfeat.heads.kernel_svm import KernelSVC
from imgfeat.heads.multilabel import PerLabel
from imgfeat.recipes import list_recipes, load_recipe

SHUFFLED = np.random.default_rng(3).permutation(1000)
NAMES = np.array(["brick", "grass", "gravel"])
GAPS = np.array([-7, 10, 30])


def freeze(labels):
    labels.setflags(write=False)
    return labels


# Labels of the codes 0, 1, 2; in the order of the codes.
KINDS = {
    "strings": lambda codes: NAMES[codes],
    "list of strings": lambda codes: NAMES[codes].tolist(),
    "from 1": lambda codes: codes + 1,
    "around zero": lambda codes: codes - 1,
    "gaps": lambda codes: GAPS[codes],
    "huge": lambda codes: np.array([-(2**62), 2**53, 2**53 + 1])[codes],
    "unsigned": lambda codes: np.array([1, 2**63, 2**64 - 1], np.uint64)[codes],
    "whole floats": lambda codes: np.array([-1.0, 2.0, 7.0])[codes],
    "integers as objects": lambda codes: GAPS.astype(object)[codes],
    "tuple": lambda codes: tuple((codes + 1).tolist()),
    "read-only": lambda codes: freeze(GAPS[codes]),
    "series": lambda codes: pd.Series(GAPS[codes], index=SHUFFLED[: len(codes)] + 1),
    "series by name": lambda codes: pd.Series(
        codes + 1, index=[f"{i}.png" for i in SHUFFLED[: len(codes)]]
    ),
    "categories": lambda codes: pd.Series(
        NAMES[codes], index=SHUFFLED[: len(codes)], dtype="category"
    ),
    "nullable integers": lambda codes: pd.Series(
        GAPS[codes], index=SHUFFLED[: len(codes)], dtype="Int64"
    ),
    "huge nullable integers": lambda codes: pd.Series(
        np.array([5, 2**53, 2**53 + 1])[codes], dtype="Int64"
    ),
    "nullable strings": lambda codes: pd.Series(NAMES[codes], dtype="string"),
    "polars": lambda codes: pl.Series(GAPS[codes]),
    "column": lambda codes: GAPS[codes][:, np.newaxis],
    "frame": lambda codes: pd.DataFrame({"label": NAMES[codes]}, index=SHUFFLED[: len(codes)]),
    "booleans": lambda codes: codes == 1,
    "nullable booleans": lambda codes: pd.Series(
        codes == 1, index=SHUFFLED[: len(codes)], dtype="boolean"
    ),
    "booleans as objects": lambda codes: (codes == 1).astype(object),
}
kinds = pytest.mark.parametrize("kind", KINDS)
FAMILIES = ["hog", "lbp"]
HEADS = {
    "svm": svm(),
    "svm with probabilities": svm(probability=True),
    "weighed svm": svm(probability=True, weights="align", random_state=0),
    "large svm": svm(max_exact=0, n_components=30, probability=True, random_state=0),
    "linear svm": svm(kernel="linear"),
    "linear svm with probabilities": svm(kernel="linear", probability=True),
    "boosting": boosting(max_iter=3, max_features=1.0, random_state=0),
    "LightGBM": boosting(library="lightgbm", max_iter=3, random_state=0, n_jobs=1),
    "XGBoost": boosting(library="xgboost", max_iter=3, random_state=0, n_jobs=1),
    "bagging": bagging(n_estimators=5, random_state=0),
    "bagged svm": bagging(svm(probability=True), n_estimators=2, random_state=0),
    "stacking": stacking(FAMILIES),
    "stacked probabilities": stacking(
        {"hog": svm(probability=True), "lbp": bagging(n_estimators=3, random_state=0)}
    ),
    "voting": voting(FAMILIES),
    "scikit-learn's calibration": PerLabel(
        CalibratedClassifierCV(SVC(), method="temperature", cv=3, ensemble=False)
    ),
    "KernelSVC": KernelSVC(),
    "TemperatureScaledClassifier": TemperatureScaledClassifier(KernelSVC(votes="soft")),
    "EarlyStopped": EarlyStopped(
        LGBMClassifier(n_estimators=3, n_jobs=1, verbose=-1), random_state=0
    ),
    "FamilyPool": FamilyPool(),
}  # fmt: skip


@cache
def load():
    """Return features of real textures with names, of three classes in no order, and codes."""
    bunch = load_textures(patch_size=64)
    rows = np.random.default_rng(0).permutation(len(bunch.images))[:120]
    union = FeatureUnion([("hog", HOG(pixels_per_cell=32)), ("lbp", LBP(grid=1))])
    loaded = ImageLoader(64, color="gray").fit_transform(bunch.images[rows])
    features = union.set_output(transform="pandas").fit_transform(loaded)
    # Three columns a family, so that they can be outputs of heads for FamilyPool, too.
    return features.iloc[:, [0, 1, 2, -3, -2, -1]], np.unique(
        bunch.target[rows], return_inverse=True
    )[1]


def fit(head, labels):
    features, _ = load()
    if np.ndim(labels) == 2:
        with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
            return clone(head).fit(features[:90], labels)
    return clone(head).fit(features[:90], labels)


@cache
def fit_codes(name, two):
    _, codes = load()
    return fit(HEADS[name], (codes == 1).astype(int)[:90] if two else codes[:90])


def assert_same(model, reference, images, classes):
    np.testing.assert_array_equal(model.classes_, classes)
    np.testing.assert_array_equal(model.predict(images), classes[reference.predict(images)])
    for method in ("predict_proba", "decision_function"):
        assert hasattr(model, method) == hasattr(reference, method)
        if hasattr(model, method):
            ours, theirs = (getattr(m, method)(images) for m in (model, reference))
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@kinds
@pytest.mark.parametrize("name", HEADS)
def test_heads_say_the_same_of_all_labels_as_of_codes(name, kind):
    features, codes = load()
    labels = KINDS[kind](codes)
    model = fit(HEADS[name], labels[:90])
    classes = np.unique(np.asarray(labels))
    reference = fit_codes(name, len(classes) == 2)
    assert_same(model, reference, features[90:], classes)


@pytest.mark.parametrize(
    "kind", ["strings", "gaps", "whole floats", "series", "categories", "booleans"]
)
@pytest.mark.parametrize("name", ["svm with probabilities", "boosting", "XGBoost", "stacking"])
def test_weights_of_classes_and_images_keep_to_their_labels(name, kind):
    features, codes = load()
    labels = KINDS[kind](codes)
    classes = np.unique(np.asarray(labels))
    codes = np.searchsorted(classes, labels)
    build = {
        # Where classes are separable, weights hardly matter.
        "svm with probabilities": lambda **kw: svm(probability=True, C=0.01, **kw),
        "boosting": lambda **kw: boosting(max_iter=3, random_state=0, **kw),
        "XGBoost": lambda **kw: boosting(
            library="xgboost", max_iter=3, random_state=0, n_jobs=1, **kw
        ),
        "stacking": lambda **kw: stacking(FAMILIES, **kw),
    }[name]
    first, second = classes.tolist()[:2]
    heavy = {second: 5.0, first: 0.5}
    model = build(class_weight=heavy).fit(features, labels)
    reference = build(class_weight={1: 5.0, 0: 0.5}).fit(features, codes)
    assert_same(model, reference, features, classes)
    plain = build().fit(features, codes).predict_proba(features)
    assert not np.allclose(model.predict_proba(features), plain)


@pytest.mark.parametrize(
    "name", ["svm", "svm with probabilities", "linear svm with probabilities", "bagging"]
)
def test_weights_of_images_go_with_any_labels(name):
    features, codes = load()
    weights = np.random.default_rng(0).integers(0, 3, len(codes))
    key = "svm__sample_weight" if hasattr(HEADS[name], "steps") else "sample_weight"
    model = clone(HEADS[name]).fit(features, GAPS[codes], **{key: weights})
    reference = clone(HEADS[name]).fit(features, codes, **{key: weights})
    assert_same(model, reference, features, GAPS)
    method = "predict_proba" if hasattr(model, "predict_proba") else "decision_function"
    plain = clone(HEADS[name]).fit(features, codes)
    assert not np.allclose(getattr(model, method)(features), getattr(plain, method)(features))


def test_a_class_whose_images_all_weigh_nothing_is_left_out():
    features, codes = load()
    weights = (codes != 1).astype(float)
    for name in ("svm", "svm with probabilities"):
        model = clone(HEADS[name]).fit(features, NAMES[codes], svm__sample_weight=weights)
        assert model.classes_.tolist() == ["brick", "gravel"]
        assert set(model.predict(features)) == {"brick", "gravel"}


@pytest.fixture(scope="module")
def images():
    """Real textures, three classes in no order."""
    bunch = load_textures(patch_size=64)
    rows = np.concatenate([np.flatnonzero(bunch.target == name)[::5][:12] for name in NAMES])
    rows = np.random.default_rng(0).permutation(rows)
    return bunch.images[rows], np.searchsorted(NAMES, bunch.target[rows])


@pytest.mark.parametrize("recipe", list_recipes())
def test_heads_of_recipes_say_the_same_of_all_labels_as_of_codes(recipe):
    steps = load_recipe(recipe).build(random_state=0).steps
    unions = [step for _, step in steps if isinstance(step, FeatureUnion)]
    families = [name for name, _ in unions[0].transformer_list] if unions else ["features"]
    features, codes = load()
    columns = {f"{family}__{k}": features.iloc[:, k] for family in families for k in range(6)}
    features, head = pd.DataFrame(columns), steps[-1][1]
    reference = clone(head).fit(features[:60], codes[:60])
    for labels in (GAPS[codes], pd.Series(GAPS[codes], index=SHUFFLED[:120]), NAMES[codes]):
        model = clone(head).fit(features[:60], labels[:60])
        assert_same(model, reference, features[60:], np.unique(labels))


def test_a_recipe_takes_images_in_a_frame_of_any_index(images):
    pictures, codes = images
    frame = pd.DataFrame({"image": list(pictures), "label": GAPS[codes]})
    frame.index = SHUFFLED[: len(codes)]
    model = load_recipe("hog_svm").build(random_state=0)
    reference = clone(model).fit(pictures[:24], codes[:24])
    model.fit(frame["image"].iloc[:24], frame["label"].iloc[:24])
    assert_same(model, reference, pictures[24:], GAPS)
    scores = cross_val_score(model, frame["image"], frame["label"], cv=2)
    np.testing.assert_array_equal(scores, cross_val_score(model, pictures, codes, cv=2))


SCORERS = ["accuracy", "f1_macro", "neg_log_loss", "roc_auc_ovr"]


@pytest.mark.parametrize(
    "kind", ["strings", "gaps", "series", "categories", "nullable integers", "polars"]
)
def test_scores_and_searches_are_those_of_codes(kind, images):
    pictures, codes = images
    pictures = ImageLoader(32, color="gray").fit_transform(pictures)
    pictures = pictures.reshape(len(codes), -1)[:, ::37]
    labels = KINDS[kind](codes)
    head = svm(probability=True)
    for scoring in SCORERS:
        expected = cross_val_score(head, pictures, codes, cv=3, scoring=scoring)
        found = cross_val_score(head, pictures, labels, cv=3, scoring=scoring)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    space = {"svm__estimator__estimator__C": [0.1, 10.0]}
    searches = [
        OptunaSearchCV(
            head, space, n_trials=2, cv=3, random_state=0, scoring=SCORERS, refit="neg_log_loss"
        ).fit(pictures, y)
        for y in (labels, codes)
    ]
    for name in SCORERS:
        found, expected = (search.cv_results_[f"mean_test_{name}"] for search in searches)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    found, reference = searches
    assert_same(found.best_estimator_, reference.best_estimator_, pictures, np.unique(labels))


@pytest.mark.parametrize(
    "container",
    [
        lambda y: y.astype(object),
        lambda y: pd.DataFrame(y, columns=["first", "second"], dtype="Int64"),
        lambda y: pd.DataFrame(y > 0, dtype="boolean"),
        lambda y: pd.DataFrame(y, index=range(50, 50 + len(y))),
    ],
)
def test_searches_take_indicator_matrices_of_any_type(container, images):
    pictures, codes = images
    pictures = ImageLoader(32, color="gray").fit_transform(pictures)
    pictures = pictures.reshape(len(codes), -1)[:, ::37]
    indicators = np.c_[codes % 2, codes > codes.max() // 2].astype(int)
    found, expected = (
        OptunaSearchCV(
            svm(probability=True),
            {"svm__estimator__estimator__C": [0.1, 10.0]},
            sampler="grid",
            cv=KFold(3, shuffle=True, random_state=0),
            scoring=["f1_macro", "roc_auc"],
            refit="roc_auc",
        ).fit(pictures, y)
        for y in (container(indicators), indicators)
    )
    for name in ("f1_macro", "roc_auc"):
        key = f"mean_test_{name}"
        np.testing.assert_allclose(found.cv_results_[key], expected.cv_results_[key], rtol=1e-6)
    assert np.isfinite(expected.best_score_)
    np.testing.assert_array_equal(found.predict(pictures), expected.predict(pictures))


@pytest.mark.parametrize("name", ["boosting", "LightGBM", "bagging", "FamilyPool", "stacking"])
def test_no_images_are_a_clear_error(name):
    with pytest.raises(ValueError, match=r"got none|0 sample"):
        clone(HEADS[name]).fit(np.empty((0, 40)), [])


@kinds
def test_comparisons_and_evaluations_are_those_of_codes(kind, images):
    pictures, codes = images
    pictures = ImageLoader(32, color="gray").fit_transform(pictures)
    pictures = pictures.reshape(len(codes), -1)[:, ::37]
    labels = KINDS[kind](codes)
    classes = np.unique(np.asarray(labels))
    codes = (codes == 1).astype(int) if len(classes) == 2 else codes
    options = {
        "n_splits": 3,
        "n_repeats": 1,
        "n_bootstrap": 50,
        "scoring": ["accuracy", "neg_log_loss"],
    }
    heads = {
        "svm": svm(probability=True),
        "linear": svm(kernel="linear", probability=True, random_state=0),
    }
    for test in ("corrected_t", "bootstrap"):
        found, expected = (
            compare(heads, pictures, y, test=test, **options) for y in (labels, codes)
        )
        for scoring in options["scoring"]:
            for recipe in heads:
                ours, theirs = (one.scores[scoring][recipe] for one in (found, expected))
                np.testing.assert_allclose(ours, theirs, rtol=1e-6)
            assert found.difference("svm", "linear", scoring).p == pytest.approx(
                expected.difference("svm", "linear", scoring).p
            )
    model, reference = (
        svm(probability=True).fit(pictures[:24], y[:24]) for y in (classes[codes], codes)
    )
    found, expected = (
        evaluate(m, pictures[24:], y[24:], n_bootstrap=20)
        for m, y in ((model, labels), (reference, codes))
    )
    assert found.classes == classes.tolist()
    for name, value in expected.metrics.items():
        assert found.metrics[name].value == pytest.approx(value.value, rel=1e-6)
    np.testing.assert_array_equal(found.confusion, expected.confusion)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", None, "b"], "row 1 has no label"),
        (pd.Series(["a", "b", None], dtype="string"), "row 2 has no label"),
        ([1.0, np.nan, 2.0], "NaN"),
        (pd.Series([1, None, 2], dtype="Int64"), "NaN"),
        (
            np.array(["a", 1, "b"], dtype=object),
            "labels of type int, str: convert all of them to strings",
        ),
        (
            [10**30, 1, 2],
            "labels of type int: convert all of them to strings, by .* to 64-bit integers",
        ),
        (np.array([b"a", "b", "c"], dtype=object), "labels of type bytes, str"),
        ([0.5, 1.0, 2.0], "Unknown label type: continuous"),
        (["cat"] * 3, "needs 2 classes or more, got 1 class: 'cat'"),
        ([[1, 2], [2, 3], [4, 5]], "should be a 1d array"),
        (None, "the target y is None"),
    ],
)
@pytest.mark.parametrize("name", ["svm", "KernelSVC", "stacking", "FamilyPool"])
def test_what_is_no_label_is_a_clear_error(name, labels, message):
    features, _ = load()
    rows = [0, 1, 2] * 4
    if labels is not None:
        labels = labels.iloc[rows] if hasattr(labels, "iloc") else np.asarray(labels)[rows]
    with pytest.raises(ValueError, match=message):
        clone(HEADS[name]).fit(features[:12], labels)


def test_arrays_of_labels_stay_what_they_are():
    for labels in (np.array([2**62, 3]), np.array([True, False]), np.array(["b", "a"], object)):
        assert read_labels(labels).dtype == labels.dtype
    classes, codes = encode_labels(pd.Series([2**53 + 1, 2**53], dtype="Int64"), SVC())
    assert classes.tolist() == [2**53, 2**53 + 1]
    assert codes.tolist() == [1, 0]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "options", [{}, {"max_exact": 0}, {"kernel": "linear", "C": 10.0}], ids=str
)
def test_classes_that_are_told_apart_do_not_make_probabilities_of_1(n_classes, options):
    """All are right out of fold: there, the temperature of the least log loss has no bound."""
    codes = np.arange(90) % n_classes
    features = 10 * np.eye(n_classes)[codes]
    features += np.random.default_rng(0).normal(size=features.shape)
    model = svm(probability=True, random_state=0, **options).fit(features, codes)
    likely = model.predict_proba(features)
    assert (likely.argmax(axis=1) == codes).all()
    assert likely.max() < 1 - 1e-6
    # n images that are all right say that the next one is right with (n + 1) / (n + 2).
    assert 1 - 4 / 92 < likely.max(axis=1).mean() < 1 - 0.25 / 92


@pytest.mark.parametrize("scale", [1, 1000])
@pytest.mark.parametrize("n_classes", [2, 3, "several labels"])
def test_heads_without_errors_do_not_make_a_pool_too_sure(n_classes, scale):
    """The same of FamilyPool, the last learner of stacking, whatever unit the heads have."""
    several = n_classes == "several labels"
    codes = np.arange(90) % (3 if several else n_classes)
    sides = 2 * np.eye(3 if several else n_classes)[codes] - 1
    rng = np.random.default_rng(0)
    heads = [sides + rng.normal(scale=0.2, size=sides.shape) for _ in range(2)]
    if n_classes == 2:
        heads = [head[:, 1:] for head in heads]
    y = (sides > 0).astype(int) if several else codes
    pool = FamilyPool().fit(scale * np.hstack(heads), y)
    assert (pool.predict(scale * np.hstack(heads)) == y).all()
    likely = pool.predict_proba(scale * np.hstack(heads))
    assert likely.max() < 1 - 1e-6
    sure = np.where(likely > 0.5, likely, 1 - likely) if several else likely.max(axis=1)
    assert 1 - 4 / 92 < sure.mean() < 1 - 0.25 / 92


def test_temperature_is_that_of_the_log_loss_where_there_are_errors():
    features, codes = load()
    noisy = np.where(np.arange(120) % 5, codes, (codes + 1) % 3)
    machine = KernelSVC(votes="soft")
    ours = TemperatureScaledClassifier(machine).fit(features, noisy)
    theirs = CalibratedClassifierCV(machine, method="temperature", cv=3, ensemble=False)
    beta = theirs.fit(features, noisy).calibrated_classifiers_[0].calibrators[0].beta_
    assert ours.beta_ == pytest.approx(beta, rel=0.05)


def test_calibration_names_a_class_with_fewer_images_than_folds():
    features, codes = load()
    labels = NAMES[codes][:60].astype(object)
    labels[3] = "owl"
    with pytest.raises(ValueError, match=r"Class 'owl' has 1 image\(s\), fewer than the 3 folds"):
        TemperatureScaledClassifier(KernelSVC()).fit(features[:60], labels)


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks warn of what they skip
def test_scikit_learns_checks_of_calibration():
    reason = "whether n weights are n images, or 2 n of half the weight, is not theirs to say"
    names = ("check_sample_weight_equivalence_on_dense_data",)
    names += ("check_sample_weight_equivalence_on_sparse_data",)
    check_estimator(
        TemperatureScaledClassifier(LinearSVC()),
        expected_failed_checks=dict.fromkeys(names, reason),
    )
