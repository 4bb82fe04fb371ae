"""CNNEmbedding in an ONNX graph: the same numbers, and a trunk that runs once."""

import numpy as np
import onnx
import pytest
import torch
from helpers.exported import count_kinds, export, run_batches
from helpers.networks import SmallNet, relative, write_onnx
from onnx import TensorProto, helper
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

from imgfeat import BackboneError, CNNEmbedding, ImageLoader


@pytest.mark.parametrize("target_opset", [20, 22])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_pipeline_gives_the_same_numbers(precision, target_opset, portraits):
    embedding = CNNEmbedding(image_size=96, precision=precision)
    pipeline = make_pipeline(ImageLoader(96), embedding, StandardScaler()).fit(portraits)
    found = run_batches(export(pipeline, portraits.shape[1:], target_opset), portraits)
    assert relative(found, pipeline.transform(portraits)) < 1e-5


@pytest.mark.parametrize(("precision", "kind"), [("fp32", "Conv"), ("int8", "QLinearConv")])
def test_two_depths_of_one_network_run_its_trunk_once(precision, kind, portraits, tmp_path):
    middle = CNNEmbedding(image_size=96, precision=precision)
    last = CNNEmbedding(layers="last", pooling="mean", grid=1, image_size=96, precision=precision)
    alone = count_kinds(export(last.fit(portraits), portraits.shape[1:]), tmp_path)[kind]
    union = FeatureUnion([("middle", middle), ("last", last)]).fit(portraits)
    model = export(union, portraits.shape[1:])
    assert alone == 49
    assert count_kinds(model, tmp_path)[kind] == alone
    np.testing.assert_allclose(run_batches(model, portraits), union.transform(portraits), atol=1e-5)


def test_quantised_networks_at_two_sizes(portraits, tmp_path):
    sizes = [CNNEmbedding(image_size=size, precision="int8") for size in (64, 96)]
    union = FeatureUnion([("small", sizes[0]), ("large", sizes[1])]).fit(portraits)
    model = export(union, portraits.shape[1:])
    assert count_kinds(model, tmp_path)["QLinearConv"] == 2 * 45
    np.testing.assert_allclose(run_batches(model, portraits), union.transform(portraits), atol=1e-5)


def test_networks_of_other_weights_stay_apart(photographs):
    union = FeatureUnion([(f"net{seed}", CNNEmbedding(SmallNet(seed=seed))) for seed in (0, 1)])
    found = run_batches(export(union.fit(photographs), photographs.shape[1:]), photographs)
    np.testing.assert_allclose(found, union.transform(photographs), atol=1e-5)


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 1), (64 * 64,)])
def test_gray_images_for_a_network_of_colours(shape, photographs):
    gray = photographs[..., 0].reshape(len(photographs), *shape)
    flat = (64, 64) if len(shape) == 1 else None
    embedding = CNNEmbedding(
        SmallNet(), pooling=("mean", "max", "gem"), grid=3, image_shape=flat
    ).fit(gray)
    found = run_batches(export(embedding, shape), gray)
    np.testing.assert_allclose(found, embedding.transform(gray), atol=1e-5)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("opset", [11, 17, 20, 22])
def test_networks_from_files_of_any_opset(opset, channels_last, photographs, tmp_path):
    path = write_onnx(tmp_path / "net.onnx", channels_last=channels_last, opset=opset)
    embedding = CNNEmbedding(path, layers="conv2", image_size=32).fit(photographs)
    target_opset = max(opset, 20)
    model = export(embedding, photographs.shape[1:], target_opset)
    found = run_batches(model, photographs)
    np.testing.assert_allclose(found, embedding.transform(photographs), atol=1e-5)
    assert {entry.version for entry in model.opset_import if not entry.domain} <= set(
        range(target_opset + 1)
    )


def test_settings_of_a_gpu_export_as_fp32(photographs):
    cpu = CNNEmbedding(SmallNet())
    gpu = CNNEmbedding(SmallNet(), engine="torch", device="cuda", precision="fp16")
    found = run_batches(export(gpu, photographs.shape[1:]), photographs)
    np.testing.assert_allclose(found, cpu.fit_transform(photographs), atol=1e-5)


class Attention(torch.nn.Module):
    """Patches, layer normalisation and attention."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.patches = torch.nn.Conv2d(3, 8, 8, stride=8)
            self.norm = torch.nn.LayerNorm(8)
            self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
            self.act = torch.nn.GELU()

    def forward(self, x):
        tokens = self.norm(self.patches(x).flatten(2).transpose(1, 2))
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        maps = tokens.transpose(1, 2).reshape(-1, 8, 4, 4)
        return self.act(maps)


@pytest.mark.parametrize("target_opset", [20, 22])
def test_a_transformer(target_opset, photographs):
    images = photographs[:, :32, :32]
    embedding = CNNEmbedding(Attention(), layers="act").fit(images)
    found = run_batches(export(embedding, images.shape[1:], target_opset), images)
    np.testing.assert_allclose(found, embedding.transform(images), atol=1e-5)


def test_branches_that_read_from_around_them(photographs, tmp_path):
    """A file whose `If` reads the tensor before it, by the name that it has outside."""
    path = write_onnx(tmp_path / "net.onnx", size=(64, 64))
    model = onnx.load(path)
    value = helper.make_tensor_value_info("chosen", TensorProto.FLOAT, None)
    branches = {
        name: helper.make_graph([helper.make_node(kind, ["conv2"], ["chosen"])], name, [], [value])
        for name, kind in (("then_branch", "Relu"), ("else_branch", "Neg"))
    }
    size = helper.make_node("Size", ["conv2"], ["size"])
    zero = onnx.numpy_helper.from_array(np.array(0), "zero")
    choice = helper.make_node("If", ["positive"], ["choice"], **branches)
    model.graph.initializer.append(zero)
    model.graph.node.extend([size, helper.make_node("Greater", ["size", "zero"], ["positive"])])
    model.graph.node.append(choice)
    model.graph.output[0].name = "choice"
    onnx.save(model, path)
    embedding = CNNEmbedding(path, layers="choice").fit(photographs)
    found = run_batches(export(embedding, photographs.shape[1:]), photographs)
    np.testing.assert_allclose(found, embedding.transform(photographs), atol=1e-5)


def test_what_cannot_be_exported_says_why(photographs, tmp_path):
    fixed = CNNEmbedding(write_onnx(tmp_path / "fixed.onnx", batch=4))
    with pytest.raises(NotImplementedError, match=r"batches of 4 image.*free first dimension"):
        export(fixed, photographs.shape[1:])
    with pytest.raises(BackboneError, match=r"1 channel.*got 3.*color='gray'"):
        export(CNNEmbedding(SmallNet(n_channels=1)), photographs.shape[1:])
    modern = CNNEmbedding(write_onnx(tmp_path / "modern.onnx"), image_size=32)
    with pytest.raises(
        NotImplementedError, match=r"opset 20.*cannot be converted to opset 12.*=20"
    ):
        export(modern, photographs.shape[1:], target_opset=12)
