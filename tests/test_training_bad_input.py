"""Bad input of CNNClassifier: one clear error each, before any epoch; failures of training."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.networks import SmallNet
from sklearn.datasets import load_digits
from skorch.callbacks import Callback

from imgfeat import BackboneError, CNNClassifier
from imgfeat.training.errors import TrainingError

DIGITS = load_digits()
IMAGES = np.rint(DIGITS.images / 16 * 255).astype(np.uint8)
SEEN, UNSEEN = slice(0, 200), slice(1200, 1400)
FAST = {"unfreeze": "all", "lr": 3e-3, "max_epochs": 2, "random_state": 0, "verbose": 0}
WHOLE = {"validation_fraction": None, "early_stopping": False}


def build(**params):
    return CNNClassifier(**{"backbone": "small_cnn", **FAST, **params})


def fit(**params):
    return build(**params).fit(IMAGES[SEEN], DIGITS.target[SEEN])


@pytest.fixture(scope="module")
def fitted():
    return fit()


class NoEpoch(Callback):
    def on_epoch_begin(self, net, **kwargs):
        raise AssertionError("an epoch begins")


LABELS = DIGITS.target[SEEN]
BAD_LABELS = {
    "floats": (LABELS + 0.5, "continuous"),
    "missing": (np.where(LABELS == 3, np.nan, LABELS), "NaN"),
    "none": (None, "y to be passed"),
    "one class": (LABELS * 0, "2 classes or more, got 1 class: 0"),
    "one image": (np.where(np.arange(200) == 7, 99, LABELS), "Class 99 has only 1 image"),
    "too few": (LABELS[:50], "inconsistent numbers of samples"),
    "several outputs": (np.column_stack([LABELS, LABELS]), "one label for each image"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels(case):
    labels, message = BAD_LABELS[case]
    with pytest.raises(ValueError, match=message):
        build(callbacks=[NoEpoch()]).fit(IMAGES[SEEN], labels)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"unfreeze": "stages.7"}, r"no such layer. Did you mean stages\.[012]"),
        ({"unfreeze": 40}, r"unfreeze=40: the network has \d block"),
        ({"backbone": "resnet"}, "no backbone 'resnet'"),
        ({"backbone": "net.onnx"}, "cannot be trained"),
        ({"device": "cuda:99"}, "CUDA device"),
        ({"precision": "fp16", "device": "cpu"}, "needs a GPU"),
        ({"optimizer": "lion"}, "'optimizer' parameter"),
        ({"lr": 0}, "'lr' parameter"),
        ({"class_weight": {77: 2.0}}, r"labels that y has not: \[77\]"),
        ({"validation_fraction": None}, "early_stopping=True needs a validation part"),
        ({"checkpoint_dir": "x", "random_state": None}, "needs a random_state"),
        ({"mean": [0.1, 0.2]}, "mean must be one number"),
        ({"weights": "missing.safetensors"}, r"no file of weights missing\.safetensors"),
        ({"image_size": (4, 5, 6)}, "image_size must be"),
    ],
)
@pytest.mark.filterwarnings("ignore:small_cnn has random weights")
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        build(callbacks=[NoEpoch()]).set_params(**params).fit(IMAGES[SEEN], LABELS)


def test_a_module_that_fails_on_the_images():
    class Fixed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 2, 3)
            self.fc = torch.nn.Linear(2 * 26 * 26, 10)

        def forward(self, x):
            return self.fc(self.conv(x).flatten(1))

    with pytest.raises(BackboneError, match=r"Fixed fails on images of \(8, 8\)"):
        fit(backbone=Fixed())
    assert fit(backbone=Fixed(), image_size=28).image_size_ == (28, 28)


def test_images_of_another_size_or_channel_count(fitted):
    for images in (np.zeros((2, 9, 8), np.uint8), np.zeros((2, 8, 8, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"fitted on images of shape \(8, 8, 1\), got"):
            fitted.predict(images)
    with pytest.raises(BackboneError, match="images of 1 channel, got 3"):
        build(backbone=SmallNet(n_channels=1)).fit(np.zeros((20, 8, 8, 3), np.uint8), [0, 1] * 10)
    with pytest.raises(ValueError, match="must have shape"):
        fitted.predict(np.zeros((2, 64), np.uint8))


def test_bad_validation_parts():
    def fit_with(**options):
        build(callbacks=[NoEpoch()]).fit(IMAGES[SEEN], LABELS, **options)

    some = LABELS < 9
    with pytest.raises(ValueError, match="Class 9 is absent from validation_data"):
        fit_with(validation_data=(IMAGES[SEEN][some], LABELS[some]))
    with pytest.raises(ValueError, match="labels that y does not have: 33"):
        fit_with(validation_data=(IMAGES[SEEN], np.where(LABELS == 3, 33, LABELS)))
    with pytest.raises(ValueError, match="fitted on images of shape"):
        fit_with(validation_data=(np.zeros((200, 9, 9), np.uint8), LABELS))
    with pytest.raises(TypeError, match=r"must be a tuple \(X, y\)"):
        fit_with(validation_data=IMAGES)
    with pytest.raises(ValueError, match="none with all classes in both parts: class"):
        fit_with(groups=LABELS)
    with pytest.raises(ValueError, match="2 groups or more"):
        fit_with(groups=LABELS * 0)


def test_warm_start_refuses_other_classes_and_images():
    model = build(warm_start=True).fit(IMAGES[SEEN], LABELS)
    with pytest.raises(ValueError, match="continues with the classes"):
        model.fit(IMAGES[SEEN], LABELS + 1)
    with pytest.raises(ValueError, match=r"continues with images of shape \(8, 8, 1\)"):
        model.fit(np.zeros((200, 9, 9), np.uint8), LABELS)


def test_random_weights_that_are_hardly_trained_are_a_warning():
    with pytest.warns(UserWarning, match=r"random weights.*unfreeze='head'"):
        fit(unfreeze="head")


class Poison(Callback):
    """Lets the loss of one epoch be NaN."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            with torch.no_grad():
                net.module_.classifier.bias[0] = float("nan")


