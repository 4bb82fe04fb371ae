"""Networks from .onnx files of any origin."""

import numpy as np
import onnx
import onnx.version_converter
import pytest
import torch
from helpers.networks import SmallNet, pool_by_hand, write_onnx
from onnx import TensorProto, helper

from imgfeat import BackboneError, CNNEmbedding
from imgfeat.backbones.onnx.network import find_cuts, load_network, trace_graph


def maps_of(images):
    """What SmallNet's convolutions make of images in [0, 1]."""
    net = SmallNet()
    x = torch.from_numpy(np.asarray(images, np.float32)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        first = net.first(x).relu()
        return first.numpy(), net.second(first).numpy()


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("size", [("h", "w"), (64, 64)])
def test_either_layout_gives_the_same_features(channels_last, size, photographs, tmp_path):
    path = write_onnx(tmp_path / "net.onnx", channels_last=channels_last, size=size)
    embedding = CNNEmbedding(path, layers="last", pooling=("mean", "std")).fit(photographs)
    expected = pool_by_hand(maps_of(photographs / 255)[1], ("mean", "std"), 2)
    assert_close(embedding.transform(photographs), expected)
    name = "last_order" if channels_last else "conv2"
    assert embedding.get_feature_names_out()[0] == f"cnn_{name}_y0_x0_mean0"


def test_inner_layers_by_name(photographs, tmp_path):
    path = write_onnx(tmp_path / "net.onnx", channels_last=True)
    expected = pool_by_hand(maps_of(photographs / 255)[0], ("max",), 3)
    embedding = CNNEmbedding(str(path), layers="relu", pooling="max", grid=3)
    assert_close(embedding.fit_transform(photographs), expected)
    assert embedding.list_layers((64, 64)) == [
        "first_order", "conv1", "relu", "conv2", "last_order",
    ]  # fmt: skip
    with pytest.raises(BackboneError, match=r"'rel'.*Did you mean relu"):
        CNNEmbedding(path, layers="rel").fit(photographs)


def test_integers_are_fed_as_they_are(photographs, tmp_path):
    path = write_onnx(tmp_path / "net.onnx", dtype=np.uint8)
    expected = pool_by_hand(maps_of(photographs)[1], ("mean",), 2)
    found = CNNEmbedding(path, layers="conv2", pooling="mean").fit_transform(photographs)
    assert_close(found, expected)


@pytest.mark.parametrize("opset", [11, 15, 20])
@pytest.mark.parametrize("channels_last", [False, True])
def test_images_are_resized_and_normalised_as_asked(channels_last, opset, photographs, tmp_path):
    path = write_onnx(
        tmp_path / "net.onnx", channels_last=channels_last, size=(40, 48), opset=opset
    )
    pixels = torch.from_numpy(photographs / 255).float().permute(0, 3, 1, 2)
    pixels = torch.nn.functional.interpolate(
        pixels, size=(40, 48), mode="bilinear", antialias=True
    ).permute(0, 2, 3, 1)
    expected = pool_by_hand(maps_of((pixels - 0.5) / 0.25)[1], ("mean",), 1)
    embedding = CNNEmbedding(path, layers="last", pooling="mean", grid=1, mean=0.5, std=0.25)
    found = embedding.fit_transform(photographs)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    with pytest.raises(BackboneError, match=r"takes images of \(40, 48\)"):
        CNNEmbedding(path, image_size=32).fit(photographs)


def test_a_graph_for_batches_of_one_size_alone(photographs, tmp_path):
    path = write_onnx(tmp_path / "net.onnx", batch=4)
    images = np.concatenate([photographs, photographs[:3]])
    expected = pool_by_hand(maps_of(images / 255)[1], ("mean",), 2)
    embedding = CNNEmbedding(path, layers="last", pooling="mean").fit(photographs)
    assert_close(embedding.transform(images), expected)
    assert embedding.transform(images[:0]).shape == (0, 24)
    agreement = embedding.describe()["agreement"]
    assert (agreement["with"], agreement["batches"]) == ("itself, in reverse", [4])


def test_a_network_from_a_file_runs_without_torch_in_eight_bits(photographs, tmp_path):
    path = write_onnx(tmp_path / "net.onnx")
    exact = CNNEmbedding(path, layers="last").fit_transform(photographs)
    rough = CNNEmbedding(path, layers="last", precision="int8").fit_transform(photographs)
    cosine = (exact * rough).sum() / np.linalg.norm(exact) / np.linalg.norm(rough)
    assert 0.99 < cosine < 1


def test_presets_find_the_ends_of_residual_blocks(tmp_path):
    class Block(torch.nn.Module):
        def __init__(self, n_in, n_out, stride):
            super().__init__()
            self.body = torch.nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1)
            self.side = torch.nn.Conv2d(n_in, n_out, 1, stride=stride)

        def forward(self, x):
            return (self.body(x) + self.side(x)).relu()

    torch.manual_seed(0)
    net = torch.nn.Sequential(*[Block(n, m, s) for n, m, s in ((3, 4, 2), (4, 5, 1), (5, 6, 2))])
    torch.onnx.export(
        net.eval(), (torch.zeros(2, 3, 32, 32),), tmp_path / "net.onnx", dynamo=True,
        verbose=False, dynamic_shapes=({0: torch.export.Dim("n")},), external_data=False,
    )  # fmt: skip
    network = load_network(tmp_path / "net.onnx")
    layers = trace_graph(network, (32, 32))
    kinds = {node.output[0]: node.op_type for node in network.model.graph.node}
    cuts = find_cuts(network, layers)
    assert [kinds[name] for name in cuts] == ["Add", "Relu"] * 3
    embedding = CNNEmbedding(tmp_path / "net.onnx", layers="stages").fit(
        np.zeros((1, 32, 32, 3), np.uint8)
    )
    assert [layer["sides"] for layer in embedding.describe()["layers"]] == [(16, 16), (8, 8)]
    assert [layer["n_channels"] for layer in embedding.describe()["layers"]] == [5, 6]


