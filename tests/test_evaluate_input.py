"""What `evaluate` says of input that it cannot take."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVR

from imgfeat import HOG, ImageLoader
from imgfeat.datasets import load_folder
from imgfeat.evaluation import TrainingImagesWarning, evaluate
from imgfeat.evaluation.prediction import predict_images


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return LogisticRegression(max_iter=500).fit(X, y), X, y


def spoil(X):
    """Divide by zero in the 300th row, or the last."""
    out = np.array(X, float)
    out[min(300, len(out) - 1)] = np.nan
    return out


def test_lengths_and_emptiness(iris):
    model, X, y = iris
    with pytest.raises(ValueError, match="X has 150 images, but y has 149 labels"):
        evaluate(model, X, y[:-1])
    with pytest.raises(ValueError, match="groups has 2 entries"):
        evaluate(model, X, y, groups=[1, 2])
    with pytest.raises(ValueError, match="no images"):
        evaluate(model, X[:0], y[:0])


def test_classes_that_the_model_does_not_know(iris):
    model, X, y = iris
    with pytest.raises(ValueError, match=r"not classes of the model: 7\. Its classes are 0, 1, 2"):
        evaluate(model, X, np.where(y == 2, 7, y))
    with pytest.raises(ValueError, match="not classes of the model: nan"):
        evaluate(model, X, np.where(y == 2, np.nan, y))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"confidence": 1}, "confidence must"), ({"n_bootstrap": 0}, "n_bootstrap must")],
)
def test_parameters(iris, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(*iris, **options)


def test_shapes_of_y(iris):
    model, X, y = iris
    with pytest.raises(ValueError, match="zeros and ones"):
        evaluate(model, X, np.stack([y, y], axis=1))
    with pytest.raises(ValueError, match="multi-label models need an indicator matrix"):
        evaluate(model, X, np.eye(3)[y])
    with pytest.raises(ValueError, match="one or two dimensions"):
        evaluate(model, X, np.zeros((150, 2, 2)))
    several = OneVsRestClassifier(LogisticRegression()).fit(X, np.eye(3)[y])
    with pytest.raises(ValueError, match="y has 2 columns, but the model predicts 3"):
        evaluate(several, X, np.eye(3)[y][:, :2])
    with pytest.raises(ValueError, match="3 columns, but 2 names"):
        evaluate(several, X, np.eye(3)[y], label_names=["a", "b"])


def test_frames_and_sparse_indicators():
    X, y = make_multilabel_classification(60, n_classes=3, random_state=0)
    model = OneVsRestClassifier(LogisticRegression()).fit(X, sparse.csr_matrix(y))
    frame = evaluate(model, X, pd.DataFrame(y, columns=["a", "b", "c"]), n_bootstrap=10)
    assert frame.classes == ["a", "b", "c"]
    found = evaluate(model, X, sparse.csr_matrix(y), n_bootstrap=10)
    assert found.classes == [0, 1, 2]
    assert found.metrics["hamming_loss"] == frame.metrics["hamming_loss"]


def test_the_step_that_makes_nan_is_named(iris):
    _, X, y = iris
    X, y = np.repeat(X, 3, axis=0), np.repeat(y, 3)
    tail = StandardScaler(), LogisticRegression(max_iter=500)
    model = make_pipeline(FunctionTransformer(), FunctionTransformer(), *tail).fit(X, y)
    model[1].func = spoil
    with pytest.raises(
        ValueError, match=r"'functiontransformer-2' \(FunctionTransformer\) .* image 255"
    ):
        evaluate(model, X, y)


def test_nan_is_no_error_where_the_head_takes_it(iris):
    _, X, y = iris
    model = make_pipeline(FunctionTransformer(spoil), HistGradientBoostingClassifier(max_iter=5))
    evaluate(model.fit(X, y), X, y, n_bootstrap=10)


def test_nan_scores_are_an_error(iris):
    model, X, _ = iris
    model.predict_proba = lambda X: np.full((len(X), 3), np.nan)
    with pytest.raises(ValueError, match="scores of image 0 are NaN"):
        predict_images(model, X)
    del model.predict_proba


def test_other_errors_stay_as_they_are(iris):
    model, X, y = iris
    with pytest.raises(ValueError, match="features"):
        evaluate(model, X[:, :2], y)
    with pytest.raises(ValueError, match="got a StandardScaler"):
        evaluate(StandardScaler().fit(X), X, y)


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, lambda p: pd.DataFrame({"p": p})])
def test_images_in_any_container(kind, texture_folder):
    paths, labels = load_folder(texture_folder)
    model = make_pipeline(ImageLoader(32, color="gray"), HOG(), LogisticRegression())
    model.fit(paths, labels)
    with pytest.warns(TrainingImagesWarning, match="24 of 24"):
        found = evaluate(model, kind(paths), kind(labels) if kind is list else labels)
    assert found.n == 24


def make_regressors():
    X, y = load_iris(return_X_y=True)
    search = GridSearchCV(Ridge(), {"alpha": [1, 2]}).fit(X, y)
    return X, y, [
        (Ridge().fit(X, y), "a Ridge, which is a regressor"),
        (make_pipeline(StandardScaler(), SVR()).fit(X, y), "which is a regressor"),
        (search, "a Ridge, which is a regressor"),
        (MultiOutputRegressor(Ridge()).fit(X, np.eye(3)[y]), "which is a regressor"),
        (KMeans(3, n_init=1).fit(X), "a KMeans, which is a clusterer"),
        (make_pipeline(StandardScaler(), KMeans(3, n_init=1)).fit(X), "which is a clusterer"),
        (IsolationForest(n_estimators=5).fit(X), "which is an outlier detector"),
        (GaussianMixture(2).fit(X), "which is a density estimator"),
        (make_pipeline(StandardScaler(), PCA(2)).fit(X), "a Pipeline. Add a classifier"),
    ]  # fmt: skip


def test_what_is_no_classifier_is_refused_with_the_remedy():
    X, y, models = make_regressors()
    for model, message in models:
        with pytest.raises(ValueError, match=message):
            evaluate(model, X, y)
