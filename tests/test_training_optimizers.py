"""Optimisers, their groups of parameters, and schedules, against torch's own."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Callback
from torch.optim import lr_scheduler

from imgfeat import CNNClassifier
from imgfeat.training.batches import BatchIterator, ImageSet

DIGITS = load_digits()
IMAGES, LABELS = np.rint(DIGITS.images / 16 * 255).astype(np.uint8)[:96], DIGITS.target[:96]
N_EPOCHS = 6


class Rates(Callback):
    """Records the learning rates of every step, and the parameter groups."""

    def on_train_begin(self, net, **kwargs):
        self.seen_ = []

    def on_grad_computed(self, net, **kwargs):
        self.groups_ = net.optimizer_.param_groups
        self.kind_ = type(net.optimizer_)
        self.seen_.append([group["lr"] for group in self.groups_])


def fit(**params):
    rates = Rates()
    options = {
        "unfreeze": "all", "lr": 0.01, "head_lr": 0.03, "max_epochs": N_EPOCHS, "batch_size": 24,
        "validation_fraction": None, "early_stopping": False, "random_state": 0, "verbose": 0,
    }  # fmt: skip
    model = CNNClassifier("small_cnn", **{**options, **params}, callbacks=[rates])
    return model.fit(IMAGES, LABELS), rates


def follow(build, losses=None):
    """Return the rates of torch's scheduler, of lr and head_lr, for each of four steps an epoch."""
    trunk, head = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD(
        [{"params": [trunk], "lr": 0.01}, {"params": [head], "lr": 0.03}], lr=0.01, momentum=0.9
    )
    scheduler = build(optimizer)
    rates = []
    for epoch in range(N_EPOCHS):
        for _ in range(4):
            rates.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            if losses is None:
                scheduler.step()
        if losses is not None:
            scheduler.step(losses[epoch])
    return np.array(rates)


def assert_rates(rates, expected):
    seen = np.array(rates.seen_)
    assert [group["part"] for group in rates.groups_] == ["trunk", "trunk", "head", "head"]
    np.testing.assert_allclose(seen[:, [0, 2]], expected, rtol=1e-9)
    np.testing.assert_allclose(seen[:, [1, 3]], expected, rtol=1e-9)


def test_cosine_and_one_cycle_are_torchs():
    _, rates = fit(scheduler="cosine")
    assert_rates(rates, follow(lambda opt: lr_scheduler.CosineAnnealingLR(opt, 4 * N_EPOCHS)))
    for optimizer in ("adamw", "sgd", "rmsprop"):
        _, rates = fit(scheduler="onecycle", optimizer=optimizer)
        expected = follow(
            lambda opt: lr_scheduler.OneCycleLR(opt, [0.01, 0.03], total_steps=4 * N_EPOCHS)
        )
        assert_rates(rates, expected)


def test_none_keeps_the_rates():
    model, rates = fit(scheduler=None)
    assert_rates(rates, np.tile([0.01, 0.03], (4 * N_EPOCHS, 1)))
    assert model.history_["lr"].tolist() == [0.01] * N_EPOCHS
    assert model.history_["head_lr"].tolist() == [0.03] * N_EPOCHS


def test_a_plateau_is_that_of_the_validation_loss():
    # Labels at random: the validation loss does not fall for long.
    labels = np.random.default_rng(0).integers(0, 2, 96)
    rates = Rates()
    model = CNNClassifier(
        "small_cnn", unfreeze="all", lr=0.01, head_lr=0.03, max_epochs=N_EPOCHS, batch_size=24,
        early_stopping=False, scheduler="plateau", random_state=0, verbose=0, callbacks=[rates],
    )  # fmt: skip
    model.fit(IMAGES, labels, validation_data=(IMAGES, 1 - labels))
    losses = model.history_["valid_loss"].to_numpy()
    expected = follow(
        lambda opt: lr_scheduler.ReduceLROnPlateau(opt, factor=0.1, patience=2), losses
    )
    assert expected[-1, 0] < 0.01
    assert_rates(rates, expected)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adamw", torch.optim.AdamW),
        ("adam", torch.optim.Adam),
        ("sgd", torch.optim.SGD),
        ("rmsprop", torch.optim.RMSprop),
    ],
)
def test_optimizers_decay_matrices_only(name, kind):
    _, rates = fit(optimizer=name, weight_decay=0.02, max_epochs=1)
    assert rates.kind_ is kind
    for group in rates.groups_:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] == 0.02}
    assert sum(len(group["params"]) for group in rates.groups_) == 6 + 12 + 2
    assert rates.groups_[0].get("momentum", 0.9 * (name == "sgd")) == (0.9 if name == "sgd" else 0)


def test_a_frozen_network_has_a_group_for_the_head_alone():
    with pytest.warns(UserWarning, match="random weights"):
        model, rates = fit(unfreeze="head", max_epochs=1)
    assert [group["part"] for group in rates.groups_] == ["head", "head"]
    assert "lr" not in model.history_


def test_the_head_learns_ten_times_as_fast_by_default():
    _, rates = fit(head_lr=None, scheduler=None, max_epochs=1)
    np.testing.assert_allclose(rates.seen_[0], [0.01, 0.01, 0.1, 0.1])


def make_set(targets):
    n = len(targets)
    return ImageSet(np.arange(n, dtype=np.float32)[:, None], targets, np.ones(n, np.float32))


def test_batches_are_of_nearly_one_size_and_hold_every_image_once():
    batches = list(BatchIterator(make_set(np.zeros(33, np.int64)), 16, shuffle=True))
    assert [len(inputs) for inputs, _ in batches] == [11, 11, 11]
    rows = torch.cat([inputs for inputs, _ in batches])[:, 0].int().tolist()
    assert sorted(rows) == list(range(33)) != rows


def test_balanced_batches_draw_classes_equally_often():
    targets = np.repeat([0, 1, 2], [900, 90, 10])
    (batch,) = BatchIterator(make_set(targets), 1000, balanced=True)
    counts = np.bincount(batch[1][0])
    # Three standard deviations of a binomial distribution.
    assert np.abs(counts - 1000 / 3).max() < 3 * np.sqrt(1000 * 2 / 9)
