import hashlib
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import skl2onnx
from skl2onnx import update_registered_converter
from skl2onnx.algebra.onnx_ops import OnnxAdd, OnnxIdentity
from skl2onnx.common.data_types import UInt8TensorType
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from imgfeat import HOG, LBP, CNNEmbedding, ImageLoader
from imgfeat.datasets import load_digits, load_textures
from imgfeat.ensembles import stacking
from imgfeat.export import ExportError, load_onnx, register_converters, to_onnx

TRAIN, TEST = load_textures("train"), load_textures("test")
SAMPLE = TEST.images[:20]


class Shift(TransformerMixin, BaseEstimator):
    """Learns nothing worth knowing, adds a number, and shows where single precision ends."""

    def __init__(self, by=1e4):
        self.by = by

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X.astype(np.float64) + self.by


class WronglyConverted(Shift):
    """Its converter leaves the number out."""


class Unconverted(Shift):
    """Has no converter."""


def _infer(operator):
    kind = type(operator.inputs[0].type)
    operator.outputs[0].type = kind([None, operator.inputs[0].type.shape[1]])


def _convert_shift(scope, operator, container):
    dtype = np.float64 if "Double" in type(operator.inputs[0].type).__name__ else np.float32
    number = np.array([operator.raw_operator.by], dtype)
    options = {"op_version": container.target_opset, "output_names": operator.outputs[:1]}
    OnnxAdd(operator.inputs[0], number, **options).add_to(scope, container)


def _convert_wrongly(scope, operator, container):
    options = {"op_version": container.target_opset, "output_names": operator.outputs[:1]}
    OnnxIdentity(operator.inputs[0], **options).add_to(scope, container)


@pytest.fixture(scope="module", autouse=True)
def converters():
    update_registered_converter(Shift, "TestShift", _infer, _convert_shift, overwrite=True)
    update_registered_converter(
        WronglyConverted, "TestWrong", _infer, _convert_wrongly, overwrite=True
    )


def fit(*steps):
    head = LogisticRegression(max_iter=300)
    model = make_pipeline(ImageLoader(32, color="gray"), HOG(), *steps, head)
    return model.fit(TRAIN.images, TRAIN.target)


@pytest.fixture(scope="module")
def model():
    return fit(StandardScaler())


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    return path, to_onnx(model, SAMPLE, path)


def read_metadata(path):
    entries = onnx.load(path).metadata_props
    return {entry.key: entry.value for entry in entries}


@pytest.mark.parametrize("length", [1, 3, 100])
def test_any_onnx_runtime_gives_what_the_pipeline_gives(model, exported, length):
    session = onnxruntime.InferenceSession(exported[0], providers=["CPUExecutionProvider"])
    images = model[0].transform(TEST.images[:length])
    labels, probabilities = session.run(["label", "probabilities"], {"images": images})
    np.testing.assert_array_equal(labels, model.predict(TEST.images[:length]))
    expected = model.predict_proba(TEST.images[:length])
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_the_certificate_is_kept_in_the_file(model, exported):
    path, certificate = exported
    assert certificate.holds
    assert certificate.n_images == len(SAMPLE) + 24
    assert certificate.n_labels_equal == certificate.n_images
    assert certificate.batches == (1, 3, certificate.n_images)
    assert 0 < certificate.largest_difference < 1e-5
    metadata = json.loads(read_metadata(path)["imgfeat_pipeline"])
    kept = metadata["certificate"]
    assert kept["largest_difference"] == certificate.largest_difference
    assert kept["n_labels_equal"] == certificate.n_labels_equal
    assert metadata["classes"] == ["brick", "grass", "gravel"]
    assert metadata["input"]["shape"] == [32, 32]
    assert metadata["input"]["loader"]["resize"] == "stretch"
    assert metadata["versions"]["skl2onnx"] == skl2onnx.__version__
    assert metadata["steps"][0] == "hog: HOG"


def test_the_hash_is_of_the_file_with_zeros_in_its_place(exported):
    content = exported[0].read_bytes()
    found = read_metadata(exported[0])["imgfeat_sha256"].encode()
    assert content.count(found) == 1
    assert hashlib.sha256(content.replace(found, b"0" * 64)).hexdigest().encode() == found


