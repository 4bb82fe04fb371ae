"""What skl2onnx makes of scikit-learn's models before and after imgfeat exports: run as a script.

Prints JSON: digests of the graphs before imgfeat is there, after `to_onnx`, and after
`register_converters`; and for the last, the share of labels that are right.
"""

import hashlib
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import skl2onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier

X, CODES = load_iris(return_X_y=True)
X = X.astype(np.float32)
LABELS = CODES * 3 - 4
NAMES = np.array(["a", "b", "c"])[CODES]
TWO = CODES == 2
OUTPUTS = np.column_stack([LABELS, 7 * TWO + 5])
PRESENT = np.column_stack([CODES > 0, CODES == 1, X[:, 0] > 5]).astype(int)
OLD = {"": 15, "ai.onnx.ml": 1}
LATEST = {"": 20, "ai.onnx.ml": 3}
PLAIN = {"zipmap": False}
FOREST = RandomForestClassifier(5, random_state=0)
TREE = DecisionTreeClassifier(max_depth=4, random_state=0)
COLUMNS = ColumnTransformer([("scale", StandardScaler(), [0, 1]), ("rest", "passthrough", [2, 3])])
STACK = StackingClassifier(
    [("tree", TREE), ("columns", make_pipeline(COLUMNS, LogisticRegression()))],
    LogisticRegression(),
    cv=3,
)

# Name: estimator, labels, options, operator sets.
CASES = {
    "forest of several outputs": (FOREST, OUTPUTS, {}, LATEST),
    "forest of several labels": (FOREST, PRESENT, {}, LATEST),
    "trees of several labels": (ExtraTreesClassifier(5, random_state=0), PRESENT, {}, LATEST),
    "several outputs": (MultiOutputClassifier(LogisticRegression()), OUTPUTS, PLAIN, LATEST),
    "svc, old": (SVC(), LABELS, PLAIN, OLD),
    "svc of names, old": (NuSVC(nu=0.2, break_ties=True), NAMES, PLAIN, OLD),
    "svc of two": (SVC(), TWO, {"raw_scores": True}, LATEST),
    "linear svc": (LinearSVC(), NAMES, {}, LATEST),
    "tree, old": (TREE, LABELS, PLAIN, OLD),
    "forest, old": (FOREST, NAMES, PLAIN, OLD),
    "hist boosting, old": (HistGradientBoostingClassifier(max_iter=3), LABELS, {}, OLD),
    "path": (TREE, LABELS, {"zipmap": False, "decision_path": True}, LATEST),
    "leaf": (FOREST, LABELS, {"zipmap": False, "decision_leaf": True}, LATEST),
    "nocl": (LogisticRegression(), NAMES, {"nocl": True, "zipmap": False}, LATEST),
    "svc nocl": (SVC(break_ties=True), NAMES, {"nocl": True, "zipmap": False}, LATEST),
    "labels": (LogisticRegression(), LABELS, {**PLAIN, "output_class_labels": True}, LATEST),
    "columns": (LogisticRegression(), NAMES, {"zipmap": "columns"}, LATEST),
    "exponential": (
        GradientBoostingClassifier(loss="exponential", n_estimators=3), TWO, PLAIN, LATEST,
    ),
    "boosting": (GradientBoostingClassifier(n_estimators=3), LABELS, PLAIN, LATEST),
    "rest of regressors": (OneVsRestClassifier(LinearRegression()), LABELS, PLAIN, LATEST),
    "rest": (OneVsRestClassifier(LogisticRegression()), NAMES, PLAIN, LATEST),
    "one against one": (OneVsOneClassifier(LogisticRegression()), NAMES, PLAIN, LATEST),
    "stack with columns": (STACK, NAMES, PLAIN, LATEST),
    "vote": (
        VotingClassifier(
            [("a", LogisticRegression()), ("b", GaussianNB())],
            voting="soft", flatten_transform=False,
        ),
        LABELS, PLAIN, LATEST,
    ),
    "bag": (BaggingClassifier(TREE, 3, random_state=0), LABELS, PLAIN, LATEST),
    "calibration": (CalibratedClassifierCV(LinearSVC(), cv=3), NAMES, PLAIN, LATEST),
    "ada boost": (AdaBoostClassifier(n_estimators=3, random_state=0), NAMES, PLAIN, LATEST),
    "sgd": (SGDClassifier(loss="log_loss", random_state=0), LABELS, PLAIN, LATEST),
    "ridge": (RidgeClassifier(), LABELS, PLAIN, LATEST),
    "lda": (LinearDiscriminantAnalysis(), NAMES, PLAIN, LATEST),
    "search": (GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=3), NAMES, PLAIN, LATEST),
}  # fmt: skip
# Replaced once asked for, since skl2onnx gives other labels.
REPLACED = {
    "ties": (SVC(C=0.1, break_ties=True), NAMES),
    "linear": (NuSVC(nu=0.2, kernel="linear"), LABELS),
    "hist boosting": (HistGradientBoostingClassifier(max_iter=5, random_state=0), NAMES),
}


