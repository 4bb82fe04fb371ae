"""Compare exported files with their pipelines on images used neither in training nor in export.

    python benchmarks/bench_agreement.py [--quick] [--data DIR ...] [--out FILE]

Every recipe, and the boosting recipe also with LightGBM and XGBoost, is fitted on real images and
exported by `to_onnx` with training images as the sample: the hardest case for trees, whose
thresholds are derived from these. Then pipeline and file predict other images. Tied classes
are not treated specially: a label counts as equal only if it is the same. Fashion-MNIST is included
if it is installed, and so are folders with one subfolder per class that `--data` names (sign
language digits were used). Goal: at least 99.95 % equal labels.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from harness import add_options, describe, save
from sklearn.model_selection import train_test_split

from imgfeat import CNNEmbedding
from imgfeat.datasets import (
    FASHION_MNIST_FOLDER,
    load_digits,
    load_faces,
    load_fashion_mnist,
    load_folder,
    load_textures,
)
from imgfeat.ensembles import boosting
from imgfeat.export import load_onnx, to_onnx
from imgfeat.recipes import list_recipes, load_recipe

RESULTS = Path(__file__).parent / "results" / "agreement.json"
GOAL = 0.9995
N_TRAIN = 400
N_SAMPLE = 64
# Networks take about a hundred times as long as other features.
N_UNSEEN, N_UNSEEN_DEEP, N_TRAIN_DEEP = 2000, 120, 120
LIBRARIES: tuple[Literal["lightgbm", "xgboost"], ...] = ("lightgbm", "xgboost")

Split = tuple[Any, Any, Any, Any]


def list_splits(folders: Sequence[Path], quick: bool) -> dict[str, Split]:
    """Return training and test images with their labels, by name of the data set."""
    train, test = load_textures("train"), load_textures("test")
    splits = {"textures": (train.images, test.images, train.target, test.target)}
    if quick:
        return splits
    digits, faces = load_digits(), load_faces()
    splits["digits"] = _split(digits.images, digits.target)
    splits["faces"] = _split(faces.images, faces.target)
    if Path(FASHION_MNIST_FOLDER).is_dir():
        train, test = load_fashion_mnist("train"), load_fashion_mnist("test")
        rows = np.random.default_rng(0).permutation(len(train.target))[:N_TRAIN]
        splits["Fashion-MNIST"] = (train.images[rows], test.images, train.target[rows], test.target)
    for folder in folders:
        splits[folder.name] = _split(*load_folder(folder))
    return splits


def _split(images: Any, labels: Any) -> Split:
    n_train = min(N_TRAIN, len(labels) // 2)
    parts = train_test_split(
        images, labels, train_size=n_train, stratify=labels, random_state=0, shuffle=True
    )
    return tuple(parts)


def build_models(quick: bool) -> dict[str, Any]:
    """Return all recipes by name, and boosting by other libraries; those with networks last."""
    models = {}
    for library in LIBRARIES:
        head = boosting(library=library, max_iter=30, n_jobs=1, random_state=0)
        recipe = load_recipe("hog_lbp_boosting").build()
        models[f"hog_lbp_boosting, {library}"] = recipe.set_params(boosting=head)
    for name in ["hog_lbp_boosting"] if quick else list_recipes():
        models[name] = load_recipe(name).build()
    return dict(sorted(models.items(), key=lambda item: has_network(item[1])))


def has_network(model: Any) -> bool:
    """Return whether a pipeline has a network at any depth."""
    return any(isinstance(part, CNNEmbedding) for part in model.get_params().values())


def compare(model: Any, split: Split, n_train: int, n_unseen: int) -> dict[str, Any]:
    """Fit and export one model, and compare it with its file on unseen images."""
    X, unseen, y, _ = split
    X, y = _draw(X, n_train), _draw(y, n_train)
    unseen = _draw(unseen, n_unseen)
    model.fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        certificate = to_onnx(model, X[:N_SAMPLE], f"{folder}/model.onnx")
        exported = load_onnx(f"{folder}/model.onnx")
    features = model[:-1].transform(unseen)
    equal = np.asarray(model[-1].predict(features)) == exported.predict(unseen)
    result = {
        "n_unseen": len(unseen),
        "n_equal": int(equal.sum()),
        "precision": certificate.precision,
        "n_ties_in_training": certificate.n_ties,
    }
    if hasattr(model, "predict_proba"):
        differences = np.abs(model[-1].predict_proba(features) - exported.predict_proba(unseen))
        result["largest_difference"] = float(differences.max())
        result["n_apart"] = int((differences.max(axis=1) > 1e-4).sum())
    return result


def _draw(items: Any, n: int) -> Any:
    """Return at most n random items, at the same positions for images and labels."""
    rows = np.random.default_rng(0).permutation(len(items))[:n]
    return items[rows] if isinstance(items, np.ndarray) else [items[row] for row in rows]


def sum_up(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the share of equal labels of each model, over all data."""
    equal: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for row in rows:
        equal[row["model"]] += row["n_equal"]
        total[row["model"]] += row["n_unseen"]
    return {model: equal[model] / total[model] for model in total}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compare exported files with their pipelines.")
    add_options(parser, RESULTS, "quick check: boosting on textures")
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[], help="folders with one subfolder per class"
    )
    options = parser.parse_args(argv)
    environment = describe()
    splits = list_splits(options.data, options.quick)
    rows = []
    print(f"{'model':28} {'data':14} {'unseen':>7} {'equal':>7} {'precision':9} {'difference':>10}")
    for name, model in build_models(options.quick).items():
        deep = has_network(model)
        sizes = (N_TRAIN_DEEP, N_UNSEEN_DEEP) if deep else (N_TRAIN, N_UNSEEN)
        for data, split in splits.items():
            row = {"model": name, "data": data, **compare(model, split, *sizes)}
            rows.append(row)
            print(
                f"{name:28} {data:14} {row['n_unseen']:7,} {row['n_equal']:7,} "
                f"{row['precision']:9} {row.get('largest_difference', float('nan')):10.1e}",
                flush=True,
            )
    shares = sum_up(rows)
    for model, share in shares.items():
        print(f"{model:28} {share:.4%} {'met' if share >= GOAL else 'MISSED'}")
    payload = {"environment": environment, "quick": options.quick, "goal": GOAL}
    save(options, RESULTS, {**payload, "shares": shares, "rows": rows})


if __name__ == "__main__":
    main()
