import io
import pickle

import joblib
import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from PIL import Image
from skimage import data
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from imgfeat import HOG, ImageLoader, ImageReadError, ModelFileError
from imgfeat.datasets import load_textures
from imgfeat.evaluation import evaluate
from imgfeat.export import OnnxPipeline, load_onnx, to_onnx
from imgfeat.export.model_file import serialize_with_hash

TRAIN, TEST = load_textures("train"), load_textures("test")
PICTURES = [data.astronaut(), data.camera(), data.coffee(), data.brick()[:100, :37]]


@pytest.fixture(scope="module")
def model():
    head = LogisticRegression(max_iter=300)
    pipeline = make_pipeline(ImageLoader((48, 32), color="gray", resize="crop"), HOG(), head)
    return pipeline.fit(TRAIN.images, TRAIN.target)


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "m.onnx"
    to_onnx(model, TEST.images[:8], path)
    return path


@pytest.fixture(scope="module")
def served(path):
    return load_onnx(path)


def to_png(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def test_images_of_all_kinds(model, served, tmp_path):
    for number, picture in enumerate(PICTURES):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    expected = model.predict_proba(PICTURES)
    paths = [tmp_path / f"{number}.png" for number in range(len(PICTURES))]
    kinds = (
        PICTURES,
        [picture / 255 for picture in PICTURES],
        [to_png(picture) for picture in PICTURES],
        [Image.fromarray(picture) for picture in PICTURES],
        paths,
        np.array([str(path) for path in paths]),
    )
    for kind in kinds:
        np.testing.assert_allclose(served.predict_proba(kind), expected, atol=1e-5)
    np.testing.assert_array_equal(served.predict(paths), model.predict(paths))


def test_batches_do_not_show(path, served):
    in_sevens = load_onnx(path, batch_size=7, n_threads=2)
    expected = served.predict_proba(TEST.images[:50])
    np.testing.assert_allclose(in_sevens.predict_proba(TEST.images[:50]), expected, atol=1e-6)
    assert served.predict(TEST.images[:0]).shape == (0,)
    assert served.predict_proba(TEST.images[:0]).shape == (0, 3)


def test_images_that_are_ready_are_taken_as_they_are(model, served):
    ready = model[0].transform(TEST.images)
    expected = served.predict_proba(TEST.images)
    np.testing.assert_array_equal(served.predict_proba(ready), expected)


def test_all_outputs_at_once(served):
    outputs = served.run(TEST.images[:5])
    assert list(outputs) == ["label", "probabilities"]
    np.testing.assert_array_equal(outputs["label"], served.predict(TEST.images[:5]))
    assert outputs["label"].dtype == TRAIN.target.dtype


def test_it_is_an_estimator(path, served, model):
    assert is_classifier(served)
    np.testing.assert_array_equal(served.classes_, model.classes_)
    twin = clone(served)
    assert twin is not served
    assert twin.get_params() == served.get_params()
    np.testing.assert_array_equal(twin.predict(TEST.images), served.predict(TEST.images))
    found = cross_val_predict(served, TEST.images, TEST.target, cv=3, method="predict_proba")
    np.testing.assert_allclose(found, served.predict_proba(TEST.images), atol=1e-6)
    assert served.score(TEST.images, TEST.target) == model.score(TEST.images, TEST.target)
    assert repr(OnnxPipeline("m.onnx")) == "OnnxPipeline('m.onnx')"
    with pytest.raises(
        ValueError, match=r"has no parameter 'threads'. Its parameters are path, n_thre"
    ):
        served.set_params(threads=2)


def test_it_evaluates_like_the_pipeline(served, model):
    own = evaluate(served, TEST.images, TEST.target)
    expected = evaluate(model, TEST.images, TEST.target)
    assert own.metrics["accuracy"].value == expected.metrics["accuracy"].value
    assert own.metrics["log_loss"].value == pytest.approx(expected.metrics["log_loss"].value)


def test_it_pickles_without_its_file(path, served, tmp_path):
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(path.read_bytes())
    content = pickle.dumps(load_onnx(copy))
    copy.unlink()
    expected = served.predict(TEST.images[:9])
    np.testing.assert_array_equal(pickle.loads(content).predict(TEST.images[:9]), expected)


def test_worker_processes_start_sessions_of_their_own(served):
    halves = joblib.Parallel(n_jobs=2)(
        joblib.delayed(served.predict)(part) for part in (TEST.images[:9], TEST.images[9:20])
    )
    np.testing.assert_array_equal(np.concatenate(halves), served.predict(TEST.images[:20]))


def test_scores_where_there_are_no_probabilities(tmp_path):
    model = make_pipeline(ImageLoader(32, color="gray"), HOG(), LinearSVC())
    model.fit(TRAIN.images, TRAIN.target)
    to_onnx(model, TEST.images[:8], tmp_path / "m.onnx")
    served = load_onnx(tmp_path / "m.onnx")
    assert not hasattr(served, "predict_proba")
    assert not hasattr(served, "transform")
    expected = model.decision_function(TEST.images)
    np.testing.assert_allclose(served.decision_function(TEST.images), expected, atol=1e-4)


def change(path, target, edit):
    """Write a file that was changed, with a hash that fits."""
    model = onnx.load(path)
    edit(model)
    for entry in model.metadata_props:
        if entry.key == "imgfeat_sha256":
            entry.value = "0" * 64
    target.write_bytes(serialize_with_hash(model))


def make_newer(model):
    for entry in model.metadata_props:
        entry.value = entry.value.replace('"format": 1', '"format": 99')
        entry.value = entry.value.replace('"imgfeat": "', '"imgfeat": "9.')


def test_damaged_changed_newer_and_foreign_files(path, tmp_path):
    content = path.read_bytes()
    bad = tmp_path / "bad.onnx"

    def refuse(message):
        with pytest.raises(ModelFileError, match=message) as caught:
            load_onnx(bad)
        assert str(bad) in str(caught.value)
        assert "\n" not in str(caught.value)

    refuse("Cannot read model .*No such file")
    bad.mkdir()
    refuse("it is a folder")
    bad.rmdir()
    for damaged in (b"", b"not a model", content[: len(content) // 2], content[:-40]):
        bad.write_bytes(damaged)
        refuse("Cannot load model|was not exported by imgfeat")
    weights = onnx.load(path).graph.initializer
    largest = max(weights, key=lambda tensor: len(tensor.raw_data)).raw_data
    place = content.index(largest) + len(largest) // 2
    bad.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    refuse("was changed after imgfeat wrote it")
    change(path, bad, make_newer)
    refuse(r"made by imgfeat 9\..*pip install --upgrade imgfeat")
    change(path, bad, lambda model: None)
    assert load_onnx(bad).predict(TEST.images[:1]).shape == (1,)
    tensor = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    node = helper.make_node("Identity", ["x"], ["y"])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([node], "foreign", [tensor], [out])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), bad
    )
    refuse("was not exported by imgfeat")


def test_a_provider_that_is_not_there(path):
    with pytest.raises(ModelFileError, match=r"CUDAExecutionProvider is needed.*onnxruntime-gpu"):
        load_onnx(path, providers=["CUDAExecutionProvider"])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_threads": 0}, "n_threads must be a whole number of at least 1, got 0"),
        ({"batch_size": 2.5}, r"batch_size must be a whole number of at least 1, got 2\.5"),
        ({"providers": "CPUExecutionProvider"}, r"must be a list such as \['CPUExecutionProv"),
    ],
)
def test_parameters_out_of_range(params, message, path):
    with pytest.raises(ValueError, match=message):
        load_onnx(path, **params)


