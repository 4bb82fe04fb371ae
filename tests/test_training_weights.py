"""Weights that people bring: the forms that trainers write, and what is left out of them."""

import warnings

import numpy as np
import pytest
import torch
from helpers.networks import SmallNet
from safetensors.torch import save_file

from imgfeat import BackboneError, CNNClassifier, CNNEmbedding
from imgfeat.backbones.backbone import load_backbone
from imgfeat.backbones.state_dicts import load_weights

TRAINED = SmallNet(seed=7).state_dict()
WRAPPED = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state, "optimizer": {"param_groups": []}},
    "model_state_dict": lambda state: {"model_state_dict": state, "loss": 0.5},
    "DataParallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "compiled": lambda state: {f"_orig_mod.module.{n}": value for n, value in state.items()},
    "both": lambda state: {"model": {f"module.{n}": value for n, value in state.items()}},
}


def assert_trained(module, names=TRAINED):
    for name in names:
        assert torch.equal(module.state_dict()[name], TRAINED[name]), name


@pytest.mark.parametrize("form", WRAPPED)
def test_all_forms_are_loaded_without_a_word(form, tmp_path):
    torch.save(WRAPPED[form](TRAINED), tmp_path / "w.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_trained(load_backbone(SmallNet(), tmp_path / "w.pth").module)


def test_safetensors_of_a_data_parallel_network(tmp_path):
    save_file(WRAPPED["DataParallel"](TRAINED), tmp_path / "w.safetensors")
    assert_trained(load_backbone(SmallNet(), tmp_path / "w.safetensors").module)


TRUNK = ("first.weight", "first.bias", "second.weight", "second.bias")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"head.weight": torch.zeros(2, 6), "head.bias": torch.zeros(2)},
            "left out of the file: head.weight, head.bias; not loaded into the network: "
            "head.bias, head.weight",
        ),
        ({"head.weight": None, "head.bias": None}, "not loaded into the network: head.bias, head"),
        ({"ema.decay": torch.zeros(1)}, "left out of the file: ema.decay"),
    ],
)
def test_what_is_left_out_is_said(change, message, tmp_path):
    state = {name: value for name, value in (TRAINED | change).items() if value is not None}
    torch.save(state, tmp_path / "w.pth")
    module = SmallNet(seed=1)
    with pytest.warns(UserWarning, match=message):
        load_weights(module, tmp_path / "w.pth")
    assert_trained(module, TRUNK)
    if "head.weight" in change:
        assert torch.equal(module.head.weight, SmallNet(seed=1).head.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"second.weight": None}, "do not fit SmallNet: second.weight is missing"),
        (
            {"first.weight": torch.zeros(4, 1, 3, 3)},
            r"first.weight has shape \(4, 1, 3, 3\), not \(4, 3, 3, 3\)",
        ),
        (dict.fromkeys(TRAINED), "first.weight is missing, and 3 more"),
    ],
)
def test_weights_of_another_network_are_one_clear_error(change, message, tmp_path):
    state = {name: value for name, value in (TRAINED | change).items() if value is not None}
    torch.save(state, tmp_path / "w.pth")
    module = SmallNet(seed=1)
    with pytest.raises(BackboneError, match=message):
        load_weights(module, tmp_path / "w.pth")
    assert torch.equal(module.first.weight, SmallNet(seed=1).first.weight)


@pytest.mark.parametrize("content", [[1, 2], {"model": 3}, torch.zeros(3)])
def test_files_without_a_state_dict_are_one_clear_error(content, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(BackboneError, match="do not fit SmallNet"):
        load_weights(SmallNet(), tmp_path / "w.pth")


def test_timm_names_its_classifier(tmp_path):
    import timm

    network = timm.create_model("resnet18", num_classes=7)
    torch.save({"model": network.state_dict()}, tmp_path / "w.pth")
    with pytest.warns(UserWarning, match=r"left out of the file: fc\.weight, fc\.bias"):
        loaded = load_backbone("timm:resnet18", tmp_path / "w.pth")
    assert torch.equal(loaded.module.layer4[1].conv2.weight, network.layer4[1].conv2.weight)


def test_classifier_and_embedding_take_them(tmp_path, photographs):
    torch.save(WRAPPED["both"](TRAINED), tmp_path / "w.pth")
    classifier = CNNClassifier(
        SmallNet(), tmp_path / "w.pth", max_epochs=1, random_state=0, verbose=0,
        validation_fraction=None, early_stopping=False,
    )  # fmt: skip
    classifier.fit(photographs, [0, 1, 0, 1, 0, 1])
    assert torch.equal(classifier.module_.trunk.first.weight, TRAINED["first.weight"])
    given, brought = (
        CNNEmbedding(*args, layers="second", engine="torch").transform(photographs)
        for args in ((SmallNet(seed=7),), (SmallNet(), tmp_path / "w.pth"))
    )
    np.testing.assert_array_equal(given, brought)
