"""Networks trained from scratch: small_cnn, the capsule network and vision transformer of docs."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from imgfeat import CNNClassifier
from imgfeat.training.small_cnn import SmallCNN

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples" / "networks"
WHOLE = {"validation_fraction": None, "early_stopping": False}


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    images = np.rint(data.images / 16 * 255).astype(np.uint8)
    return train_test_split(
        images, data.target, test_size=0.3, stratify=data.target, random_state=0
    )


@pytest.fixture
def examples(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


def score(backbone, digits, **params):
    train, held_out, y_train, y_held_out = digits
    model = CNNClassifier(
        backbone, unfreeze="all", scheduler="onecycle", mean=0.3, std=0.4, random_state=0,
        verbose=0, **WHOLE, **params,
    )  # fmt: skip
    return model.fit(train, y_train).score(held_out, y_held_out)


def build(kind, *args, **params):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(*args, **params)


def test_small_cnn_learns_digits(digits):
    assert score("small_cnn", digits, lr=3e-3, max_epochs=6) > 0.97


def test_the_capsule_network_learns_digits(digits, examples):
    network = build(examples("capsules").CapsuleNetwork, (8, 8), n_channels=1, n_classes=10)
    assert score(network, digits, lr=3e-3, head_lr=0.03, dropout=0.0, max_epochs=20) > 0.97


def test_the_vision_transformer_learns_digits(digits, examples):
    vit = examples("vit")
    network = build(vit.VisionTransformer, (8, 8), patch_size=2, n_channels=1, depth=3)
    assert score(network, digits, lr=3e-3, head_lr=3e-3, dropout=0.0, max_epochs=20) > 0.95


def test_capsules_are_routed_and_squashed_as_in_the_paper(examples):
    capsules = examples("capsules")
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.1]])
    # Equation 1 of Sabour et al.: a length of 5 becomes 25 / 26, one of 0.1 becomes 0.01 / 1.01.
    lengths = capsules.squash(vectors).norm(dim=1)
    torch.testing.assert_close(lengths, torch.tensor([25 / 26, 0.01 / 1.01]), rtol=1e-4, atol=1e-6)
    # Two predictions for each of two classes: those for the first agree, the others do not.
    agreeing, opposed = [[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, -1.0]]
    predictions = torch.tensor([agreeing, opposed]).transpose(0, 1).unsqueeze(0)
    first, second = capsules.route(predictions, 3).norm(dim=-1)[0]
    assert first > 0.5
    assert second < 0.01


def test_the_small_cnn_takes_images_of_any_size_and_both_channel_counts():
    for shape in ((1, 1, 1), (3, 5, 7), (1, 28, 28), (3, 33, 20)):
        assert SmallCNN(shape[0]).eval()(torch.zeros(2, *shape)).shape == (2, 128)


@pytest.mark.parametrize("shape", [(5, 7), (28, 28), (9, 9, 3)])
def test_the_small_cnn_is_trained_on_any_images(shape):
    images = np.random.default_rng(0).integers(0, 256, (12, *shape), np.uint8)
    model = CNNClassifier(
        "small_cnn", unfreeze="all", max_epochs=1, random_state=0, verbose=0, **WHOLE
    )
    model.fit(images, [0, 1] * 6)
    assert model.image_size_ == shape[:2]
    assert model.predict_proba(images).shape == (12, 2)
