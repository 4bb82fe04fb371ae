"""Heads as nodes say what the fitted estimators say, on features of real images."""

import numpy as np
import onnxruntime
import pytest
import skl2onnx
from helpers.heads import compare, convert, fit_and_compare, load, name_columns
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier

from imgfeat.ensembles import bagging, boosting, svm
from imgfeat.export import register_converters
from imgfeat.export.conversion import convert_estimator
from imgfeat.heads.calibration import TemperatureScaledClassifier
from imgfeat.heads.kernel_svm import KernelSVC
from imgfeat.heads.multilabel import PerLabel
from imgfeat.tuning import OptunaSearchCV

both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])
both_counts = pytest.mark.parametrize("data", ["two", "many"])


@both_types
@both_counts
@pytest.mark.parametrize(
    "head",
    [
        KernelSVC(),
        KernelSVC(votes="soft"),
        KernelSVC(gamma_factor=0.3, max_exact=0, n_components=100, random_state=0),
        SVC(),
        SVC(break_ties=True),
        SVC(decision_function_shape="ovo"),
        SVC(kernel="linear", class_weight="balanced"),
        SVC(kernel="poly", degree=2, coef0=1),
        SVC(kernel="sigmoid", gamma=0.01),
        NuSVC(nu=0.05),
    ],
    ids=str,
)
def test_support_vector_machines(head, data, dtype):
    fit_and_compare(head, data, dtype)


@both_types
@both_counts
@pytest.mark.parametrize(
    "head",
    [
        LinearSVC(),
        LogisticRegression(),
        LogisticRegressionCV(
            Cs=2, cv=2, l1_ratios=(0,), use_legacy_attributes=False, scoring="accuracy"
        ),
        RidgeClassifier(),
        Perceptron(),
        LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.5),
        SGDClassifier(random_state=0),
        SGDClassifier(loss="log_loss", random_state=0),
        SGDClassifier(loss="modified_huber", random_state=0),
    ],
    ids=str,
)
def test_linear_heads_are_one_product(head, data, dtype):
    graph = fit_and_compare(head, data, dtype)
    assert [node.op_type for node in graph.graph.node].count("Gemm") == 1


@both_types
@pytest.mark.parametrize(
    "head",
    [
        KernelSVC(),
        KernelSVC(weights="equal"),
        KernelSVC(max_exact=0, n_components=100, random_state=0),
        SVC(break_ties=True),
        make_pipeline(Nystroem(gamma=0.05, random_state=0), LinearSVC(C=0.1)),
    ],
    ids=str,
)
def test_kernels_of_features_far_from_0(head, dtype):
    # Squared lengths of 40,000 times the spread, which cancel: labels were those of noise.
    data = load("many")
    X, unseen = (np.float32(part * 16).round() / 16 + 100 for part in (data.X, data.unseen))
    table = name_columns if getattr(head, "weights", None) else None
    model = clone(head).fit(X if table is None else table(X), data.y)
    compare(model, unseen, dtype, table)


@both_types
@both_counts
@pytest.mark.parametrize(
    "inner", [KernelSVC(votes="soft"), LinearSVC(), RidgeClassifier()], ids=str
)
def test_temperature_scaled_classifiers(inner, data, dtype):
    graph = fit_and_compare(TemperatureScaledClassifier(inner), data, dtype)
    assert "Softmax" in [node.op_type for node in graph.graph.node]


@both_types
@both_counts
@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize(
    "inner",
    [
        make_pipeline(StandardScaler(), LinearSVC(C=0.01)),
        RandomForestClassifier(20, random_state=0),  # no decision function
    ],
    ids=["margins", "probabilities"],
)
def test_calibration(inner, method, ensemble, data, dtype):
    head = CalibratedClassifierCV(inner, method=method, ensemble=ensemble, cv=2)
    fit_and_compare(head, data, dtype)


@both_types
@pytest.mark.parametrize("method", ["sigmoid", "temperature"])
def test_calibrated_kernel_machine(method, dtype):
    head = CalibratedClassifierCV(KernelSVC(), method=method, ensemble=False, cv=3)
    fit_and_compare(make_pipeline(StandardScaler(), head), "many", dtype)


