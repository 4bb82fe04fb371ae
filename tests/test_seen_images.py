"""Models know the images that they were trained on, and `evaluate` says when it meets them."""

import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline

from imgfeat import (
    HOG,
    LBP,
    BadImageWarning,
    Batched,
    ImageLoader,
    OptunaSearchCV,
    load_model,
    save_model,
)
from imgfeat.caching.fingerprints import fingerprint
from imgfeat.cli import main
from imgfeat.datasets import load_folder, load_textures
from imgfeat.evaluation import (
    TrainingImagesWarning,
    evaluate,
    forget_training_images,
    write_report,
)
from imgfeat.images.training_hashes import find_reader, hash_images

TRAIN, TEST = load_textures("train"), load_textures("test")
LOADER = ImageLoader(24, color="gray")


def head():
    return LogisticRegression(max_iter=50, tol=0.1)


def count(model, X, y=None):
    """Return how many images `evaluate` says that the model was trained on."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = evaluate(model, X, TRAIN.target[: len(X)] if y is None else y, n_bootstrap=2)
    said = [str(w.message) for w in caught if w.category is TrainingImagesWarning]
    assert said == [note for note in found.notes if "training set" in note]
    return int(said[0].split()[0].replace(",", "")) if said else 0


MODELS = {
    "loader": make_pipeline(LOADER, HOG(), head()),
    "none": make_pipeline(HOG(), head()),
    "union": make_pipeline(FeatureUnion([("hog", HOG()), ("lbp", LBP())]), head()),
    "inner": make_pipeline(make_pipeline(None, make_pipeline(LOADER, HOG())), head()),
    "batched": make_pipeline(
        Batched(make_pipeline(LOADER, HOG()), batch_size=16, n_jobs=2), head()
    ),
    "voting": VotingClassifier(
        [("hog", make_pipeline(LOADER, HOG(), head())), ("lbp", make_pipeline(LBP(), head()))]
    ),
    "grid": GridSearchCV(make_pipeline(LOADER, HOG(), head()), {"hog__orientations": [4]}, cv=2),
    "optuna": OptunaSearchCV(
        make_pipeline(LOADER, HOG(), head()), {"hog__orientations": [4, 6]}, n_trials=2, cv=2
    ),
    "optuna batched": OptunaSearchCV(
        make_pipeline(Batched(make_pipeline(LOADER, HOG())), head()),
        {"batched__transformer__hog__orientations": [4, 6]},
        n_trials=2,
        cv=2,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_images_of_training_are_counted(name, tmp_path):
    rows = np.r_[0:20, 40:60, 80:96]
    images, target = TRAIN.images[rows], TRAIN.target[rows]
    model = clone(MODELS[name]).fit(images, target)
    assert count(model, images[::-1].copy(), target[::-1]) == 56
    assert count(model, TEST.images, TEST.target) == 0
    mixed = np.concatenate([TEST.images[:30], images[10:17]])
    assert count(model, mixed, np.r_[TEST.target[:30], target[10:17]]) == 7
    assert count(pickle.loads(pickle.dumps(model)), images, target) == 56
    assert not hasattr(find_reader(model), "_recorder")
    if name not in ("grid", "optuna", "optuna batched"):
        save_model(model, tmp_path / "m.skops")
        assert count(load_model(tmp_path / "m.skops"), images, target) == 56
        assert find_reader(clone(model)) is None or not hasattr(
            find_reader(clone(model)), "training_hashes_"
        )
    forget_training_images(model)
    assert count(model, images, target) == 0


def test_files_are_known_whatever_they_are_called_and_however_written(tmp_path, texture_folder):
    paths, labels = load_folder(texture_folder)
    model = make_pipeline(LOADER, HOG(), head()).fit(paths, labels)
    copies = []
    for number, path in enumerate(paths):
        copies.append(str(tmp_path / f"{number}.bmp"))
        Image.open(path).convert("RGB").save(copies[-1])
    assert count(model, copies, labels) == 24
    assert count(model, [np.asarray(Image.open(path)) for path in paths], labels) == 24
    assert count(model, TEST.images[:32], ["brick"] * 32) == 0


def test_columns_of_a_frame(texture_folder):
    paths, labels = load_folder(texture_folder)
    frame = pd.DataFrame({"sensor": np.arange(24.0), "path": paths})
    columns = ColumnTransformer(
        [("number", "passthrough", ["sensor"]), ("image", make_pipeline(LOADER, HOG()), "path")]
    )
    model = make_pipeline(columns, head()).fit(frame, labels)
    assert count(model, frame, labels) == 24
    assert count(model, frame[:5], labels[:5]) == 5


def test_rows_from_a_cache_are_known_and_nothing_is_decoded_for_them(tmp_path, monkeypatch):
    import imgfeat.images.loading

    stream = Batched(make_pipeline(LOADER, HOG()), batch_size=16, memory=tmp_path)
    first = make_pipeline(stream, head()).fit(TRAIN.images, TRAIN.target)
    make_pipeline(clone(stream), head()).fit(TRAIN.images, TRAIN.target)
    decoded = []
    read_image = imgfeat.images.loading.read_image
    monkeypatch.setattr(
        imgfeat.images.loading,
        "read_image",
        lambda source, **options: decoded.append(1) or read_image(source, **options),
    )
    again = make_pipeline(clone(stream), head()).fit(TRAIN.images, TRAIN.target)
    assert len(decoded) == 1  # the image that `fit` looks at
    for model in (first, again):
        assert (model[0].training_hashes_ == np.unique(model[0].training_hashes_)).all()
        assert len(model[0].training_hashes_) == 96
        assert count(model, TRAIN.images) == 96


def test_blanks_for_what_cannot_be_read_are_no_images_of_training(texture_folder):
    paths, labels = load_folder(texture_folder)
    loader = ImageLoader(24, color="gray", on_error="blank")
    with pytest.warns(BadImageWarning):
        model = make_pipeline(loader, HOG(), head()).fit([*paths, "absent"], [*labels, "brick"])
    assert count(model, ["absent", "lost", *paths[:4]], labels[:6]) == 4
    stream = Batched(make_pipeline(loader, HOG()), batch_size=5)
    with pytest.warns(BadImageWarning):
        stream.fit_transform([*paths, "absent"])
    assert len(stream.training_hashes_) == 24


def test_evaluation_reads_no_image_twice(texture_folder, monkeypatch):
    import imgfeat.images.loading

    paths, labels = load_folder(texture_folder)
    model = make_pipeline(LOADER, HOG(), head()).fit(paths, labels)
    decoded = []
    read_image = imgfeat.images.loading.read_image
    monkeypatch.setattr(
        imgfeat.images.loading,
        "read_image",
        lambda source, **options: decoded.append(source) or read_image(source, **options),
    )
    with pytest.warns(TrainingImagesWarning):
        evaluate(model, paths, labels, n_bootstrap=2)
    assert sorted(decoded) == sorted(paths)


def test_hashes_tell_images_apart():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 9, 7, 3), np.uint8)
    changed = np.repeat(image, 2 * image.size + 1, axis=0)
    flat = changed.reshape(len(changed), -1)
    # Every bit that is lowest or highest of its pixel, one at a time.
    for number in range(image.size):
        flat[2 * number + 1, number] ^= 1
        flat[2 * number + 2, number] ^= 128
    hashes = hash_images(changed)
    assert len(np.unique(hashes)) == len(changed)
    low, high = hashes & np.uint64(0xFFFFFFFF), hashes >> np.uint64(32)
    assert len(np.unique(low)) > 0.99 * len(changed)
    assert len(np.unique(high)) > 0.99 * len(changed)
    np.testing.assert_array_equal(hash_images(changed[::-1])[::-1], hashes)
    np.testing.assert_array_equal(hash_images(np.asfortranarray(changed)), hashes)
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(hash_images((changed / 255).astype(dtype)), hashes)
    assert hash_images(changed[:0]).shape == (0,)
    assert hash_images(np.zeros((1, 9, 7), np.uint8))[0] != 0  # what stands for no image


def test_hashes_are_no_part_of_what_features_are(tmp_path):
    fitted = make_pipeline(LOADER, HOG())
    before = fingerprint(fitted)
    fitted.fit_transform(TRAIN.images)
    assert fingerprint(fitted) == before
    # The features behind a loader keep no second copy.
    assert fitted[1].training_hashes_ is fitted[0].training_hashes_
    loader = ImageLoader(64, color="gray")
    images = loader.fit_transform(TRAIN.images)
    hog = HOG().fit(images)
    assert not hasattr(hog, "training_hashes_")
    hog.fit_transform(np.array(images[:3]))
    assert len(hog.training_hashes_) == 3


def test_the_command_and_reports_say_so(capsys, texture_folder, tmp_path):
    model = tmp_path / "m.skops"
    assert main(["train", "lbp_svm", str(texture_folder), "--out", str(model)]) == 0
    page = tmp_path / "r.md"
    assert main(["evaluate", str(model), str(texture_folder), "--report", str(page)]) == 0
    assert "24 of 24 images were in the training set" in capsys.readouterr().out
    assert "24 of 24 images were in the training set" in page.read_text()


def test_reports_of_new_images_say_nothing(tmp_path):
    model = make_pipeline(HOG(), head()).fit(TRAIN.images, TRAIN.target)
    found = evaluate(model, TEST.images, TEST.target, n_bootstrap=2)
    assert "training set" not in write_report(found, tmp_path / "r.html").read_text()


def test_batches_in_other_processes_are_hashed_as_well():
    stream = Batched(make_pipeline(LOADER, HOG()), batch_size=48, n_jobs=2)
    stream.fit_transform(TRAIN.images)
    with joblib.parallel_config("loky"):
        other = clone(stream)
        other.fit_transform(TRAIN.images)
    assert len(stream.training_hashes_) == 96
    np.testing.assert_array_equal(other.training_hashes_, stream.training_hashes_)
