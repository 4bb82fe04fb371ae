"""Time and accuracy of the `svm()` head on many images, against SVC.

    python benchmarks/bench_svm.py [--quick] [--train N] [--out FILE]

The data are Fashion-MNIST in its official split, as 1,728 standardised HOG features; all candidates
have C=10 and gamma="scale". SVC takes many minutes, so each candidate fits once, one after the
other. At this size `svm()` solves the same problem as SVC, but breaks ties between classes with
equal votes by the decision values, as ``SVC(break_ties=True)`` does. Two more candidates are the
approximation that `svm()` uses for more images, and scikit-learn's Nystroem with a linear
classifier.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import add_options, describe, save
from sklearn.base import BaseEstimator
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from imgfeat import HOG
from imgfeat.datasets import load_digits, load_fashion_mnist
from imgfeat.ensembles import svm

RESULTS = Path(__file__).parent / "results" / "svm.json"


def load(quick: bool, n_train: int | None) -> tuple[Any, Any, Any, Any]:
    """Return training and test features with their labels."""
    if quick:
        digits = load_digits()
        features = HOG(pixels_per_cell=2).fit_transform(digits.images)
        return features[:1000], features[1000:], digits.target[:1000], digits.target[1000:]
    train, test = load_fashion_mnist("train"), load_fashion_mnist("test")
    hog = HOG(orientations=12, pixels_per_cell=4, cells_per_block=2, n_jobs=2)
    rows = np.random.default_rng(0).permutation(len(train.images))[:n_train]
    return (
        hog.fit_transform(train.images[rows]),
        hog.transform(test.images),
        train.target[rows],
        test.target,
    )


def list_candidates(quick: bool, n_features: int) -> dict[str, BaseEstimator]:
    """Return the estimators, imgfeat's first."""
    nystroem = Nystroem(gamma=1 / n_features, n_components=300 if quick else 3000, random_state=0)
    return {
        "imgfeat svm()": svm(random_state=0),
        "imgfeat svm(max_exact=0)": svm(
            max_exact=0, n_components=500 if quick else 6000, random_state=0
        ),
        "Nystroem + RidgeClassifier": make_pipeline(
            StandardScaler(), nystroem, RidgeClassifier(alpha=0.1)
        ),
        "scikit-learn SVC": make_pipeline(StandardScaler(), SVC(C=10, cache_size=2000)),
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time the svm() head against SVC.")
    add_options(parser, RESULTS, "quick check on handwritten digits")
    parser.add_argument("--train", type=int, help="number of training images (default: all 60,000)")
    options = parser.parse_args(argv)
    environment = describe()  # before the long fits, during which files may change
    X_train, X_test, y_train, y_test = load(options.quick, options.train)
    rows: list[dict[str, Any]] = []
    for name, model in list_candidates(options.quick, X_train.shape[1]).items():
        start = time.perf_counter()
        model.fit(X_train, y_train)
        fitted = time.perf_counter()
        accuracy = float(model.score(X_test, y_test))
        done = time.perf_counter()
        rows.append(
            {
                "name": name,
                "fit_seconds": fitted - start,
                "images_per_second": len(y_test) / (done - fitted),
                "accuracy": accuracy,
            }
        )
        print(
            f"{name:28} fit {fitted - start:8.1f} s  {rows[-1]['images_per_second']:8,.0f} "
            f"images/s  accuracy {accuracy:.4f}",
            flush=True,
        )
    own, exact = rows[0], rows[-1]
    ratio = exact["fit_seconds"] / own["fit_seconds"]
    loss = exact["accuracy"] - own["accuracy"]
    print(f"{ratio:.1f} times faster than SVC (goal 10), accuracy lower by {loss:.4f} (goal 0.003)")
    payload = {
        "environment": environment,
        "quick": options.quick,
        "n_train": len(y_train),
        "n_features": int(X_train.shape[1]),
        "rows": rows,
        "ratio": ratio,
        "loss": loss,
    }
    save(options, RESULTS, payload)


if __name__ == "__main__":
    main()
