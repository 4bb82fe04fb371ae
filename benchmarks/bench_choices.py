"""What four parts of imgfeat bring that a reader may not expect: each with and without.

    python benchmarks/bench_choices.py [--quick] [--out FILE]

- Tolerance for rounding-sensitive images, in the verification of exported files: how many
  pipelines with trees are refused without it.
- Distances shared by the trials of a search: seconds of a search over C and gamma.
- Landmarks chosen by margin, in `svm()` for large data: accuracy against random landmarks.
- SQLite in WAL mode, for studies: seconds a trial.
"""

import argparse
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import optuna
from harness import describe, write_results
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

from imgfeat import GLCM, HOG, LBP, ImageLoader, OptunaSearchCV
from imgfeat.datasets import load_fashion_mnist, load_textures
from imgfeat.export import ExportError, to_onnx
from imgfeat.export.verification.rounding_sensitivity import RoundingSensitivity
from imgfeat.heads.kernel_svm import KernelSVC
from imgfeat.tuning import search
from imgfeat.tuning.study import storage

RESULTS = Path(__file__).parent / "results" / "choices.json"


def count_exports(quick: bool) -> dict[str, int]:
    """Export pipelines with trees, verified on their training images and on others."""
    train, test = load_textures("train"), load_textures("test")
    codes = np.unique(train.target, return_inverse=True)[1]
    heads: list[Any] = [
        DecisionTreeClassifier(random_state=0),
        RandomForestClassifier(50, random_state=0),
        ExtraTreesClassifier(50, random_state=0),
        GradientBoostingClassifier(n_estimators=10, random_state=0),
        HistGradientBoostingClassifier(max_iter=30, random_state=0),
        XGBClassifier(n_estimators=30, random_state=0, n_jobs=1),
    ]
    counts = {"exports": 0, "refused_with": 0, "refused_without": 0}
    for feature in [HOG()] if quick else [HOG(), LBP(), GLCM()]:
        for head in heads[-1:] if quick else heads:
            model = make_pipeline(ImageLoader(32, color="gray"), clone(feature), clone(head))
            model.fit(train.images, codes)
            for images in (train.images[:300], test.images[:300]):
                counts["exports"] += 1
                counts["refused_with"] += _is_refused(model, images)
                with mock.patch.object(RoundingSensitivity, "tolerates", _tolerate_none):
                    counts["refused_without"] += _is_refused(model, images)
    return counts


def _is_refused(model: Any, images: Any) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            to_onnx(model, images, Path(folder) / "model.onnx")
        except ExportError:
            return True
    return False


def _tolerate_none(_: Any, outputs: Any, rows: Any) -> Any:
    return np.zeros(len(rows), bool)


def time_searches(quick: bool) -> dict[str, list[float]]:
    """Search C and gamma of an SVC on HOG features; the scores have to be equal."""
    images, labels = _load_digits(300 if quick else 1797)
    features = HOG(8).fit_transform(images)
    space = {
        "C": FloatDistribution(0.1, 100, log=True),
        "gamma": FloatDistribution(1e-3, 1, log=True),
    }

    def run() -> float:
        sampler = RandomSampler(seed=0)
        tuner = OptunaSearchCV(SVC(), space, n_trials=5 if quick else 15, cv=3, sampler=sampler)
        return float(tuner.fit(features, labels).best_score_)

    def run_without() -> float:
        with mock.patch.object(search, "make_distances", return_value=None):
            return run()

    return _alternate({"with": run, "without": run_without}, 1 if quick else 2)


def compare_landmarks(quick: bool) -> dict[str, list[float]]:
    """Return accuracies on held-out images of Fashion-MNIST for some random states."""
    if quick:
        images, labels = _load_digits(1797)
        extractor, n_components = HOG(8), 60
        rows, unseen = np.arange(1200), np.arange(1200, 1797)
    else:
        fashion = load_fashion_mnist("train")
        images, labels = fashion.images, fashion.target
        extractor, n_components = HOG(8, pixels_per_cell=7), 1000
        rows, unseen = np.split(np.random.default_rng(0).permutation(len(labels))[:17000], [12000])
    train, test = (extractor.fit_transform(images[part]) for part in (rows, unseen))
    accuracies: dict[str, list[float]] = {"with": [], "without": []}
    for seed in range(2 if quick else 5):
        model = KernelSVC(n_components=n_components, max_exact=0, random_state=seed)
        fitted = clone(model).fit(train, labels[rows])
        accuracies["with"].append(fitted.score(test, labels[unseen]))
        with mock.patch.object(KernelSVC, "_choose_landmarks", _take_first):
            fitted = clone(model).fit(train, labels[rows])
        accuracies["without"].append(fitted.score(test, labels[unseen]))
    return accuracies


def _take_first(model: KernelSVC, X: Any, targets: Any, weights: Any, rows: Any) -> Any:
    """Return random landmarks: `rows` are shuffled."""
    return rows[: model.n_components]


def time_trials(quick: bool) -> dict[str, list[float]]:
    """Return the seconds of a trial that only writes to SQLite."""
    n_trials = 5 if quick else 50

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            opened = storage.open_storage(Path(folder) / "study.db")
            study = optuna.create_study(storage=opened, sampler=RandomSampler(seed=0))
            study.optimize(lambda trial: trial.suggest_float("C", 0, 1), n_trials=n_trials)

    def run_without() -> None:
        with mock.patch.object(storage, "_WALConnection", sqlite3.Connection):
            run()

    seconds = _alternate({"with": run, "without": run_without}, 1 if quick else 5)
    return {name: [value / n_trials for value in values] for name, values in seconds.items()}


def _load_digits(n_images: int) -> tuple[Any, Any]:
    digits = load_digits()
    images = (digits.images[:n_images] * 15).astype(np.uint8)
    return ImageLoader(32, color="gray").fit_transform(images), digits.target[:n_images]


def _alternate(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of runs that take turns, after one round that is not timed."""
    results = {name: run() for name, run in runs.items()}
    if len(set(results.values())) != 1:
        raise AssertionError(f"The runs have different results: {results}.")
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark, print it and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, for a test")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of the results")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    results: dict[str, Any] = {}
    for name, measure in (
        ("rounding", count_exports),
        ("distances", time_searches),
        ("landmarks", compare_landmarks),
        ("sqlite", time_trials),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            results[name] = measure(options.quick)
        print(name, results[name], flush=True)
    write_results(options.out, {"environment": describe(), "quick": options.quick, **results})


if __name__ == "__main__":
    main()
