"""Time of a search: OptunaSearchCV against optuna-integration's, and with a cache on disk.

    python benchmarks/bench_tuning.py [--quick] [--data DIR] [--trials N] [--out FILE]

Three candidates have the same search space over HOG, LBP and an SVM, and the same folds, sampler,
seed and number of trials: imgfeat's search with imgfeat's features, optuna-integration's search
with the same pipeline, and optuna-integration's search with scikit-image's `hog` and
`local_binary_pattern`. Each runs once, one after the other. Images come from `--data`, a folder
with one subfolder per class (sign language digits were used), or are textures of scikit-image.
Further measurements: the overhead of the search per trial, and the time that a cache on disk saves
for the features of a network.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from harness import add_options, describe, save, single_threaded
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import TPESampler
from skimage.feature import hog, local_binary_pattern
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from imgfeat import HOG, LBP, CNNEmbedding, ImageLoader, OptunaSearchCV
from imgfeat.datasets import load_folder, load_textures

RESULTS = Path(__file__).parent / "results" / "tuning.json"
SPACE = {
    "features__hog__orientations": CategoricalDistribution([6, 9, 12]),
    "features__hog__pixels_per_cell": CategoricalDistribution([8, 16]),
    "features__lbp__radius": CategoricalDistribution([1, 2]),
    "svm__C": FloatDistribution(0.1, 100, log=True),
    "svm__gamma": FloatDistribution(1e-5, 1e-2, log=True),
}


class SkimageHOG(TransformerMixin, BaseEstimator):
    """HOG features by scikit-image."""

    def __init__(self, orientations: int = 9, pixels_per_cell: int = 8):
        self.orientations = orientations
        self.pixels_per_cell = pixels_per_cell

    def fit(self, X: Any, y: Any = None) -> "SkimageHOG":
        return self

    def transform(self, X: Any) -> Any:
        cell = (self.pixels_per_cell, self.pixels_per_cell)
        return np.array(
            [
                hog(x, orientations=self.orientations, pixels_per_cell=cell, cells_per_block=(2, 2))
                for x in X
            ],
            dtype=np.float32,
        )


class SkimageLBP(TransformerMixin, BaseEstimator):
    """LBP histograms by scikit-image."""

    def __init__(self, radius: int = 1):
        self.radius = radius

    def fit(self, X: Any, y: Any = None) -> "SkimageLBP":
        return self

    def transform(self, X: Any) -> Any:
        codes = [local_binary_pattern(x, 8, self.radius, "uniform") for x in X]
        return np.array(
            [np.histogram(c, bins=10, range=(0, 10), density=True)[0] for c in codes],
            dtype=np.float32,
        )


def load(folder: Path | None, n_images: int | None) -> tuple[Any, Any]:
    """Return decoded 64 x 64 grey images and labels, from which all candidates start."""
    if folder is not None:
        paths, labels = load_folder(folder)
        images: Any = paths
    else:
        bunch = load_textures("train", patch_size=64)
        images, labels = list(bunch.images), bunch.target
    rows = np.random.default_rng(0).permutation(len(labels))[:n_images]
    images = ImageLoader(64, color="gray").fit_transform([images[row] for row in rows])
    return images, np.asarray(labels)[rows]


def build(hog_step: Any, lbp_step: Any) -> Pipeline:
    """Return the pipeline that all candidates tune."""
    features = FeatureUnion([("hog", hog_step), ("lbp", lbp_step)])
    return Pipeline([("features", features), ("scale", StandardScaler()), ("svm", SVC())])


def search_with_optuna_integration(
    pipeline: Pipeline, X: Any, y: Any, n_trials: int, cv: Any
) -> float:
    """Tune with optuna-integration's search; return the best score."""
    from optuna_integration import OptunaSearchCV as PeerSearchCV

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "`optuna.terminator` module", FutureWarning)
        study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=0))
        search = PeerSearchCV(pipeline, SPACE, cv=cv, n_trials=n_trials, study=study)
        return float(search.fit(X, y).best_score_)


def search_with_imgfeat(pipeline: Pipeline, X: Any, y: Any, n_trials: int, cv: Any) -> float:
    """Tune with imgfeat's search; return the best score."""
    sampler = TPESampler(seed=0)
    search = OptunaSearchCV(pipeline, SPACE, n_trials=n_trials, cv=cv, sampler=sampler)
    return float(search.fit(X, y).best_score_)


