"""CNNClassifier: scikit-learn's conventions, every parameter, and bad input."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from helpers.networks import SmallNet
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback

from imgfeat import CNNClassifier, CNNEmbedding, ImageLoader
from imgfeat.training import plot_history

DIGITS = load_digits()
IMAGES = np.rint(DIGITS.images / 16 * 255).astype(np.uint8)
SEEN, UNSEEN = slice(0, 200), slice(1200, 1400)
FAST = {
    "unfreeze": "all",
    "lr": 5e-3,
    "max_epochs": 2,
    "batch_size": 16,
    "random_state": 0,
    "verbose": 0,
}
WHOLE = {"validation_fraction": None, "early_stopping": False}


def build(**params):
    return CNNClassifier(**{"backbone": "small_cnn", **FAST, **params})


def fit(**params):
    return build(**params).fit(IMAGES[SEEN], DIGITS.target[SEEN])


@pytest.fixture(scope="module")
def fitted():
    return fit()


@pytest.fixture(scope="module")
def reference(fitted):
    return fitted.predict_proba(IMAGES[UNSEEN])


class Silence(Callback):
    """Zeroes the network at the end of each epoch."""

    def on_epoch_end(self, net, **kwargs):
        with torch.no_grad():
            for parameter in net.module_.parameters():
                parameter.zero_()


EFFECTS = {
    "backbone": SmallNet(n_channels=1),
    "unfreeze": 2,
    "gradual_unfreeze": 1,
    "initialization": "xavier",
    "optimizer": "sgd",
    "lr": 1e-3,
    "head_lr": 1e-3,
    "weight_decay": 0.5,
    "dropout": 0.5,
    "loss": "focal",
    "label_smoothing": 0.1,
    "class_weight": {0: 5.0},
    "sampler": "balanced",
    "mixup": 0.4,
    "scheduler": "onecycle",
    "max_epochs": 3,
    "batch_size": 25,
    "validation_fraction": 0.3,
    "image_size": 12,
    "mean": 0.2,
    "std": 0.3,
    "precision": "bf16",
    "random_state": 1,
}


@pytest.mark.filterwarnings("ignore:small_cnn has random weights")
@pytest.mark.parametrize("name", EFFECTS)
def test_every_parameter_has_an_effect(name, reference):
    found = fit(**{name: EFFECTS[name]}).predict_proba(IMAGES[UNSEEN])
    assert np.abs(found - reference).max() > 1e-4


def test_remaining_parameters_have_an_effect(fitted, reference, tmp_path, capsys):
    assert (
        fit(loss="focal", focal_gamma=0.5).history_["train_loss"].iloc[0]
        > (fit(loss="focal").history_["train_loss"].iloc[0])
    )
    silenced = fit(callbacks=[Silence()], early_stopping=1, max_epochs=5)
    assert silenced.n_epochs_ == 2  # the second one is no better than the first
    assert (
        silenced.history_["valid_accuracy"].tolist() != fitted.history_["valid_accuracy"].tolist()
    )
    fit(checkpoint_dir=tmp_path)
    assert [path.name for path in tmp_path.glob("*/*")] == ["checkpoint.safetensors"]
    fit(verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:10] for line in lines] == ["epoch 1/2:", "epoch 2/2:"]
    again = build(warm_start=True).fit(IMAGES[SEEN], DIGITS.target[SEEN])
    first = again.history_["train_loss"].iloc[0]
    assert again.fit(IMAGES[SEEN], DIGITS.target[SEEN]).history_["train_loss"].iloc[0] < first / 2
    flat = build(image_shape=(8, 8)).fit(IMAGES[SEEN].reshape(200, 64), DIGITS.target[SEEN])
    assert flat.n_features_in_ == 64
    np.testing.assert_array_equal(flat.predict_proba(IMAGES[UNSEEN].reshape(200, 64)), reference)


def test_the_focal_exponent_has_an_effect():
    sharp, flat = (fit(loss="focal", focal_gamma=g).predict_proba(IMAGES[UNSEEN]) for g in (5, 0))
    assert np.abs(sharp - flat).max() > 1e-3
    # With an exponent of 0 it is the cross-entropy.
    np.testing.assert_allclose(flat, fit().predict_proba(IMAGES[UNSEEN]), atol=1e-3)


def test_augmentation_is_applied_to_training_images_only(reference):
    sizes = []

    def darken(batch):
        sizes.append(len(batch))
        return batch / 2

    darkened = fit(augment=darken).predict_proba(IMAGES[UNSEEN])
    assert np.abs(darkened - reference).max() > 1e-3
    assert sum(sizes) == 2 * 180  # of two epochs; 20 of the 200 images are for validation
    for preset in ("light", "strong"):
        once, twice = (fit(augment=preset).predict_proba(IMAGES[UNSEEN]) for _ in range(2))
        np.testing.assert_array_equal(once, twice)
        assert np.abs(once - reference).max() > 1e-3


def test_the_same_random_state_gives_the_same_classifier(fitted, reference):
    torch.manual_seed(11)
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    again = clone(fitted).fit(IMAGES[SEEN], DIGITS.target[SEEN])
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002
    np.testing.assert_array_equal(again.predict_proba(IMAGES[UNSEEN]), reference)
    pd.testing.assert_frame_equal(
        again.history_.drop(columns="seconds"), fitted.history_.drop(columns="seconds")
    )


def test_pickled_and_in_other_processes_it_is_the_same(fitted, reference):
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.predict_proba(IMAGES[UNSEEN]), reference)
    halves = joblib.Parallel(n_jobs=2)(
        joblib.delayed(fitted.predict)(IMAGES[UNSEEN][i::2]) for i in (0, 1)
    )
    assert halves[0].tolist() == fitted.predict(IMAGES[UNSEEN])[::2].tolist()


def test_probabilities_do_not_depend_on_the_batch(fitted, reference):
    for rows in (slice(0, 1), slice(3, 8), slice(0, 0)):
        found = fitted.predict_proba(IMAGES[UNSEEN][rows])
        np.testing.assert_array_equal(found, reference[rows])
    np.testing.assert_allclose(reference.sum(axis=1), 1, atol=1e-6)


def test_its_state_and_tags_are_those_of_a_classifier(fitted):
    assert is_classifier(fitted)
    assert fitted.__sklearn_tags__().classifier_tags.multi_label
    assert not hasattr(build(), "classes_")
    assert fitted.image_shape_ == (8, 8, 1)
    assert fitted.image_size_ == (8, 8)
    assert set(clone(fitted).get_params()) == set(fitted.get_params())
    assert fitted.n_epochs_ == len(fitted.history_) == 2
    with pytest.raises(ValueError, match="not fitted"):
        build().predict(IMAGES)


def test_scores_are_those_of_scikit_learn(fitted):
    predicted = fitted.predict(IMAGES[UNSEEN])
    expected = accuracy_score(DIGITS.target[UNSEEN], predicted)
    assert fitted.score(IMAGES[UNSEEN], DIGITS.target[UNSEEN]) == expected > 0.6


NAMES = np.array([f"digit {9 - code}" for code in range(10)])
KINDS = {
    "strings": lambda y: NAMES[y],
    "gaps": lambda y: y * 7 - 20,
    "whole floats": lambda y: y.astype(float),
    "series": lambda y: pd.Series(NAMES[y], index=np.arange(len(y))[::-1] + 5),
    "categories": lambda y: pd.Series(NAMES[y], dtype="category"),
    "nullable": lambda y: pd.Series(y, dtype="Int64"),
    "list": lambda y: NAMES[y].tolist(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_any_kind_come_back(kind, fitted):
    labels = KINDS[kind](DIGITS.target[SEEN])
    model = build().fit(IMAGES[SEEN], labels)
    expected = np.unique(np.asarray(KINDS[kind](np.arange(10))))
    assert model.classes_.tolist() == expected.tolist()
    found = model.predict(IMAGES[UNSEEN])
    assert set(found.tolist()) <= set(expected.tolist())
    assert model.score(IMAGES[UNSEEN], KINDS[kind](DIGITS.target[UNSEEN])) > 0.6


def test_booleans_and_two_classes():
    labels = DIGITS.target[SEEN] > 4
    model = build().fit(IMAGES[SEEN], labels)
    assert model.classes_.tolist() == [False, True]
    assert model.predict_proba(IMAGES[:3]).shape == (3, 2)
    assert model.predict(IMAGES[:3]).dtype == bool


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "bce"])
def test_indicator_matrices(loss):
    y = np.column_stack([DIGITS.target > 4, DIGITS.target % 2, DIGITS.target == 3]).astype(int)
    model = build(loss=loss, max_epochs=4).fit(IMAGES[SEEN], y[SEEN])
    assert model.classes_.tolist() == [[0, 1]] * 3
    probabilities = model.predict_proba(IMAGES[UNSEEN])
    predicted = model.predict(IMAGES[UNSEEN])
    np.testing.assert_array_equal(predicted, probabilities > 0.5)
    assert model.score(IMAGES[UNSEEN], y[UNSEEN]) == accuracy_score(y[UNSEEN], predicted) > 0.5
    crossed = cross_val_predict(build(loss=loss), IMAGES[SEEN], y[SEEN], cv=2)
    assert crossed.shape == (200, 3)


def test_a_class_absent_from_a_fold_is_not_predicted():
    kept = DIGITS.target[SEEN] != 3
    model = build().fit(IMAGES[SEEN][kept], DIGITS.target[SEEN][kept])
    assert 3 not in model.classes_
    assert 3 not in model.predict(IMAGES[UNSEEN])


def test_a_pipeline_with_the_loader(photographs):
    labels = ["astronaut"] * 2 + ["cat"] * 2 + ["coffee"] * 2
    pipeline = make_pipeline(ImageLoader(32), build(backbone=SmallNet(), batch_size=3, **WHOLE))
    assert pipeline.fit(list(photographs), labels).predict(photographs).shape == (6,)


def test_grey_images_in_a_network_for_colour():
    grey = build(backbone=SmallNet(), **WHOLE).fit(IMAGES[SEEN], DIGITS.target[SEEN])
    repeated = np.repeat(IMAGES[..., np.newaxis], 3, axis=3)
    color = build(backbone=SmallNet(), **WHOLE).fit(repeated[SEEN], DIGITS.target[SEEN])
    np.testing.assert_allclose(
        grey.predict_proba(IMAGES[UNSEEN]), color.predict_proba(repeated[UNSEEN]), atol=1e-4
    )


def test_sample_weights_of_zero_leave_images_out():
    weights = (DIGITS.target[SEEN] != 3).astype(float)
    model = build(max_epochs=4, **WHOLE).fit(IMAGES[SEEN], DIGITS.target[SEEN], weights)
    assert (model.predict(IMAGES[UNSEEN]) == 3).mean() < 0.01
    assert (fit(max_epochs=4, **WHOLE).predict(IMAGES[UNSEEN]) == 3).mean() > 0.04


def test_the_best_epoch_is_restored():
    validation = (IMAGES[200:400], DIGITS.target[200:400])
    model = build(max_epochs=6, lr=0.03).fit(
        IMAGES[SEEN], DIGITS.target[SEEN], validation_data=validation
    )
    history = model.history_
    best = history["valid_accuracy"].max()
    assert model.score(*validation) == pytest.approx(best) == model.validation_score_
    equals = history[history["valid_accuracy"] == best]
    assert model.best_epoch_ == equals["valid_loss"].idxmin()


def test_the_validation_score_is_balanced_with_class_weights():
    kept = np.flatnonzero((DIGITS.target < 2) & (np.arange(len(DIGITS.target)) % 5 != 0))
    validation = (IMAGES[400:700], DIGITS.target[400:700])
    two = validation[1] < 2
    validation = (validation[0][two][:40], validation[1][two][:40])
    model = build(class_weight="balanced", max_epochs=1, lr=1e-4).fit(
        IMAGES[kept][:30], DIGITS.target[kept][:30], validation_data=validation
    )
    expected = balanced_accuracy_score(validation[1], model.predict(validation[0]))
    assert model.validation_score_ == pytest.approx(expected)


def test_groups_stay_together():
    groups = np.arange(200) // 10
    seen = []

    class Watch(Callback):
        def on_train_begin(self, net, X=None, **kwargs):
            seen.append((X.inputs, net.validation.inputs))

    build(max_epochs=1, callbacks=[Watch()]).fit(IMAGES[SEEN], DIGITS.target[SEEN], groups=groups)
    ((train, held_out),) = seen
    positions = {image.tobytes(): group for image, group in zip(IMAGES[SEEN], groups, strict=True)}
    parts = [{positions[image.tobytes()] for image in part} for part in (train, held_out)]
    assert parts[0] & parts[1] == set()
    assert len(parts[1]) == 2


def test_history_is_drawn(fitted):
    figure = plot_history(fitted)
    lines = figure.axes[0].get_lines()
    np.testing.assert_allclose(lines[0].get_ydata(), fitted.history_["train_loss"])
    assert lines[-1].get_xdata()[0] == fitted.best_epoch_


def test_the_default_network_learns_textures_from_few_images():
    from imgfeat.datasets import load_textures

    data = load_textures(patch_size=64)
    rows = np.random.default_rng(0).permutation(len(data.images))[:120]
    images, labels = data.images[rows], data.target[rows]
    model = CNNClassifier(image_size=64, max_epochs=10, random_state=0, verbose=0)
    assert model.fit(images[:90], labels[:90]).score(images[90:], labels[90:]) > 0.9
    features = CNNEmbedding(image_size=64, layers="last", pooling="mean", grid=1, engine="torch")
    inner = {}
    model.module_.trunk.register_forward_hook(lambda _, __, output: inner.update(x=output))
    model.predict_proba(images[:4])
    np.testing.assert_allclose(inner["x"], features.transform(images[:4]), atol=2e-4, rtol=1e-3)
