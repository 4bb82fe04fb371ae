"""The numbers of `evaluate` are scikit-learn's own, one by one, or worked out by hand."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, LinearSVC

from imgfeat.datasets import load_textures
from imgfeat.evaluation import evaluate
from imgfeat.evaluation.metrics.measures import LabelledOutputs
from imgfeat.recipes import load_recipe


class Fixed(ClassifierMixin, BaseEstimator):
    """Says what it was told, whatever it sees: images are numbers of rows."""

    def __init__(self, labels, probabilities=None, classes=None):
        self.labels, self.probabilities, self.classes = labels, probabilities, classes
        self.classes_ = np.unique(labels) if classes is None else np.array(classes)

    def predict(self, X):
        return np.asarray(self.labels)[X]

    def __sklearn_is_fitted__(self):
        return True


class FixedProbabilities(Fixed):
    def predict_proba(self, X):
        return np.asarray(self.probabilities)[X]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:900] / 16, y[:900].astype(str), X[900:] / 16, y[900:].astype(str)


def values(evaluation):
    return {name: found.value for name, found in evaluation.metrics.items()}


def test_multiclass_is_scikit_learn(digits):
    X, y, X_test, y_test = digits
    model = KNeighborsClassifier(5).fit(X, y)  # few distinct probabilities: many ties
    found = evaluate(model, X_test, y_test, n_bootstrap=20)
    said, p = model.predict(X_test), model.predict_proba(X_test)
    expected = {
        "accuracy": metrics.accuracy_score(y_test, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(y_test, said),
        "roc_auc": metrics.roc_auc_score(y_test, p, multi_class="ovr"),
        "pr_auc": metrics.average_precision_score(y_test[:, None] == model.classes_, p),
        "log_loss": metrics.log_loss(y_test, p),
    }
    for average in ("macro", "micro", "weighted"):
        scores = metrics.precision_recall_fscore_support(y_test, said, average=average)
        for name, score in zip(("precision", "recall", "f1"), scores, strict=False):
            expected[f"{name}_{average}"] = score
    ours = values(found)
    assert set(ours) == {*expected, "calibration_error"}
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, abs=1e-12), name
    precision, recall, f1, support = metrics.precision_recall_fscore_support(y_test, said)
    for k, row in enumerate(found.per_class):
        truth = y_test == model.classes_[k]
        assert row["precision"].value == pytest.approx(precision[k])
        assert row["recall"].value == pytest.approx(recall[k])
        assert row["f1"].value == pytest.approx(f1[k])
        assert row["roc_auc"].value == pytest.approx(metrics.roc_auc_score(truth, p[:, k]))
        assert row["pr_auc"].value == pytest.approx(metrics.average_precision_score(truth, p[:, k]))
    assert found.support == support.tolist()
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(y_test, said))
    assert found.kind == "multiclass"


def test_binary_areas_are_of_the_second_class(digits):
    X, y, X_test, y_test = digits
    keep, keep_test = np.isin(y, ["3", "8"]), np.isin(y_test, ["3", "8"])
    X_test, y_test = X_test[keep_test] + 0.0, y_test[keep_test]
    model = LogisticRegression(C=1e-4).fit(X[keep], y[keep])
    found = evaluate(model, X_test, y_test)
    p = model.predict_proba(X_test)[:, 1]
    assert found.kind == "binary"
    assert values(found)["roc_auc"] == pytest.approx(metrics.roc_auc_score(y_test == "8", p))
    assert values(found)["pr_auc"] == pytest.approx(
        metrics.average_precision_score(y_test == "8", p)
    )
    assert values(found)["f1_macro"] == pytest.approx(
        metrics.f1_score(y_test, model.predict(X_test), average="macro")
    )


MULTILABEL = [
    MultiOutputClassifier(LogisticRegression()),  # a list of (n, 2)
    OneVsRestClassifier(LogisticRegression()),  # one array
    OneVsRestClassifier(LinearSVC()),  # decision values
    RandomForestClassifier(20, random_state=0),  # floating-point predictions
]


@pytest.mark.parametrize("model", MULTILABEL, ids=lambda m: type(m).__name__)
def test_multilabel_is_scikit_learn(model):
    X, y = make_multilabel_classification(400, n_classes=4, random_state=3)
    X, X_test, y, y_test = X[:200], X[200:], y[:200], y[200:]
    model.fit(X, y)
    found = evaluate(model, X_test, y_test, n_bootstrap=20, label_names="abcd")
    said = model.predict(X_test)
    ours = {name: e.value for name, e in found.metrics.items() if e is not None}
    assert found.classes == ["a", "b", "c", "d"]
    assert ours["subset_accuracy"] == pytest.approx(metrics.accuracy_score(y_test, said))
    assert ours["hamming_loss"] == pytest.approx(metrics.hamming_loss(y_test, said))
    for average in ("macro", "micro", "weighted", "samples"):
        scores = metrics.precision_recall_fscore_support(
            y_test, said, average=average, zero_division=0
        )
        for name, score in zip(("precision", "recall", "f1"), scores, strict=False):
            assert ours[f"{name}_{average}"] == pytest.approx(score), (name, average)
    np.testing.assert_array_equal(
        found.confusion, metrics.multilabel_confusion_matrix(y_test, said)
    )
    if not hasattr(model, "predict_proba"):
        p = model.decision_function(X_test)
        assert found.metrics["log_loss"] is found.metrics["calibration_error"] is None
    else:
        p = model.predict_proba(X_test)
        p = np.column_stack([q[:, 1] for q in p]) if isinstance(p, list) else p
        losses = [metrics.log_loss(y_test[:, k], p[:, k]) for k in range(4)]
        assert ours["log_loss"] == pytest.approx(np.mean(losses))
    assert ours["roc_auc"] == pytest.approx(metrics.roc_auc_score(y_test, p))
    assert ours["pr_auc"] == pytest.approx(metrics.average_precision_score(y_test, p))


def test_a_label_that_was_never_seen_in_training():
    X, y = make_multilabel_classification(200, n_classes=3, random_state=0)
    y[:, 1] = 0
    model = RandomForestClassifier(5, random_state=0).fit(X, y)  # (n, 1) for that label
    found = evaluate(model, X, y, n_bootstrap=10)
    assert np.isnan(found.per_class[1]["roc_auc"].value)
    assert any("Without images: label 1" in note for note in found.notes)
    assert np.isfinite(found.metrics["roc_auc"].value)


def test_calibration_error_by_hand():
    # Confidence .9 and .9 in one bin, one of them right: a gap of .8 / 4; .6 and .64 in two bins,
    # both right: gaps of .4 / 4 and .36 / 4.
    p = np.array([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.36, 0.64]])
    model = FixedProbabilities(["a", "b", "a", "b"], p)
    found = evaluate(model, [0, 1, 2, 3], ["a", "a", "a", "b"], n_bootstrap=50)
    assert values(found)["calibration_error"] == pytest.approx((0.8 + 0.4 + 0.36) / 4)


def test_calibration_of_labels_by_hand():
    truth = np.array([[True, False], [False, False]])
    p = np.array([[0.7, 0.2], [0.7, 0.2]])
    answers = LabelledOutputs(truth, p > 0.5, p, True, multilabel=True)
    overall, _ = answers.measure(np.ones((1, 2), np.uint16))
    # First label: |.3 - .7| / 2; second: |-.2 - .2| / 2; and the mean of the two.
    assert overall["calibration_error"].tolist() == pytest.approx([(0.2 + 0.2) / 2])


def test_a_calibrated_model_has_little_calibration_error():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=20000)
    model = FixedProbabilities((p > 0.5).astype(int), np.column_stack([1 - p, p]))
    found = evaluate(model, np.arange(len(p)), rng.uniform(size=len(p)) < p, n_bootstrap=50)
    error = found.metrics["calibration_error"]
    assert 0 < error.value < 0.015
    assert 0 <= error.low < error.value <= error.high


def test_a_class_without_images_is_left_out():
    labels = [0, 0, 1, 2]
    p = np.full((4, 3), 1 / 3)
    model = FixedProbabilities(labels, p)
    found = evaluate(model, [0, 1, 2, 3], [0, 1, 1, 1], n_bootstrap=200)
    precision, recall, f1 = (
        [row[name].value for row in found.per_class] for name in ("precision", "recall", "f1")
    )
    assert precision == [0.5, 1, 0]
    assert recall[:2] == [1, pytest.approx(1 / 3)]
    assert np.isnan(recall[2])
    assert f1 == pytest.approx([2 / 3, 0.5, 0])
    assert values(found)["recall_macro"] == pytest.approx(2 / 3)
    assert values(found)["balanced_accuracy"] == pytest.approx(2 / 3)
    assert np.isnan(found.per_class[2]["roc_auc"].value)
    assert values(found)["roc_auc"] == 0.5
    assert any("class 2" in note for note in found.notes)
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(text)["per_class"][2]["recall"] == {"value": None, "low": None, "high": None}
    assert str(found).splitlines()[-3].count("\N{EN DASH}") == 3


def test_one_class_alone_in_the_test_set():
    found = evaluate(Fixed([0, 1, 0]), [0, 1, 2], [0, 0, 0], n_bootstrap=20)
    assert found.metrics["accuracy"].value == pytest.approx(2 / 3)
    assert found.metrics["roc_auc"] is None
    proba = FixedProbabilities([0, 1, 0], [[1, 0], [0, 1], [1, 0]])
    assert np.isnan(evaluate(proba, [0, 1, 2], [0, 0, 0]).metrics["roc_auc"].value)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30
    )
)
def test_weights_are_copies(images):
    """An image that counts three times is as good as three copies of it."""
    codes, weights, levels = np.array(images).T
    if not weights.any():
        weights = weights + 1
    scores = np.stack([levels, 3 - levels, levels % 2], axis=1) / 3
    answers = LabelledOutputs(
        np.eye(3, dtype=bool)[codes], np.eye(3, dtype=bool)[levels % 3], scores, True
    )
    copies = np.repeat(np.arange(len(codes)), weights)
    copied = LabelledOutputs(answers.y_true[copies], answers.y_pred[copies], scores[copies], True)
    rows, ones = weights[None].astype(np.uint16), np.ones((1, len(copies)), np.uint16)
    found = (*answers.measure(rows), answers.rank(rows))
    expected = (*copied.measure(ones), copied.rank(ones))
    for one, other in zip(found, expected, strict=True):
        for name, value in one.items():
            np.testing.assert_allclose(value, other[name], atol=1e-12, err_msg=name)
    for k in range(3):
        truth = copied.y_true[:, k]
        if truth.any() and not truth.all():
            assert expected[2]["roc_auc"][0, k] == pytest.approx(
                metrics.roc_auc_score(truth, copied.scores[:, k])
            )


def test_decision_values_serve_for_areas(digits):
    X, y, X_test, y_test = digits
    model = RidgeClassifier().fit(X, y)
    found = evaluate(model, X_test, y_test, n_bootstrap=20)
    truth, scores = y_test[:, None] == model.classes_, model.decision_function(X_test)
    assert found.metrics["roc_auc"].value == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert found.metrics["log_loss"] is None
    assert "no probabilities" in str(found)
    pairs = SVC(decision_function_shape="ovo").fit(X[:200], y[:200])
    assert evaluate(pairs, X_test, y_test, n_bootstrap=20).metrics["roc_auc"] is None


def test_the_features_are_computed_once(monkeypatch):
    import imgfeat.features.lbp as lbp

    train, test = load_textures("train"), load_textures("test")
    model = load_recipe("lbp_svm").build().fit(train.images, train.target)
    calls = []
    transform = lbp.LBP.transform
    monkeypatch.setattr(
        lbp.LBP, "transform", lambda self, X: calls.append(len(X)) or transform(self, X)
    )
    evaluate(model, test.images, test.target)
    assert calls == [96, 96]  # two LBPs, once each


def test_a_search_is_taken_as_what_it_found(digits):
    X, y, X_test, y_test = digits
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, cv=2).fit(X, y)
    found = evaluate(search, X_test, y_test, n_bootstrap=20)
    assert found.metrics["accuracy"].value == pytest.approx(search.score(X_test, y_test))


def test_no_warning_and_no_matplotlib(digits):
    import subprocess
    import sys

    code = "import sys, imgfeat.evaluation; assert 'matplotlib' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=600).returncode == 0
    X, y, X_test, y_test = digits
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(KNeighborsClassifier().fit(X, y), X_test[:1], y_test[:1])
