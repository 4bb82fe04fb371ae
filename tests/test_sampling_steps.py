"""Pipelines of imbalanced-learn: their sampling steps work in fit only, inside of folds."""

import functools
from pathlib import Path

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline, make_pipeline
from imblearn.under_sampling import RandomUnderSampler
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_union
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from imgfeat import HOG, LBP, ImageLoader, OptunaSearchCV, load_model, persistence, save_model
from imgfeat.cli import main
from imgfeat.datasets import load_digits
from imgfeat.evaluation import TrainingImagesWarning, compare, evaluate
from imgfeat.evaluation.prediction import find_bad_step, predict_images
from imgfeat.export import load_onnx, to_onnx
from imgfeat.tuning import latency_scorer

# Its modules are no part of what a model file may hold.
TRUSTED = ("imblearn.pipeline.Pipeline", "imblearn.over_sampling._smote.base.SMOTE")
TRUSTED = (*TRUSTED, "sklearn.neighbors._unsupervised.NearestNeighbors")


class CountingSampler(RandomUnderSampler):
    """Notes how many images there were each time, in the file `log`."""

    def __init__(self, log, random_state=0):
        super().__init__(random_state=random_state)
        self.log = log

    def fit_resample(self, X, y):
        with open(self.log, "a") as file:
            file.write(f"{len(y)}\n")
        return super().fit_resample(X, y)


@pytest.fixture(scope="module")
def rare():
    """Return images of three digits, of which one is rare."""
    digits = load_digits()
    common = np.flatnonzero(np.isin(digits.target, ["0", "1"]))[:120]
    rows = np.sort(np.concatenate([common, np.flatnonzero(digits.target == "2")[:18]]))
    return digits.images[rows], digits.target[rows]


def build(*steps):
    return make_pipeline(ImageLoader(16, color="gray"), HOG(pixels_per_cell=4), *steps)


MODELS = {
    "over": (lambda: build(SMOTE(random_state=0), SVC()), {"svc__C": [0.1, 1.0]}),
    "under, between steps that learn": (
        lambda: build(
            StandardScaler(), RandomUnderSampler(random_state=0), LogisticRegression(max_iter=500)
        ),
        {"logisticregression__C": [0.1, 1.0], "hog__orientations": [6, 9]},
    ),
    "over, behind a union": (
        lambda: Pipeline(
            [
                ("load", ImageLoader(16, color="gray")),
                ("features", make_union(HOG(pixels_per_cell=4), LBP())),
                ("over", SMOTE(random_state=0)),
                ("head", KNeighborsClassifier(3)),
            ]
        ),
        {"head__n_neighbors": [1, 5]},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_search_finds_what_grid_search_finds(name, rare):
    make, space = MODELS[name]
    theirs = GridSearchCV(make(), space, cv=3).fit(*rare)
    ours = OptunaSearchCV(make(), space, sampler="grid", cv=3).fit(*rare)
    order = [ours.cv_results_["params"].index(params) for params in theirs.cv_results_["params"]]
    for fold in range(3):
        scores = f"split{fold}_test_score"
        np.testing.assert_array_equal(ours.cv_results_[scores][order], theirs.cv_results_[scores])
    assert type(ours.best_estimator_) is Pipeline
    assert [name for name, _ in ours.best_estimator_.steps] == [name for name, _ in make().steps]
    ours.set_params(param_distributions={k: [v] for k, v in theirs.best_params_.items()})
    again = ours.fit(*rare)
    np.testing.assert_array_equal(again.predict(rare[0]), theirs.predict(rare[0]))
    again.set_params(scoring=latency_scorer, directions={"score": "minimize"}).fit(*rare)


def test_sampling_is_of_the_images_of_a_fold_and_of_fit_alone(rare, tmp_path):
    images, labels = rare
    log = tmp_path / "log"

    def read():
        numbers = [int(line) for line in log.read_text().split()]
        log.unlink()
        return numbers

    model = build(CountingSampler(str(log)), LogisticRegression(max_iter=500))
    space = {"logisticregression__C": [0.1, 1.0]}
    search = OptunaSearchCV(model, space, sampler="grid", cv=3, return_train_score=True)
    best = search.fit(images, labels).best_estimator_
    assert read() == [92] * 6 + [138]
    compare({"model": model}, images, labels, n_splits=3, n_repeats=1)
    assert read() == [92] * 3
    search.predict(images)
    search.score(images, labels)
    predict_images(best, images)
    with pytest.warns(TrainingImagesWarning):
        evaluate(best, images, labels)
    assert find_bad_step(best, images, fitted=True) == ""
    to_onnx(best, images[:4], tmp_path / "model.onnx")
    assert not log.exists()
    assert find_bad_step(model, images, labels, fitted=False) == ""
    assert not log.exists()


@pytest.mark.parametrize("name", MODELS)
def test_it_is_evaluated_and_exported(name, rare, tmp_path):
    images, labels = rare
    model = MODELS[name][0]().fit(images, labels)
    predicted = model.predict(images)
    with pytest.warns(TrainingImagesWarning, match="138 of 138"):
        accuracy = evaluate(model, images, labels).metrics["accuracy"].value
    assert accuracy == (predicted == labels).mean()
    np.testing.assert_array_equal(predict_images(model, images).labels, predicted)
    certificate = to_onnx(model, images[::4], tmp_path / "model.onnx")
    np.testing.assert_array_equal(load_onnx(tmp_path / "model.onnx").predict(images), predicted)
    assert "smote" not in str(certificate).lower()


def test_it_is_saved_and_predicts_from_the_command_line(
    texture_folder, tmp_path, capsys, monkeypatch
):
    paths = sorted(map(str, Path(texture_folder).rglob("*.png")))
    labels = [Path(path).parent.name for path in paths]
    model = build(SMOTE(random_state=0, k_neighbors=2), LogisticRegression(max_iter=500))
    model.fit(paths, labels)
    save_model(model, tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops", trusted=TRUSTED)
    assert type(loaded) is Pipeline
    assert loaded.predict(paths).tolist() == model.predict(paths).tolist()
    trusting = functools.partial(load_model, trusted=TRUSTED)
    monkeypatch.setattr(persistence, "load_model", trusting)
    assert main(["predict", str(tmp_path / "model.skops"), *paths[:3]]) == 0
    printed = capsys.readouterr().out
    assert all(label in printed for label in model.predict(paths[:3]))


def test_without_steps_before_the_sampler(rare):
    images, labels = rare
    flat = images.reshape(len(images), -1)
    model = make_pipeline(SMOTE(random_state=0), LogisticRegression(max_iter=500)).fit(flat, labels)
    np.testing.assert_array_equal(predict_images(model, flat).labels, model.predict(flat))
    search = OptunaSearchCV(model, {"smote__k_neighbors": [3, 5]}, sampler="grid", cv=2)
    theirs = GridSearchCV(model, {"smote__k_neighbors": [3, 5]}, cv=2).fit(flat, labels)
    assert search.fit(flat, labels).best_score_ == theirs.best_score_
