"""CNNEmbedding among scikit-learn's own: its numbers, and good citizenship."""

import copy
import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from helpers.networks import SmallNet, normalise, pool_by_hand, relative
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from imgfeat import HOG, BackboneError, CNNEmbedding, ImageLoader
from imgfeat.backbones import engines as runtime
from imgfeat.backbones import settings
from imgfeat.backbones.backbone import load_backbone
from imgfeat.datasets import load_folder


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_default_features_are_pooled_block_by_block(engine, portraits):
    module = load_backbone("efficientnet_lite0", "pretrained").module
    columns, x = [], normalise(portraits, 127 / 255, 128 / 255)
    with torch.inference_mode():
        x = module.bn1(module.conv_stem(x))
        for s, stage in enumerate(module.blocks):
            for b, block in enumerate(stage):
                x = block(x)
                if (s, b) in ((3, 2), (4, 2), (5, 3)):
                    columns.append(pool_by_hand(x.numpy(), ("mean", "std"), 2))
    expected = np.concatenate(columns, axis=1)
    found = CNNEmbedding(image_size=96, engine=engine).fit_transform(portraits)
    assert found.shape == expected.shape == (6, 3072)
    assert relative(found, expected) < 1e-5


@pytest.mark.parametrize("engine", ["onnx", "torch"])
@pytest.mark.parametrize("grid", [1, 2, 3])
def test_every_pooling_by_hand(engine, grid, photographs):
    net = SmallNet()
    with torch.inference_mode():
        maps = net.first(normalise(photographs[:, :50])).relu()
    pools = ("mean", "std", "max", "gem")
    embedding = CNNEmbedding(net, layers="act", pooling=pools, grid=grid, engine=engine)
    found = embedding.fit_transform(photographs[:, :50])
    expected = pool_by_hand(maps.numpy(), pools, grid)
    assert found.shape == expected.shape
    assert relative(found, expected) < 1e-5
    assert embedding.get_feature_names_out()[:5].tolist() == [
        "cnn_act_y0_x0_mean0", "cnn_act_y0_x0_mean1", "cnn_act_y0_x0_mean2",
        "cnn_act_y0_x0_mean3", "cnn_act_y0_x0_std0",
    ]  # fmt: skip


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_class_token_and_patches(engine, portraits):
    module = load_backbone("timm:vit_tiny_patch16_224", None, (64, 64)).module
    images = portraits[:, :64, :64]
    with torch.inference_mode():
        tokens = module.forward_features(normalise(images, 0.5, 0.5)).numpy()
    patches = tokens[:, 1:].reshape(6, 4, 4, 192).transpose(0, 3, 1, 2)
    expected = np.concatenate([tokens[:, 0], pool_by_hand(patches, ("mean", "max"), 2)], axis=1)
    embedding = CNNEmbedding(
        "timm:vit_tiny_patch16_224", weights=None, layers="last", pooling=("mean", "cls", "max"),
        image_size=64, engine=engine,
    )  # fmt: skip
    found = embedding.fit_transform(images)
    assert relative(found, expected) < 1e-5
    assert embedding.get_feature_names_out()[0] == "cnn_norm_cls0"


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_maps_with_channels_last(engine, portraits):
    name = "timm:swin_tiny_patch4_window7_224"
    embedding = CNNEmbedding(name, weights=None, layers="layers.1", grid=1, engine=engine)
    module = load_backbone(name, None).module
    config = module.pretrained_cfg
    images = ImageLoader(224).transform(list(portraits[:2]))
    x = normalise(images, np.array(config["mean"]), np.array(config["std"]))
    with torch.inference_mode():
        maps = module.layers[1](module.layers[0](module.patch_embed(x))).numpy()
    expected = pool_by_hand(maps.transpose(0, 3, 1, 2), ("mean", "std"), 1)
    assert relative(embedding.fit_transform(images), expected) < 1e-4


def test_vector_layers_are_taken_as_they_are(photographs):
    with torch.inference_mode():
        expected = SmallNet()(normalise(photographs)).numpy()
    embedding = CNNEmbedding(SmallNet(), layers="head").fit(photographs)
    np.testing.assert_allclose(embedding.transform(photographs), expected, atol=1e-6)
    assert embedding.get_feature_names_out()[4] == "cnn_head_value4"


