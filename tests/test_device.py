"""HOG and LBP by their graphs, as on a GPU; there is a card in few places, so the CPU provider."""

import importlib
import pickle
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from helpers import graphs
from sklearn.base import clone

from imgfeat import HOG, LBP
from imgfeat.export.converters import registry
from imgfeat.features import _device
from imgfeat.features.graphs import hog as hog_graph

EXTRACTORS = [
    HOG(device="cuda"),
    HOG(8, [8, 6], 1, "L1-sqrt", transform_sqrt=True, device="cuda:1"),
    LBP(grid=2, device="cuda"),
    LBP(12, 2.5, "nri_uniform", device="cuda"),
]


@pytest.fixture
def graphs_on_cpu(monkeypatch):
    """Run the graphs where the tests run, and count them."""
    opened = []

    def find_provider(device):
        opened.append(device)
        return "CPUExecutionProvider", {}

    monkeypatch.setattr(_device, "_find_provider", find_provider)
    _device._open.cache_clear()
    yield opened
    _device._open.cache_clear()


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("extractor", EXTRACTORS, ids=str)
def test_numbers_are_those_of_the_kernel(graphs_on_cpu, extractor, color):
    images = graphs.take_patches(40, 48, color=color)
    rows = extractor.transform(images)
    expected = clone(extractor).set_params(device=None).transform(images)
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-5)
    assert rows.dtype == np.float32
    assert graphs_on_cpu == [extractor.device]


def test_a_graph_is_opened_once(graphs_on_cpu):
    images = graphs.take_patches(32, 32, color=False)
    flat = images.reshape(len(images), -1)
    first = HOG(device="cuda").fit_transform(images)
    again = HOG(image_shape=(32, 32), n_jobs=2, device="cuda").fit_transform(flat)
    np.testing.assert_allclose(again, first, rtol=0, atol=1e-6)
    assert len(graphs_on_cpu) == 1
    HOG(8, device="cuda").transform(images)
    HOG(device="cuda").transform(images[:, :24])
    assert len(graphs_on_cpu) == 3


def test_converters_of_skl2onnx_are_left_alone(graphs_on_cpu, monkeypatch):
    def register_converters():
        pytest.fail("skl2onnx's table of converters is for users who ask for it")

    monkeypatch.setattr(registry, "register_converters", register_converters)
    HOG(device="cuda").transform(graphs.take_patches(32, 32, color=False))
    assert graphs_on_cpu == ["cuda"]


def test_what_was_used_clones_and_pickles(graphs_on_cpu):
    images = graphs.take_patches(32, 32, color=False)
    hog = HOG(device="cuda").fit(images)
    expected = hog.transform(images)
    assert clone(hog).get_params() == hog.get_params()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(hog)).transform(images), expected)


def test_floating_point_images_are_refused(graphs_on_cpu):
    images = graphs.take_patches(32, 32, color=False) / 255
    with pytest.raises(ValueError, match=r"HOG\(device='cuda'\) takes uint8 images, got float64"):
        HOG(device="cuda").transform(images)


def test_a_device_that_computes_something_else_is_refused(graphs_on_cpu, monkeypatch):
    images = graphs.take_patches(32, 32, color=False)
    monkeypatch.setattr(hog_graph, "CLIP", 0.3)
    with pytest.raises(ValueError, match="features differ from those of the CPU by"):
        HOG(device="cuda").transform(images)


def test_the_cpu_needs_no_graph(graphs_on_cpu):
    images = graphs.take_patches(32, 32, color=False)
    np.testing.assert_array_equal(LBP(device="cpu").transform(images), LBP().transform(images))
    assert graphs_on_cpu == []


def test_the_gpu_script_races_them(graphs_on_cpu, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    results = importlib.import_module("bench_gpu").race_graphs("cuda", 3, 1)
    assert [result["extractor"] for result in results] == ["HOG", "LBP"]
    assert graphs_on_cpu == ["cuda", "cuda"]
    assert all(result["max_difference"] <= 1e-5 for result in results)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="there is a GPU build"
)
@pytest.mark.parametrize("kind", [HOG, LBP])
def test_an_absent_card_is_one_clear_error(kind):
    images = graphs.take_patches(32, 32, color=False)
    message = (
        rf"{kind.__name__}\(device='cuda'\) cannot run on this machine"
        ".*CUDAExecutionProvider is needed.*gpu"
    )
    with pytest.raises(ValueError, match=message):
        kind(device="cuda").fit(images).transform(images)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", 0])
def test_device_is_checked(device):
    with pytest.raises(ValueError, match="'device' parameter of HOG must be"):
        HOG(device=device).fit(np.zeros((1, 32, 32), np.uint8))
