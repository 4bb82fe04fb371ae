"""Compare ways to fuse feature groups: concatenation, stacking, voting, and summed kernels.

    python benchmarks/bench_fusion.py [--quick] [--data DIR ...] [--train N] [--seeds N]
                                      [--out FILE]

Textures come from scikit-image; Fashion-MNIST with 10,000 training images is included if it is
installed, and so are folders with one subfolder per class that `--data` names (sign language digits
were used), split 70/30. Features are computed once, all candidates use the same splits, and nothing
is tuned. The best single group is selected by its mean test accuracy over the seeds, which favours
it. Each group is tried with the exact SVM and with the approximate SVM of smaller gamma ("smooth")
that stacking uses.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from harness import add_options, choose_out, describe, write_results
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.pipeline import FeatureUnion, make_pipeline
from tqdm import tqdm

from imgfeat import HOG, LBP, Batched, CNNEmbedding, ColorHistogram, ImageLoader
from imgfeat.datasets import FASHION_MNIST_FOLDER, load_fashion_mnist, load_folder, load_textures
from imgfeat.ensembles import stacking, svm, voting
from imgfeat.heads.families import FamilyColumns

RESULTS = Path(__file__).parent / "results" / "fusion.json"
FAMILIES = ("hog", "lbp", "color", "middle", "last")

Split = tuple[NDArray[np.intp], NDArray[np.intp]]
Data = tuple[str, Any, NDArray, list[Split]]


def list_data(folders: Sequence[Path], n_train: int, n_seeds: int, quick: bool) -> list[Data]:
    """Return names, images, labels and splits."""
    data = [_textures(n_seeds)]
    if not quick and Path(FASHION_MNIST_FOLDER).is_dir():
        bunch = load_fashion_mnist("all")
        splits: list[Any] = [
            (np.random.default_rng(seed).permutation(60_000)[:n_train], np.arange(60_000, 70_000))
            for seed in range(n_seeds)
        ]
        used = np.unique(np.concatenate([rows for split in splits for rows in split]))
        splits = [tuple(np.searchsorted(used, rows) for rows in split) for split in splits]
        data.append(("Fashion-MNIST", bunch.images[used], bunch.target[used], splits))
    for folder in folders:
        paths, labels = load_folder(folder)
        rows = np.arange(len(labels))
        splits = [
            tuple(train_test_split(rows, test_size=0.3, stratify=labels, random_state=seed))
            for seed in range(n_seeds)
        ]
        data.append((folder.name, paths, labels, splits))
    return data


def _textures(n_seeds: int) -> Data:
    """Split textures into halves of each picture, which can be done in four ways."""
    images, labels, splits, start = [], [], [], 0
    for fold in range(min(n_seeds, 4)):
        parts = [load_textures(s, patch_size=32, fold=fold) for s in ("train", "test")]
        counts = [len(part.target) for part in parts]
        rows = np.arange(start, start + sum(counts))
        splits.append((rows[: counts[0]], rows[counts[0] :]))
        images += [part.images for part in parts]
        labels += [part.target for part in parts]
        start += sum(counts)
    return "textures", np.concatenate(images), np.concatenate(labels), splits


def extract(images: Any, size: int) -> pd.DataFrame:
    """Return the features of all groups, with their names."""
    gray = [ImageLoader(64, color="gray")]
    union = FeatureUnion(
        [
            ("hog", make_pipeline(*gray, HOG())),
            ("lbp", make_pipeline(*gray, LBP(8, 2, grid=4))),
            ("color", ColorHistogram(grid=2)),
            ("middle", CNNEmbedding(image_size=size)),
            ("last", CNNEmbedding(layers="last", pooling="mean", grid=1, image_size=size)),
        ]
    )
    stream = Batched(make_pipeline(ImageLoader(size), union), n_jobs=2, progress=True)
    features = stream.fit_transform(images)
    return pd.DataFrame(features, columns=stream.get_feature_names_out())


def list_candidates() -> dict[str, BaseEstimator]:
    """Return the estimators: one for each feature group alone, then those that fuse groups."""
    smooth: dict[str, Any] = {"max_exact": 0, "gamma_factor": 0.3, "random_state": 0}
    alone = {f"{name} alone": make_pipeline(FamilyColumns(name), svm()) for name in FAMILIES}
    alone |= {
        f"{name} alone, smooth": make_pipeline(FamilyColumns(name), svm(**smooth))
        for name in FAMILIES
    }
    return alone | {
        "concatenated": svm(),
        "concatenated, smooth": svm(**smooth),
        "voting": voting(FAMILIES),
        "stacking": stacking(FAMILIES, random_state=0),
        "fused kernel": svm(weights="align", **smooth),
    }


def measure(data: Data, size: int) -> list[dict[str, Any]]:
    """Fit and score every candidate on every split."""
    name, images, labels, splits = data
    features = extract(images, size)
    candidates = list_candidates()
    rows: list[dict[str, Any]] = [
        {"data": name, "name": c, "accuracy": [], "fit_seconds": []} for c in candidates
    ]
    with tqdm(total=len(rows) * len(splits), unit="fit") as progress:
        for train, test in splits:
            for row, model in zip(rows, candidates.values(), strict=True):
                start = time.perf_counter()
                model.fit(features.iloc[train], labels[train])
                row["fit_seconds"].append(time.perf_counter() - start)
                row["accuracy"].append(float(model.score(features.iloc[test], labels[test])))
                progress.update()
    return rows


def compute_gains(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the gains of stacking and the fused kernel over the best group and concatenation."""
    means = {row["name"]: statistics.fmean(row["accuracy"]) for row in rows}
    best = max(mean for name, mean in means.items() if "alone" in name)
    joined = max(mean for name, mean in means.items() if "concatenated" in name)
    return {
        f"{name} against {rival}": means[name] - value
        for name in ("stacking", "fused kernel")
        for rival, value in (("the best family", best), ("concatenation", joined))
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compare ways to fuse feature groups.")
    add_options(parser, RESULTS, "quick check on textures alone")
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[], help="folders with one subfolder per class"
    )
    parser.add_argument(
        "--train",
        type=int,
        default=10_000,
        help="training images of Fashion-MNIST (default: 10,000)",
    )
    parser.add_argument(
        "--seeds", type=int, default=5, help="number of splits of each data set (default: 5)"
    )
    options = parser.parse_args(argv)
    seeds, size = (1, 64) if options.quick else (options.seeds, 160)
    out = choose_out(options, RESULTS)
    rows: list[dict[str, Any]] = []
    gains: dict[str, dict[str, float]] = {}
    environment = describe()
    for data in list_data(options.data, options.train, seeds, options.quick):
        measured = measure(data, size)
        rows += measured
        gains[data[0]] = compute_gains(measured)
        print(f"\n{data[0]}: {len(data[3])} splits")
        for row in sorted(measured, key=lambda row: -statistics.fmean(row["accuracy"])):
            mean, seconds = (statistics.fmean(row[key]) for key in ("accuracy", "fit_seconds"))
            print(f"  {row['name']:24} {mean:.4f}  fit {seconds:6.1f} s")
        for name, difference in gains[data[0]].items():
            print(f"  {name}: {100 * difference:+.2f} points")
        if out is not None:
            payload = {"environment": environment, "quick": options.quick, "size": size}
            write_results(out, payload | {"rows": rows, "verdicts": gains})
    if out is not None:
        print(f"written to {out}")


if __name__ == "__main__":
    main()
