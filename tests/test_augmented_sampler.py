"""AugmentedSampler: more training images in fit, inside of folds alone."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.pipeline import Pipeline, make_pipeline
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

from imgfeat import HOG, ImageLoader, OptunaSearchCV, load_model, save_model
from imgfeat.datasets import load_digits
from imgfeat.evaluation import TrainingImagesWarning, compare, evaluate
from imgfeat.evaluation.prediction import predict_images
from imgfeat.export import load_onnx, to_onnx
from imgfeat.heads import svm
from imgfeat.training import AugmentedSampler


class RecordingSVC(SVC):
    """Keeps every set of rows that it is fitted on or predicts for, in the list `seen`."""

    seen: list = []

    def fit(self, X, y, sample_weight=None):
        self.seen.append(("fit", np.asarray(X).copy()))
        return super().fit(X, y)

    def predict(self, X):
        self.seen.append(("predict", np.asarray(X).copy()))
        return super().predict(X)

    def decision_function(self, X):
        self.seen.append(("predict", np.asarray(X).copy()))
        return super().decision_function(X)


class MarkingSampler(AugmentedSampler):
    """Paints the first pixel of each copy with a number of its original: the pixel below it."""

    def fit_resample(self, X, y):
        resampled, labels = super().fit_resample(X, y)
        resampled = resampled.copy()
        resampled[:, :2, 0] = X[self.sample_indices_, :2, 0]
        return resampled, labels


def flatten(images):
    return np.asarray(images).reshape(len(images), -1).astype(np.float32)


@pytest.fixture(scope="module")
def digits():
    bunch = load_digits()
    return np.rint(bunch.images * 255).astype(np.uint8), bunch.target


@pytest.fixture(scope="module")
def few(digits):
    images, labels = digits
    numbers = {"0": 20, "1": 15, "2": 5}
    rows = np.concatenate([np.flatnonzero(labels == t)[:n] for t, n in numbers.items()])
    return images[rows], labels[rows]


def test_the_originals_come_first_and_copies_have_their_labels(few):
    images, labels = few
    sampler = AugmentedSampler("light", copies=3, random_state=0)
    resampled, names = sampler.fit_resample(images, labels)
    assert resampled.shape == (160, 8, 8)
    assert resampled.dtype == np.uint8
    np.testing.assert_array_equal(resampled[:40], images)
    np.testing.assert_array_equal(names, np.tile(labels, 4))
    np.testing.assert_array_equal(names, labels[sampler.sample_indices_])
    assert len(np.unique(resampled.reshape(160, -1), axis=0)) == 160
    moved = np.abs(resampled[40:].astype(int) - images[sampler.sample_indices_[40:]])
    assert 0 < moved.mean() < np.abs(images[:, None].astype(int) - images).mean()


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64", "column", "colour", "flat"])
def test_dtype_and_shape_are_kept(kind, few, photographs):
    images, labels = few
    image_shape = None
    if kind.startswith("float"):
        images = (images / 255).astype(kind)
    elif kind == "column":
        images = images[..., np.newaxis]
    elif kind == "colour":
        images, labels = photographs, np.arange(6)
    elif kind == "flat":
        images, image_shape = images.reshape(40, 64), (8, 8)
    images.flags.writeable = False
    sampler = AugmentedSampler("standard", random_state=0, image_shape=image_shape)
    resampled, _ = sampler.fit_resample(images, labels)
    assert (resampled.dtype, resampled.shape[1:]) == (images.dtype, images.shape[1:])
    np.testing.assert_array_equal(resampled[: len(images)], images)
    assert not np.array_equal(resampled[len(images) :], images)


def test_a_flip_of_uint8_is_exact(few):
    def flip(batch):
        return batch.flip(-1)

    resampled, _ = AugmentedSampler(flip).fit_resample(*few)
    np.testing.assert_array_equal(resampled[40:], few[0][:, :, ::-1])
    resampled, _ = AugmentedSampler(None).fit_resample(*few)
    np.testing.assert_array_equal(resampled[40:], few[0])


def test_a_random_state_decides(few):
    def draw(random_state):
        sampler = AugmentedSampler("strong", balance=True, random_state=random_state)
        return sampler.fit_resample(*few)[0]

    state = torch.get_rng_state()
    np.testing.assert_array_equal(draw(3), draw(3))
    np.testing.assert_array_equal(draw(np.random.RandomState(3)), draw(3))
    assert not np.array_equal(draw(3), draw(4))
    assert not np.array_equal(draw(None), draw(None))
    assert torch.equal(torch.get_rng_state(), state)


def test_balance_grows_rare_classes_alone(few):
    images, labels = few
    sampler = AugmentedSampler("light", balance=True, copies=50, random_state=0)
    resampled, names = sampler.fit_resample(images, labels)
    assert np.unique(names, return_counts=True)[1].tolist() == [20, 20, 20]
    np.testing.assert_array_equal(resampled[:40], images)
    times = np.bincount(sampler.sample_indices_, minlength=40)
    assert set(times[:20]) == {1}
    assert sorted(times[20:35]) == [1] * 10 + [2] * 5
    assert set(times[35:]) == {4}


NAMES = {
    "strings": ["a", "b", "ü"],
    "integers with gaps": [-5, 3, 100],
    "whole floats": [0.0, 1.0, 7.0],
    "booleans": [True, False, True],
}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("container", [np.array, list, pd.Series, "column", "frame"])
def test_labels_of_any_kind_and_container(kind, container, few):
    images, codes = few
    values = [NAMES[kind][int(code)] for code in codes]
    if container == "column":
        labels = np.array(values)[:, np.newaxis]
    elif container == "frame":
        labels = pd.DataFrame({"label": values}, index=range(100, 140))
    elif container is pd.Series:
        labels = pd.Series(values, index=[f"{i}.png" for i in range(40)], name="label")
    else:
        labels = container(values)
    sampler = AugmentedSampler(balance=True, random_state=0)
    _, names = sampler.fit_resample(images, labels)
    assert type(names) is type(labels)
    assert np.ndim(names) == np.ndim(labels)
    expected = np.array(values)[sampler.sample_indices_]
    np.testing.assert_array_equal(np.ravel(names), expected)
    if isinstance(names, pd.Series | pd.DataFrame):
        assert list(names.index) == list(range(len(expected)))
    assert len(set(np.unique(expected, return_counts=True)[1])) == 1


def test_several_labels(few):
    images, codes = few
    indicator = np.column_stack([codes == "0", codes != "2"]).astype(int)
    sampler = AugmentedSampler(copies=2, random_state=0)
    _, labels = sampler.fit_resample(images, indicator)
    np.testing.assert_array_equal(labels, np.tile(indicator, (3, 1)))
    model = make_pipeline(clone(sampler), HOG(pixels_per_cell=2), svm()).fit(images, indicator)
    assert model.predict(images).shape == indicator.shape
    with pytest.raises(ValueError, match="balance=True needs one label an image"):
        AugmentedSampler(balance=True).fit_resample(images, indicator)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"augment": "lihgt"}, "Did you mean light"),
        ({"augment": 3}, "augment"),
        ({"copies": -1}, "copies"),
        ({"copies": 1.5}, "copies"),
        ({"balance": "yes"}, "balance"),
        ({"random_state": "x"}, "random_state"),
    ],
)
def test_wrong_parameters(parameters, message, few):
    for method in ("fit", "fit_resample"):
        with pytest.raises((ValueError, TypeError), match=message):
            getattr(AugmentedSampler(**parameters), method)(*few)


def test_wrong_input(few):
    images, labels = few
    sampler = AugmentedSampler()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        sampler.fit_resample(images, labels[:-1])
    with pytest.raises(ValueError, match="requires y"):
        sampler.fit_resample(images, None)
    with pytest.raises(ValueError, match="at least 1 image"):
        sampler.fit_resample(images[:0], labels[:0])
    with pytest.raises(TypeError, match=r"ImageLoader\(size"):
        sampler.fit_resample(["a.png"], ["a"])
    with pytest.raises(ValueError, match="Unknown label type"):
        AugmentedSampler(balance=True).fit_resample(images, np.linspace(0, 1, 40))


def test_it_helps_hog_and_an_svm_where_images_are_few(digits):
    """Five images a digit, all others held out, four draws."""
    images, labels = digits
    gains = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(labels == t), 5, replace=False) for t in np.unique(labels)]
        )
        held_out = np.setdiff1d(np.arange(len(labels)), rows)
        plain = make_pipeline(HOG(pixels_per_cell=2), svm())
        grown = make_pipeline(
            AugmentedSampler("light", copies=10, random_state=seed), *clone(plain)[:]
        )
        scores = [
            model.fit(images[rows], labels[rows]).score(images[held_out], labels[held_out])
            for model in (plain, grown)
        ]
        gains.append(scores[1] - scores[0])
    assert min(gains) > 0
    assert np.mean(gains) > 0.04


SEARCHES = {
    "cross_val_score": lambda model, X, y: cross_val_score(model, X, y, cv=3),
    "GridSearchCV": lambda model, X, y: GridSearchCV(
        model, {"head__C": [1.0]}, cv=3, refit=False
    ).fit(X, y),
    "OptunaSearchCV": lambda model, X, y: OptunaSearchCV(
        model, {"head__C": [1.0]}, sampler="grid", cv=3, refit=False
    ).fit(X, y),
    "compare": lambda model, X, y: compare({"model": model}, X, y, n_splits=3, n_repeats=1),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_no_held_out_image_and_no_copy_of_one_is_fitted(name, few):
    """Each image carries its number in one pixel, which the sampler paints on its copies too."""
    images, labels = few
    images = np.tile(images, (1, 2, 2))
    images[:, 0, 0] = np.arange(40)
    images[:, 1, 0] = 255
    marking = MarkingSampler("standard", copies=2, random_state=0)
    model = Pipeline(
        [("grow", marking), ("flat", FunctionTransformer(flatten)), ("head", RecordingSVC())]
    )
    RecordingSVC.seen.clear()
    SEARCHES[name](model, images, labels)
    calls = [(kind, rows[:, 0].astype(int)) for kind, rows in RecordingSVC.seen]
    fits = [numbers for kind, numbers in calls if kind == "fit"]
    predictions = [numbers for kind, numbers in calls if kind == "predict"]
    assert len(fits) == 3
    held_out = []
    for numbers in fits:
        unique, counts = np.unique(numbers, return_counts=True)
        assert set(counts) == {3}
        held_out.append(sorted(set(range(40)) - set(unique)))
    assert sorted(itertools.chain(*held_out)) == list(range(40))
    assert len(predictions) >= 3
    for numbers in predictions:
        # An image is predicted once, as it is, and was in none of the fit's copies.
        assert sorted(numbers) in held_out


def build(images, labels):
    sampler = AugmentedSampler("light", balance=True, random_state=0)
    head = LogisticRegression(max_iter=500)
    return make_pipeline(ImageLoader(16), sampler, HOG(pixels_per_cell=4), head).fit(images, labels)


def test_prediction_sees_no_augmentation(few):
    images, labels = few
    model = build(images, labels)
    plain = LogisticRegression(max_iter=500)
    plain.__dict__.update(model[-1].__dict__)
    features = HOG(pixels_per_cell=4).fit_transform(ImageLoader(16).fit_transform(images))
    np.testing.assert_array_equal(model.predict_proba(images), plain.predict_proba(features))


def test_it_is_evaluated_exported_and_saved(few, tmp_path):
    images, labels = few
    model = build(images, labels)
    predicted = model.predict(images)
    with pytest.warns(TrainingImagesWarning, match="40 of 40"):
        evaluation = evaluate(model, images, labels)
    assert evaluation.metrics["accuracy"].value == (predicted == labels).mean()
    np.testing.assert_array_equal(predict_images(model, images).labels, predicted)
    certificate = to_onnx(model, images, tmp_path / "model.onnx")
    np.testing.assert_array_equal(load_onnx(tmp_path / "model.onnx").predict(images), predicted)
    assert "augment" not in str(certificate).lower()
    save_model(model, tmp_path / "model.skops")
    again = load_model(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.predict(images), predicted)
