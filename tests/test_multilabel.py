import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator

from imgfeat.heads.kernel_svm import KernelSVC
from imgfeat.heads.multilabel import PerLabel

X, Y = load_digits(return_X_y=True)
X = X / 16
TRAIN, TEST = slice(400), slice(400, 900)
# Odd, above 4, divisible by 3.
INDICATORS = np.c_[Y % 2, Y > 4, Y % 3 == 0].astype(int)
CLASSIFIERS = [SVC(), LogisticRegression(), ExtraTreesClassifier(20, random_state=0), GaussianNB()]


def fit(estimator, labels, rows=TRAIN):
    return PerLabel(estimator).fit(X[rows], labels[rows])


def assert_same_outputs(model, reference):
    np.testing.assert_array_equal(model.predict(X[TEST]), reference.predict(X[TEST]))
    for method in ("decision_function", "predict_proba"):
        assert hasattr(model, method) == hasattr(reference, method)
        if hasattr(model, method):
            ours, theirs = (getattr(m, method)(X[TEST]) for m in (model, reference))
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=repr)
def test_labels_go_to_the_classifier_itself(estimator):
    names = np.array([f"digit {k}" for k in Y])
    model, reference = fit(estimator, names), clone(estimator).fit(X[TRAIN], names[TRAIN])
    assert_same_outputs(model, reference)
    np.testing.assert_array_equal(model.classes_, reference.classes_)
    assert model.score(X[TEST], names[TEST]) == reference.score(X[TEST], names[TEST]) > 0.7


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=repr)
def test_indicator_matrices_go_to_one_copy_a_label(estimator):
    model = fit(estimator, INDICATORS)
    assert_same_outputs(model, OneVsRestClassifier(estimator).fit(X[TRAIN], INDICATORS[TRAIN]))
    assert model.classes_.tolist() == [[0, 1]] * 3
    for k in range(3):
        alone = clone(estimator).fit(X[TRAIN], INDICATORS[TRAIN, k])
        np.testing.assert_array_equal(model.predict(X[TEST])[:, k], alone.predict(X[TEST]))
    assert f1_score(INDICATORS[TEST], model.predict(X[TEST]), average="macro") > 0.5


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=repr)
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 1, 2, 0, 4], [4, 0, 3, 1, 2]])
def test_constant_labels_are_predicted_as_they_were(estimator, order):
    ones, zeros = np.ones(len(Y), int), np.zeros(len(Y), int)
    labels = np.c_[INDICATORS, ones, zeros][:, order]
    model = fit(estimator, labels)
    back = np.argsort(order)
    expected = np.c_[fit(estimator, INDICATORS).predict(X[TEST]), ones[TEST], zeros[TEST]]
    np.testing.assert_array_equal(model.predict(X[TEST])[:, back], expected)
    if hasattr(model, "predict_proba"):
        likely = model.predict_proba(X[TEST])[:, back]
        assert likely.shape == (500, 5)
        np.testing.assert_array_equal(likely[:, 3:], [[1, 0]] * 500)


def test_sparse_and_listed_indicators_are_taken():
    expected = fit(SVC(), INDICATORS).predict(X[TEST])
    listed = PerLabel(SVC()).fit(X[TRAIN], INDICATORS[TRAIN].tolist()).predict(X[TEST])
    np.testing.assert_array_equal(listed, expected)
    sparse = PerLabel(SVC()).fit(X[TRAIN], csr_array(INDICATORS[TRAIN])).predict(X[TEST])
    np.testing.assert_array_equal(sparse.toarray(), expected)


@pytest.mark.parametrize(
    ("labels", "shape"), [(Y, (500, 10)), (Y % 2, (500, 2)), (INDICATORS, (500, 3))]
)
def test_probabilities_have_a_column_for_each_class_or_label(labels, shape):
    likely = fit(LogisticRegression(), labels).predict_proba(X[TEST])
    assert likely.shape == shape
    assert np.allclose(likely.sum(axis=1), 1) == (labels.ndim == 1)


def test_methods_are_those_of_the_classifier():
    for estimator, methods in (
        (SVC(), {"decision_function"}),
        (GaussianNB(), {"predict_proba"}),
        (LogisticRegression(), {"decision_function", "predict_proba"}),
    ):
        for model in (PerLabel(estimator), fit(estimator, Y), fit(estimator, INDICATORS)):
            for method in ("decision_function", "predict_proba"):
                assert hasattr(model, method) == (method in methods)


