"""Batched gives what the chain gives at once, and refuses what learns."""

import threading

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from imgfeat import HOG, LBP, Batched, CNNEmbedding, ImageLoader
from imgfeat._base import ImageTransformer
from imgfeat.datasets import load_folder
from imgfeat.stateless import find_learner, split_stateless


def chain():
    return make_pipeline(
        ImageLoader(64, color="gray"), FeatureUnion([("hog", HOG()), ("lbp", LBP())])
    )


@pytest.mark.parametrize("batch_size", [1, 5, 24, 100])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_batches_give_what_the_whole_gives(batch_size, n_jobs, texture_folder):
    paths, _ = load_folder(texture_folder)
    expected = chain().fit(paths).transform(paths)
    stream = Batched(chain(), batch_size=batch_size, n_jobs=n_jobs).fit(paths)
    np.testing.assert_array_equal(stream.transform(paths), expected)
    assert stream.get_feature_names_out().tolist() == (
        chain().fit(paths[:1]).get_feature_names_out().tolist()
    )


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, lambda p: pd.DataFrame({"p": p})])
def test_any_sequence_is_cut(kind, texture_folder):
    paths, _ = load_folder(texture_folder)
    expected = chain().fit(paths).transform(paths)
    stream = Batched(chain(), batch_size=7).fit(kind(paths))
    np.testing.assert_array_equal(stream.transform(kind(paths)), expected)


def test_worker_processes_serve_as_well(texture_folder):
    paths, _ = load_folder(texture_folder)
    expected = chain().fit(paths).transform(paths)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        found = Batched(chain(), batch_size=6).fit(paths).transform(paths)
    np.testing.assert_array_equal(found, expected)


def test_networks_in_a_stream(texture_folder):
    paths, _ = load_folder(texture_folder)
    deep = make_pipeline(ImageLoader(64), CNNEmbedding(image_size=64))
    expected = deep.fit(paths).transform(paths)
    found = Batched(deep, batch_size=5, n_jobs=2).fit(paths).transform(paths)
    np.testing.assert_array_equal(found, expected)


class Meeting(ImageTransformer):
    """Waits until another thread is at work as well."""

    barrier: threading.Barrier | None = None

    def __init__(self, image_shape=None, n_jobs=None):
        self.image_shape = image_shape
        self.n_jobs = n_jobs

    def _count_features(self, height, width):
        return 1

    def _name_features(self, height, width):
        return ["one"]

    def _extract(self, images, out):
        if Meeting.barrier is not None:
            Meeting.barrier.wait(timeout=600)  # an error, should nobody come
        out[:] = 1


def test_batches_overlap(monkeypatch):
    stream = Batched(Meeting(), batch_size=1, n_jobs=2).fit(np.zeros((4, 8, 8), np.uint8))
    monkeypatch.setattr(Meeting, "barrier", threading.Barrier(2))
    assert (stream.transform(np.zeros((4, 8, 8), np.uint8)) == 1).all()


@pytest.mark.parametrize(
    "learner",
    [
        make_pipeline(HOG(), StandardScaler()),
        FeatureUnion([("hog", HOG()), ("deep", make_pipeline(HOG(), PCA(2)))]),
        ColumnTransformer([("a", StandardScaler(), [0]), ("rest", "passthrough", [1])]),
        PCA(2),
    ],
)
def test_what_learns_is_refused(learner):
    with pytest.raises(ValueError, match=r"but (StandardScaler|PCA) learns.*after Batched"):
        Batched(learner).fit(np.zeros((3, 32, 32), np.uint8))


def test_what_learns_nothing_is_found_at_any_depth():
    nested = FeatureUnion(
        [
            ("a", make_pipeline(FunctionTransformer(), HOG())),
            ("b", "drop"),
            ("c", Batched(ColumnTransformer([("i", ImageLoader(8), ["p"]), ("r", "drop", [1])]))),
        ]
    )
    assert find_learner(nested) is None


def test_the_leading_steps_that_learn_nothing_are_split_off():
    loader, hog, scaler, pca = ImageLoader(32), HOG(), StandardScaler(), PCA(2)
    steps = [
        ("a", loader),
        ("b", "passthrough"),
        ("c", hog),
        ("d", scaler),
        ("e", LBP()),
        ("f", pca),
    ]
    prefix, rest = split_stateless(Pipeline(steps))
    assert prefix.steps == steps[:3]
    assert rest.steps == steps[3:]
    assert rest[0] is scaler  # the step itself
    prefix, rest = split_stateless(make_pipeline(loader, hog))
    assert (list(prefix), list(rest)) == ([loader], [hog])  # the last step always stays
    prefix, rest = split_stateless(make_pipeline(scaler, pca))
    assert prefix is None
    assert list(rest) == [scaler, pca]
    assert split_stateless(pca) == (None, pca)


def test_a_learner_inside_a_union_stops_the_split():
    union = FeatureUnion([("hog", HOG()), ("scaled", make_pipeline(HOG(), StandardScaler()))])
    prefix, rest = split_stateless(make_pipeline(ImageLoader(32), union, PCA(2)))
    assert len(prefix) == 1
    assert rest[0] is union


def test_progress_and_errors(texture_folder, capsys):
    paths, _ = load_folder(texture_folder)
    Batched(chain(), batch_size=10, progress=True).fit(paths).transform(paths)
    assert "24/24" in capsys.readouterr().err
    with pytest.raises(ValueError, match="batch_size"):
        Batched(chain(), batch_size=0).fit(paths)
    with pytest.raises(ValueError, match="at least 1 image"):
        Batched(chain()).fit([])


def test_frames_stay_frames_with_their_names(photographs):
    union = FeatureUnion([("hog", HOG()), ("lbp", LBP())]).set_output(transform="pandas")
    expected = union.fit_transform(photographs)
    for batch_size in (2, 64):
        frame = Batched(union, batch_size=batch_size).fit_transform(photographs)
        assert list(frame.columns) == list(expected.columns)
        np.testing.assert_array_equal(frame.to_numpy(), expected.to_numpy())
