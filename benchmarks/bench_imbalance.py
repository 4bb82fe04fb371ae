"""Measure what remedies for class imbalance gain on real images in which one class is rare.

    python benchmarks/bench_imbalance.py [--data DIR ...] [--classes N] [--images N] [--ratio N]
                                         [--repeats N] [--quick] [--out FILE]

Data sets are handwritten digits, and folders with one subfolder per class that `--data` names (sign
language digits were used). Of the first `--classes` classes, `--images` images each are drawn and
split 70/30. In each repeat another class is made rare: one training image is left of `--ratio`, at
least two; all test images stay. Copies by AugmentedSampler are changed by "light". Nothing is
tuned; boosting has the settings of the recipe hog_lbp_boosting. Gains are means of the differences
to no remedy, over the same splits.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import describe, single_threaded, write_results
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, recall_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from imgfeat import HOG, CNNEmbedding, ImageLoader
from imgfeat.datasets import load_digits, load_folder
from imgfeat.heads import boosting, svm
from imgfeat.training import AugmentedSampler

RESULTS = Path(__file__).parent / "results" / "imbalance.json"
SIZE = 96
REMEDIES = ("none", "class weights", "oversampling", "undersampling", "SMOTE", "augmented copies")
METRICS = ("macro_f1", "recall", "accuracy")

Data = tuple[str, NDArray[Any], NDArray[Any]]


def list_data(folders: Sequence[Path], n_classes: int, n_images: int) -> list[Data]:
    """Return names, images and labels of some classes, with at most `n_images` of each."""
    digits = load_digits()
    data = [("digits", digits.images, digits.target)]
    data += [(folder.name, *load_folder(folder)) for folder in folders]
    loader, drawn = ImageLoader(SIZE), []
    for name, images, labels in data:
        kept = draw_rows(labels, n_classes, n_images)
        drawn.append((name, loader.fit_transform(images[kept]), labels[kept]))
    return drawn


def draw_rows(labels: NDArray[Any], n_classes: int, n_images: int) -> NDArray[np.intp]:
    """Return the positions of at most `n_images` images of each of the first classes."""
    rng, classes = np.random.default_rng(0), np.unique(labels)[:n_classes]
    rows = [rng.permutation(np.flatnonzero(labels == label)) for label in classes]
    return np.sort(np.concatenate([part[:n_images] for part in rows]))


def split(
    labels: NDArray[Any], repeat: int, ratio: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Any]:
    """Return training rows in which one class is rare, test rows, and that class."""
    classes = np.unique(labels)
    rare = classes[repeat % len(classes)]
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.3, stratify=labels, random_state=repeat
    )
    of_rare = np.flatnonzero(labels[train] == rare)
    n_common = (len(train) - len(of_rare)) // (len(classes) - 1)
    left_out = of_rare[max(2, round(n_common / ratio)) :]
    return np.delete(train, left_out), test, rare


def list_features(quick: bool) -> dict[str, Pipeline]:
    """Return feature extractors by name."""
    features = {"HOG": make_pipeline(ImageLoader(64, color="gray"), HOG())}
    return features if quick else features | {"CNN": make_pipeline(CNNEmbedding(image_size=SIZE))}


def list_heads(class_weight: str | None, quick: bool) -> dict[str, Any]:
    """Return classifiers by name."""
    linear = LogisticRegression(C=0.01, max_iter=1000, class_weight=class_weight)
    heads = {
        "linear": make_pipeline(StandardScaler(), linear),
        "RBF SVM": svm(class_weight=class_weight),
    }
    booster = boosting(
        max_iter=60,
        learning_rate=0.15,
        max_leaf_nodes=8,
        early_stopping=False,
        class_weight=class_weight,
        random_state=0,
    )
    return heads if quick else heads | {"boosting": booster}


def resample(
    remedy: str, X: NDArray[Any], y: NDArray[Any], seed: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Apply the remedies that resample features."""
    n_rare = np.unique(y, return_counts=True)[1].min()
    samplers = {
        "oversampling": RandomOverSampler(random_state=seed),
        "undersampling": RandomUnderSampler(random_state=seed),
        "SMOTE": SMOTE(k_neighbors=min(5, n_rare - 1), random_state=seed),
    }
    return samplers[remedy].fit_resample(X, y) if remedy in samplers else (X, y)