def test_weights_are_passed_on():
    weights = np.random.default_rng(0).integers(0, 3, 400)
    model = PerLabel(SVC()).fit(X[TRAIN], Y[TRAIN], sample_weight=weights)
    assert_same_outputs(model, SVC().fit(X[TRAIN], Y[TRAIN], sample_weight=weights))
    with pytest.raises(ValueError, match="sample_weight is not taken together with an indicator"):
        PerLabel(SVC()).fit(X[TRAIN], INDICATORS[TRAIN], sample_weight=weights)
    # Without weights, classifiers that take none are fine.
    assert fit(KNeighborsClassifier(), Y).score(X[TEST], Y[TEST]) > 0.8


@pytest.mark.parametrize("labels", [Y + 1, np.array([f"digit {9 - k}" for k in Y]), 9 - Y])
def test_class_weights_inside_keep_to_their_labels(labels):
    heavy = labels[Y == 3][0]
    weights = {label: 5.0 if label == heavy else 1.0 for label in np.unique(labels).tolist()}

    def calibrate(class_weight):
        machine = LogisticRegression(C=0.1, class_weight=class_weight)
        return CalibratedClassifierCV(machine, cv=3, method="temperature")

    model = fit(calibrate(weights), labels)
    codes = {k: 5.0 if label == heavy else 1.0 for k, label in enumerate(np.unique(labels))}
    reference = calibrate(codes).fit(X[TRAIN], np.unique(labels, return_inverse=True)[1][TRAIN])
    likely = model.predict_proba(X[TEST])
    np.testing.assert_array_equal(likely, reference.predict_proba(X[TEST]))
    assert model.classes_[likely.mean(axis=0).argmax()] == heavy
    np.testing.assert_array_equal(model.predict(X[TEST]), model.classes_[likely.argmax(axis=1)])
    assert model.estimator.estimator.class_weight == weights
    assert model.score(X[TEST], labels[TEST]) > 0.3


def test_class_weights_inside_name_labels_that_there_are():
    nested = make_pipeline(SVC(class_weight={"cat": 3}))
    with pytest.raises(ValueError, match=r"labels that no image has: \['cat'\]"):
        fit(nested, Y)
    # Of indicator matrices, 1 and 0 are the labels.
    plain, weighed = (fit(make_pipeline(SVC(class_weight=w)), INDICATORS) for w in (None, {1: 9}))
    assert weighed.predict(X[TEST]).sum() > plain.predict(X[TEST]).sum()


@pytest.mark.filterwarnings("ignore:Skipping check check_array_api_input")
# Of scikit-learn's own type_of_target.
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_scikit_learns_checks():
    check_estimator(PerLabel(LogisticRegression()))


def test_tags_say_what_it_takes():
    for estimator in (SVC(), KernelSVC(), SVC(kernel="precomputed")):
        tags, inner = get_tags(PerLabel(estimator)), get_tags(estimator)
        assert tags.estimator_type == "classifier"
        assert tags.classifier_tags.multi_label
        assert tags.input_tags == inner.input_tags
    assert get_tags(PerLabel(SVC(kernel="precomputed"))).input_tags.pairwise


def test_names_of_features_are_kept():
    frame = pd.DataFrame(X[TRAIN]).add_prefix("pixel_")
    for labels in (Y, INDICATORS):
        model = PerLabel(SVC()).fit(frame, labels[TRAIN])
        assert model.n_features_in_ == 64
        assert model.feature_names_in_[3] == "pixel_3"
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(frame.iloc[:, ::-1])


@pytest.mark.parametrize("labels", [Y, INDICATORS], ids=["labels", "indicators"])
def test_it_clones_pickles_and_can_be_searched(labels):
    search = GridSearchCV(PerLabel(SVC()), {"estimator__C": [1e-4, 10]}, cv=3)
    model = search.fit(X[TRAIN], labels[TRAIN]).best_estimator_
    assert model.estimator.C == 10
    assert not hasattr(clone(model), "classifier_")
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(X[TEST]), model.predict(X[TEST]))


def test_the_estimator_handed_in_is_left_alone():
    estimator = SVC()
    for labels in (Y, INDICATORS):
        fit(estimator, labels)
        assert not hasattr(estimator, "classes_")


def test_rare_labels_may_be_missing_from_a_fold():
    labels = np.c_[INDICATORS[:60], np.arange(60) == 7]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        likely = cross_val_predict(
            PerLabel(LogisticRegression()), X[:60], labels, cv=3, method="predict_proba"
        )
    assert likely.shape == (60, 4)
    assert likely[7, 3] == 0


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_errors_are_clear():
    with pytest.raises(NotFittedError):
        PerLabel(SVC()).predict(X)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        PerLabel(SVC()).fit(X[TRAIN], np.full(400, np.nan))
    with pytest.raises(ValueError, match="Unknown label type"):
        PerLabel(SVC()).fit(X[TRAIN], X[TRAIN, 20] + 0.1)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        PerLabel(SVC()).fit(X[TRAIN], Y[:30])
