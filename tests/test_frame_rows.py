"""Frames of features: every row under the index of the image that it comes from."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from skimage import data
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from imgfeat import HOG, LBP, BagOfVisualWords, Batched, ImageLoader, OptunaSearchCV

N = 24
PHOTOGRAPH = data.camera()
IMAGES = [PHOTOGRAPH[32 * k : 32 * k + 32, 300:332] for k in range(N // 2)] * 2
ORDER = np.random.default_rng(0).permutation(N)
INDEXES = {
    "shuffled": pd.Index(ORDER),
    "strings": pd.Index([f"patient {k}" for k in ORDER]),
    "duplicates": pd.Index(ORDER % 5),
    "two levels": pd.MultiIndex.from_arrays([ORDER % 3, ORDER], names=["site", "scan"]),
    "times": pd.date_range("2024-01-01", periods=N)[ORDER],
}


def make_frame(index):
    """Return images and a sensor whose value is the number of the row."""
    frame = pd.DataFrame({"sensor": np.arange(N, dtype=float)}, index=index)
    frame["image"] = pd.Series(IMAGES, index=index)
    return frame


def make_columns(image_chain):
    return ColumnTransformer(
        [("img", image_chain, "image"), ("num", "passthrough", ["sensor"])]
    ).set_output(transform="pandas")


class MeanColor(TransformerMixin, BaseEstimator):
    """A transformer of images from elsewhere."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.asarray(X, dtype=float).mean(axis=(1, 2))

    def get_feature_names_out(self, input_features=None):
        return np.array(["red", "green", "blue"], dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags


def flatten(X):
    return X.reshape(len(X), -1) / 255


CHAINS = {
    "hog": lambda: make_pipeline(ImageLoader(16), HOG()),
    "union": lambda: make_pipeline(
        ImageLoader(16), FeatureUnion([("hog", HOG()), ("lbp", LBP())]), StandardScaler()
    ),
    "loader in a union": lambda: FeatureUnion(
        [
            ("hog", make_pipeline(ImageLoader(16), HOG())),
            ("lbp", Batched(make_pipeline(ImageLoader(16), LBP()), batch_size=5)),
        ]
    ),
    "batched": lambda: Batched(make_pipeline(ImageLoader(16), HOG()), batch_size=5),
    "batched loader": lambda: make_pipeline(Batched(ImageLoader(16), batch_size=5), HOG()),
    "threads": lambda: Batched(make_pipeline(ImageLoader(16), HOG()), batch_size=5, n_jobs=2),
    "two loaders": lambda: make_pipeline(ImageLoader(40), ImageLoader(16), HOG()),
    "words": lambda: make_pipeline(
        ImageLoader(32), BagOfVisualWords(n_words=4, random_state=0), StandardScaler()
    ),
    "another package's": lambda: make_pipeline(ImageLoader(16), MeanColor(), StandardScaler()),
    "eigen-images": lambda: make_pipeline(
        ImageLoader(16), FunctionTransformer(flatten), PCA(3, random_state=0)
    ),
}


@pytest.mark.filterwarnings("ignore:When `set_output` is configured:UserWarning")
@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES.keys())
@pytest.mark.parametrize("make_chain", CHAINS.values(), ids=CHAINS.keys())
def test_features_stay_with_their_row(make_chain, index):
    frame = make_frame(index)
    expected = make_chain().fit_transform(list(frame["image"]))
    columns = make_columns(make_chain())
    for found in (columns.fit_transform(frame), columns.transform(frame)):
        assert found.index.equals(frame.index)
        np.testing.assert_allclose(found.iloc[:, :-1].to_numpy(), expected, atol=1e-5)
        np.testing.assert_array_equal(found.iloc[:, -1].to_numpy(), frame["sensor"])
    part = frame.iloc[[5, 3, 17, 3]]
    rows = columns.transform(part)
    assert rows.index.equals(part.index)
    assert rows.iloc[:, -1].tolist() == [5, 3, 17, 3]
    np.testing.assert_allclose(rows.iloc[:, :-1], expected[[5, 3, 17, 3]], atol=1e-5)
    alone = make_chain().set_output(transform="pandas").fit_transform(frame["image"])
    assert alone.index.equals(frame.index)


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES.keys())
def test_under_the_global_setting(index):
    frame = make_frame(index)
    expected = make_pipeline(ImageLoader(16), HOG()).fit_transform(IMAGES)
    with sklearn.config_context(transform_output="pandas"):
        images = Batched(ImageLoader(16), n_jobs=2, batch_size=7).fit_transform(frame[["image"]])
        assert isinstance(images, np.ndarray)
        assert images.shape == (N, 16, 16, 3)
        for n_jobs in (None, 2):
            chain = Batched(make_pipeline(ImageLoader(16), HOG()), batch_size=7, n_jobs=n_jobs)
            rows = chain.fit_transform(frame["image"])
            assert rows.index.equals(index)
            assert rows.columns.tolist() == chain.get_feature_names_out().tolist()
            np.testing.assert_array_equal(rows.to_numpy(), expected)
        assert HOG().fit_transform(images).index.equals(index)
    assert isinstance(chain.transform(frame["image"]), np.ndarray)