def measure(data: Data, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Fit every head on every kind of features with every remedy, in all repeats."""
    name, images, labels = data
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    features = list_features(options.quick)
    n_heads = len(list_heads(None, options.quick))
    total = options.repeats * len(features) * len(REMEDIES) * n_heads
    with tqdm(total=total, unit="fit", desc=name) as progress:
        for kind, transformer in features.items():
            extracted = transformer.fit_transform(images)
            for repeat in range(options.repeats):
                train, test, rare = split(labels, repeat, options.ratio)
                sampler = AugmentedSampler("light", balance=True, random_state=repeat)
                grown, grown_labels = sampler.fit_resample(images[train], labels[train])
                copies = transformer.transform(grown[len(train) :])
                for remedy in REMEDIES:
                    if remedy == "augmented copies":
                        X, y = np.concatenate([extracted[train], copies]), grown_labels
                    else:
                        X, y = resample(remedy, extracted[train], labels[train], repeat)
                    weight = "balanced" if remedy == "class weights" else None
                    for head, model in list_heads(weight, options.quick).items():
                        key = kind, head, remedy
                        row = rows.setdefault(key, start_row(name, *key, labels[train]))
                        predicted = model.fit(X, y).predict(extracted[test])
                        score(row, labels[test], predicted, rare)
                        progress.update()
    return list(rows.values())


def start_row(
    name: str, features: str, head: str, remedy: str, labels: NDArray[Any]
) -> dict[str, Any]:
    """Return an empty row of the results."""
    counts = np.unique(labels, return_counts=True)[1]
    row: dict[str, Any] = {"data": name, "features": features, "head": head, "remedy": remedy}
    row |= {"n_common": int(counts.max()), "n_rare": int(counts.min())}
    return row | {metric: [] for metric in METRICS}


def score(row: dict[str, Any], y_true: NDArray[Any], predicted: NDArray[Any], rare: Any) -> None:
    """Append the scores of one repeat to a row."""
    row["macro_f1"].append(float(f1_score(y_true, predicted, average="macro")))
    recall = recall_score(y_true, predicted, labels=[rare], average="macro")
    row["recall"].append(float(recall))
    row["accuracy"].append(float(accuracy_score(y_true, predicted)))


def add_gains(rows: Sequence[dict[str, Any]]) -> None:
    """Add to each row the mean differences to the row without a remedy."""
    base = {(r["features"], r["head"]): r for r in rows if r["remedy"] == "none"}
    for row in rows:
        without = base[row["features"], row["head"]]
        row["gain"] = {
            metric: statistics.fmean(np.subtract(row[metric], without[metric]).tolist())
            for metric in METRICS
        }


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """Print means and standard deviations over the repeats, in points."""
    first = rows[0]
    print(f"\n{first['data']}: {first['n_common']} to {first['n_rare']} training images")
    print(f"  {'features':9}{'head':10}{'remedy':18}{'macro F1':>16}{'recall, rare class':>22}")
    for row in rows:
        found = [
            (100 * statistics.fmean(row[m]), 100 * statistics.pstdev(row[m])) for m in METRICS[:2]
        ]
        f1, recall = (f"{mean:.1f} ± {spread:.1f}" for mean, spread in found)
        print(f"  {row['features']:9}{row['head']:10}{row['remedy']:18}{f1:>16}{recall:>22}")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compare remedies for class imbalance.")
    parser.add_argument("--quick", action="store_true", help="quick check: three digits, HOG")
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[], help="folders with one subfolder per class"
    )
    parser.add_argument("--classes", type=int, default=5, help="number of classes (default: 5)")
    parser.add_argument(
        "--images", type=int, default=160, help="images of each class (default: 160)"
    )
    parser.add_argument(
        "--ratio", type=int, default=30, help="images of other classes for one (default: 30)"
    )
    parser.add_argument("--repeats", type=int, default=5, help="number of splits (default: 5)")
    parser.add_argument("--out", type=Path, help=f"default {RESULTS}, not written with --quick")
    options = parser.parse_args(argv)
    if options.quick:
        options.classes, options.repeats = 3, 2
    out = options.out or (None if options.quick else RESULTS)
    payload: dict[str, Any] = {"environment": describe(), "quick": options.quick, "rows": []}
    payload |= {"ratio": options.ratio, "repeats": options.repeats, "image_size": SIZE}
    for data in list_data(options.data, options.classes, options.images):
        with single_threaded():
            rows = measure(data, options)
        add_gains(rows)
        print_rows(rows)
        payload["rows"] += rows
        if out is not None:
            write_results(out, payload)
    if out is not None:
        print(f"written to {out}")


if __name__ == "__main__":
    main()