def race_searches(X: Any, y: Any, n_trials: int) -> list[dict[str, Any]]:
    """Run each search once."""
    own, theirs = build(HOG(), LBP()), build(SkimageHOG(), SkimageLBP())
    np.testing.assert_allclose(
        own[:1].fit_transform(X[:8]), theirs[:1].fit_transform(X[:8]), atol=1e-5
    )
    candidates = [
        ("imgfeat", "imgfeat", search_with_imgfeat, own),
        ("optuna-integration", "imgfeat", search_with_optuna_integration, own),
        ("optuna-integration", "scikit-image", search_with_optuna_integration, theirs),
    ]
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    rows = []
    for searcher, features, search, pipeline in candidates:
        start = time.perf_counter()
        score = search(pipeline, X, y, n_trials, cv)
        seconds = time.perf_counter() - start
        rows.append(
            {"search": searcher, "features": features, "seconds": seconds, "best_score": score}
        )
        print(f"{searcher:20}{features:14}{seconds:8.1f} s  best {score:.4f}", flush=True)
    return rows


def measure_overhead(n_trials: int) -> dict[str, float]:
    """Return the milliseconds per trial outside of fitting and scoring, by storage."""
    X, y = np.zeros((60, 2)), np.arange(60) % 2
    space = {f"p{number}": FloatDistribution(0, 1) for number in range(3)}
    overhead = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, storage in (("memory", None), ("SQLite", Path(folder) / "tune.db")):
            search = OptunaSearchCV(
                _IgnoringParameters(),
                space,
                n_trials=n_trials,
                cv=3,
                random_state=0,
                storage=storage,
            )
            start = time.perf_counter()
            search.fit(X, y)
            seconds = time.perf_counter() - start
            inside = sum(
                3 * search.cv_results_[f"mean_{what}_time"].sum() for what in ("fit", "score")
            )
            overhead[name] = 1000 * (seconds - inside) / n_trials
            print(f"overhead with trials in {name}: {overhead[name]:.1f} ms a trial")
    return overhead


class _IgnoringParameters(DummyClassifier):
    """A classifier with three parameters that have no effect."""

    def __init__(self, p0: float = 0, p1: float = 0, p2: float = 0):
        super().__init__()
        self.p0, self.p1, self.p2 = p0, p1, p2


def measure_cache(X: Any, y: Any) -> dict[str, float]:
    """Return the seconds of one trial with a network, with an empty and a filled cache."""
    color = np.repeat(X[..., np.newaxis], 3, axis=-1)
    pipeline = Pipeline([("cnn", CNNEmbedding()), ("model", DummyClassifier())])
    pipeline[:1].fit_transform(color[:2])  # the first use on a machine exports the graph
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "warm"):
            search = OptunaSearchCV(
                pipeline,
                {"model__strategy": ["prior"]},
                n_trials=1,
                cv=3,
                memory=folder,
                refit=False,
            )
            start = time.perf_counter()
            search.fit(color, y)
            seconds[name] = time.perf_counter() - start
    print(
        f"features of a network, {len(X)} images: {seconds['cold']:.2f} s cold, "
        f"{seconds['warm']:.3f} s from the disk: {seconds['cold'] / seconds['warm']:.0f} times "
        "faster (goal 20)"
    )
    return seconds


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time searches for the best parameters.")
    add_options(parser, RESULTS, "quick check: 2 trials on few textures")
    parser.add_argument(
        "--data", type=Path, help="folder with one subfolder per class (default: textures)"
    )
    parser.add_argument("--trials", type=int, default=30)
    options = parser.parse_args(argv)
    n_trials = 2 if options.quick else options.trials
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    X, y = load(options.data, 40 if options.quick else None)
    with single_threaded():
        rows = race_searches(X, y, n_trials)
        ratios = [row["seconds"] / rows[0]["seconds"] for row in rows]
        print(
            f"{ratios[2]:.1f} times faster than with scikit-image (goal 10), {ratios[1]:.1f} than "
            f"with the same features (goal 3)"
        )
        overhead = measure_overhead(5 if options.quick else 100)
    cache = measure_cache(X, y)
    payload = {
        "environment": describe(),
        "quick": options.quick,
        "data": "textures" if options.data is None else options.data.name,
        "n_images": len(X),
        "n_trials": n_trials,
        "rows": rows,
        "overhead_milliseconds": overhead,
        "cache_seconds": cache,
    }
    save(options, RESULTS, payload)


if __name__ == "__main__":
    main()