def test_a_nan_loss_is_an_error_and_the_last_good_weights_are_kept():
    model = build(max_epochs=5, scheduler=None, callbacks=[Poison(3)])
    with pytest.raises(TrainingError, match=r"The loss is nan in epoch 3.*smaller lr"):
        model.fit(IMAGES[SEEN], LABELS)
    good = build(max_epochs=2, scheduler=None).fit(IMAGES[SEEN], LABELS)
    assert model.n_epochs_ == 2
    np.testing.assert_array_equal(
        model.predict_proba(IMAGES[UNSEEN]), good.predict_proba(IMAGES[UNSEEN])
    )


class Greedy(torch.nn.Module):
    """Runs out of memory on more than six images, as on a small GPU; no batch normalisation."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv = torch.nn.Conv2d(1, 8, 3)

    def forward(self, x):
        if len(x) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.conv(x).relu().mean(dim=(2, 3))


def test_a_batch_that_does_not_fit_is_halved_and_accumulated():
    options = {"dropout": 0.0, "class_weight": "balanced", "batch_size": 32, **WHOLE}
    whole = fit(backbone=Greedy(1000), **options)
    with pytest.warns(UserWarning, match=r"accumulated from (14|7|3) images at a time") as caught:
        halved = fit(backbone=Greedy(6), **options)
    assert len([w for w in caught if "accumulated" in str(w.message)]) == 3
    np.testing.assert_allclose(
        halved.predict_proba(IMAGES[:4]), whole.predict_proba(IMAGES[:4]), atol=1e-5
    )


def test_one_image_that_does_not_fit_is_an_error():
    class Huge(Greedy):
        def forward(self, x):
            if self.training:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(x)

    with (
        pytest.warns(UserWarning, match="accumulated"),
        pytest.raises(TrainingError, match=r"One image of \(8, 8\) pixels does not fit"),
    ):
        fit(backbone=Huge(1000), **WHOLE)


@pytest.mark.parametrize("package", ["torch", "skorch", "safetensors"])
def test_missing_packages_are_one_clear_line(package):
    code = (
        "import importlib.machinery, sys\n"
        "class Hidden(importlib.machinery.PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        f"        hidden = name.partition('.')[0] == {package!r}\n"
        "        return None if hidden else super().find_spec(name, path, target)\n"
        "sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Hidden\n"
        "import numpy as np\n"
        "from imgfeat import CNNClassifier, MissingExtraError\n"
        "try: CNNClassifier().fit(np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1])\n"
        "except MissingExtraError as error: print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == (
        f"{package} is not installed. It comes with: pip install 'imgfeat[deep]'\n"
    ), found.stderr
