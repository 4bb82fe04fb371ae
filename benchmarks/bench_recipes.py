"""Measure accuracy, fit time, speed, model size and memory of each recipe.

    python benchmarks/bench_recipes.py [--data textures|fashion-mnist|DIR] [--train N]
                                       [--recipes NAME ...] [--quick] [--out FILE]

Each recipe runs in its own process, for its peak memory. Fashion-MNIST has its official split; a
folder with one subfolder per class is split 70/30. `--train` limits the number of training images,
which are drawn at random.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import choose_out, describe, peak_megabytes, write_results
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from imgfeat import save_model
from imgfeat.datasets import load_fashion_mnist, load_folder, load_textures
from imgfeat.recipes import list_recipes, load_recipe

RESULTS = Path(__file__).parent / "results"
MEASURES = (
    ("accuracy", ".4f"),
    ("fit_seconds", ",.1f"),
    ("images_per_second", ",.0f"),
    ("model_megabytes", ",.1f"),
    ("peak_megabytes", ",.0f"),
)


def load(name: str, n_train: int | None) -> tuple[Any, Any, Any, Any]:
    """Return training and test images with their labels."""
    if name in ("textures", "fashion-mnist"):
        source = load_textures if name == "textures" else load_fashion_mnist
        train, test = source("train"), source("test")
        split = train.images, test.images, train.target, test.target
    else:
        paths, labels = load_folder(name)
        split = train_test_split(paths, labels, test_size=0.3, stratify=labels, random_state=0)
    X, X_test, y, y_test = split
    rows = np.random.default_rng(0).permutation(len(y))[:n_train]
    return X[rows], X_test, y[rows], y_test


def measure(recipe: str, data: str, n_train: int | None) -> dict[str, Any]:
    """Fit and score one recipe in this process."""
    X, X_test, y, y_test = load(data, n_train)
    model = load_recipe(recipe).build()
    model[:-1].fit_transform(X[:4], y[:4])  # compile kernels and export networks
    start = time.perf_counter()
    model.fit(X, y)
    fitted = time.perf_counter()
    accuracy = float(np.mean(model.predict(X_test) == y_test))
    done = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, f"{folder}/m.skops")
        size = os.path.getsize(f"{folder}/m.skops")
    return {
        "recipe": recipe,
        "accuracy": accuracy,
        "fit_seconds": fitted - start,
        "images_per_second": len(y_test) / (done - fitted),
        "model_megabytes": size / 2**20,
        "peak_megabytes": peak_megabytes(),
        "n_train": len(y),
        "n_test": len(y_test),
    }


def measure_in_process(recipe: str, data: str, n_train: int | None) -> dict[str, Any]:
    """Fit and score one recipe in a new process."""
    command = [sys.executable, __file__, "--one", recipe, "--data", data]
    if n_train is not None:
        command += ["--train", str(n_train)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure all recipes on one data set.")
    parser.add_argument(
        "--data",
        default="textures",
        help="textures, fashion-mnist, or a folder with one subfolder per class",
    )
    parser.add_argument("--train", type=int, help="number of training images (default: all)")
    parser.add_argument(
        "--recipes", nargs="+", help="names or files of recipes (default: all built-in ones)"
    )
    parser.add_argument("--quick", action="store_true", help="quick check: one recipe, 60 images")
    parser.add_argument("--out", type=Path, help="default results/recipes_DATA.json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.one:
        print(json.dumps(measure(options.one, options.data, options.train)))
        return
    recipes = options.recipes or (["bagged"] if options.quick else list(list_recipes()))
    n_train = 60 if options.quick else options.train
    name = Path(options.data).name
    out = choose_out(options, RESULTS / f"recipes_{name}.json")
    payload: dict[str, Any] = {"environment": describe(), "data": name, "rows": []}
    for recipe in tqdm(recipes, unit="recipe"):
        payload["rows"].append(measure_in_process(recipe, options.data, n_train))
        if out is not None:
            write_results(out, payload | {"quick": options.quick})
    print(f"{'recipe':24}" + "".join(f"{key.replace('_', ' '):>20}" for key, _ in MEASURES))
    for row in sorted(payload["rows"], key=lambda row: -row["accuracy"]):
        print(f"{row['recipe']:24}" + "".join(f"{row[key]:>20{form}}" for key, form in MEASURES))
    if out is not None:
        print(f"written to {out}")


if __name__ == "__main__":
    main()
