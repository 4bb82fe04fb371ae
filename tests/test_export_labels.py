"""Labels of all kinds through an exported file, and its score."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from imgfeat import HOG, ImageLoader
from imgfeat.datasets import load_textures
from imgfeat.ensembles import svm
from imgfeat.export import ExportError, load_onnx, to_onnx

TRAIN, TEST = load_textures("train"), load_textures("test")
NAMES, CODES = np.unique(TRAIN.target, return_inverse=True)


def export(y, folder, head=None):
    head = LogisticRegression(C=0.1, max_iter=500) if head is None else head
    model = make_pipeline(ImageLoader(32, color="gray"), HOG(), head).fit(TRAIN.images, y)
    to_onnx(model, TEST.images[::9], folder / "m.onnx")
    return model, load_onnx(folder / "m.onnx")


@pytest.mark.parametrize(
    "classes",
    [
        NAMES,
        NAMES.astype(object),
        np.array(["", "é", "x" * 300]),
        np.array([-7, 0, 10**15]),
        np.array([False, True, True]),
        np.array([1.0, -3.0, 2.0**40]),
        np.array([3, 1, 200], np.uint8),
    ],
    ids=lambda classes: f"{classes.dtype} {classes[0]!r}",
)
def test_labels_come_back_as_they_were(classes, tmp_path):
    model, served = export(classes[CODES], tmp_path)
    expected = model.predict(TEST.images)
    found = served.predict(TEST.images)
    assert found.dtype == expected.dtype
    assert found.tolist() == expected.tolist()
    assert served.classes_.tolist() == model.classes_.tolist()
    y = classes[np.searchsorted(NAMES, TEST.target)]
    assert served.score(TEST.images, y) == accuracy_score(y.tolist(), expected.tolist())


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (np.array(["2020-01-01", "2021-01-01", "2022-01-01"], "M8[D]"), r"datetime64\[D\]"),
        (np.array([1, 2, 3], "m8[s]"), r"timedelta64\[s\]"),
        (np.array([b"a", b"b", b"c"]), r"\|S1"),
        (np.array([1, 2, 2**63 + 5], np.uint64), "uint64"),
    ],
)
def test_labels_that_onnx_lacks_are_named(classes, message, tmp_path):
    model = make_pipeline(ImageLoader(32, color="gray"), HOG(), KNeighborsClassifier(1))
    model.fit(TRAIN.images, classes[CODES])
    with pytest.raises(ExportError, match=rf"labels of step .*{message}.*y\.astype\(str\)"):
        to_onnx(model, TEST.images[:5], tmp_path / "m.onnx")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return export(TRAIN.target, tmp_path_factory.mktemp("served"))[1]


def test_score_takes_labels_as_scikit_learn_does(served):
    expected = accuracy_score(TEST.target, served.predict(TEST.images))
    assert 0.5 < expected < 1
    index = np.random.default_rng(0).permutation(len(TEST.target)) + 100
    for y in (
        TEST.target.reshape(-1, 1),
        TEST.target.tolist(),
        TEST.target.astype(object),
        pd.Series(TEST.target, index=index),
        pd.DataFrame({"y": TEST.target}, index=index),
    ):
        assert served.score(TEST.images, y) == expected
    weights = np.arange(len(TEST.target))
    weighted = accuracy_score(TEST.target, served.predict(TEST.images), sample_weight=weights)
    assert served.score(TEST.images, TEST.target, weights) == pytest.approx(weighted)


def test_other_shapes_are_refused(served):
    n = len(TEST.target)
    for y in (
        TEST.target[:1],
        TEST.target[:-1],
        TEST.target[0],
        np.eye(n),
        TEST.target[:, None, None],
    ):
        with pytest.raises(ValueError, match=rf"y must have shape \({n},\)"):
            served.score(TEST.images, y)
    with pytest.raises(ValueError, match=r"y must hold strings, such as .*, got numbers"):
        served.score(TEST.images, np.zeros(n))
    with pytest.raises(ValueError, match=r"at least 1 image"):
        served.score(TEST.images[:0], TEST.target[:0])


def test_score_of_several_labels(tmp_path):
    present = np.column_stack([CODES > 0, CODES == 1]).astype(int)
    model, served = export(present, tmp_path, svm())
    codes = np.searchsorted(NAMES, TEST.target)
    y = np.column_stack([codes > 0, codes == 1]).astype(int)
    expected = accuracy_score(y, model.predict(TEST.images))
    assert served.score(TEST.images, y) == expected
    assert served.score(TEST.images, csr_array(y)) == expected
    for wrong in (y[:, :1], y[:, 0], y[:-1], y.T):
        with pytest.raises(ValueError, match=r"y must have shape"):
            served.score(TEST.images, wrong)