def test_a_wrong_graph_is_refused_and_the_step_named(tmp_path):
    model = fit(WronglyConverted(by=3.0), StandardScaler())
    message = r"first mismatch is at step 2 of 4, wronglyconverted \(WronglyConverted\)"
    with pytest.raises(ExportError, match=message):
        to_onnx(model, SAMPLE, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_survives_a_refusal(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_text("the last good one")
    with pytest.raises(ExportError, match="first mismatch"):
        to_onnx(fit(WronglyConverted(by=3.0), StandardScaler()), SAMPLE, path)
    assert path.read_text() == "the last good one"


def test_double_precision_where_single_is_not_enough(tmp_path):
    model = fit(Shift(by=1e5), StandardScaler())
    certificate = to_onnx(model, SAMPLE, tmp_path / "m.onnx")
    assert certificate.precision == "float64"
    served = load_onnx(tmp_path / "m.onnx")
    np.testing.assert_array_equal(served.predict(TEST.images), model.predict(TEST.images))
    expected = model.predict_proba(TEST.images)
    np.testing.assert_allclose(served.predict_proba(TEST.images), expected, atol=1e-5)


def test_a_step_without_converter_is_named_with_its_place(tmp_path):
    message = r"Step 3 of 4, unconverted \(Unconverted\).*update_registered_converter"
    with pytest.raises(ExportError, match=message):
        to_onnx(fit(StandardScaler(), Unconverted(by=1)), SAMPLE, tmp_path / "m.onnx")
    union = FeatureUnion([("hog", HOG()), ("own", make_pipeline(HOG(), Unconverted()))])
    model = make_pipeline(ImageLoader(32, color="gray"), union, LogisticRegression(max_iter=500))
    model.fit(TRAIN.images, TRAIN.target)
    with pytest.raises(ExportError, match=r"featureunion__own__unconverted \(Unconverted\)"):
        to_onnx(model, SAMPLE, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_part_that_can_be_converted(tmp_path):
    model = fit(StandardScaler(), Unconverted(by=1))
    certificate = to_onnx(model, SAMPLE, tmp_path / "m.onnx", allow_partial=True)
    assert certificate.left_out == ("unconverted", "logisticregression")
    served = load_onnx(tmp_path / "m.onnx")
    expected = model[:3].transform(TEST.images)
    np.testing.assert_allclose(served.transform(TEST.images), expected, atol=1e-4)
    assert not hasattr(served, "predict")
    none = make_pipeline(Unconverted()).fit(np.zeros((2, 4), np.uint8))
    with pytest.raises(ExportError, match=r"Step 1 of 1, unconverted"):
        to_onnx(none, np.zeros((2, 4), np.uint8), tmp_path / "n.onnx", allow_partial=True)


def test_pipelines_of_features_alone(tmp_path):
    features = make_pipeline(ImageLoader(32, color="gray"), FeatureUnion([("h", HOG())]))
    features.fit(TRAIN.images)
    to_onnx(features, SAMPLE, tmp_path / "f.onnx")
    served = load_onnx(tmp_path / "f.onnx")
    expected = features.transform(TEST.images)
    np.testing.assert_allclose(served.transform(TEST.images), expected, atol=1e-5)
    assert not hasattr(served, "classes_")


def test_images_without_a_loader_and_flat_ones(tmp_path):
    digits = load_digits()
    images = np.rint(255 * digits.images).astype(np.uint8)
    flat = images.reshape(len(images), -1)
    for X, hog in ((images, HOG(pixels_per_cell=2)), (flat, HOG(9, 2, image_shape=(8, 8)))):
        model = make_pipeline(hog, LogisticRegression(max_iter=500)).fit(
            X[:300], digits.target[:300]
        )
        to_onnx(model, X[:10], tmp_path / "m.onnx")
        served = load_onnx(tmp_path / "m.onnx")
        np.testing.assert_array_equal(served.predict(X[300:900]), model.predict(X[300:900]))
        assert served.predict(X[:5]).dtype == digits.target.dtype


def test_searches_export_their_best_estimator(tmp_path):
    pipeline = make_pipeline(ImageLoader(32, color="gray"), LBP(), LogisticRegression())
    search = GridSearchCV(pipeline, {"lbp__grid": [1, 2]}, cv=2).fit(TRAIN.images, TRAIN.target)
    to_onnx(search, SAMPLE, tmp_path / "m.onnx")
    served = load_onnx(tmp_path / "m.onnx")
    np.testing.assert_array_equal(served.predict(TEST.images), search.predict(TEST.images))


def test_quantised_networks_say_what_they_cost(tmp_path, portraits):
    names = np.array(["person", "cat", "cup"]).repeat(2)
    network = CNNEmbedding(image_size=64, layers="last", grid=1)
    model = make_pipeline(ImageLoader(64), network, LogisticRegression()).fit(portraits, names)
    exact = to_onnx(model, portraits, tmp_path / "exact.onnx")
    certificate = to_onnx(model, portraits, tmp_path / "int8.onnx", int8=True)
    assert exact.int8 is None
    assert certificate.int8["largest_difference"] > 10 * exact.largest_difference
    assert certificate.int8["agreement"] >= 0.8
    sizes = [(tmp_path / f"{name}.onnx").stat().st_size for name in ("int8", "exact")]
    assert sizes[0] < 0.5 * sizes[1]
    assert model[1].precision == "auto"
    np.testing.assert_array_equal(load_onnx(tmp_path / "int8.onnx").predict(portraits), names)


def test_nothing_to_quantise(model, tmp_path):
    with pytest.raises(ExportError, match=r"int8=True: there is no network"):
        to_onnx(model, SAMPLE, tmp_path / "m.onnx", int8=True)


@pytest.mark.parametrize(
    ("pipeline", "sample", "message"),
    [
        (make_pipeline(ImageLoader(32), HOG(), LogisticRegression()), SAMPLE, "not fitted"),
        ("no pipeline", SAMPLE, "'no pipeline' is not an estimator"),
        (make_pipeline(HOG()), SAMPLE[:0], "1 image or more"),
        (make_pipeline(HOG()), SAMPLE / 255, "must be uint8 images.*got float64"),
        (
            make_pipeline(HOG()),
            ["a.png"],
            "must be uint8 images if the pipeline has no leading",
        ),
        (make_pipeline(HOG()), [SAMPLE[0], SAMPLE[0, :9]], "several sizes.*Put an ImageLoader"),
    ],
)
def test_bad_input(pipeline, sample, message, tmp_path):
    with pytest.raises(ExportError, match=message):
        to_onnx(pipeline, sample, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(model, tmp_path):
    with pytest.raises(ExportError, match="there is no folder"):
        to_onnx(model, SAMPLE, tmp_path / "nowhere" / "m.onnx")


def test_hard_votes_have_labels_alone(tmp_path):
    trees = [(str(depth), DecisionTreeClassifier(max_depth=depth)) for depth in (1, 2, 3)]
    model = make_pipeline(ImageLoader(32, color="gray"), HOG(), VotingClassifier(trees))
    model.fit(TRAIN.images, TRAIN.target)
    to_onnx(model, SAMPLE, tmp_path / "m.onnx")
    served = load_onnx(tmp_path / "m.onnx")
    assert list(served.run(TEST.images[:2])) == ["label"]
    np.testing.assert_array_equal(served.predict(TEST.images), model.predict(TEST.images))


def test_stacks_without_probabilities(tmp_path):
    union = FeatureUnion([("hog", HOG()), ("lbp", LBP())]).set_output(transform="pandas")
    stack = stacking(["hog", "lbp"], final_estimator=LinearSVC(), random_state=0)
    model = make_pipeline(ImageLoader(32, color="gray"), union, stack)
    model.fit(TRAIN.images, TRAIN.target)
    assert not hasattr(model, "predict_proba")
    to_onnx(model, SAMPLE, tmp_path / "m.onnx")
    served = load_onnx(tmp_path / "m.onnx")
    np.testing.assert_array_equal(served.predict(TEST.images), model.predict(TEST.images))


def test_steps_that_pass_are_left_out(tmp_path):
    steps = [("load", ImageLoader(32, color="gray")), ("none", "passthrough"), ("hog", HOG())]
    model = Pipeline([*steps, ("head", LogisticRegression())]).fit(TRAIN.images, TRAIN.target)
    assert to_onnx(model, SAMPLE, tmp_path / "m.onnx").holds


def test_skl2onnx_converts_with_the_same_converters(model):
    register_converters()
    images = [("images", UInt8TensorType([None, 32, 32]))]
    options = {"zipmap": False}
    found = skl2onnx.to_onnx(model[1:], initial_types=images, options=options)
    session = onnxruntime.InferenceSession(found.SerializeToString())
    _, probabilities = session.run(None, {"images": model[0].transform(TEST.images)})
    np.testing.assert_allclose(probabilities, model.predict_proba(TEST.images), atol=1e-5)
    with pytest.raises(NotImplementedError, match=r"target_opset=15.*18 or later"):
        skl2onnx.to_onnx(model[1:], initial_types=images, options=options, target_opset=15)