def test_isotonic_steps_of_a_kernel_machine_need_doubles():
    # The lines between the points of two images can be so steep that floats miss 1e-4.
    head = CalibratedClassifierCV(KernelSVC(), method="isotonic", ensemble=False, cv=3)
    for data in ("two", "many"):
        fit_and_compare(head, data, np.float64)


@both_types
@both_counts
@pytest.mark.parametrize(
    "head",
    [
        svm(),
        svm(probability=True),
        svm(max_exact=0, n_components=80, random_state=0),
        svm(kernel="linear"),
        svm(kernel="linear", probability=True),
        bagging(svm(), n_estimators=3, random_state=0),  # votes
        bagging(svm(kernel="linear", probability=True), n_estimators=2, max_features=0.5),
        OneVsRestClassifier(LogisticRegression()),
        OneVsRestClassifier(SVC()),
    ],
    ids=["svm", "svm p", "svm large", "linear", "linear p", "votes", "bag", "ovr", "ovr svm"],
)
def test_heads_and_what_is_made_of_them(head, data, dtype):
    fit_and_compare(head, data, dtype)


@both_types
def test_copies_in_a_bag_may_lack_a_class(dtype):
    data = load("many")
    # Of what takes no weights, copies get some images only.
    head = BaggingClassifier(KNeighborsClassifier(1), 3, max_samples=8, random_state=0)
    head.fit(data.X, data.y)
    assert min(len(part.classes_) for part in head.estimators_) < 5
    compare(head, data.unseen, dtype)


@both_types
@pytest.mark.parametrize(
    "head",
    [
        svm(),
        svm(probability=True),
        svm(kernel="linear", probability=True),
        boosting(max_iter=5, random_state=0),
        bagging(n_estimators=10, random_state=0),
        bagging(svm(), n_estimators=2, random_state=0),
        OneVsRestClassifier(LogisticRegression()),
        OneVsRestClassifier(LinearSVC()),
        RandomForestClassifier(10, random_state=0),
    ],
    ids=lambda head: type(head).__name__,
)
def test_several_labels_an_image(head, dtype):
    fit_and_compare(head, "labels", dtype)


@both_types
@pytest.mark.parametrize("place", [0, 3])
@pytest.mark.parametrize("constant", [0, 1])
@pytest.mark.parametrize("head", [svm(), svm(probability=True)], ids=["margins", "probabilities"])
def test_label_that_all_images_have_or_none(head, constant, place, dtype):
    data = load("labels")
    y = np.insert(data.y, place, constant, axis=1)
    compare(head.fit(data.X, y), data.unseen, dtype)


@pytest.mark.filterwarnings("ignore:Label .* is present in all training examples")
def test_one_vs_rest_holds_all_labels_against_the_threshold_of_the_first():
    data = load("labels")
    y = np.insert(data.y, 0, 1, axis=1)
    head = OneVsRestClassifier(LogisticRegression()).fit(data.X, y)
    compare(head, data.unseen, np.float64)
    decision = head.estimators_[1].decision_function(data.unseen)
    assert (head.predict(data.unseen)[:, 1] == (decision > 0.5)).all()
    assert ((decision > 0) != (decision > 0.5)).any()


@both_types
@pytest.mark.parametrize(
    "step",
    [
        StandardScaler(),
        MinMaxScaler(),
        Normalizer(),
        make_pipeline(VarianceThreshold(), SelectKBest(k=30)),
        PCA(20),
        PCA(20, whiten=True),
        Nystroem(n_components=40, random_state=0),
        Nystroem(kernel="poly", gamma=0.1, n_components=40, random_state=0),
        RBFSampler(gamma=0.1, random_state=0),
        FeatureUnion([("pca", PCA(5)), ("scaled", StandardScaler())]),
    ],
    ids=str,
)
def test_steps_before_a_head(step, dtype):
    fit_and_compare(make_pipeline(step, LogisticRegression()), "many", dtype)


@both_types
def test_searches_are_their_best_estimators(dtype):
    inner = make_pipeline(StandardScaler(), SVC())
    grid = GridSearchCV(inner, {"svc__C": [0.1, 10]}, cv=2)
    optuna = OptunaSearchCV(inner, {"svc__C": (0.1, 10.0)}, n_trials=2, cv=2, random_state=0)
    for search in (grid, optuna, PerLabel(grid), make_pipeline(PCA(10), grid)):
        fit_and_compare(search, "many", dtype)


