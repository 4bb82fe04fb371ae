"""Frozen layers keep weights and statistics; gradual unfreezing; features kept."""

import numpy as np
import pytest
import timm
import torch
from helpers.networks import SmallNet
from sklearn.datasets import load_digits
from skorch.callbacks import Callback

from imgfeat import CNNClassifier
from imgfeat.training.freezing import ALL, HEAD, LayerOrder, list_frozen
from imgfeat.training.small_cnn import SmallCNN

DIGITS = load_digits()
IMAGES, LABELS = np.rint(DIGITS.images / 16 * 255).astype(np.uint8)[:120], DIGITS.target[:120]
OPTIONS = {"max_epochs": 2, "lr": 0.01, "random_state": 0, "verbose": 0}


def make_trained():
    """Return a small network with statistics of batch normalisation that are not the initial."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SmallCNN(1)
        network.train()
        network(torch.rand(16, 1, 8, 8))
    return network


def fit(**params):
    return CNNClassifier(make_trained(), **{**OPTIONS, **params}).fit(IMAGES, LABELS)


def list_changed(module):
    """Return the first two parts of the names of weights and statistics that training changed."""
    before = make_trained().state_dict()
    return {
        ".".join(name.split(".")[:2])
        for name, value in module.trunk.state_dict().items()
        if not torch.equal(value, before[name])
    }


@pytest.mark.parametrize(
    ("unfreeze", "changed"),
    [
        ("head", set()),
        ("last_block", {"stages.2"}),
        (1, {"stages.2"}),
        (2, {"stages.1", "stages.2"}),
        ("stages.1", {"stages.1", "stages.2"}),
        ("stages.2.conv2", {"stages.2"}),
        ("all", {"stages.0", "stages.1", "stages.2"}),
    ],
)
def test_frozen_weights_and_statistics_are_bitwise_the_same(unfreeze, changed):
    assert list_changed(fit(unfreeze=unfreeze).module_) == changed


def test_within_a_block_only_the_named_layer_and_later_ones_change():
    state = fit(unfreeze="stages.2.conv2").module_.trunk.state_dict()
    before = make_trained().state_dict()
    same = [name for name in state if torch.equal(state[name], before[name])]
    assert "stages.2.bn1.running_mean" in same
    assert "stages.2.conv1.weight" in same
    assert "stages.2.bn2.running_mean" not in same
    assert "stages.2.conv2.weight" not in same


def test_frozen_batch_normalisation_is_in_evaluation_mode_while_training():
    modes = {}

    class Watch(Callback):
        def on_grad_computed(self, net, **kwargs):
            modes.update({n: m.training for n, m in net.module_.trunk.named_modules()})

    fit(unfreeze="last_block", callbacks=[Watch()])
    assert not modes["stages.0.bn1"]
    assert not modes["stages.1.bn2"]
    assert modes["stages.2.bn1"]


def test_gradual_unfreezing_goes_block_by_block():
    trained = []

    class Watch(Callback):
        def on_grad_computed(self, net, **kwargs):
            names = {n for n, p in net.module_.named_parameters() if p.grad is not None}
            trained.append((len(net.history), {n.split(".")[2] for n in names if "stages" in n}))

    fit(unfreeze="all", gradual_unfreeze=2, max_epochs=9, early_stopping=20, callbacks=[Watch()])
    stages = {epoch: max((s for e, s in trained if e == epoch), key=len) for epoch, _ in trained}
    first, second, third, whole = set(), {"2"}, {"1", "2"}, {"0", "1", "2"}
    assert [stages[e] for e in range(1, 9)] == [
        first, first, second, second, third, third, whole, whole,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "mobilenetv3_small_050"])
def test_order_of_networks_of_timm(name):
    size = (224, 224) if "vit" in name else (64, 64)
    module = timm.create_model(name, num_classes=0).eval()
    order = LayerOrder(module, 3, size)
    starts = order.list_starts("all")
    assert starts[0] == HEAD
    assert starts[-1] == ALL
    assert starts == sorted(starts, reverse=True)
    frozen = set(list_frozen(order, order.find_start("last_block")))
    last = order.blocks[-1]
    assert {
        name for name in dict(module.named_modules()) if name.startswith(last)
    } & frozen == set()
    assert set(order.blocks[:-1]) <= frozen
    assert list_frozen(order, ALL) == []
    assert set(list_frozen(order, HEAD)) == set(dict(module.named_modules()))


def test_attention_of_torch_is_frozen_and_trained_as_a_whole():
    class Attends(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Conv2d(1, 8, 4, 4)
            self.layers = torch.nn.ModuleList(
                torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2)
            )

        def forward(self, x):
            x = self.embed(x).flatten(2).transpose(1, 2)
            for layer in self.layers:
                x = layer(x)
            return x

    module = Attends()
    model = CNNClassifier(module, unfreeze="layers.1", **OPTIONS).fit(IMAGES, LABELS)
    changed = {
        name.rpartition(".")[0]
        for name, value in model.module_.trunk.named_parameters()
        if not torch.equal(value, dict(module.named_parameters())[name])
    }
    assert {"layers.1.self_attn", "layers.1.self_attn.out_proj"} <= changed
    assert not any(name.startswith(("embed", "layers.0")) for name in changed)


@pytest.mark.parametrize("backbone", [make_trained(), SmallNet(n_channels=1)])
def test_features_that_are_kept_give_the_same_classifier(backbone):
    models = [
        CNNClassifier(backbone, keep_features=keep, **{**OPTIONS, "max_epochs": 4}).fit(
            IMAGES, LABELS
        )
        for keep in (True, False)
    ]
    kept, computed = (model.predict_proba(IMAGES) for model in models)
    np.testing.assert_allclose(kept, computed, atol=1e-5)
    names = ["train_loss", "valid_loss"]
    np.testing.assert_allclose(models[0].history_[names], models[1].history_[names], rtol=1e-4)


def test_the_trunk_runs_once_for_each_image_if_features_are_kept():
    class Counting(SmallNet):
        n_images = 0

        def forward(self, x):
            Counting.n_images += len(x)
            return super().forward(x)

    def count(**params):
        Counting.n_images = 0
        CNNClassifier(Counting(n_channels=1), **OPTIONS, **params).fit(IMAGES, LABELS)
        return Counting.n_images

    few = count()
    assert 120 <= few <= 126  # and single images by which the layers are found
    assert count(keep_features=False) - few == 120
    assert count(mixup=0.4) - few == 120
