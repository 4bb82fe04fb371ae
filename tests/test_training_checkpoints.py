"""Checkpoints: a process that is killed loses at most one epoch, and nothing of the result."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from safetensors import safe_open
from sklearn.datasets import load_digits
from skorch.callbacks import Callback

from imgfeat import CNNClassifier
from imgfeat.training.errors import TrainingError

DIGITS = load_digits()
IMAGES, LABELS = np.rint(DIGITS.images / 16 * 255).astype(np.uint8)[:120], DIGITS.target[:120]
CASES = {
    "adamw, cosine": {},
    "sgd, onecycle": {"optimizer": "sgd", "scheduler": "onecycle", "lr": 0.03, "head_lr": 0.03},
    "rmsprop, plateau": {"optimizer": "rmsprop", "scheduler": "plateau", "lr": 1e-3},
    "adam, mixup, gradual": {
        "optimizer": "adam", "scheduler": None, "mixup": 0.3, "gradual_unfreeze": 1,
        "sampler": "balanced",
    },
    "no validation": {"validation_fraction": None, "early_stopping": False},
}  # fmt: skip


def build(**params):
    options = {"unfreeze": "all", "lr": 3e-3, "max_epochs": 5, "random_state": 0, "verbose": 0}
    return CNNClassifier("small_cnn", **{**options, **params})


class Interrupt(Callback):
    """Ends training within an epoch, as a signal would."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_grad_computed(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


class Count(Callback):
    """Lists the epochs that run."""

    def on_train_begin(self, net, **kwargs):
        self.epochs_ = []

    def on_epoch_end(self, net, **kwargs):
        self.epochs_.append(len(net.history))


def assert_same(found, expected):
    np.testing.assert_array_equal(found.predict_proba(IMAGES), expected.predict_proba(IMAGES))
    assert found.best_epoch_ == expected.best_epoch_
    for name in expected.history_.columns.drop("seconds"):
        assert found.history_[name].tolist() == expected.history_[name].tolist()


@pytest.mark.parametrize("case", CASES)
def test_a_fit_that_continues_gives_the_result_of_one_that_did_not_stop(case, tmp_path):
    params = CASES[case] | {"checkpoint_dir": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        build(**params, callbacks=[Interrupt(4)]).fit(IMAGES, LABELS)
    for epochs in ([4, 5], []):  # the second time, nothing is left to do
        count = Count()
        continued = build(**params, callbacks=[count]).fit(IMAGES, LABELS)
        assert count.epochs_ == epochs
        assert_same(continued, build(**CASES[case]).fit(IMAGES, LABELS))


def test_a_run_that_stopped_early_stays_stopped(tmp_path):
    labels = np.random.default_rng(0).integers(0, 2, 120)
    options = {"early_stopping": 1, "max_epochs": 40, "checkpoint_dir": tmp_path}
    first = build(**options).fit(IMAGES, labels)
    assert first.n_epochs_ < 40
    count = Count()
    assert_same(build(**options, callbacks=[count]).fit(IMAGES, labels), first)
    assert count.epochs_ == []


@pytest.mark.parametrize("change", ["parameter", "images", "labels", "validation"])
def test_another_run_does_not_continue_it(change, tmp_path):
    build(checkpoint_dir=tmp_path, max_epochs=2).fit(IMAGES, LABELS)
    count = Count()
    params = {"lr": 2e-3} if change == "parameter" else {}
    images, labels, options = IMAGES.copy(), LABELS.copy(), {}
    if change == "images":
        images[0, 3, 3] ^= 1
    if change == "labels":
        labels[:2] = labels[1::-1]
    if change == "validation":
        options = {"validation_data": (IMAGES, LABELS)}
    model = build(checkpoint_dir=tmp_path, max_epochs=2, callbacks=[count], **params)
    model.fit(images, labels, **options)
    assert count.epochs_ == [1, 2]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_process_that_is_killed_loses_at_most_one_epoch(tmp_path):
    program = textwrap.dedent(f"""
        import numpy as np, os, signal, torch
        from sklearn.datasets import load_digits
        from skorch.callbacks import Callback
        from imgfeat import CNNClassifier

        class Kill(Callback):
            def on_grad_computed(self, net, **kwargs):
                if len(net.history) == 3:
                    os.kill(os.getpid(), signal.SIGKILL)

        # Other numbers of threads round differently, which training amplifies.
        torch.set_num_threads({torch.get_num_threads()})
        digits = load_digits()
        images = np.rint(digits.images / 16 * 255).astype(np.uint8)[:120]
        CNNClassifier(
            "small_cnn", unfreeze="all", lr=3e-3, max_epochs=5, random_state=0, verbose=0,
            checkpoint_dir={str(tmp_path)!r}, callbacks=[Kill()],
        ).fit(images, digits.target[:120])
    """)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == -signal.SIGKILL, result.stderr
    count = Count()
    continued = build(checkpoint_dir=tmp_path, callbacks=[count]).fit(IMAGES, LABELS)
    assert count.epochs_ == [3, 4, 5]
    expected = build().fit(IMAGES, LABELS)
    np.testing.assert_allclose(
        continued.predict_proba(IMAGES), expected.predict_proba(IMAGES), atol=1e-3
    )


def test_a_checkpoint_holds_tensors_and_json_alone(tmp_path):
    build(checkpoint_dir=tmp_path, max_epochs=1).fit(IMAGES, LABELS)
    (path,) = tmp_path.glob("*/*")
    assert not os.path.basename(path).startswith(".")
    with safe_open(path, framework="np") as file:
        assert {name.partition(".")[0] for name in file.keys()} == {  # noqa: SIM118
            "module", "best", "optimizer", "random",
        }  # fmt: skip
        state = json.loads(file.metadata()["state"])
    assert state["history"][0]["epoch"] == state["best_epoch"] == 1


@pytest.mark.parametrize("damage", ["cut", "other", "empty"])
def test_a_damaged_checkpoint_is_one_clear_error(damage, tmp_path):
    build(checkpoint_dir=tmp_path, max_epochs=1).fit(IMAGES, LABELS)
    (path,) = tmp_path.glob("*/*")
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-100], "other": b"x" * 100, "empty": b""}[damage])
    with pytest.raises(TrainingError, match=r"checkpoint\.safetensors is damaged.*Remove it"):
        build(checkpoint_dir=tmp_path, max_epochs=1).fit(IMAGES, LABELS)
