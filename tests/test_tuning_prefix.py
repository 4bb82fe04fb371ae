"""Steps that learn nothing run once a setting, and change no score."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from helpers.counting import Counting, count_lines
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from sklearn.svm import SVC

from imgfeat import HOG, LBP, BagOfVisualWords, Batched, ImageLoader, OptunaSearchCV
from imgfeat.datasets import load_digits
from imgfeat.ensembles import stacking
from imgfeat.tuning.reuse.prefix import Prefix
from imgfeat.tuning.reuse.step_outputs import Chain, LookUp

DIGITS = load_digits()
X, Y = DIGITS.images[:300], DIGITS.target[:300]
N = len(X)
CV = StratifiedKFold(3)

HOG_STEP = HOG(pixels_per_cell=4, cells_per_block=1)
LBP_STEP = LBP(grid=2)
BOTH = [("hog", HOG_STEP), ("lbp", LBP_STEP)]
LOAD = ImageLoader(16, color="gray")


def search_grid(pipeline, grid, images=X, **options):
    ours = OptunaSearchCV(pipeline, grid, sampler="grid", n_trials=1000, cv=CV, **options)
    theirs = GridSearchCV(pipeline, grid, cv=CV)
    return ours.fit(images, Y), theirs.fit(images, Y)


def assert_same_scores(ours, theirs):
    scores = [
        {
            str(sorted(p.items(), key=str)): m
            for p, m in zip(r["params"], r["mean_test_score"], strict=True)
        }
        for r in (ours.cv_results_, theirs.cv_results_)
    ]
    assert scores[0] == scores[1]


PIPELINES = {
    "steps": (
        [("load", LOAD), ("hog", HOG_STEP), ("svm", SVC())],
        {"load__size": [8, 16], "hog__orientations": [6, 9], "svm__C": [1, 10]},
    ),
    "passthrough": (
        [("none", "passthrough"), ("hog", HOG_STEP), ("scale", "passthrough"), ("svm", SVC())],
        {"scale": ["passthrough", StandardScaler()], "svm__C": [1, 10]},
    ),
    "union": (
        [("both", FeatureUnion(BOTH)), ("svm", SVC())],
        {"both__hog__orientations": [6, 9], "both__lbp": [LBP_STEP, "drop"]},
    ),
    "weights": (
        [
            (
                "two",
                FeatureUnion(
                    [("hog", HOG_STEP), ("lbp", LBP_STEP)], transformer_weights={"lbp": 9}
                ),
            ),
            ("norm", Normalizer()),
            ("svm", SVC()),
        ],
        {"svm__C": [1, 10]},
    ),
    "learners in a union": (
        [
            ("load", LOAD),
            (
                "union",
                FeatureUnion(
                    [
                        ("hog", make_pipeline(HOG_STEP, PCA(5, random_state=0))),
                        ("words", BagOfVisualWords(n_words=8, patch_size=4, random_state=0)),
                        ("lbp", LBP_STEP),
                    ]
                ),
            ),
            ("svm", SVC()),
        ],
        {"union__hog__pca__n_components": [3, 5], "union__lbp__grid": [1, 2]},
    ),
    "names": (
        [
            (
                "union",
                FeatureUnion(BOTH).set_output(transform="pandas"),
            ),
            ("stack", stacking(["hog", "lbp"], cv=2)),
        ],
        {"union__lbp__grid": [1, 2]},
    ),
    "batched": (
        [
            (
                "stream",
                Batched(make_pipeline(LOAD, HOG_STEP), batch_size=64),
            ),
            ("svm", SVC()),
        ],
        {"stream__transformer__hog__orientations": [6, 9]},
    ),
    "nested": (
        [
            (
                "features",
                make_pipeline(LOAD, HOG_STEP, PCA(5, random_state=0)),
            ),
            ("svm", SVC()),
        ],
        {"features__hog__orientations": [6, 9], "features__pca__n_components": [3, 5]},
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_scores_and_refits_are_grid_searchs(name):
    steps, grid = PIPELINES[name]
    ours, theirs = search_grid(Pipeline(steps), grid)
    assert_same_scores(ours, theirs)
    best = clone(Pipeline(steps)).set_params(**ours.best_params_).fit(X, Y)
    np.testing.assert_array_equal(ours.predict(X), best.predict(X))
    assert not any(isinstance(p, LookUp) for p in ours.best_estimator_.get_params().values())
    assert list(ours.best_estimator_.named_steps) == list(best.named_steps)


def test_frames_and_column_transformers():
    frame = pd.DataFrame({"sum": X.sum(axis=(1, 2)).astype(float)}, index=np.arange(N)[::-1])
    frame["image"] = pd.Series(list(X), index=frame.index)
    columns = ColumnTransformer(
        [
            ("image", make_pipeline(LOAD, HOG_STEP), "image"),
            ("number", StandardScaler(), ["sum"]),
        ]
    )
    pipeline = Pipeline([("columns", columns), ("svm", SVC())])
    grid = {"columns__image__hog__orientations": [6, 9], "svm__C": [1, 10]}
    ours, theirs = search_grid(pipeline, grid, frame)
    assert_same_scores(ours, theirs)
    assert ours.best_estimator_.predict(frame).shape == (N,)
    flat = np.hstack([X.reshape(N, 64), X.sum(axis=(1, 2))[:, np.newaxis]]).astype(np.float64)
    flat[:, :64] /= 255
    columns = ColumnTransformer(
        [
            ("hog", HOG(pixels_per_cell=4, cells_per_block=1, image_shape=(8, 8)), slice(64)),
            ("number", StandardScaler(), [64]),
        ]
    )
    pipeline = Pipeline([("columns", columns), ("svm", SVC())])
    ours, theirs = search_grid(pipeline, {"columns__hog__orientations": [6, 9]}, flat)
    assert_same_scores(ours, theirs)


def test_each_image_is_described_once_a_setting(tmp_path):
    log = str(tmp_path)
    pipeline = Pipeline([("mean", Counting(log)), ("svm", SVC())])
    grid = {"mean__factor": [1, 2], "svm__C": [0.1, 1, 10], "svm__gamma": [0.1, 1]}
    ours, theirs = search_grid(pipeline, grid)
    assert_same_scores(ours, theirs)
    described = count_lines(log)
    # GridSearchCV: 12 settings, 3 folds, train and test, and the best once more.
    assert described - count_after(log, pipeline, grid) == (12 * 3 + 1) * N


def count_after(log, pipeline, grid):
    """Describe everything again with our search alone; return how many images that took."""
    before = count_lines(log)
    OptunaSearchCV(pipeline, grid, sampler="grid", n_trials=1000, cv=CV).fit(X, Y)
    described = count_lines(log) - before
    # Two settings; of each, one image shows what comes out, and one fits the refitted steps.
    assert 2 * N <= described <= 2 * N + 3
    return described


@pytest.mark.parametrize("nest", ["union", "batched", "columns"])
def test_parts_are_described_once_a_setting_of_theirs(nest, tmp_path):
    log = str(tmp_path)
    counting = Counting(log)
    if nest == "union":
        head = FeatureUnion(
            [("a", counting), ("hog", HOG_STEP), ("pca", make_pipeline(LBP(), PCA(2)))]
        )
        grid = {"head__hog__orientations": [6, 9, 12], "svm__C": [1, 10]}
        images = X
    elif nest == "batched":
        head, grid, images = Batched(counting, batch_size=50), {"svm__C": [0.1, 1, 10]}, X
    else:
        head = ColumnTransformer([("a", counting, slice(64)), ("rest", StandardScaler(), [64])])
        images = np.hstack([X.reshape(N, 64), np.arange(N)[:, np.newaxis]]).astype(float)
        grid = {"svm__C": [0.1, 1, 10]}
    search = OptunaSearchCV(
        Pipeline([("head", head), ("svm", SVC())]), grid, sampler="grid", cv=CV, refit=False
    )
    search.fit(images, Y)
    assert N <= count_lines(log) <= N + 3


def test_memory_serves_later_searches_and_only_new_images_cost(tmp_path):
    log = str(tmp_path)
    pipeline = Pipeline([("mean", Counting(log)), ("svm", SVC())])
    search = OptunaSearchCV(
        pipeline,
        {"svm__C": [1, 10]},
        sampler="grid",
        cv=3,
        random_state=0,
        memory=tmp_path / "cache",
        refit=False,
    )
    cold = search.fit(X[:280], Y[:280]).cv_results_["mean_test_score"]
    before = count_lines(log)
    warm = clone(search).fit(X[:280], Y[:280]).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(warm, cold)
    assert count_lines(log) - before <= 2
    before = count_lines(log)
    order = np.random.default_rng(0).permutation(N)
    more = clone(search).fit(X[order], Y[order]).cv_results_["mean_test_score"]
    assert 20 <= count_lines(log) - before <= 22
    plain = clone(search).set_params(memory=None).fit(X[order], Y[order])
    np.testing.assert_array_equal(more, plain.cv_results_["mean_test_score"])


def test_the_cache_is_bounded_and_large_images_are_streamed(tmp_path):
    log = str(tmp_path)
    pipeline = make_pipeline(ImageLoader(8, color="gray"), Counting(log), SVC())
    images = DIGITS.images[:100]
    prefix = Prefix(images, cache_bytes=100 * 8 * 4 * 2, n_jobs=None)
    for factor in (1, 2, 3, 1):
        prefix.rewrite(pipeline.set_params(counting__factor=factor))
    # Two settings fit; the images, 6,400 bytes, take too much to be kept beside them.
    assert 4 * 100 <= count_lines(log) <= 4 * 100 + 8
    assert len(prefix.outputs._kept) == 2
    prefix.rewrite(pipeline.set_params(counting__factor=3))
    assert count_lines(log) <= 4 * 100 + 8


def test_what_cannot_be_looked_up_is_left_alone():
    sparse = FunctionTransformer(lambda images: scipy.sparse.csr_array(images.reshape(-1, 64)))
    for estimator in (
        SVC(),
        make_pipeline(StandardScaler(), SVC()),
        make_pipeline(sparse, SVC()),
    ):
        prefix = Prefix(X, cache_bytes=1e6, n_jobs=None)
        rewritten, images = prefix.rewrite(estimator)
        assert rewritten is estimator
        assert images is X
        assert prefix.restore(estimator, rewritten) is estimator


def test_chains_take_pipelines_apart():
    chain = Chain().extend(make_pipeline(ImageLoader(8), "passthrough", make_pipeline(HOG())))
    assert [type(step) for step in chain.steps] == [ImageLoader, HOG]
    assert Chain().extend(Batched(HOG())).steps[0].get_params() == HOG().get_params()


def test_features_computed_by_several_workers_are_the_same():
    steps, grid = PIPELINES["steps"]
    alone = OptunaSearchCV(Pipeline(steps), grid, sampler="grid", cv=CV).fit(X, Y)
    together = OptunaSearchCV(Pipeline(steps), grid, sampler="grid", cv=CV, n_jobs=2).fit(X, Y)
    assert_same_scores(alone, together)


def flatten(images):
    return np.asarray(images).reshape(len(images), -1)


NAMELESS = {
    "batches": lambda: make_union(Batched(HOG(pixels_per_cell=2)), LBP()),
    "a function": lambda: make_union(FunctionTransformer(flatten), HOG(pixels_per_cell=2)),
    "both": lambda: make_union(FunctionTransformer(flatten), Batched(LBP())),
}


# scikit-learn's word on functions, in both searches.
@pytest.mark.filterwarnings("ignore:When `set_output` is configured")
@pytest.mark.parametrize("name", NAMELESS)
@pytest.mark.parametrize("loader", [(), (ImageLoader(16),)])
@pytest.mark.parametrize("output", ["pandas", "polars"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_frames_of_features_without_names(name, loader, output, everywhere):
    images, labels = X[:80], Y[:80]
    union = NAMELESS[name]()
    if not everywhere:
        union.set_output(transform=output)
    model, space = make_pipeline(*loader, union, SVC()), {"svc__C": [1.0]}
    with config_context(transform_output=output if everywhere else "default"):
        theirs = GridSearchCV(model, space, cv=2).fit(images, labels)
        ours = OptunaSearchCV(model, space, sampler="grid", cv=2).fit(images, labels)
        assert ours.best_score_ == theirs.best_score_
        np.testing.assert_array_equal(ours.predict(images), theirs.predict(images))
