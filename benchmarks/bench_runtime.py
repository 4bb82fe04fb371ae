"""Time from one image to its label: exported pipelines against the pipelines themselves.

    python benchmarks/bench_runtime.py [--quick] [--repeats N] [--out FILE]

Recipes are fitted on scikit-image's textures and exported. Each call predicts one image, on one
thread, by the ONNX file (`load_onnx`), by `predict` of the fitted pipeline, and for classical
recipes by the same fitted head after scikit-image's `hog` and `local_binary_pattern`. Recipes with
networks are compared with a session of the networks alone. Labels are compared before anything is
timed. The candidates take turns.
"""

import argparse
import functools
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import Candidate, add_options, describe, race, save
from skimage.feature import hog, local_binary_pattern
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import FeatureUnion, Pipeline

from imgfeat import HOG, LBP, CNNEmbedding, ImageLoader
from imgfeat._sessions import start_session
from imgfeat.datasets import load_textures
from imgfeat.ensembles import stacking
from imgfeat.export import load_onnx, to_onnx
from imgfeat.recipes import load_recipe

RESULTS = Path(__file__).parent / "results" / "runtime.json"
CLASSICAL = ("hog_svm", "hog_lbp_boosting", "classical stack")
DEEP = ("cnn_logistic", "cnn_svm", "stacked")


class SkimageFeatures(TransformerMixin, BaseEstimator):
    """The features of a fitted HOG or LBP, computed with scikit-image."""

    def __init__(self, fitted: Any):
        self.fitted = fitted

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any = None) -> "SkimageFeatures":
        return self

    def transform(self, X: Any) -> Any:
        describe_one = self._hog if isinstance(self.fitted, HOG) else self._lbp
        return np.array([describe_one(image) for image in X], np.float32)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        return self.fitted.get_feature_names_out()

    def _hog(self, image: Any) -> Any:
        side = self.fitted.pixels_per_cell
        return hog(image, pixels_per_cell=(side, side), cells_per_block=(2, 2))

    def _lbp(self, image: Any) -> Any:
        grid, points = self.fitted.grid, self.fitted.n_points
        codes = local_binary_pattern(image, points, self.fitted.radius, "uniform")
        cells = [
            cell for row in np.array_split(codes, grid) for cell in np.array_split(row, grid, 1)
        ]
        bins = np.arange(points + 3)
        return np.concatenate([np.histogram(cell, bins)[0] / cell.size for cell in cells])


def build(name: str) -> Pipeline:
    """Return an unfitted pipeline."""
    if name != "classical stack":
        return load_recipe(name).build()
    families = FeatureUnion([("hog", HOG()), ("lbp", LBP(grid=4))])
    return Pipeline(
        [
            ("load", ImageLoader(64, color="gray")),
            ("families", families.set_output(transform="pandas")),
            ("stack", stacking(["hog", "lbp"], random_state=0)),
        ]
    )


def write_with_skimage(model: Pipeline) -> Pipeline:
    """Return a pipeline of scikit-image's features and the fitted head."""
    step = model[1]
    if isinstance(step, FeatureUnion):
        parts = [(name, SkimageFeatures(part)) for name, part in step.transformer_list]
        features: Any = FeatureUnion(parts)
        if step.__dict__.get("_sklearn_output_config"):
            features.set_output(transform="pandas")
    else:
        features = SkimageFeatures(step)
    return Pipeline([("features", features), *model.steps[2:]])


def measure(name: str, data: Any, n_train: int, repeats: int) -> dict[str, Any]:
    """Fit, export and time one recipe."""
    rows = np.random.default_rng(0).permutation(len(data.images))
    images, labels = data.images[rows], data.target[rows]
    model = build(name).fit(images[:n_train], labels[:n_train])
    ready = model[0].transform(images)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.onnx"
        certificate = to_onnx(model, images[:32], path)
        start = time.perf_counter()
        served = load_onnx(path)
        load_seconds = time.perf_counter() - start
        megabytes = os.path.getsize(path) / 2**20
        candidates: dict[str, Callable[[Any], Any]] = {
            "imgfeat ONNX": served.predict,
            "imgfeat pipeline": model.predict,
        }
        if name in CLASSICAL:
            candidates["scikit-image pipeline"] = write_with_skimage(model).predict
        else:
            candidates["bare CNN session"] = open_bare(model, images[:4], folder)
        expected = model.predict(ready[:48])
        for candidate, predict in candidates.items():
            if candidate != "bare CNN session":
                np.testing.assert_array_equal(predict(ready[:48]), expected)
        image = ready[n_train : n_train + 1]
        seconds = race(
            [Candidate(who, functools.partial(run, image)) for who, run in candidates.items()],
            repeats,
            warmup=10,
        )
    return {
        "recipe": name,
        "milliseconds": {
            who: {"median": 1e3 * np.median(times), "p99": 1e3 * np.quantile(times, 0.99)}
            for who, times in seconds.items()
        },
        "file_megabytes": megabytes,
        "load_seconds": load_seconds,
        "largest_difference": certificate.largest_difference,
        "precision": certificate.precision,
    }


def open_bare(model: Pipeline, images: Any, folder: str) -> Callable[[Any], Any]:
    """Return a function that runs only the networks of the pipeline."""
    step = model[1]
    parts = step.transformer_list if isinstance(step, FeatureUnion) else [("network", step)]
    networks = FeatureUnion([part for part in parts if isinstance(part[1], CNNEmbedding)])
    path = f"{folder}/bare.onnx"
    to_onnx(Pipeline([("load", model[0]), ("networks", networks)]), images, path)
    session = start_session(Path(path).read_bytes())
    return lambda image: session.run(None, {"images": image})


def report(row: dict[str, Any]) -> None:
    """Print the times of a recipe and their ratios."""
    times = row["milliseconds"]
    own = times["imgfeat ONNX"]["median"]
    print(
        f"{row['recipe']}: {row['file_megabytes']:.1f} MB, loaded in {row['load_seconds']:.2f} s, "
        f"{row['precision']}, largest difference {row['largest_difference']:.1e}"
    )
    for who, found in times.items():
        ratio = own / found["median"] if "bare" in who else found["median"] / own
        meaning = "times the bare session" if "bare" in who else "times the file's"
        print(
            f"  {who:24} median {found['median']:8.3f} ms  p99 {found['p99']:8.3f} ms"
            + ("" if who == "imgfeat ONNX" else f"  {ratio:6.2f} {meaning}"),
            flush=True,
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time exported pipelines, one image per call.")
    add_options(parser, RESULTS, "quick check: two recipes, a few repeats")
    parser.add_argument(
        "--repeats", type=int, default=500, help="number of timed calls of each candidate"
    )
    options = parser.parse_args(argv)
    data = load_textures("all", patch_size=64)
    n_train = 60 if options.quick else len(data.images) // 2
    recipes = CLASSICAL[:2] if options.quick else CLASSICAL + DEEP
    repeats = 5 if options.quick else options.repeats
    rows = []
    for name in recipes:
        rows.append(measure(name, data, n_train, repeats))
        report(rows[-1])
    payload = {
        "environment": describe(),
        "quick": options.quick,
        "n_train": n_train,
        "repeats": repeats,
        "rows": rows,
    }
    save(options, RESULTS, payload)


if __name__ == "__main__":
    main()
