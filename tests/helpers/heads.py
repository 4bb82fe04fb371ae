"""Features of real images, and the comparison of a head's graph with the head itself."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pandas as pd
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.base import clone

from imgfeat import HOG, LBP
from imgfeat.datasets import load_digits, load_faces
from imgfeat.export.conversion import convert_estimator

TYPES = {np.float32: FloatTensorType, np.float64: DoubleTensorType}
# Of probabilities, and of decision functions relative to their size.
BOUNDS = {np.float32: 1e-4, np.float64: 1e-5}


@cache
def load(name):
    """Return "two" classes, "many" with labels that are names, or "labels" for each image."""
    if name == "two":
        data = load_faces()
        X = HOG(pixels_per_cell=5).fit_transform(data.images)
        rows, y = np.random.default_rng(0).permutation(len(X)), data.target
        return _split(X[rows], np.unique(y, return_inverse=True)[1][rows], 120)
    data = load_digits()
    digits = data.target.astype(int)
    kept = np.flatnonzero(digits < 5)[:500] if name == "many" else slice(500)
    images, digits = data.images[kept], digits[kept]
    X = np.hstack([HOG(pixels_per_cell=2).fit_transform(images), LBP(grid=2).fit_transform(images)])
    if name == "many":
        return _split(X, np.array([f"digit {9 - digit}" for digit in digits]), 300)
    return _split(X, np.column_stack([digits > 4, digits % 2, digits == 3]).astype(int), 300)


def _split(X, y, n_train):
    return SimpleNamespace(X=X[:n_train], y=y[:n_train], unseen=X[n_train:])


def name_columns(X):
    """Return features as a table of the families "hog" and "lbp"."""
    names = [f"hog__{k}" if k < 324 else f"lbp__{k}" for k in range(X.shape[1])]
    return pd.DataFrame(X, columns=names)


def convert(head, n_features, dtype):
    """Return a session of a fitted head, on one thread, and the graph."""
    graph = convert_estimator(head, [("X", TYPES[dtype]([None, n_features]))])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 2
    model = graph.SerializeToString()
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"]), graph


def ask(head, X):
    """Return what a fitted head says: labels, and probabilities or else its decision function."""
    probable = hasattr(head, "predict_proba")
    values = head.predict_proba(X) if probable else head.decision_function(X)
    if isinstance(values, list):  # forests on indicator matrices: of absence and presence
        values = np.column_stack([both[:, 1] for both in values])
    return head.predict(X), values


def compare(head, X, dtype, table=None):
    """Hold the graph of a fitted head against the head, at batches of 1, 3 and all."""
    X = np.ascontiguousarray(X, dtype)
    labels, values = ask(head, X if table is None else table(X))
    session, graph = convert(head, X.shape[1], dtype)
    for n in (1, 3, len(X)):
        found_labels, found = session.run(None, {"X": X[:n]})
        assert found_labels.tolist() == labels[:n].tolist()
        assert found.dtype == dtype
        assert found.shape == values[:n].shape
        size = max(1.0, np.abs(values).max())
        np.testing.assert_allclose(found, values[:n], rtol=0, atol=BOUNDS[dtype] * size)
    return graph


def fit_and_compare(head, data, dtype):
    """Fit a copy of a head, and compare; return the graph."""
    data = load(data)
    return compare(clone(head).fit(data.X, data.y), data.unseen, dtype)