def digest_all(fitted):
    """Return a digest of each graph, or the name of the error."""
    digests = {}
    for name, (_, _, options, opsets) in CASES.items():
        model = fitted[name]
        try:
            graph = skl2onnx.to_onnx(
                model, X[:1], options={id(model): options} if options else None, target_opset=opsets
            )
            digests[name] = hashlib.sha256(graph.SerializeToString()).hexdigest()
        except Exception as error:  # whatever it is, it must stay so
            digests[name] = f"{type(error).__name__}: {str(error)[:60]}"
    return digests


def measure_replaced():
    """Return the share of labels that graphs of what was replaced give as the models do."""
    noisy = X[:, :2] + np.random.default_rng(0).normal(0, 0.8, (len(X), 2)).astype(np.float32)
    unseen = np.random.default_rng(1).uniform(-1, 9, (3000, 2)).astype(np.float32)
    unseen[::50] = np.nan
    shares = {}
    for name, (model, y) in REPLACED.items():
        model.fit(noisy, y)
        rows = unseen if name == "hist boosting" else np.nan_to_num(unseen)
        options = {id(model): {"zipmap": False}}
        graph = skl2onnx.to_onnx(model, noisy[:1], options=options, target_opset=LATEST)
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        (labels,) = session.run(session.get_outputs()[0].name.split(), {"X": rows})
        shares[name] = float((labels == model.predict(rows)).mean())
    return shares


def main():
    """Compare, stage by stage."""
    warnings.simplefilter("ignore")
    fitted = {name: model.fit(X, y) for name, (model, y, *_) in _copies()}
    found = {"before": digest_all(fitted), "again": digest_all(fitted)}
    tables = [dict(table) for table in _tables()]
    from imgfeat import HOG, ImageLoader
    from imgfeat.datasets import load_textures
    from imgfeat.ensembles import svm
    from imgfeat.export import register_converters, to_onnx

    train = load_textures("train")
    model = make_pipeline(ImageLoader(16, color="gray"), HOG(), svm())
    model.fit(train.images, train.target)
    with tempfile.TemporaryDirectory() as folder:
        to_onnx(model, train.images[:20], Path(folder) / "m.onnx")
    found["untouched"] = tables == [dict(table) for table in _tables()]
    found["after to_onnx"] = digest_all(fitted)
    register_converters()
    found["after register_converters"] = digest_all(fitted)
    found["replaced"] = measure_replaced()
    with tempfile.TemporaryDirectory() as folder:
        to_onnx(model, train.images[:20], Path(folder) / "m.onnx")
    print(json.dumps(found))


def _copies():
    from sklearn.base import clone

    return [(name, (clone(model), *rest)) for name, (model, *rest) in CASES.items()]


def _tables():
    from skl2onnx import _parse, _supported_operators
    from skl2onnx.common import _registration

    return (
        _supported_operators.sklearn_operator_name_map,
        _parse.sklearn_parsers_map,
        _registration._converter_pool,
        _registration._shape_calculator_pool,
    )


if __name__ == "__main__":
    main()
