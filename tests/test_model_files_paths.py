"""Model files that name files, folders, databases and downloads: none is touched."""

from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import FeatureAgglomeration
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from imgfeat import (
    HOG,
    Batched,
    CNNEmbedding,
    ImageLoader,
    ModelFileError,
    ModelFileWarning,
    OptunaSearchCV,
    load_model,
    save_model,
)
from imgfeat.datasets import load_folder


@pytest.fixture
def textures(texture_folder):
    return load_folder(texture_folder)


@pytest.fixture
def fitted(textures):
    features = make_pipeline(ImageLoader(32, color="gray"), HOG())
    return make_pipeline(Batched(features), LogisticRegression(max_iter=300)).fit(*textures)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with what a user has there, a symbolic link to it, and the one to work in."""
    home = tmp_path / "home"
    (home / "cache").mkdir(parents=True)
    (home / "features.npy.partial").write_bytes(b"half done")
    (home / "features.npy.journal").write_text("a long night's work")
    (home / "trials.db").write_bytes(b"")
    (home / "net.onnx").write_bytes(b"not a graph")
    (home / "net.pt").write_bytes(b"not weights")
    (tmp_path / "link").symlink_to(home)
    monkeypatch.chdir(home)
    return home


def take_stock(folder):
    """Return every file below a folder: contents, and when each was changed and looked at."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize(
    "parameters",
    [
        {"out": "features.npy"},
        {"out": "../link/features.npy"},
        {"out": Path("features.npy")},
        {"memory": "new"},
        {"memory": "cache"},
        {"memory": Path("deep") / "er"},
        {"memory": joblib.Memory("new", verbose=0)},
        {"out": "features.npy", "memory": "cache"},
    ],
)
def test_batched(parameters, fitted, textures, home, tmp_path):
    path = tmp_path / "m.skops"
    expected = fitted.predict(textures[0])
    fitted[0].set_params(**parameters)
    save_model(fitted, path)
    before = take_stock(home)
    with pytest.warns(ModelFileWarning) as caught:
        model = load_model(path)
    for name in parameters:
        assert f"Batched.{name} = " in str(caught[0].message)
    np.testing.assert_array_equal(model.predict(textures[0]), expected)
    assert take_stock(home) == before


def test_what_is_allowed_is_kept(fitted, textures, tmp_path):
    path, out = tmp_path / "m.skops", tmp_path / "features.npy"
    fitted[0].set_params(out=str(out), memory=joblib.Memory(tmp_path / "cache", verbose=0))
    save_model(fitted, path)
    assert not out.exists()
    model = load_model(path, allow=("Batched.out", "Batched.memory"))
    assert not out.exists()
    clone(model).fit(*textures)
    assert len(np.load(out)) == len(textures[0])
    assert [*(tmp_path / "cache").iterdir()]
    with pytest.warns(ModelFileWarning, match="Batched.memory"):
        assert load_model(path, allow=["Batched.out"])[0].out == str(out)
    for wrong in (("Batched.n_jobs",), "Batched.out"):
        with pytest.raises(
            ValueError, match=r"allow=.* must be a sequence of names out of Batched"
        ):
            load_model(path, allow=wrong)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"backbone": "timm:resnet18"}, "CNNEmbedding.backbone"),
        ({"backbone": "timm:hf-hub:someone/something"}, "CNNEmbedding.backbone"),
        ({"backbone": "net.onnx"}, "CNNEmbedding.backbone"),
        ({"backbone": Path("net.onnx")}, "CNNEmbedding.backbone"),
        ({"weights": "net.pt"}, "CNNEmbedding.weights"),
    ],
)
def test_networks_from_elsewhere_are_refused(parameters, name, home, tmp_path):
    path = tmp_path / "m.skops"
    save_model(make_pipeline(ImageLoader(64), CNNEmbedding(**parameters)), path)
    before = take_stock(home)
    with pytest.raises(ModelFileError, match=rf"allow=\('{name}',\)"):
        load_model(path)
    assert take_stock(home) == before
    loaded = load_model(path, allow=(name,))[-1]
    for key, value in parameters.items():
        assert getattr(loaded, key) == str(value)  # paths are saved as text


def test_the_folder_of_graphs(home, portraits, tmp_path):
    path = tmp_path / "m.skops"
    embedding = CNNEmbedding(image_size=96, cache_dir="graphs")
    save_model(embedding, path)
    before = take_stock(home)
    with pytest.warns(ModelFileWarning, match=r"CNNEmbedding.cache_dir = 'graphs'"):
        loaded = load_model(path)
    assert loaded.cache_dir is None
    loaded.transform(portraits)
    assert take_stock(home) == before


def test_a_module_is_not_saved_and_says_what_is(tmp_path):
    torch = pytest.importorskip("torch")
    with pytest.raises(ModelFileError, match=r"save_onnx\(path\).*backbone=path"):
        save_model(CNNEmbedding(torch.nn.Conv2d(3, 4, 3)), tmp_path / "m.skops")
    assert not [*tmp_path.iterdir()]


def test_caches_of_pipelines_and_clusters(home, tmp_path):
    X = np.random.default_rng(0).random((20, 6))
    y = np.arange(20) % 2
    path = tmp_path / "m.skops"
    model = Pipeline([("merge", FeatureAgglomeration()), ("head", LogisticRegression())]).fit(X, y)
    expected = model.predict(X)
    model.set_params(memory="new", merge__memory="newer")
    save_model(model, path)
    before = take_stock(home)
    with pytest.warns(ModelFileWarning, match=r"Pipeline.memory = 'new'"):
        loaded = load_model(path)
    assert loaded.memory is None
    np.testing.assert_array_equal(loaded.fit(X, y).predict(X), expected)
    assert take_stock(home) == before


@pytest.mark.parametrize("storage", ["trials.db", "new.db", "new.journal"])
def test_storages_of_searches(storage, home, tmp_path):
    X = np.random.default_rng(0).random((20, 6))
    y = np.arange(20) % 2
    search = OptunaSearchCV(LogisticRegression(), {"C": [1.0, 2.0]}, n_trials=2, cv=2)
    path = tmp_path / "m.skops"
    expected = search.fit(X, y).predict(X)
    search.set_params(storage=storage, memory="new")
    save_model(search, path)
    before = take_stock(home)
    with pytest.warns(ModelFileWarning, match="OptunaSearchCV.storage"):
        loaded = load_model(path)
    np.testing.assert_array_equal(loaded.predict(X), expected)
    assert loaded.score(X, y) == search.score(X, y)
    assert take_stock(home) == before