@pytest.mark.parametrize("engine", ["onnx", "torch"])
@pytest.mark.parametrize("size", [(100, 80), (40, 64), (30, 200)])
def test_resizing_is_antialiased_as_torch_does_it(engine, size, photographs):
    net = SmallNet()
    images = ImageLoader(size).transform(list(photographs))
    pixels = torch.nn.functional.interpolate(
        normalise(images), size=(48, 56), mode="bilinear", antialias=True
    )
    with torch.inference_mode():
        expected = pool_by_hand(net.first(pixels).numpy(), ("mean",), 4)
    embedding = CNNEmbedding(
        net, layers="first", pooling="mean", grid=4, image_size=(48, 56), engine=engine
    )
    assert relative(embedding.fit_transform(images), expected) < 1e-4


def test_mean_and_std_of_ones_own(photographs):
    net = SmallNet()
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    with torch.inference_mode():
        maps = net.first(normalise(photographs, np.array(mean), np.array(std)))
    expected = pool_by_hand(maps.numpy(), ("mean",), 1)
    embedding = CNNEmbedding(net, layers="first", pooling="mean", grid=1, mean=mean, std=std)
    assert relative(embedding.fit_transform(photographs), expected) < 1e-5
    with pytest.raises(BackboneError, match=r"mean must be one number or one for each of 3"):
        CNNEmbedding(net, mean=(0.1, 0.2)).fit(photographs)


def test_grey_images_serve_networks_for_colour_but_not_the_reverse(photographs):
    gray = photographs[..., 0]
    colour = np.repeat(gray[..., np.newaxis], 3, axis=3)
    embedding = CNNEmbedding(SmallNet(), layers="second")
    np.testing.assert_array_equal(embedding.fit_transform(gray), embedding.fit_transform(colour))
    narrow = CNNEmbedding(SmallNet(n_channels=1), layers="second")
    assert narrow.fit_transform(gray).shape == (6, 48)
    with pytest.raises(BackboneError, match=r"SmallNet takes images of 1 channel, got 3.*gray"):
        narrow.fit(photographs)
    with pytest.raises(BackboneError, match="1 channel, got 3"):
        narrow.transform(photographs)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9, 17])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_rows_are_the_same_to_the_bit_whatever_the_batch_and_the_threads(n, n_threads, portraits):
    images = np.concatenate([portraits] * 3)[:n]
    reference = CNNEmbedding(image_size=96, n_threads=1, batch_size=1).transform(images)
    for batch_size in (None, 2, 7):
        embedding = CNNEmbedding(image_size=96, n_threads=n_threads, batch_size=batch_size)
        np.testing.assert_array_equal(embedding.transform(images), reference)


def test_the_network_runs_no_further_than_the_last_layer_asked_for(photographs):
    class Fails(torch.nn.Module):
        def forward(self, x):
            raise AssertionError("not needed")

    net = SmallNet()
    embedding = CNNEmbedding(net, layers="first", engine="torch").fit(photographs)
    engine = embedding._runtime(64, 64).engine
    engine.extractor.network.head = Fails()
    assert embedding.transform(photographs).shape == (6, 32)


def test_a_module_that_was_trained_on_gives_other_features(photographs):
    net = SmallNet()
    embedding = CNNEmbedding(net, layers="second").fit(photographs)
    before = embedding.transform(photographs)
    with torch.no_grad():
        net.second.weight.mul_(2)
        net.second.bias.mul_(2)
    np.testing.assert_allclose(embedding.transform(photographs), 2 * before, rtol=1e-5)


def test_a_cached_graph_of_a_module_whose_code_changed_is_made_anew(photographs, no_runtimes):
    net = SmallNet(seed=11)
    before = CNNEmbedding(net, layers="output").fit_transform(photographs)
    runtime.clear_runtimes()
    net.gain = 3.0  # in no weight, and so in no hash
    with torch.inference_mode():
        expected = net(normalise(photographs)).numpy()
    assert np.abs(expected - before).max() > 0.1
    found = CNNEmbedding(net, layers="output").fit_transform(photographs)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_pickles_carry_no_weights(portraits):
    embedding = CNNEmbedding(image_size=96).fit(portraits)
    expected = embedding.transform(portraits)
    content = pickle.dumps(embedding)
    assert len(content) < 3000
    runtime.clear_runtimes()
    np.testing.assert_array_equal(pickle.loads(content).transform(portraits), expected)


