"""Keras models that tf2onnx has written: NHWC input, Transposes, names with slashes and colons."""

import numpy as np
import pytest
from helpers.keras_files import SIZE, run_keras_model, write_keras_file
from helpers.networks import pool_by_hand
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

from imgfeat import HOG, BackboneError, CNNEmbedding, ImageLoader, load_model, save_model
from imgfeat.datasets import load_textures
from imgfeat.export import load_onnx, to_onnx
from imgfeat.heads import stacking

# CNNEmbedding feeds pixels in [0, 1], of which this gives the 0..255 that the model rescales.
PIXELS = {"std": 1 / 255}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_keras_file(tmp_path_factory.mktemp("keras") / "model.onnx")


@pytest.fixture(scope="module")
def textures():
    train, test = (load_textures(part, patch_size=64) for part in ("train", "test"))
    return train.images[::3], train.target[::3], test.images[::3], test.target[::3]


@pytest.fixture(scope="module")
def pictures(photographs):
    return ImageLoader(SIZE).transform(list(photographs))


def embed(path, **parameters):
    return CNNEmbedding(path, **PIXELS, **parameters)


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_every_tensor_is_listed_by_its_name_in_keras(path):
    assert embed(path).list_layers() == [
        "small/rescaling/mul:0",
        "small/rescaling/add:0",
        "small/conv1/BiasAdd__6:0",
        "small/conv1/BiasAdd:0",
        "small/re_lu/Relu:0",
        "small/max_pooling2d/MaxPool:0",
        "small/conv2/BiasAdd:0",
        "small/re_lu_1/Relu6:0",
        "small/re_lu_1/Relu6__14:0",
        "small/global_average_pooling2d/Mean:0",
        "small/dense/MatMul:0",
        "small/dense/BiasAdd:0",
        "dense",
    ]
    with pytest.raises(BackboneError, match="Did you mean small/conv1/BiasAdd:0"):
        embed(path, layers="small/conv1/BiasAd:0").fit(np.zeros((1, SIZE, SIZE, 3), np.uint8))


@pytest.mark.parametrize(
    ("layer", "output"),
    [("small/re_lu/Relu:0", 0), ("small/re_lu_1/Relu6:0", 1), ("small/re_lu_1/Relu6__14:0", 1)],
)
@pytest.mark.parametrize("grid", [1, 2])
def test_features_are_those_of_the_model_in_torch(path, pictures, layer, output, grid):
    embedding = embed(path, layers=layer, grid=grid).fit(pictures)
    expected = pool_by_hand(run_keras_model(pictures)[output], ("mean", "std"), grid)
    assert_close(embedding.transform(pictures), expected)
    assert embedding.get_feature_names_out()[0] == f"cnn_{layer}_y0_x0_mean0"
    assert_close(embedding.transform(pictures[:1]), expected[:1])


def test_the_probabilities_of_the_model_are_features_too(path, pictures):
    found = embed(path, layers="dense").fit_transform(pictures)
    assert_close(found, run_keras_model(pictures)[2])


def test_presets_choose_maps(path, pictures):
    for preset in ("last", "middle", "stages"):
        embedding = embed(path, layers=preset).fit(pictures)
        layers = [layer["name"] for layer in embedding.describe()["layers"]]
        assert set(layers) <= set(embedding.list_layers())
        assert all("conv" in name or "re_lu" in name or "pool" in name for name in layers)
        assert np.isfinite(embedding.transform(pictures)).all()


def test_images_of_another_size_are_resized(path, photographs, pictures):
    larger = embed(path, layers="last", grid=1).fit_transform(photographs)
    assert larger.shape[1] == 24
    exact = embed(path, layers="last", grid=1).fit_transform(pictures)
    assert np.abs(larger - exact).max() < 0.05 * np.abs(exact).max()
    with pytest.raises(BackboneError, match=r"takes images of \(48, 48\)"):
        embed(path, image_size=32).fit(photographs)


def test_a_pipeline_is_exported_and_saved(path, textures, tmp_path):
    X, y, X_test, y_test = textures
    head = LogisticRegression(max_iter=1000)
    model = make_pipeline(ImageLoader(SIZE), embed(path), StandardScaler(), head).fit(X, y)
    assert model.score(X_test, y_test) > 0.8
    to_onnx(model, X, tmp_path / "whole.onnx")
    exported = load_onnx(tmp_path / "whole.onnx")
    np.testing.assert_array_equal(exported.predict(X_test), model.predict(X_test))
    np.testing.assert_allclose(
        exported.predict_proba(X_test), model.predict_proba(X_test), atol=1e-4
    )
    save_model(model, tmp_path / "model.skops")
    again = load_model(tmp_path / "model.skops", allow=["CNNEmbedding.backbone"])
    np.testing.assert_array_equal(again.predict(X_test), model.predict(X_test))


def test_it_is_a_member_of_an_ensemble_that_is_exported(path, textures, tmp_path):
    X, y, X_test, y_test = textures
    groups = [("hog", make_pipeline(ImageLoader(64, color="gray"), HOG())), ("keras", embed(path))]
    features = FeatureUnion(groups).set_output(transform="pandas")
    model = make_pipeline(
        ImageLoader(64), features, stacking(["hog", "keras"], random_state=0)
    ).fit(X, y)
    # The weights of the model are random: it must not spoil what HOG finds.
    assert model.score(X_test, y_test) > 0.7
    to_onnx(model, X, tmp_path / "whole.onnx")
    exported = load_onnx(tmp_path / "whole.onnx")
    np.testing.assert_array_equal(exported.predict(X_test), model.predict(X_test))
