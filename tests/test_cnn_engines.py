"""What CNNEmbedding runs on: exported graphs and their cache, eight bits, torch, devices."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from helpers.networks import SmallNet, relative
from sklearn.base import clone

from imgfeat import BackboneError, CNNEmbedding
from imgfeat.backbones import engines as runtime
from imgfeat.backbones import settings
from imgfeat.backbones.backbone import load_backbone
from imgfeat.backbones.layers import Layer
from imgfeat.backbones.onnx import export as onnx_export
from imgfeat.backbones.onnx import graph_store
from imgfeat.backbones.onnx.graph import PrePostProcessing
from imgfeat.backbones.torch import engine as torch_engine


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda", "engine": "torch"}, "device='cuda' was requested"),
        ({"device": "cuda", "engine": "onnx"}, "CUDAExecutionProvider"),
        ({"device": "cuda:7", "engine": "torch"}, "cuda:7"),
        ({"device": "tpu"}, "device must be"),
        ({"device": "cuda:x"}, "device must be"),
        ({"precision": "int8", "engine": "torch"}, "precision='int8' is for"),
        ({"precision": "bf16", "engine": "onnx"}, "precision='bf16' is for"),
        ({"precision": "fp16", "engine": "torch", "device": "cpu"}, "needs a GPU"),
        ({"compile": True, "engine": "onnx"}, "compile=True uses torch.compile"),
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
    execution = settings.choose_execution(CNNEmbedding(**given)._settings())
    assert (
        execution.engine,
        execution.device,
        execution.precision,
        execution.batch_size,
    ) == expected


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
    processing = PrePostProcessing(
        (64, 64, 3), (64, 64), (0.0,) * 3, (1.0,) * 3, (Layer("second", "map", 6, (16, 16)),),
        ("mean",), 2,
    )  # fmt: skip
    engine = torch_engine.TorchEngine(backbone, processing, "cpu", "fp32", 1, batch_size=3)
    expected, found, done = np.zeros((2, n, 24), np.float32), np.zeros((n, 24), np.float32), []
    engine.run(images, expected[0])
    with torch.inference_mode():
        engine._run_on_gpu(images, found, done.append)
    np.testing.assert_allclose(found, expected[0], atol=1e-6)
    assert sum(done) == n
    assert len(log) == -(-n // 3)
