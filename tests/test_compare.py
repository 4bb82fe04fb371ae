"""Comparisons: the same folds for all, nothing computed twice, and a winner only if it is one."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from imgfeat import HOG, ImageLoader
from imgfeat.datasets import load_faces, load_folder, load_textures
from imgfeat.evaluation import compare
from imgfeat.evaluation.comparison.significance import Difference, adjust, corrected_t_test
from imgfeat.images.decoding import ImageReadError
from imgfeat.recipes import load_recipe


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:500] / 16, y[:500].astype(str)


def models():
    return {
        "near": KNeighborsClassifier(1),
        "twin": KNeighborsClassifier(1, weights="distance"),
        "bayes": make_pipeline(StandardScaler(), GaussianNB()),
        "dummy": DummyClassifier(),
    }


class Failing(DummyClassifier):
    def fit(self, X, y):
        if len(X) != 400 or y[0] == "never":
            raise RuntimeError("on purpose")
        return super().fit(X, y)


@pytest.fixture(scope="module")
def comparison(digits):
    return compare(models(), *digits, n_repeats=2, scoring=["accuracy", "f1_macro"])


def test_scores_are_those_of_cross_val_score(comparison, digits):
    from sklearn.model_selection import RepeatedStratifiedKFold

    cv = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
    for scoring in ("accuracy", "f1_macro"):
        for name, model in models().items():
            expected = cross_val_score(model, *digits, cv=cv, scoring=scoring)
            np.testing.assert_allclose(comparison.scores[scoring][name], expected)


def test_every_pair_is_tested_and_corrected(comparison):
    scores, names = comparison.scores["accuracy"], list(models())
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    expected = [corrected_t_test(scores[a] - scores[b], 1 / 4)[0] for a, b in pairs]
    found = [comparison.difference(a, b) for a, b in pairs]
    assert [d.p for d in found] == pytest.approx(expected)
    assert [d.p_adjusted for d in found] == pytest.approx(adjust(expected))
    there, back = comparison.difference("near", "dummy"), comparison.difference("dummy", "near")
    assert (there.value, there.low, there.high) == (-back.value, -back.high, -back.low)
    _, low, high = corrected_t_test(
        scores["near"] - scores["dummy"], 1 / 4, confidence=1 - 0.05 / 6
    )
    assert (there.low, there.high) == pytest.approx((low, high))


def test_equals_are_tied_and_others_worse(comparison):
    assert comparison.winner is None
    rows = comparison.rows()
    assert [(r.recipe, r.verdict) for r in rows] == [
        ("near", "best, but tied"),
        ("twin", "tied with the best"),
        ("bayes", "worse than the best"),
        ("dummy", "worse than the best"),
    ]
    assert (rows[1].difference, rows[1].p, rows[1].low) == (0, 1, 0)
    assert rows[3].high < 0
    assert "No winner: near is not significantly better than twin." in comparison.table()


def test_a_winner_beats_every_other(digits):
    entrants = {name: model for name, model in models().items() if name != "twin"}
    comparison = compare(entrants, *digits, n_repeats=1)
    assert comparison.winner == "near"
    assert comparison.rows()[0].verdict == "winner"
    assert "near is significantly better than every other recipe" in str(comparison)
    # With an error of one in a million allowed, five folds cannot tell.
    assert compare(entrants, *digits, n_repeats=1, alpha=1e-6).winner is None


def test_tables_and_json(comparison):
    content = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert content["winner"] is None
    assert len(content["runs"]) == 4 * 10
    assert content["rows"]["accuracy"][0]["p"] is None
    assert content["pairs"]["f1_macro"][0]["first"] == "near"
    unknown = Difference(0.1, math.nan, math.nan, 1.0, 1.0)
    pairs = dict.fromkeys(comparison.differences["accuracy"], unknown)
    odd = replace(comparison, scoring=["accuracy"], differences={"accuracy": pairs})
    assert json.loads(json.dumps(odd.to_dict(), allow_nan=False))["pairs"]["accuracy"][0] == {
        "first": "near", "second": "twin",
        "value": 0.1, "low": None, "high": None, "p": 1.0, "p_adjusted": 1.0,
    }  # fmt: skip
    lines = comparison.to_markdown("f1_macro").splitlines()
    assert lines[0].startswith("| recipe | F1 macro | sd |")
    assert lines[2].startswith("| near |")
    assert len([line for line in lines if line.startswith("|")]) == 6


def test_what_fails_costs_nothing_else(digits):
    X, y = digits
    entrants = {"bad": Failing(), "near": KNeighborsClassifier(1), "worse": Failing()}
    cv = [(np.arange(400), np.arange(400, 500)), (np.arange(100, 499), np.arange(100))]
    comparison = compare(entrants, X, y, cv=cv)
    assert [run.error for run in comparison.runs if run.recipe == "bad"] == [
        None,
        "RuntimeError: on purpose",
    ]
    first, second = (run.to_dict() for run in comparison.runs if run.recipe == "bad")
    assert first["traceback"] is None
    assert 'raise RuntimeError("on purpose")' in second["traceback"]
    assert comparison.rows()[0].verdict == "alone"
    assert {row.recipe: row.error for row in comparison.rows()[1:]} == {
        "bad": "RuntimeError: on purpose",
        "worse": "RuntimeError: on purpose",
    }
    assert "bad failed: RuntimeError: on purpose" in comparison.table()
    hopeless = compare({"bad": Failing()}, X, y, n_splits=3)
    assert hopeless.winner is None
    assert "Every recipe failed" in str(hopeless)
    json.dumps(hopeless.to_dict(), allow_nan=False)


@pytest.mark.parametrize("stateless", [True, False])
def test_the_step_that_makes_nan_is_named(digits, stateless):
    def spoil(X):
        return np.where(X[:, :1] == X_bad, np.nan, X)

    X, y = digits
    X = X.copy()
    X_bad = X[7, 0] = 0.123
    steps = [FunctionTransformer(spoil), RidgeClassifier()]
    if not stateless:
        steps.insert(0, StandardScaler(with_mean=False, with_std=False))
    comparison = compare({"bad": make_pipeline(*steps), "good": GaussianNB()}, X, y, n_splits=2)
    assert [row.recipe for row in comparison.rows()] == ["good", "bad"]
    failed = [run for run in comparison.runs if run.error is not None]
    assert failed
    assert all("contains NaN" in run.traceback for run in failed)
    assert comparison.rows()[1].error == (
        "ValueError: Step 'functiontransformer' (FunctionTransformer) gives NaN or infinite "
        "features, first for image 7."
    )


def test_what_fails_before_the_folds_is_every_folds_error(digits):
    def stumble(X):
        return 1 / 0

    entrants = {
        "bad": make_pipeline(FunctionTransformer(stumble), RidgeClassifier()),
        "good": GaussianNB(),
    }
    comparison = compare(entrants, *digits, n_splits=2, n_repeats=1)
    assert [row.recipe for row in comparison.rows()] == ["good", "bad"]
    runs = [run for run in comparison.runs if run.recipe == "bad"]
    assert [(run.fold, run.n_train, run.error) for run in runs] == [
        (0, 250, "ZeroDivisionError: division by zero"),
        (1, 250, "ZeroDivisionError: division by zero"),
    ]
    assert all("in stumble" in run.traceback for run in runs)


def test_an_error_is_reported_where_no_cause_is_found(digits):
    class Odd(StandardScaler):
        def fit(self, X, y=None):
            if len(X) == 500:
                raise RuntimeError("on all images at once")
            return super().fit(X)

        def transform(self, X):
            return np.full(X.shape, np.nan)

    comparison = compare({"bad": make_pipeline(Odd(), RidgeClassifier())}, *digits, n_splits=2)
    for run in comparison.runs:
        assert "Input X contains NaN" in run.error
        assert run.traceback.endswith(run.error.partition(": ")[2] + "\n")


def test_what_learns_nothing_is_computed_once(monkeypatch):
    calls = []
    transform = HOG.transform
    monkeypatch.setattr(
        HOG, "transform", lambda self, X: calls.append(len(X)) or transform(self, X)
    )
    faces = load_faces()
    recipe = load_recipe("hog_svm")
    comparison = compare({"hog": recipe}, faces.images, faces.target, n_repeats=1)
    assert sum(calls) == len(faces.images)
    folds = StratifiedKFold(5, shuffle=True, random_state=np.random.RandomState(0))
    expected = cross_val_score(recipe.build(), faces.images, faces.target, cv=folds)
    np.testing.assert_allclose(comparison.scores["accuracy"]["hog"], expected)
    run = comparison.runs[0]
    assert run.n_features == 1764
    assert 0 < run.predict_seconds < run.fit_seconds


def test_recipes_by_name_on_real_textures():
    textures = load_textures(patch_size=64)
    comparison = compare(["lbp_svm"], textures.images, textures.target, n_splits=3, n_repeats=1)
    assert comparison.rows()[0].mean > 0.95
    assert comparison.rows()[0].verdict == "alone"


def test_one_split_takes_the_bootstrap(digits):
    X, y = digits
    cv = [(np.arange(250), np.arange(250, 500))]
    comparison = compare(models(), X, y, cv=cv, scoring=["accuracy", "neg_log_loss"])
    assert comparison.test == "bootstrap"
    found = comparison.difference("near", "bayes")
    right = {run.recipe: run.predictions.outputs["predict"] == y[250:] for run in comparison.runs}
    difference = right["near"].astype(float) - right["bayes"]
    assert found.value == pytest.approx(difference.mean())
    # The sampling error of a mean, and Bonferroni's share of six pairs.
    reach = 2.638 * difference.std() / math.sqrt(250)
    assert (found.low, found.high) == pytest.approx(
        (found.value - reach, found.value + reach), abs=0.012
    )
    assert comparison.difference("near", "twin").p == 1
    with pytest.raises(ValueError, match="at least 2 folds"):
        compare(models(), X, y, cv=cv, test="corrected_t")


@pytest.mark.parametrize(
    "scoring", ["accuracy", "f1_macro", "roc_auc_ovr", "neg_log_loss", "balanced_accuracy"]
)
def test_quick_resamples_are_those_of_the_scorer(digits, scoring):
    from sklearn.metrics import get_scorer

    from imgfeat.evaluation.comparison.resampling import resample_scores
    from imgfeat.evaluation.metrics.intervals import draw_resamples

    X, y = digits
    folds = [(np.arange(300), np.arange(300, 500))]
    (run,) = compare({"bayes": GaussianNB(var_smoothing=0.1)}, X, y, cv=folds).runs
    scorer = get_scorer(scoring)
    found = resample_scores([run], y, folds, {scoring: scorer}, n_resamples=20)[scoring]["bayes"]
    for weights in draw_resamples(200, 20):
        for value, row in zip(found, weights, strict=True):
            drawn = np.repeat(np.arange(200), row)
            assert value == pytest.approx(scorer(run.predictions, drawn, y[300:][drawn]), abs=1e-12)


def test_other_scorers_and_several_folds_in_the_bootstrap(digits):
    options = {"test": "bootstrap", "n_bootstrap": 20, "n_repeats": 1, "alpha": 0.5}
    entrants = {name: models()[name] for name in ("near", "dummy")}
    comparison = compare(entrants, *digits, scoring="matthews_corrcoef", **options)
    assert comparison.winner == "near"


def test_multilabel_recipes():
    X, y = make_multilabel_classification(200, n_classes=3, random_state=0)
    entrants = {
        "bayes": OneVsRestClassifier(GaussianNB()),
        "near": KNeighborsClassifier(3),
    }
    for cv in (None, [(np.arange(100), np.arange(100, 200))]):
        comparison = compare(entrants, X, y, cv=cv, scoring=["accuracy", "f1_samples"])
        assert {row.verdict for row in comparison.rows()} <= {
            "winner", "best, but tied", "tied with the best", "worse than the best",
        }  # fmt: skip
        assert len(comparison.rows("f1_samples")) == 2


def test_groups_and_threads(digits):
    X, y = digits
    groups = np.arange(500) // 10
    comparison = compare(models(), X, y, groups=groups, n_jobs=2, n_repeats=1)
    assert [(r.recipe, r.fold) for r in comparison.runs] == [
        (name, fold) for name in models() for fold in range(5)
    ]
    alone = compare(models(), X, y, groups=groups, n_repeats=1)
    assert [r.scores for r in alone.runs] == [r.scores for r in comparison.runs]


def test_a_class_missing_from_a_test_set(digits):
    X, y = digits
    cv = [(np.arange(400), np.flatnonzero(y[400:] != "3") + 400)]
    near = {"near": KNeighborsClassifier(1)}
    assert compare(near, X, y, cv=cv).rows()[0].mean > 0.9
    (row,) = compare(near, X, y, cv=[(np.arange(400), [400])], scoring="roc_auc_ovr").rows()
    assert row.verdict == "failed"


def test_a_damaged_image_is_everyones_error(texture_folder, tmp_path):
    paths, labels = load_folder(texture_folder)
    (tmp_path / "bad.png").write_bytes(b"nonsense")
    paths = [*paths[:-1], str(tmp_path / "bad.png")]
    model = make_pipeline(ImageLoader(32, color="gray"), HOG(), RidgeClassifier())
    with pytest.raises(ImageReadError, match=r"bad\.png"):
        compare({"hog": model}, paths, labels)


@pytest.mark.parametrize(
    ("recipes", "options", "message"),
    [
        ({}, {}, "no recipes"),
        ("hog_svm", {}, "must be a dict or a list"),
        (["no_such"], {}, "No recipe 'no_such'"),
        (None, {"test": "wilcoxon"}, "test must be"),
        (None, {"correction": "fdr"}, "correction must be"),
        (None, {"alpha": 0}, "alpha must"),
        (None, {"n_bootstrap": 0}, "n_bootstrap must"),
        (None, {"scoring": "beauty"}, "beauty"),
    ],
)
def test_parameters(digits, recipes, options, message):
    with pytest.raises(ValueError, match=message):
        compare(models() if recipes is None else recipes, *digits, **options)


def test_lengths_and_classes(digits):
    X, y = digits
    with pytest.raises(ValueError, match="X has 500 images, but y has 499 labels"):
        compare(models(), X, y[:-1])
    with pytest.raises(ValueError, match="needs at least 2 classes"):
        compare(models(), X, ["a"] * 500)
    with pytest.raises(ValueError, match="Class 'rare' has 2 image"):
        compare(models(), X, ["rare", "rare", *y[2:]])