def test_clones_share_one_network(photographs, no_runtimes):
    embedding = CNNEmbedding(SmallNet(), layers="second").fit(photographs)
    clone(embedding).fit(photographs)
    copy.deepcopy(embedding).transform(photographs)
    assert len(runtime._runtimes) == 1


def test_networks_that_are_kept_are_few(photographs, no_runtimes):
    for seed in range(runtime.MAX_RUNTIMES + 2):
        CNNEmbedding(SmallNet(seed=seed), layers="first", engine="torch").fit(photographs)
    assert len(runtime._runtimes) == runtime.MAX_RUNTIMES


def test_one_thread_in_joblibs_workers_and_all_cores_outside():
    assert settings.choose_threads(None) == joblib.cpu_count()
    for backend in ("loky", "threading"):
        threads = joblib.Parallel(n_jobs=2, backend=backend)(
            joblib.delayed(settings.choose_threads)(None) for _ in range(2)
        )
        assert threads == [1, 1]
    assert settings.choose_threads(3) == 3


def test_grid_search_in_two_processes(texture_folder):
    paths, labels = load_folder(texture_folder)
    model = make_pipeline(
        ImageLoader(64), CNNEmbedding(image_size=64), LogisticRegression(max_iter=300)
    )
    grid = {"cnnembedding__grid": [1, 2]}
    search = GridSearchCV(model, grid, cv=2, n_jobs=2).fit(list(paths), labels)
    assert search.best_score_ == 1


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_feature_union_in_parallel(backend, portraits):
    families = [("deep", CNNEmbedding(image_size=96)), ("hog", HOG())]
    expected = FeatureUnion(families).fit(portraits).transform(portraits)
    with joblib.parallel_config(backend=backend):
        union = FeatureUnion(families, n_jobs=2).fit(portraits)
        np.testing.assert_array_equal(union.transform(portraits), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_runs_a_network_of_its_own(portraits, tmp_path):
    np.save(tmp_path / "images.npy", portraits)
    CNNEmbedding(image_size=96).fit(portraits)
    code = f"""
import os, signal, warnings
import numpy as np
from imgfeat import CNNEmbedding
warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of forks with threads
images = np.load({str(tmp_path / "images.npy")!r})
embedding = CNNEmbedding(image_size=96, n_threads=2)
expected = embedding.transform(images)
child = os.fork()
if child == 0:
    signal.alarm(60)
    os._exit(0 if np.array_equal(embedding.transform(images), expected) else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": ("mean", "median")}, "pooling must be one or more of mean, std"),
        ({"pooling": ()}, "pooling must be"),
        ({"pooling": ("mean", "mean")}, "each once"),
        ({"pooling": "cls"}, "no class token"),
        ({"layers": []}, "at least one layer"),
        ({"image_size": (3, 4, 5)}, "image_size must be"),
        ({"grid": 0}, "grid"),
        ({"engine": "tensorflow"}, "engine"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_bad_parameters_are_named(options, message, photographs):
    with pytest.raises(ValueError, match=message):
        CNNEmbedding(image_size=64).set_params(**options).fit(photographs)


def test_progress_is_shown_when_it_takes_long(photographs, monkeypatch, capsys):
    monkeypatch.setattr("imgfeat.features.cnn.PROGRESS_DELAY_SECONDS", 0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    CNNEmbedding(SmallNet(), layers="second").fit_transform(photographs)
    assert "/6" in capsys.readouterr().err


def test_the_pipeline_of_the_readme_on_sign_digits(sign_digits):
    paths, labels = load_folder(sign_digits)
    train, test, y_train, y_test = train_test_split(
        paths, labels, test_size=0.3, stratify=labels, random_state=0
    )
    model = make_pipeline(ImageLoader(224), CNNEmbedding(), StandardScaler(), LinearSVC())
    assert model.fit(train, y_train).score(test, y_test) > 0.96