def test_labels_are_numbers_or_strings_as_they_were():
    data = load("many")
    codes = np.unique(data.y, return_inverse=True)[1]
    for y in (codes, codes * 3 - 4, codes.astype(float), codes > 2):
        session, _ = convert(LogisticRegression().fit(data.X, y), data.X.shape[1], np.float32)
        labels = session.run(["label"], {"X": data.unseen})[0]
        assert labels.dtype == np.int64
        assert set(labels) == set(y.astype(int))


@both_counts
def test_skl2onnx_options_work(data):
    register_converters()
    data = load(data)
    head = svm(probability=True).fit(data.X, data.y)
    types = [("X", FloatTensorType([None, data.X.shape[1]]))]
    model = skl2onnx.to_onnx(head, initial_types=types)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    _, rows = session.run(None, {"X": data.unseen[:5]})
    wanted = head.predict_proba(data.unseen[:5])
    assert list(rows[0]) == head.classes_.tolist()
    np.testing.assert_allclose([list(row.values()) for row in rows], wanted, rtol=0, atol=1e-4)
    logistic = LogisticRegression().fit(data.X, data.y)
    options = {"zipmap": False, "raw_scores": True}
    model = skl2onnx.to_onnx(logistic, initial_types=types, options=options)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    scores = session.run(None, {"X": data.unseen})[1]
    decision = logistic.decision_function(data.unseen)
    wanted = np.column_stack([-decision, decision]) if decision.ndim == 1 else decision
    np.testing.assert_allclose(scores, wanted, rtol=0, atol=1e-4)


def test_whole_numbers_are_taken_as_features():
    data = load("many")
    X = np.round(data.X * 10).astype(np.int64)
    head = SVC().fit(X, data.y)
    types = [("X", Int64TensorType([None, X.shape[1]]))]
    model = convert_estimator(head, types)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert session.run(["label"], {"X": X})[0].tolist() == head.predict(X).tolist()


@both_types
def test_classifiers_that_skl2onnx_converts_go_into_ours(dtype):
    head = CalibratedClassifierCV(GaussianNB(var_smoothing=0.1), method="sigmoid", cv=2)
    fit_and_compare(head, "many", dtype)


def test_what_cannot_be_converted_is_named():
    data = load("two")
    for head, message in [
        (SVC(kernel=lambda X, Z: X @ Z.T), "kernel"),
        (make_pipeline(Nystroem(kernel="laplacian", gamma=0.1), LinearSVC()), "laplacian"),
        (OneVsRestClassifier(_Unknown()), "_Unknown has no converter"),
    ]:
        head.fit(data.X, data.y)
        with pytest.raises(NotImplementedError, match=message):
            convert(head, data.X.shape[1], np.float32)


class _Unknown(LogisticRegression):
    """A subclass may say something else."""


def test_kernel_is_computed_once_by_products():
    data = load("many")
    head = svm(probability=True).fit(data.X, data.y)
    _, graph = convert(head, data.X.shape[1], np.float32)
    sizes = [np.prod(constant.dims) for constant in graph.graph.initializer]
    assert len([size for size in sizes if size > 20 * data.X.shape[1]]) == 1
    kinds = [node.op_type for node in graph.graph.node]
    assert "SVMClassifier" not in kinds
    assert len([kind for kind in kinds if kind != "Identity"]) <= 30


@both_types
@both_counts
@pytest.mark.parametrize(
    "inside", [DecisionTreeClassifier(max_depth=2, random_state=0), KernelSVC()]
)
def test_ada_boost(inside, data, dtype):
    fit_and_compare(AdaBoostClassifier(inside, n_estimators=3, random_state=0), data, dtype)


@both_types
@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("inside", [LogisticRegression(), LinearSVC(), svm(probability=True)])
def test_thresholds(inside, positive, dtype):
    fixed = FixedThresholdClassifier(inside, threshold=0.2, pos_label=positive)
    fit_and_compare(fixed, "two", dtype)
    fit_and_compare(FixedThresholdClassifier(inside), "two", dtype)
    scoring = make_scorer(f1_score, pos_label=positive)
    fit_and_compare(TunedThresholdClassifierCV(inside, scoring=scoring, cv=2), "two", dtype)
