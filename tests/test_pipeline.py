"""imgfeat's transformers among scikit-learn's own."""

import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import imgfeat
from imgfeat import HOG, LBP, ImageLoader
from imgfeat.datasets import load_folder


def compose():
    features = FeatureUnion([("hog", HOG()), ("lbp", LBP(grid=4))])
    return make_pipeline(ImageLoader(64, color="gray"), features, StandardScaler(), SVC())


def test_the_composed_pipeline_fits_on_paths(texture_folder):
    paths, labels = load_folder(texture_folder)
    model = clone(compose()).fit(list(paths), labels)
    assert model.score(list(paths), labels) == 1
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(paths), labels)
    features = model[:-1].transform(list(paths))
    names = model[:-1].get_feature_names_out()
    assert len(names) == features.shape[1] == 1764 + 160
    assert names[0] == "hog__hog_y0_x0_cell0_0_o0"
    assert names[-1] == "lbp__lbp_y3_x3_other"


def test_pandas_output(texture_folder):
    paths, labels = load_folder(texture_folder)
    pipeline = compose()[:-1].set_output(transform="pandas").fit(list(paths), labels)
    frame = pipeline.transform(list(paths))
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == pipeline.get_feature_names_out().tolist()


def test_grid_search_reaches_into_the_union(texture_folder):
    paths, labels = load_folder(texture_folder)
    grid = {"featureunion__hog__pixels_per_cell": [8, 16], "svc__C": [1, 10]}
    search = GridSearchCV(compose(), grid, cv=3, n_jobs=2).fit(list(paths), labels)
    assert search.best_score_ == 1
    assert search.best_params_["featureunion__hog__pixels_per_cell"] in (8, 16)


def test_flat_digits_cross_validate():
    digits = load_digits(return_X_y=True)
    hog = HOG(pixels_per_cell=2, image_shape=(8, 8))
    scores = cross_val_score(make_pipeline(hog, SVC()), digits[0] / 16, digits[1], cv=3)
    assert scores.mean() > 0.9


def test_flat_frames_keep_scikit_learns_column_checks():
    X = pd.DataFrame(load_digits().data / 16).rename(columns="p{}".format)
    hog = HOG(pixels_per_cell=2, image_shape=(8, 8)).fit(X)
    assert hog.n_features_in_ == 64
    assert hog.feature_names_in_.tolist() == X.columns.tolist()
    with pytest.raises(ValueError, match="feature names"):
        hog.transform(X.rename(columns={"p0": "other"}))


def test_a_column_of_paths_in_a_frame(texture_folder):
    paths, labels = load_folder(texture_folder)
    frame = pd.DataFrame({"path": paths, "width": 64.0})
    images = make_pipeline(ImageLoader(32, color="gray"), HOG())
    columns = ColumnTransformer([("image", images, ["path"]), ("rest", "passthrough", ["width"])])
    model = make_pipeline(columns, SVC()).fit(frame, labels)
    assert model.score(frame, labels) > 0.9


def test_images_of_another_size_are_refused_after_fit():
    hog = HOG().fit(np.zeros((1, 32, 32), np.uint8))
    with pytest.raises(ValueError, match=r"fitted on images of 32 x 32.*got 64 x 64"):
        hog.transform(np.zeros((1, 64, 64), np.uint8))


def test_threads_from_a_joblib_context():
    images = np.random.default_rng(0).integers(0, 256, (40, 224, 224), np.uint8)
    expected = HOG().transform(images)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        np.testing.assert_array_equal(HOG().transform(images), expected)


def test_public_names_are_there():
    for name in imgfeat.__all__:
        assert getattr(imgfeat, name) is not None
    assert set(imgfeat.__all__) <= set(dir(imgfeat))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = imgfeat.nothing


def test_importing_imgfeat_is_light():
    code = (
        "import sys, imgfeat; heavy = "
        "{'torch', 'onnxruntime', 'numba', 'cv2', 'optuna', 'skimage'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
