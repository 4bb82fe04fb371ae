"""Support vector machines in a search share distances, and are fitted as they are alone."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy.spatial.distance import cdist
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from imgfeat import OptunaSearchCV
from imgfeat.tuning.reuse import shared_distances as kernels
from imgfeat.tuning.reuse.shared_distances import Distances, make_distances, share_distances

X, Y = load_digits(return_X_y=True)
X, Y = X[:400], Y[:400]
TRAIN, TEST = slice(0, 300), slice(300, 400)


def fit_both(svc, images, labels):
    twin = share_distances(SVC(**svc.get_params()), Distances(1e9))
    assert callable(twin.kernel)
    return svc.fit(images[TRAIN], labels[TRAIN]), twin.fit(images[TRAIN], labels[TRAIN])


@pytest.mark.parametrize("gamma", ["scale", "auto", 0.001])
@pytest.mark.parametrize("kind", [np.float64, np.float32, pd.DataFrame, scipy.sparse.csr_array])
@pytest.mark.parametrize("n_classes", [2, 10])
def test_the_same_svm_is_found(gamma, kind, n_classes):
    images = X.astype(kind) if kind in (np.float64, np.float32) else kind(X)
    labels = Y % n_classes
    alone, shared = fit_both(SVC(C=3, gamma=gamma), images, labels)
    np.testing.assert_array_equal(shared.support_, alone.support_)
    expected = alone.decision_function(images[TEST])
    np.testing.assert_allclose(shared.decision_function(images[TEST]), expected, atol=1e-4)
    np.testing.assert_array_equal(shared.predict(images[TEST]), alone.predict(images[TEST]))


def test_bad_features_are_refused_as_by_svc():
    bad = X.copy()
    bad[3, 5] = np.nan
    messages = []
    for svc in (SVC(), share_distances(SVC(), Distances(1e9))):
        with pytest.raises(ValueError, match="Input X contains NaN") as caught:
            svc.fit(bad, Y)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_distances_are_measured_once_a_fold_and_setting(monkeypatch):
    measured = []

    def measure(first, second, squared):
        measured.append((len(first), len(second)))
        return cdist(first, second) ** 2

    monkeypatch.setattr(kernels, "euclidean_distances", measure)
    pipeline = Pipeline([("scale", StandardScaler()), ("svm", SVC())])
    grid = {
        "svm__C": [0.1, 1, 10],
        "svm__gamma": [0.001, 0.01, "scale"],
        "scale__with_std": [True, False],
    }
    cv = StratifiedKFold(4)
    ours = OptunaSearchCV(pipeline, grid, sampler="grid", cv=cv).fit(X, Y)
    assert sorted(measured) == [(100, 300)] * 8 + [(300, 300)] * 8
    theirs = GridSearchCV(pipeline, grid, cv=cv).fit(X, Y)
    order = [ours.cv_results_["params"].index(p) for p in theirs.cv_results_["params"]]
    np.testing.assert_array_equal(
        ours.cv_results_["mean_test_score"][order], theirs.cv_results_["mean_test_score"]
    )
    best = ours.best_estimator_["svm"]
    assert best.kernel == "rbf"
    assert best.support_vectors_.shape[1] == 64


def test_what_is_kept_is_bounded_and_read_only():
    distances = Distances(2 * 8 * 50 * 50)
    parts = [X[:50], X[50:100], X[100:150]]
    first = [distances.measure(part, part) for part in parts]
    assert distances.measure(parts[2].copy(), parts[2].copy()) is first[2]
    assert distances.measure(parts[0], parts[0]) is not first[0]
    np.testing.assert_allclose(first[1], cdist(parts[1], parts[1]) ** 2, atol=1e-9)
    with pytest.raises(ValueError, match="read-only"):
        first[1][0, 0] = 1


def test_a_worker_process_keeps_the_distances_of_one_search():
    ours = Distances(1e6)
    there = pickle.loads(pickle.dumps(ours))
    assert pickle.loads(pickle.dumps(ours)) is there
    pickle.loads(pickle.dumps(Distances(1e6)))
    assert pickle.loads(pickle.dumps(ours)) is not there


class OtherSVC(SVC):
    """May do anything."""


@pytest.mark.parametrize(
    "estimator",
    [
        SVC(kernel="linear"),
        OtherSVC(),
        CalibratedClassifierCV(SVC()),
        make_pipeline(SVC(), LinearSVC()),
    ],
)
def test_others_are_left_alone(estimator):
    before = repr(estimator)
    assert repr(share_distances(estimator, Distances(1e9))) == before


def test_nothing_is_shared_where_more_than_predictions_counts():
    def count_supports(estimator, images, labels):
        return float(len(estimator.support_vectors_))

    search = OptunaSearchCV(SVC(), {"C": [1.0]}, n_trials=1, cv=2, scoring=count_supports)
    assert search.fit(X, Y).best_score_ > 50
    folds = list(StratifiedKFold(2).split(X, Y))
    scorer = GridSearchCV(
        SVC(), {}, scoring={"a": "accuracy", "b": "f1_macro"}, refit=False
    )._get_scorers()[0]
    needed = 8 * 2 * 200 * 400
    assert make_distances(folds, scorer, {}, needed) is not None
    assert make_distances(folds, scorer, {}, needed - 1) is None
    assert make_distances(folds, scorer, {"sample_weight": np.ones(400)}, needed) is None
    assert make_distances(folds, count_supports, {}, needed) is None
