"""CNNEmbedding among scikit-learn's own: numbers, engines, cache, good citizenship."""

import copy
import importlib.metadata
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import onnxruntime
import pytest
import torch
from networks import SmallNet, pool_by_hand
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from imgfeat import HOG, BackboneError, CNNEmbedding, ImageLoader
from imgfeat.backbones import graph_store, onnx_export, runtime, settings, torch_engine
from imgfeat.backbones.backbone import load_backbone
from imgfeat.backbones.graph import Surroundings
from imgfeat.backbones.layers import Layer
from imgfeat.datasets import load_folder


@pytest.fixture
def no_runtimes():
    runtime.clear_runtimes()
    yield
    runtime.clear_runtimes()


@pytest.fixture(scope="module")
def portraits(photographs):
    return ImageLoader(96).transform(list(photographs))


def normalise(images, mean=0.0, std=1.0):
    return torch.from_numpy((images / 255 - mean) / std).float().permute(0, 3, 1, 2)


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


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


# --- the exported graph ---


def test_a_second_process_needs_no_torch(portraits, tmp_path):
    np.save(tmp_path / "images.npy", portraits)
    expected = CNNEmbedding(image_size=96).fit_transform(portraits)
    code = (
        "import sys, numpy as np; from imgfeat import CNNEmbedding; "
        f"features = CNNEmbedding(image_size=96).fit_transform(np.load({str(tmp_path)!r} + "
        "'/images.npy')); "
        f"np.save({str(tmp_path / 'features.npy')!r}, features); "
        "print([m for m in ('torch', 'timm', 'onnx') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    np.testing.assert_array_equal(np.load(tmp_path / "features.npy"), expected)


def test_a_damaged_cache_is_made_anew(photographs, tmp_path, no_runtimes):
    embedding = CNNEmbedding(SmallNet(), layers="second", cache_dir=tmp_path)
    expected = embedding.fit_transform(photographs)
    (kept,) = tmp_path.iterdir()
    content = bytearray(kept.read_bytes())
    content[-40] ^= 1
    kept.write_bytes(content)
    runtime.clear_runtimes()
    np.testing.assert_array_equal(embedding.fit_transform(photographs), expected)
    assert kept.read_bytes() != content


def test_a_cache_that_cannot_be_written_costs_a_warning(photographs, tmp_path, no_runtimes):
    (tmp_path / "file").write_text("in the way")
    embedding = CNNEmbedding(SmallNet(), layers="second", cache_dir=tmp_path / "file")
    with pytest.warns(UserWarning, match="IMGFEAT_CACHE_DIR"):
        assert embedding.fit_transform(photographs).shape == (6, 48)


@pytest.mark.parametrize(
    "change",
    [{"layers": "first"}, {"pooling": "max"}, {"grid": 1}, {"image_size": 40}, {"mean": 0.5},
     {"backbone": SmallNet(seed=1)}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_whatever_changes_the_features_changes_the_key(change, photographs, tmp_path):
    embedding = CNNEmbedding(SmallNet(), layers="second", cache_dir=tmp_path).fit(photographs)
    clone(embedding).set_params(**change).fit(photographs)
    assert len(list(tmp_path.iterdir())) == 2


def test_versions_are_part_of_the_key(monkeypatch):
    options = settings.Settings(**dict.fromkeys(settings.Settings.__dataclass_fields__))
    before = graph_store._describe(options, "f", (1, 1))
    monkeypatch.setattr(onnx_export, "version", lambda package: "99")
    after = graph_store._describe(options, "f", (1, 1))
    assert before != after


@pytest.mark.parametrize("fault", [1e-2, np.nan])
def test_a_graph_that_differs_from_torch_is_refused_with_the_figure(
    fault, photographs, tmp_path, monkeypatch
):
    class Faulty:
        def __init__(self, model):
            self.session = onnxruntime.InferenceSession(model)

        def run(self, names, feeds):
            (features,) = self.session.run(names, feeds)
            features[2:3, 0] += fault * np.abs(features).max()
            return [features]

    monkeypatch.setattr(onnx_export, "open_session", Faulty)
    with pytest.raises(BackboneError, match=r"refused: at batch 3 .* differ .* by (\d\.\d+e|nan)"):
        CNNEmbedding(SmallNet(), layers="second", cache_dir=tmp_path).fit(photographs)
    assert list(tmp_path.iterdir()) == []


def test_saved_graphs_run_with_numpy_and_onnxruntime_alone(portraits, tmp_path):
    embedding = CNNEmbedding(image_size=96).fit(portraits)
    embedding.save_onnx(tmp_path / "features.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["features.onnx"]
    np.save(tmp_path / "images.npy", portraits)
    packages = tmp_path / "packages"
    packages.mkdir()
    link_packages(packages, ["numpy", "onnxruntime"])
    code = f"""
import sys
sys.path[:] = [p for p in sys.path if "site-packages" not in p] + [{str(packages)!r}]
import numpy, onnxruntime
for absent in ("torch", "imgfeat", "sklearn", "onnx"):
    try:
        __import__(absent)
    except ImportError:
        continue
    raise SystemExit(absent + " is there")
session = onnxruntime.InferenceSession({str(tmp_path / "features.onnx")!r})
images = numpy.load({str(tmp_path / "images.npy")!r})
(features,) = session.run(["features"], {{"images": images}})
numpy.save({str(tmp_path / "features.npy")!r}, features)
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
    np.testing.assert_allclose(
        np.load(tmp_path / "features.npy"), embedding.transform(portraits), rtol=0, atol=1e-4
    )


def link_packages(folder, names):
    """Link packages and what they stand on into a folder of their own."""
    waiting, done = list(names), set()
    while waiting:
        name = waiting.pop()
        if name in done:
            continue
        done.add(name)
        distribution = importlib.metadata.distribution(name)
        for part in {file.parts[0] for file in distribution.files} - {".."}:
            source = Path(distribution.locate_file(part))
            if source.exists() and not (folder / part).exists():
                (folder / part).symlink_to(source)
        needs = [line for line in distribution.requires or [] if "extra ==" not in line]
        waiting += [re.match(r"[\w.-]+", line)[0] for line in needs]


def test_save_onnx_before_fit_and_for_another_size(tmp_path):
    CNNEmbedding(image_size=64).save_onnx(tmp_path / "a.onnx")
    CNNEmbedding(image_size=64).save_onnx(tmp_path / "b.onnx", input_size=(90, 70))
    shapes = [
        onnxruntime.InferenceSession(tmp_path / name).get_inputs()[0].shape
        for name in ("a.onnx", "b.onnx")
    ]
    assert shapes == [["n", 64, 64, 3], ["n", 90, 70, 3]]


def test_describe_tells_what_runs(portraits):
    description = CNNEmbedding(image_size=96, n_threads=1).fit(portraits).describe()
    assert (description["engine"], description["device"]) == ("onnx", "cpu")
    assert description["n_features"] == 3072
    agreement = description["agreement"]
    assert agreement["batches"] == [1, 3, 8]
    assert 0 < agreement["max_difference"] <= 1e-4 * agreement["max_feature"]
    json.dumps(description)


# --- eight bits ---


def test_int8_stays_close_and_says_how_close(portraits):
    exact = CNNEmbedding(image_size=96).fit_transform(portraits)
    embedding = CNNEmbedding(image_size=96, precision="int8").fit(portraits)
    rows = embedding.transform(portraits)
    cosines = (rows * exact).sum(axis=1)
    cosines /= np.linalg.norm(rows, axis=1) * np.linalg.norm(exact, axis=1)
    assert 0.97 < cosines.min() < 1
    cost = embedding.describe()["quantization"]
    assert 0.98 < cost["cosine_mean"] < 1
    assert cost["cosine_min"] <= cost["cosine_mean"]


def test_int8_calibrated_on_images_given(portraits, photographs):
    shipped = CNNEmbedding(image_size=96, precision="int8").fit_transform(portraits)
    own = CNNEmbedding(image_size=96, precision="int8", calibration=photographs[..., :1])
    assert not np.array_equal(own.fit_transform(portraits), shipped)


# --- engines and devices ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda", "engine": "torch"}, "device='cuda' was asked for"),
        ({"device": "cuda", "engine": "onnx"}, "CUDAExecutionProvider"),
        ({"device": "cuda:7", "engine": "torch"}, "cuda:7"),
        ({"device": "tpu"}, "device must be"),
        ({"device": "cuda:x"}, "device must be"),
        ({"precision": "int8", "engine": "torch"}, "precision='int8' is for"),
        ({"precision": "bf16", "engine": "onnx"}, "precision='bf16' is for"),
        ({"precision": "fp16", "engine": "torch", "device": "cpu"}, "needs a GPU"),
        ({"compile": True, "engine": "onnx"}, "compile=True is torch's"),
    ],
)
def test_what_cannot_be_had_is_refused(options, message, photographs, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackboneError, match=message):
        CNNEmbedding(SmallNet(), layers="second", **options).fit(photographs)


def test_a_provider_that_falls_back_in_silence_is_refused(photographs, monkeypatch):
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    embedding = CNNEmbedding(SmallNet(), layers="second", engine="onnx", device="cuda")
    # This build of onnxruntime warns and runs on the CPU: just what must not pass.
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(BackboneError, match="fell back to CPUExecutionProvider"),
    ):
        embedding.fit(photographs)


@pytest.mark.parametrize(
    ("given", "cuda", "expected"),
    [
        ({}, False, ("onnx", "cpu", "fp32", 2)),
        ({}, True, ("torch", "cuda", "bf16", 256)),
        ({"device": "cpu"}, True, ("onnx", "cpu", "fp32", 2)),
        ({"precision": "int8"}, False, ("onnx", "cpu", "int8", 2)),
        ({"engine": "torch"}, False, ("torch", "cpu", "fp32", 2)),
        ({"backbone": "net.onnx"}, True, ("onnx", "cpu", "fp32", 2)),
        ({"batch_size": 9}, False, ("onnx", "cpu", "fp32", 9)),
    ],
)
def test_what_auto_means(given, cuda, expected, monkeypatch):
    monkeypatch.setattr(settings, "_torch_has_cuda", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    means = settings.choose_means(CNNEmbedding(**given)._settings())
    assert (means.engine, means.device, means.precision, means.batch_size) == expected


def test_bf16_on_the_cpu_is_close(photographs):
    options = {"backbone": SmallNet(), "layers": "second", "engine": "torch"}
    exact = CNNEmbedding(**options).fit_transform(photographs)
    rough = CNNEmbedding(**options, precision="bf16").fit_transform(photographs)
    assert 0 < relative(rough, exact) < 2e-2


def test_compiled_gives_the_same(photographs):
    options = {"layers": ["first", "second"], "engine": "torch", "batch_size": 2}
    expected = CNNEmbedding(SmallNet(), **options).fit_transform(photographs)
    found = CNNEmbedding(SmallNet(), compile=True, **options).fit_transform(photographs)
    assert relative(found, expected) < 1e-5


class FakeStream:
    """Work on the CPU is done when it returns; that much waiting is checked at all."""

    def __init__(self, log):
        self.log = log

    def wait_event(self, event):
        assert event.recorded, "waits for what was never begun"
        self.log.append("wait")


class FakeEvent:
    def __init__(self):
        self.recorded = False

    def record(self, stream):
        self.recorded = True

    def synchronize(self):
        assert self.recorded, "waits for what was never begun"


@pytest.mark.parametrize("n", [1, 3, 4, 7, 12, 13])
def test_the_way_over_the_gpu_loses_no_row(n, photographs, monkeypatch):
    """The order of transfers, with the CPU in the part of the card."""
    images = np.concatenate([photographs] * 3)[:n]
    log, empty = [], torch.empty
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: FakeStream(log))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: FakeStream(log))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: torch.inference_mode())
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch, "empty", lambda *a, pin_memory=False, **k: empty(*a, **k))
    backbone = load_backbone(SmallNet(), "pretrained")
    around = Surroundings(
        (64, 64, 3), (64, 64), (0.0,) * 3, (1.0,) * 3, (Layer("second", "map", 6, (16, 16)),),
        ("mean",), 2,
    )  # fmt: skip
    engine = torch_engine.TorchEngine(backbone, around, "cpu", "fp32", 1, batch_size=3)
    expected, found, done = np.zeros((2, n, 24), np.float32), np.zeros((n, 24), np.float32), []
    engine.run(images, expected[0])
    with torch.inference_mode():
        engine._run_on_gpu(images, found, done.append)
    np.testing.assert_allclose(found, expected[0], atol=1e-6)
    assert sum(done) == n
    assert len(log) == -(-n // 3)


# --- citizenship ---


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
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": ("mean", "median")}, "pooling must be one or more of mean, std"),
        ({"pooling": ()}, "pooling must be"),
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
    monkeypatch.setattr("imgfeat.features.cnn.PATIENCE_SECONDS", 0)
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
