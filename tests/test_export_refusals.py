"""Wrong graphs: whatever a converter gets wrong, no file is written and the step is named."""

import errno
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline

from imgfeat import GLCM, HOG, LBP, ImageLoader
from imgfeat.datasets import load_digits, load_textures
from imgfeat.ensembles import boosting
from imgfeat.export import ExportError, load_onnx, to_onnx
from imgfeat.export.converters.base_head import register_head
from imgfeat.export.converters.linear import SoftmaxHead
from imgfeat.export.converters.registry import convert_features
from imgfeat.export.verification.graph_outputs import Outputs
from imgfeat.export.verification.rounding_sensitivity import RoundingSensitivity
from imgfeat.features.graphs.hog import emit_hog

TRAIN, TEST = load_textures("train"), load_textures("test")
# In the order of the classes, as folders have them.
SAMPLE = np.concatenate([TEST.images[TEST.target == name][:10] for name in np.unique(TEST.target)])


class ColumnsSwapped(SoftmaxHead):
    def _add_probabilities(self):
        order = self.nodes.constant([0, 2, 1], np.int64)
        return self.add("Gather", super()._add_probabilities(), order, axis=1)


class BiasOff(SoftmaxHead):
    def _add_decision(self):
        return self.add("Add", super()._add_decision(), self.floats([0, 1e-3, 0]))


class OneClassMistaken(SoftmaxHead):
    """Says the second class where it means the third."""

    def _add_codes(self):
        return self.add("Min", super()._add_codes(), self.nodes.constant(1, np.int64))


class MistakenIf(SoftmaxHead):
    """Says another class in batches of some lengths."""

    def _add_codes(self):
        codes = super()._add_codes()
        length = self.add("Shape", self.features, start=0, end=1)
        right = self.one_hot(codes, 3)
        wrong = self.argmax(self.add("MatMul", right, self.floats(self.permutation)))
        return self.add("Where", self.tell(length), wrong, codes)

    permutation = np.roll(np.eye(3), 1, axis=1)

    def tell(self, length):
        raise NotImplementedError


class MistakenAlone(MistakenIf):
    def tell(self, length):
        return self.add("Equal", length, self.nodes.constant([1], np.int64))


class OneClassMistakenAlone(MistakenAlone):
    permutation = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]])


class MistakenInThrees(MistakenIf):
    def tell(self, length):
        return self.add("Equal", length, self.nodes.constant([3], np.int64))


class MistakenBeyondThree(MistakenIf):
    def tell(self, length):
        return self.add("Greater", length, self.nodes.constant([3], np.int64))


class NotANumber(SoftmaxHead):
    def _add_probabilities(self):
        return self.add("Log", self.add("Neg", super()._add_probabilities()))


class OneImageOnly(SoftmaxHead):
    """Runs on batches of 1 alone."""

    def _add_probabilities(self):
        return self.nodes.reshape(super()._add_probabilities(), 1, 3)


class WrongType(SoftmaxHead):
    """ONNX Runtime refuses to load it."""

    def _add_probabilities(self):
        return self.add("Not", super()._add_probabilities())


class NoDoubles(ColumnsSwapped):
    """Wrong in single precision, and raises in double."""

    def _add_probabilities(self):
        if self.dtype == np.float64:
            raise KeyError("doubles")
        return super()._add_probabilities()


WRONG = [
    ColumnsSwapped,
    BiasOff,
    OneClassMistaken,
    MistakenAlone,
    OneClassMistakenAlone,
    MistakenInThrees,
    MistakenBeyondThree,
    NotANumber,
    OneImageOnly,
    WrongType,
    NoDoubles,
]


def make_wrong(head):
    """Return a classifier that `head` converts."""
    kind = type(f"Wrong{head.__name__}", (LogisticRegression,), {})
    register_head(kind, head)
    return kind(max_iter=300)


