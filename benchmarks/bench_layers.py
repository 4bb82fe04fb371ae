"""Compare layers, poolings and grids, from which the defaults of CNNEmbedding were chosen.

    python benchmarks/bench_layers.py [--quick] [--data DIR ...] [--out FILE]

The features are those of a frozen EfficientNet-Lite0, standardised, and the classifier is an RBF
SVM with C=10; nothing is tuned. Textures come from scikit-image; Fashion-MNIST is included if it is
installed, and so are folders with one subfolder per class that `--data` names (sign language digits
were used).
"""

import argparse
import itertools
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import add_options, describe, save
from numpy.typing import NDArray
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm

from imgfeat import CNNEmbedding, ImageLoader
from imgfeat.datasets import (
    FASHION_MNIST_FOLDER,
    load_fashion_mnist,
    load_folder,
    load_textures,
)

RESULTS = Path(__file__).parent / "results" / "layers.json"
SIZE = 224
# Blocks are numbered through all stages, as in the paper.
LAYERS: dict[str, tuple[str, ...]] = {
    "last": ("bn2",),
    "stages": ("blocks.0", "blocks.1", "blocks.2", "blocks.4", "blocks.6"),
    "middle (7, 10, 14)": ("blocks.3.2", "blocks.4.2", "blocks.5.3"),
    "7, 10, 14, 15": ("blocks.3.2", "blocks.4.2", "blocks.5.3", "blocks.6"),
    "10, 14": ("blocks.4.2", "blocks.5.3"),
    "10": ("blocks.4.2",),
    "14": ("blocks.5.3",),
}
USUAL: tuple[tuple[str, ...], ...] = (("mean",), ("mean", "std"))
OTHERS: tuple[tuple[str, ...], ...] = (("max",), ("gem",), ("mean", "max"), ("mean", "std", "max"))
POOLS = ("mean", "std", "max", "gem")
GRIDS = (1, 2, 3)

Split = tuple[Any, Any, NDArray, NDArray]


def list_splits(folders: Sequence[Path], size: int, n: int | None) -> dict[str, list[Split]]:
    """Return training and test images of the network's input size, and their labels."""
    loader = ImageLoader(size, n_jobs=2)
    folds = (0,) if n else (0, 2)
    splits = {"textures": [_split_textures(loader, fold) for fold in folds]}
    if n is None and Path(FASHION_MNIST_FOLDER).is_dir():
        train, test = load_fashion_mnist("train"), load_fashion_mnist("test")
        rng = np.random.default_rng(0)
        rows, others = rng.permutation(60_000)[:3000], rng.permutation(10_000)[:2000]
        splits["Fashion-MNIST"] = [
            (
                loader.transform(train.images[rows]),
                loader.transform(test.images[others]),
                train.target[rows],
                test.target[others],
            )
        ]
    for folder in folders:
        paths, labels = load_folder(folder)
        images = loader.transform(paths[:n] if n else paths)
        splits[folder.name] = [
            tuple(train_test_split(images, labels, test_size=0.3, stratify=labels, random_state=s))
            for s in (0, 1)
        ]
    return splits


def _split_textures(loader: ImageLoader, fold: int) -> Split:
    train = load_textures("train", patch_size=32, fold=fold)
    test = load_textures("test", patch_size=32, fold=fold)
    return (
        loader.transform(train.images),
        loader.transform(test.images),
        train.target,
        test.target,
    )


def extract(images: NDArray[np.uint8], grid: int, size: int) -> tuple[NDArray, NDArray, NDArray]:
    """Return all features of a grid, and the layer and the pooling of each."""
    names = list(dict.fromkeys(name for names in LAYERS.values() for name in names))
    embedding = CNNEmbedding(layers=names, pooling=POOLS, grid=grid, image_size=size)
    features = embedding.fit_transform(images)
    pattern = re.compile(r"cnn_(.+)_y\d_x\d_([a-z]+)\d+")
    matches = (pattern.fullmatch(name) for name in embedding.get_feature_names_out())
    layers, pools = np.array([match.groups() for match in matches if match]).T
    return features, layers, pools


def score(train: NDArray, test: NDArray, y_train: NDArray, y_test: NDArray) -> float:
    """Return the accuracy of SVC(C=10) on standardised features; the kernel is precomputed."""
    scale = StandardScaler().fit(train)
    train, test = scale.transform(train), scale.transform(test)
    gamma = 1 / train.shape[1]
    model = SVC(C=10, kernel="precomputed", cache_size=1000)
    model.fit(rbf_kernel(train, gamma=gamma), y_train)
    return float(model.score(rbf_kernel(test, train, gamma=gamma), y_test))


def list_settings(grids: Sequence[int]) -> list[dict[str, Any]]:
    """Return the settings: all layers with the usual poolings, and one with all poolings."""
    chosen = [(layers, pools) for layers in LAYERS for pools in USUAL]
    chosen += [("middle (7, 10, 14)", pools) for pools in OTHERS]
    return [
        {"layers": layers, "pooling": list(pools), "grid": grid, "accuracy": {}}
        for layers, pools in chosen
        for grid in grids
    ]


def measure(
    splits: dict[str, list[Split]], size: int, grids: Sequence[int] = GRIDS
) -> list[dict[str, Any]]:
    """Score every setting on every split; the network runs once for all settings of a grid."""
    rows = list_settings(grids)
    total = len(rows) * sum(len(parts) for parts in splits.values())
    with tqdm(total=total, unit="fit") as progress:
        for data, parts in splits.items():
            for split, grid in itertools.product(parts, grids):
                train, layers, pools = extract(split[0], grid, size)
                test, _, _ = extract(split[1], grid, size)
                for row in (row for row in rows if row["grid"] == grid):
                    wanted = LAYERS[row["layers"]]
                    columns = np.isin(layers, wanted) & np.isin(pools, row["pooling"])
                    accuracy = score(train[:, columns], test[:, columns], *split[2:])
                    row["accuracy"].setdefault(data, []).append(accuracy)
                    row["n_features"] = int(columns.sum())
                    progress.update()
    for row in rows:
        row["mean"] = statistics.mean(statistics.mean(v) for v in row["accuracy"].values())
    return sorted(rows, key=lambda row: -row["mean"])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compare layers, poolings and grids.")
    add_options(parser, RESULTS, "quick check: small, few images")
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[], help="folders with one subfolder per class"
    )
    options = parser.parse_args(argv)
    size = 64 if options.quick else SIZE
    environment = describe()
    splits = list_splits(options.data, size, 60 if options.quick else None)
    rows = measure(splits, size, GRIDS[1:2] if options.quick else GRIDS)
    print(f"{'layers':20} {'pooling':14} grid {'features':>8}  {'  '.join(splits)}  mean")
    for row in rows:
        each = "  ".join(
            f"{statistics.mean(row['accuracy'][data]):.4f}".rjust(len(data)) for data in splits
        )
        print(
            f"{row['layers']:20} {'+'.join(row['pooling']):14} {row['grid']:4} "
            f"{row['n_features']:8,}  {each}  {row['mean']:.4f}"
        )
    payload = {"environment": environment, "quick": options.quick, "size": size, "rows": rows}
    save(options, RESULTS, payload)


if __name__ == "__main__":
    main()