def test_bad_files_are_one_clear_error(photographs, tmp_path):
    path = tmp_path / "net.onnx"
    with pytest.raises(BackboneError, match=r"net\.onnx cannot be read"):
        CNNEmbedding(path).fit(photographs)
    content = write_onnx(path).read_bytes()
    for bad in (b"", b"nonsense", content[:-100], content[: len(content) // 2]):
        path.write_bytes(bad)
        with pytest.raises(BackboneError, match=r"net\.onnx (is damaged or no ONNX|has)"):
            CNNEmbedding(path).fit(photographs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 3}, r"rank 3, \(\?, 3, \?\)"),
        ({"dtype": np.float64}, "takes double"),
    ],
)
def test_inputs_that_are_no_images_are_refused(changes, message, photographs, tmp_path):
    path = write_onnx(tmp_path / "net.onnx", **changes)
    with pytest.raises(BackboneError, match=message):
        load_network(path)


def test_channels_that_no_image_has_are_refused(tmp_path):
    path = tmp_path / "net.onnx"
    write_io(path, [("a", ["n", 5, 8, 8])])
    with pytest.raises(BackboneError, match=r"shape \(\?, 5, 8, 8\)"):
        load_network(path)
    write_io(path, [("a", ["n", 3, 8, 8]), ("b", ["n", 3, 8, 8])])
    with pytest.raises(BackboneError, match=r"2 inputs \(a, b\)"):
        load_network(path)


def write_io(path, inputs):
    """Write a graph that adds up its inputs."""
    names = [name for name, _ in inputs]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in inputs]
    node = helper.make_node("Sum", names, ["sum"])
    out = [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [None] * 4)]
    graph = helper.make_graph([node], "io", values, out)
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)


def test_operators_that_cannot_be_brought_up_to_date_are_named(photographs, tmp_path, monkeypatch):
    def fail(model, version):
        raise RuntimeError("no adapter")

    monkeypatch.setattr(onnx.version_converter, "convert_version", fail)
    path = write_onnx(tmp_path / "net.onnx", opset=13)
    assert CNNEmbedding(path, layers="last").fit_transform(photographs).shape == (6, 48)
    with pytest.raises(BackboneError, match=r"opset 13 and cannot be converted to 18 \(no adapter"):
        CNNEmbedding(path, layers="last", image_size=32).fit(photographs)


def test_torch_cannot_run_a_file(photographs, tmp_path):
    path = write_onnx(tmp_path / "net.onnx")
    with pytest.raises(BackboneError, match=r"engine='torch' cannot run.*engine='onnx'"):
        CNNEmbedding(path, engine="torch").fit(photographs)


def test_too_small_images_are_refused(tmp_path):
    nodes = [helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[9, 9])]
    graph = helper.make_graph(
        nodes, "pool",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "p.onnx")
    with pytest.raises(BackboneError, match=r"(fails on images of 4 x 4|no layer)"):
        CNNEmbedding(tmp_path / "p.onnx", layers="y").fit(np.zeros((1, 4, 4, 3), np.uint8))


def test_a_file_that_changed_is_read_again(photographs, tmp_path):
    path = write_onnx(tmp_path / "net.onnx")
    embedding = CNNEmbedding(path, layers="last", pooling="mean").fit(photographs)
    before = embedding.transform(photographs)
    model = onnx.load(path)
    for constant in model.graph.initializer:
        if constant.name in ("w2", "b2"):
            doubled = 2 * onnx.numpy_helper.to_array(constant)
            constant.CopyFrom(onnx.numpy_helper.from_array(doubled, constant.name))
    onnx.save(model, path)
    np.testing.assert_allclose(embedding.transform(photographs), 2 * before, rtol=1e-5)


def test_weights_beside_the_file_are_read_and_no_others(photographs, tmp_path, monkeypatch):
    whole = write_onnx(tmp_path / "whole.onnx")
    expected = CNNEmbedding(whole, layers="last").fit_transform(photographs)
    folder = tmp_path / "split"
    folder.mkdir()
    path = folder / "net.onnx"
    settings = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}
    onnx.save(onnx.load(whole), path, **settings)
    found = CNNEmbedding(path, layers="last").fit_transform(photographs)
    np.testing.assert_array_equal(found, expected)
    monkeypatch.chdir(folder)
    found = CNNEmbedding("net.onnx", layers="last").fit_transform(photographs)
    np.testing.assert_array_equal(found, expected)
    (folder / "etc").mkdir()
    (folder / "etc" / "passwd").write_bytes((folder / "net.data").read_bytes())
    (folder / "link.data").symlink_to(folder / "etc" / "passwd")
    for location in (
        "etc/passwd",
        str(folder / "etc" / "passwd"),
        "../split/net.data",
        "link.data",
    ):
        model = onnx.load(path, load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
        (folder / "other.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(BackboneError, match=r"other\.onnx keeps weights in .*own folder"):
            CNNEmbedding("other.onnx", layers="last").fit(photographs)
