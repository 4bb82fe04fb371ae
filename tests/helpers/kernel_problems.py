"""Random classification problems on which KernelSVC must say what SVC says.

python tests/helpers/kernel_problems.py [--n 400] [--seed 0]
"""

import argparse
import warnings

import numpy as np
from sklearn.base import clone
from sklearn.svm import SVC

from imgfeat.heads.kernel_svm import KernelSVC

# Of decision values, relative to the largest; libsvm itself stops within 1e-3.
TOLERANCE = 1e-3


def make_problem(seed):
    """Return options, features and labels to fit, weights, and features to predict."""
    rng = np.random.default_rng(seed)
    n_classes = int(rng.choice([2, 2, 3, 4, 7, 12, 20]))
    n_features = int(rng.choice([1, 2, 5, 30, 120]))
    sizes = rng.integers(1, 4, n_classes) if rng.random() < 0.2 else rng.integers(2, 40, n_classes)
    codes = np.repeat(np.arange(n_classes), sizes)
    if n_classes < 7 and rng.random() < 0.3:
        codes = np.concatenate([codes, rng.integers(0, n_classes, 250)])
    means = rng.normal(size=(n_classes, n_features)) * rng.choice([0.3, 1, 3])
    X = means[codes] + rng.normal(size=(len(codes), n_features))
    unseen = means[rng.integers(0, n_classes, 60)] + rng.normal(size=(60, n_features))
    if rng.random() < 0.2:  # the same image several times, also under another label
        rows = rng.integers(0, len(X), len(X) // 2 + 1)
        X[rng.integers(0, len(X), len(rows))] = X[rows]
    if rng.random() < 0.2:
        X, unseen = X.round(), unseen.round()
    offset = rng.choice([0, 0, 1, 30, 1e3, 1e4]) * rng.choice([-1, 1])
    offset = offset * (1 if rng.random() < 0.7 else (rng.random(n_features) < 0.5))
    scale = 10.0 ** rng.integers(-4, 5)
    dtype = rng.choice([np.float32, np.float64])
    X, unseen = ((part + offset) * scale for part in (X, unseen))
    X, unseen = X.astype(dtype), unseen.astype(dtype)
    gamma = rng.choice(["scale", "scale", "auto"])
    if rng.random() < 0.3:
        gamma = float(10.0 ** rng.uniform(-2, 1) / (n_features * scale**2))
    options = {
        "C": float(10.0 ** rng.uniform(-2, 3)),
        "gamma": gamma if isinstance(gamma, float) else str(gamma),
    }
    if rng.random() < 0.3:
        options["class_weight"] = "balanced"
    elif rng.random() < 0.3:
        options["class_weight"] = {k: float(rng.uniform(0.2, 5)) for k in range(n_classes)}
    weights = rng.choice([0.5, 1, 2], len(X)) if rng.random() < 0.3 else None
    order = rng.permutation(len(X))
    weights = None if weights is None else weights[order]
    return options, X[order], codes[order], weights, unseen


def compare(seed):
    """Return how many labels differ but for ties, the gap of decision values, and the ties."""
    options, X, codes, weights, unseen = make_problem(seed)
    model = KernelSVC(**options).fit(X, codes, weights)
    reference = SVC(break_ties=True, **options).fit(X, codes, weights)
    values, expected = model.decision_function(unseen), reference.decision_function(unseen)
    if len(reference.classes_) > 2:
        pairs = reference.set_params(
            decision_function_shape="ovo", break_ties=False
        ).decision_function(unseen)
        # A vote that hangs on the last digits changes values by 1.
        clear = (np.abs(pairs) > TOLERANCE * max(1, np.abs(pairs).max())).all(axis=1)
        reference.set_params(decision_function_shape="ovr", break_ties=True)
        margin = np.diff(np.sort(expected, axis=1)[:, -2:], axis=1)[:, 0]
        clear &= margin > TOLERANCE
    else:
        clear = np.abs(expected) > TOLERANCE * max(1, np.abs(expected).max())
    differ = (model.predict(unseen) != reference.predict(unseen))[clear].sum()
    if not clear.any():
        return 0, 0.0, 0.0
    size = np.abs(expected).max()
    gap = float(np.abs(values - expected)[clear].max() / size)
    if gap > TOLERANCE:  # where SVC stopped as far from its own goal, it says no more than that
        exact = clone(reference).set_params(tol=1e-9).fit(X, codes, weights)
        slack = np.abs(exact.decision_function(unseen) - expected)[clear].max() / size
        gap = gap if gap > 2 * slack else 0.0
    return int(differ), gap, float(clear.mean())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = [compare(options.seed + k) for k in range(options.n)]
    bad = [(options.seed + k, *one) for k, one in enumerate(found) if one[0] or one[1] > TOLERANCE]
    print(f"{len(bad)} of {options.n} problems differ; clear: {np.mean([f[2] for f in found]):.3f}")
    for one in bad:
        print(*one)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