@pytest.mark.parametrize("head", WRONG)
def test_wrong_heads(head, tmp_path):
    model = make_pipeline(ImageLoader(32, color="gray"), HOG(), make_wrong(head))
    model.fit(TRAIN.images, TRAIN.target)
    with pytest.raises(ExportError, match=rf"step 2 of 2, .* \(Wrong{head.__name__}\)"):
        to_onnx(model, SAMPLE, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("head", [MistakenInThrees, MistakenBeyondThree])
def test_batches_are_as_long_as_they_say_of_few_images(head, tmp_path):
    digits = load_digits()
    X, y = np.rint(255 * digits.images).astype(np.uint8).reshape(-1, 64), digits.target
    rows = np.flatnonzero(np.isin(y, np.unique(y)[:3]))
    hog = HOG(9, 2, image_shape=(8, 8))
    model = make_pipeline(hog, make_wrong(head)).fit(X[rows[:200]], y[rows[:200]])
    with pytest.raises(ExportError, match="step 2 of 2"):
        to_onnx(model, X[rows[:2]], tmp_path / "m.onnx")
    model = make_pipeline(hog, LogisticRegression(max_iter=300)).fit(X[rows[:200]], y[rows[:200]])
    assert to_onnx(model, X[rows[:2]], tmp_path / "m.onnx").batches == (1, 3, 5)


class SlightlyLonger(HOG):
    """Its converter multiplies by 1.001."""


def _emit_longer(nodes, hog, images, shape):
    factor = nodes.constant(1.001, np.float32)
    return nodes.add("Mul", emit_hog(nodes, hog, images, shape), factor)


def test_small_features_beside_large_ones_are_looked_at(tmp_path):
    convert_features(SlightlyLonger, _emit_longer)
    union = FeatureUnion([("glcm", GLCM(levels=64)), ("hog", SlightlyLonger())])
    features = make_pipeline(ImageLoader(32, color="gray"), union).fit(TRAIN.images)
    assert features.transform(SAMPLE).max() > 50
    with pytest.raises(ExportError, match=r"step 1 of 1, featureunion \(FeatureUnion\)"):
        to_onnx(features, SAMPLE, tmp_path / "m.onnx")
    # What trees make of such features is not tolerated as rounding.
    model = make_pipeline(features, boosting(max_iter=40, random_state=0))
    with pytest.raises(ExportError, match="step 1 of 2, pipeline__featureunion"):
        to_onnx(model.fit(TRAIN.images, TRAIN.target), SAMPLE, tmp_path / "m.onnx")


def test_too_many_rounding_sensitive_images(tmp_path):
    stumps = ExtraTreesClassifier(600, max_depth=1, random_state=0)
    pca = PCA(20, random_state=0)
    model = make_pipeline(ImageLoader(48, color="gray"), HOG(), pca, stumps)
    model.fit(TRAIN.images, TRAIN.target)
    features = model[:-1].transform(TRAIN.images[:60]).astype(np.float32)
    for stump, row in zip(stumps.estimators_, np.tile(features, (10, 1)), strict=True):
        stump.tree_.threshold[0] = row[stump.tree_.feature[0]]
    with pytest.raises(ExportError, match=r"rounding-sensitive.*Pass images that the"):
        to_onnx(model, TRAIN.images[:60], tmp_path / "m.onnx")
    assert to_onnx(model, TEST.images[:60], tmp_path / "m.onnx").n_ties == 0


def test_tolerance_reaches_as_far_as_the_outputs_of_perturbed_features():
    def output(label, *values):
        return Outputs(np.array([values]), np.array([label]), "probabilities", np.arange(3))

    outputs = [output(0, 0.5, 0.4, 0.1), output(1, 0.45, 0.45, 0.1)]
    sensitivity = RoundingSensitivity(outputs, np.array([True]))
    rows = np.arange(1)
    assert sensitivity.tolerates(output(1, 0.42, 0.48, 0.1), rows)
    assert not sensitivity.tolerates(output(2, 0.45, 0.45, 0.1), rows)
    assert not sensitivity.tolerates(output(1, 0.3, 0.6, 0.1), rows)
    assert not sensitivity.tolerates(output(1, 0.45, 0.4, 0.15), rows)
    stable = RoundingSensitivity(outputs, np.array([False]))
    assert not stable.tolerates(output(1, 0.45, 0.45, 0.1), rows)


def test_classes_that_are_not_predicted_are_listed(tmp_path):
    model = make_pipeline(ImageLoader(32, color="gray"), HOG(), LogisticRegression(max_iter=300))
    model.fit(TRAIN.images, TRAIN.target)
    assert to_onnx(model, SAMPLE, tmp_path / "m.onnx").unseen == ()
    every = np.concatenate([SAMPLE, TRAIN.images])
    brick = every[model.predict(every) == "brick"]
    certificate = to_onnx(model, brick, tmp_path / "m.onnx")
    assert set(certificate.unseen) <= {"grass", "gravel"}
    assert load_onnx(tmp_path / "m.onnx").metadata_["certificate"]["unseen"] == list(
        certificate.unseen
    )


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (LinearRegression(), r"linearregression \(LinearRegression\), is not a classifier"),
        ("passthrough", "There is nothing to export"),
        (
            GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2, refit=False),
            r"GridSearchCV\(refit=False\) has no best estimator.*refit=True",
        ),
    ],
    ids=["regression", "nothing", "no refit"],
)
def test_what_is_no_pipeline_of_ours(last, message, tmp_path):
    steps = [] if last == "passthrough" else [LBP()]
    model = make_pipeline(ImageLoader(32, color="gray"), *steps, last)
    model.fit(TRAIN.images, np.unique(TRAIN.target, return_inverse=True)[1])
    with pytest.raises(ExportError, match=message):
        to_onnx(model, SAMPLE, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def model():
    model = make_pipeline(ImageLoader(32, color="gray"), HOG(), LogisticRegression(max_iter=300))
    return model.fit(TRAIN.images, TRAIN.target)


def test_a_folder_is_no_file(model, tmp_path):
    with pytest.raises(ExportError, match="is a folder: name a file in it"):
        to_onnx(model, SAMPLE, tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_disk_that_takes_no_more_keeps_the_old_file(code, model, tmp_path, monkeypatch):
    def fail(path, content):
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(code, "no")

    (tmp_path / "m.onnx").write_text("the last good one")
    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="no"):
        to_onnx(model, SAMPLE, tmp_path / "m.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "the last good one"


SEVERAL = np.column_stack([TRAIN.target == "grass", TRAIN.target != "brick"]).astype(int)


@pytest.mark.parametrize(
    "head",
    [
        RandomForestClassifier(20, random_state=0),
        ExtraTreesClassifier(20, random_state=0),
        MultiOutputClassifier(LogisticRegression(max_iter=300)),
        MultiOutputClassifier(RandomForestClassifier(5, random_state=0)),
    ],
    ids=["forest", "extra", "logistic", "forests"],
)
def test_labels_whose_probabilities_are_a_list(head, tmp_path):
    model = make_pipeline(ImageLoader(32, color="gray"), HOG(), head).fit(TRAIN.images, SEVERAL)
    to_onnx(model, SAMPLE, tmp_path / "m.onnx")
    served = load_onnx(tmp_path / "m.onnx")
    np.testing.assert_array_equal(served.predict(TEST.images), model.predict(TEST.images))
    expected = np.column_stack([both[:, 1] for both in model.predict_proba(TEST.images)])
    np.testing.assert_allclose(served.predict_proba(TEST.images), expected, atol=1e-5)


def test_a_converter_of_skl2onnx_that_onnxruntime_cannot_run(tmp_path):
    head = MLPClassifier(8, solver="lbfgs", max_iter=5000, random_state=0)
    model = make_pipeline(ImageLoader(16, color="gray"), LBP(), head).fit(TRAIN.images, SEVERAL)
    with pytest.raises(ExportError, match=r"step 2 of 2, mlpclassifier .*Binarizer"):
        to_onnx(model, SAMPLE, tmp_path / "m.onnx")


def test_parts_of_a_union_that_are_dropped(tmp_path):
    union = FeatureUnion(
        [("lbp", "drop"), ("hog", HOG())], transformer_weights={"lbp": 2, "hog": 3}
    )
    model = make_pipeline(ImageLoader(32, color="gray"), union, LogisticRegression(max_iter=300))
    model.fit(TRAIN.images, TRAIN.target)
    to_onnx(model, SAMPLE, tmp_path / "m.onnx")
    found = load_onnx(tmp_path / "m.onnx").predict_proba(TEST.images)
    np.testing.assert_allclose(found, model.predict_proba(TEST.images), atol=1e-5)


def test_labels_that_are_a_row(tmp_path):
    """skl2onnx gives labels of shape (1, n) for this head."""
    head = QuadraticDiscriminantAnalysis(reg_param=0.1)
    model = make_pipeline(ImageLoader(24, color="gray"), HOG(), PCA(5), head)
    with pytest.raises(ExportError, match=r"QuadraticDiscriminantAnalysis.*Nothing was written"):
        to_onnx(model.fit(TRAIN.images, TRAIN.target), SAMPLE, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()