def test_a_copy_takes_another_file_when_told(path, served, tmp_path):
    copy = pickle.loads(pickle.dumps(served))
    with pytest.raises(ModelFileError, match=r"other\.onnx"):
        copy.set_params(path=tmp_path / "other.onnx").predict(TEST.images[:1])


def test_notes_that_are_damaged(path, tmp_path):
    def damage(model):
        for entry in model.metadata_props:
            entry.value = entry.value.replace('"format": 1', '"format": "one"')

    change(path, tmp_path / "m.onnx", damage)
    with pytest.raises(ModelFileError, match="its imgfeat metadata is damaged"):
        load_onnx(tmp_path / "m.onnx")


def test_bad_images_are_named(served, tmp_path):
    (tmp_path / "broken.png").write_bytes(to_png(PICTURES[0])[:500])
    with pytest.raises(ImageReadError, match=r"broken\.png"):
        served.predict([tmp_path / "broken.png"])
    with pytest.raises(ImageReadError, match="no such file"):
        served.predict([str(tmp_path / "absent.png")])
    with pytest.raises(TypeError, match=r"a single str\. Put it into a list"):
        served.predict(str(tmp_path / "absent.png"))
    with pytest.raises(ValueError, match=r"1, 3 or 4 channels"):
        served.predict(np.zeros((2, 8, 8, 2), np.uint8))


def test_images_of_another_size_for_a_graph_without_loader(tmp_path):
    model = make_pipeline(HOG(), LogisticRegression()).fit(TRAIN.images, TRAIN.target)
    to_onnx(model, TEST.images[:8], tmp_path / "m.onnx")
    served = load_onnx(tmp_path / "m.onnx")
    for wrong in (TEST.images[:, :32], np.stack([TEST.images] * 3, -1), TEST.images / 255):
        with pytest.raises(ValueError, match=r"takes uint8 images of shape \(n, 64, 64\), got"):
            served.predict(wrong)
    expected = model.predict(TEST.images)
    np.testing.assert_array_equal(served.predict(TEST.images[..., np.newaxis]), expected)


def test_tables_of_paths(served, tmp_path):
    Image.fromarray(PICTURES[0]).save(tmp_path / "a.png")
    column = pd.DataFrame({"path": [str(tmp_path / "a.png")] * 2})
    assert served.predict(column).shape == (2,)
    with pytest.raises(TypeError, match=r"OnnxPipeline takes one column .* got shape \(2, 2\)"):
        served.predict(column.assign(other="b.png"))
