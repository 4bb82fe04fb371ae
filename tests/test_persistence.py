import json
import pickle
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from imgfeat import HOG, LBP, Batched, ImageLoader, ModelFileError, load_model, save_model
from imgfeat._models.archive import CHECKSUM_NAME, write_checksum
from imgfeat._models.schema import FORMER_MODULES
from imgfeat.datasets import load_folder
from imgfeat.heads import stacking


class Foreign(LogisticRegression):
    pass


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "m.skops"
    save_model(HOG(orientations=7), path)
    return path


def rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(contents["schema.json"])
    change(schema)
    contents["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def assert_refused(path, message):
    with pytest.raises(ModelFileError, match=message) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_round_trip(model_file):
    assert load_model(model_file).orientations == 7


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "m.skops"
    assert_refused(path, "No model file")
    for content in (b"", b"not a model", pickle.dumps(HOG()), b"PK\x03\x04 nonsense"):
        path.write_bytes(content)
        assert_refused(path, "damaged or not a model")


def test_a_truncated_file_is_refused(model_file):
    model_file.write_bytes(model_file.read_bytes()[:-30])
    assert_refused(model_file, "damaged")


def test_a_flipped_byte_is_refused(tmp_path):
    path = tmp_path / "m.skops"
    save_model(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), path)
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = max(archive.infolist(), key=lambda i: i.compress_size)
    raw[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 0xFF
    path.write_bytes(raw)
    assert_refused(path, "damaged|refused")


def test_a_type_smuggled_in_is_refused(model_file):
    def smuggle(schema):
        schema["__module__"], schema["__class__"] = "os", "system"

    rewrite(model_file, smuggle)
    assert_refused(model_file, "os.system")


def test_a_model_that_is_no_estimator_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="dict cannot be saved: it is no estimator"):
        save_model({"not": "an estimator"}, tmp_path / "m.skops")
    skops.io.dump({"not": "an estimator"}, tmp_path / "m.skops")
    assert_refused(tmp_path / "m.skops", "no estimator but a dict")


def test_own_types_load_when_named(tmp_path):
    path = tmp_path / "m.skops"
    save_model(Foreign().fit([[0.0], [1.0]], [0, 1]), path)
    name = f"{Foreign.__module__}.Foreign"
    assert_refused(path, name)
    assert isinstance(load_model(path, trusted=(name,)), Foreign)


def test_nothing_is_left_of_a_model_that_cannot_be_saved(model_file, tmp_path):
    before = model_file.read_bytes()
    with pytest.raises(ModelFileError, match="cannot be saved"):
        save_model(FunctionTransformer(kw_args={"values": (i for i in "ab")}), model_file)
    assert model_file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.skops"]


def test_streamed_pipelines(texture_folder, tmp_path):
    paths, labels = load_folder(texture_folder)
    features = make_pipeline(ImageLoader(32, color="gray"), HOG())
    model = make_pipeline(Batched(features, batch_size=7), LogisticRegression(max_iter=300))
    save_model(model.fit(paths, labels), tmp_path / "m.skops")
    assert (load_model(tmp_path / "m.skops").predict(paths) == labels).all()


def test_what_people_take_for_a_model_gets_its_remedy(tmp_path):
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(HOG()))
    (tmp_path / "m.onnx").write_bytes(b"graph")
    assert_refused(tmp_path / "m.pkl", "Pickles are not loaded")
    assert_refused(tmp_path / "m.onnx", "load_onnx reads ONNX files")
    assert_refused(tmp_path, "it is a folder")


def test_the_disk_is_to_blame_and_names_the_file(tmp_path, monkeypatch):
    def fill(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(skops.io, "dump", fill)
    with pytest.raises(OSError, match=r"No space left on device: '.*m\.skops'"):
        save_model(HOG(), tmp_path / "m.skops")
    assert not list(tmp_path.iterdir())


def test_folders_are_not_replaced(tmp_path):
    with pytest.raises(ValueError, match="is a folder: name a file in it"):
        save_model(HOG(), tmp_path)


def test_models_from_before_modules_moved(texture_folder, tmp_path):
    paths, labels = load_folder(texture_folder)
    features = FeatureUnion([("hog", HOG()), ("lbp", LBP())]).set_output(transform="pandas")
    model = make_pipeline(ImageLoader(32, color="gray"), features, stacking(["hog", "lbp"]))
    model.fit(paths, labels)
    save_model(model, tmp_path / "now.skops")
    with zipfile.ZipFile(tmp_path / "now.skops") as now:
        parts = {name: now.read(name) for name in now.namelist() if name != CHECKSUM_NAME}
    for before, after in FORMER_MODULES.items():
        assert after.encode() in parts["schema.json"], after
        parts["schema.json"] = parts["schema.json"].replace(after.encode(), before.encode())
    with zipfile.ZipFile(tmp_path / "before.skops", "w") as former:
        for name, content in parts.items():
            former.writestr(name, content)
    write_checksum(tmp_path / "before.skops")
    loaded = load_model(tmp_path / "before.skops")
    np.testing.assert_array_equal(loaded.predict_proba(paths), model.predict_proba(paths))