@pytest.mark.parametrize("setting", ["pandas", "polars"])
def test_batched_keeps_the_types_of_columns(setting, tmp_path):
    frame = make_frame(INDEXES["strings"]).assign(count=np.arange(N), kind=["a", "b"] * (N // 2))
    columns = ColumnTransformer(
        [
            ("hog", make_pipeline(ImageLoader(16), HOG()), "image"),
            ("rest", "passthrough", ["sensor", "count", "kind"]),
        ],
    ).set_output(transform=setting)
    if setting == "polars":
        columns = make_pipeline(ImageLoader(16), HOG()).set_output(transform="polars")
        frame = list(frame["image"])
    expected = columns.fit_transform(frame)
    for options in ({}, {"memory": tmp_path}, {"memory": tmp_path}):
        found = Batched(columns, batch_size=7, **options).fit_transform(frame)
        assert type(found) is type(expected)
        assert found.equals(expected)
        assert list(found.dtypes) == list(expected.dtypes)


@pytest.mark.filterwarnings("ignore:When `set_output` is configured:UserWarning")
def test_polars_in_order():
    frame = pl.DataFrame({"sensor": np.arange(N, dtype=float), "name": [str(k) for k in range(N)]})
    pictures = dict(zip(frame["name"], IMAGES, strict=True))

    load = make_pipeline(
        FunctionTransformer(lambda names: [pictures[name] for name in names.to_series()]),
        ImageLoader(16),
        HOG(),
    )
    columns = ColumnTransformer([("img", load, ["name"]), ("num", "passthrough", ["sensor"])])
    shuffled = frame[ORDER.tolist()]
    found = columns.set_output(transform="polars").fit_transform(shuffled)
    assert isinstance(found, pl.DataFrame)
    expected = make_pipeline(ImageLoader(16), HOG()).fit_transform([IMAGES[k] for k in ORDER])
    np.testing.assert_array_equal(found[:, :-1].to_numpy(), expected)
    assert found[:, -1].to_list() == ORDER.tolist()


def make_problem(n=60):
    """Images say nothing about the label, a sensor everything: only right rows give 1.0."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], n // 2)
    images = [rng.integers(0, 256, (16, 16), np.uint8) for _ in range(n)]
    frame = pd.DataFrame({"sensor": np.where(y == 1, 5.0, -5.0)})
    frame["image"] = pd.Series(images, index=frame.index)
    order = rng.permutation(n)
    return frame.iloc[order], pd.Series(y)[order]


def make_model():
    return make_pipeline(make_columns(CHAINS["hog"]()), LogisticRegression(C=10))


def test_scores_are_of_the_right_rows():
    frame, y = make_problem()
    assert cross_val_score(make_model(), frame, y, cv=3).min() == 1
    X_train, X_test, y_train, y_test = train_test_split(frame, y, random_state=0)
    assert make_model().fit(X_train, y_train).score(X_test, y_test) == 1
    grid = GridSearchCV(make_model(), {"logisticregression__C": [1, 10]}, cv=3)
    assert grid.fit(frame, y).best_score_ == 1


SPACE = {"logisticregression__C": [1.0, 10.0]}


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("setting", ["default", "pandas", "polars"])
def test_searches_over_frames(setting, memory, tmp_path):
    frame, y = make_problem()
    with sklearn.config_context(transform_output=setting):
        estimator = make_model()
        if setting == "polars":
            estimator.set_output(transform="polars")
        search = OptunaSearchCV(
            estimator, SPACE, n_trials=2, cv=3, sampler="grid", memory=tmp_path if memory else None
        ).fit(frame, y)
        assert search.best_score_ == 1
        assert (search.predict(frame) == y.to_numpy()).all()


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("make_chain", [CHAINS["hog"], CHAINS["union"], CHAINS["batched"]])
def test_searches_over_images_under_the_global_setting(make_chain, n_jobs):
    y = np.arange(N) % 2
    estimator = make_pipeline(make_chain(), StandardScaler(), LogisticRegression())
    expected = cross_val_score(estimator, IMAGES, y, cv=3).mean()
    with sklearn.config_context(transform_output="pandas"):
        for images in (IMAGES, pd.Series(IMAGES, index=INDEXES["strings"])):
            search = OptunaSearchCV(
                estimator, {"logisticregression__C": [1.0]}, n_trials=1, cv=3, n_jobs=n_jobs
            ).fit(images, y)
            assert search.best_score_ == pytest.approx(expected)
            assert search.predict(images).shape == (N,)


def test_a_cached_pipeline_knows_one_index_from_another(tmp_path):
    chain = Pipeline([("load", ImageLoader(16)), ("hog", HOG()), ("end", "passthrough")])
    for memory in (str(tmp_path / "a"), joblib.Memory(tmp_path / "b", verbose=0)):
        cached = chain.set_params(memory=memory).set_output(transform="pandas")
        for index in (*INDEXES.values(), INDEXES["shuffled"]):
            series = pd.Series(IMAGES, index=index)
            assert cached.fit_transform(series).index.equals(index)
            assert cached.transform(series).index.equals(index)


def test_images_know_their_index_as_long_as_rows_are_whole():
    series = pd.Series(IMAGES, index=INDEXES["strings"])
    images = ImageLoader(16).transform(series)
    plain = np.asarray(images)
    keys = [slice(3, 9), slice(None, None, -1), [4, 2, 2], ORDER, ORDER > 7, (ORDER, ...)]
    keys += [(slice(2, 5), 0), (..., 0), (slice(None), slice(2, 4), ..., 1), []]
    for key in keys:
        rows = key[0] if isinstance(key, tuple) and key[0] is not ... else key
        rows = slice(None) if isinstance(rows, tuple) else rows
        np.testing.assert_array_equal(images[key], plain[key])
        assert images[key].row_index.equals(series.iloc[rows].index)
    kept = {
        "reshaped": images.reshape(N, -1),
        "floats": images.astype(float),
        "scaled": images / 255,
        "shifted": np.clip(1.5 * images - images.mean(axis=(1, 2, 3), keepdims=True), 0, 255),
        "means": images.mean(axis=(1, 2)),
        "copy": copy.deepcopy(images),
        "pickled": pickle.loads(pickle.dumps(images)),
    }
    for name, array in kept.items():
        assert array.row_index.equals(series.index), name
    np.testing.assert_array_equal(kept["pickled"], plain)
    np.testing.assert_array_equal(kept["shifted"][3], np.asarray(kept["shifted"])[3])
    gone = [
        images[0], images[:, [0, 1]], images.swapaxes(0, 1), images.T,
        images.mean(axis=0), images.mean(), np.concatenate([images, images]), images.ravel(),
        images.take(ORDER, axis=0), np.random.default_rng(0).permuted(images, axis=0),
        images + images[ORDER], images[None], images[images > 9], np.stack(list(images)),
        images.repeat(1, axis=0), np.roll(images, 1, axis=0), images[::-1].sum(),
    ]  # fmt: skip
    for number, array in enumerate(gone):
        assert getattr(array, "row_index", None) is None, number
    # Without an index that says something there is nothing to know.
    for X in (IMAGES, pd.Series(IMAGES), pl.Series(range(3)).to_list() and IMAGES):
        assert type(ImageLoader(16).transform(X)) is np.ndarray


def test_searches_over_frames_of_polars():
    frame, y = make_problem()
    pixels = np.stack(list(frame["image"])).reshape(len(frame), -1)
    columns = [f"p{k}" for k in range(pixels.shape[1])]
    table = pl.DataFrame(pixels, schema=columns).with_columns(sensor=frame["sensor"].to_numpy())
    model = make_pipeline(
        ColumnTransformer(
            [("hog", HOG(image_shape=(16, 16)), columns), ("num", "passthrough", ["sensor"])]
        ),
        LogisticRegression(C=10),
    )
    search = OptunaSearchCV(model, SPACE, n_trials=2, cv=3).fit(table, y)
    assert search.best_score_ == 1
    assert search.score(table, y) == 1
    union = FeatureUnion([("hog", HOG(image_shape=(16, 16))), ("lbp", LBP(image_shape=(16, 16)))])
    alone = make_pipeline(union, LogisticRegression())
    expected = cross_val_score(alone, pixels, y, cv=3).mean()
    search = OptunaSearchCV(alone, {"logisticregression__C": [1.0]}, n_trials=1, cv=3)
    assert search.fit(table[columns], y).best_score_ == pytest.approx(expected)
