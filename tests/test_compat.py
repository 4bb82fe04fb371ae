"""Private interfaces of other libraries: used in imgfeat._compat alone, and there with success."""

import ast
import inspect
import io
import json
import re
import zipfile
from functools import cache
from importlib import import_module
from importlib.metadata import version
from numbers import Integral
from pathlib import Path

import lightgbm
import numpy as np
import optuna
import pandas as pd
import pytest
import scipy.sparse
import skl2onnx
import skops.io
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    VotingClassifier,
)
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import imgfeat
from imgfeat._compat import (
    frames,
    model_files,
    skl2onnx_types,
    sklearn_fitted,
    sklearn_search,
    sklearn_stacking,
)
from imgfeat._compat import lightgbm as compat_lightgbm
from imgfeat._compat import (
    optuna as compat_optuna,
)
from imgfeat._compat import scipy as compat_scipy
from imgfeat._compat import skl2onnx as compat_skl2onnx
from imgfeat._compat import (
    sklearn as compat_sklearn,
)
from imgfeat.images.rows import find_index

ROOT = Path(imgfeat.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if "_compat" not in path.relative_to(ROOT).parts)
READERS = {"getattr", "hasattr", "setattr", "delattr"}
# The documentation of namedtuple has these, whatever they look like.
NAMEDTUPLE = {"_asdict", "_fields", "_make", "_replace"}
# imgfeat sets this on estimators of its own, from outside of their classes.
SET_FROM_OUTSIDE = {"_recorder"}
# Attributes of a class that scikit-learn documents, or that Python or scikit-learn sets.
CONVENTIONS = {
    "_parameter_constraints",
    "_sklearn_auto_wrap_output_keys",
    "_abc_impl",
    "_is_protocol",
}
COMPAT = "imgfeat._compat."
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_private(name):
    return name.startswith("_") and not name.endswith("__")


def list_defined(tree):
    """Return the private names that a file's modules, classes and objects have as their own."""
    for node in ast.walk(tree):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node.name
        if isinstance(node, (ast.ClassDef, ast.Module)):
            for line in node.body:
                targets = getattr(line, "targets", [getattr(line, "target", None)])
                yield from (target.id for target in targets if isinstance(target, ast.Name))
        is_stored = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if is_stored and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            yield node.attr


@cache
def read_own_names():
    trees = [ast.parse(path.read_text()) for path in FILES]
    defined = {name for tree in trees for name in list_defined(tree) if is_private(name)}
    return defined | NAMEDTUPLE | SET_FROM_OUTSIDE


def list_private_uses(source, own):
    """Return what a file takes of other libraries' private interfaces, each with its line."""
    uses = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and node.attr not in own:
            names = [f"object.{node.attr}"]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) in READERS:
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
            names = [f"object.{name}"] if name not in own else []
        uses += [
            f"line {node.lineno}: {name}"
            for name in names
            if not name.startswith("imgfeat") and any(map(is_private, name.split(".")))
        ]
    return uses


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_private_interfaces_are_used_in_compat_only(path):
    uses = list_private_uses(path.read_text(), read_own_names())
    assert not uses, f"{path} must take these from imgfeat._compat: {uses}"


@pytest.mark.parametrize(
    "line",
    [
        "from sklearn.utils import _safe_indexing",
        "from sklearn.utils._param_validation import Interval",
        "import sklearn.tree._tree",
        "study._storage.get_trial(0)",
        "study._thread_local.in_optimize_loop = True",
        "study._stop_flag = False",
        "hasattr(model, '_predictors')",
        "self._get_scorers()",
    ],
)
def test_the_scan_finds_private_uses(line):
    assert len(list_private_uses(line, read_own_names())) == 1


def list_classes():
    for path in FILES:
        name = ".".join(["imgfeat", *path.relative_to(ROOT).with_suffix("").parts])
        module = import_module(name.removesuffix(".__init__"))
        yield from (kind for kind in vars(module).values() if inspect.isclass(kind))


def test_private_methods_are_overridden_in_compat_only():
    for kind in set(list_classes()):
        if not kind.__module__.startswith("imgfeat") or kind.__module__.startswith(COMPAT):
            continue
        foreign = [base for base in kind.__mro__ if not base.__module__.startswith("imgfeat")]
        known = {name for base in foreign for name in vars(base) if is_private(name)}
        assert known & set(vars(kind)) <= CONVENTIONS, kind


X, Y = load_iris(return_X_y=True)
# What is called of each library, and the names in each module of _compat that are called.
CHECKS, COVERED = [], {}


def check(library, module, *names):
    """Register a function that calls names of a module in _compat, which rest on a library."""

    def add(function):
        CHECKS.append(pytest.param(library, function, id=f"{module}-{function.__name__}"))
        COVERED.setdefault(module, set()).update(names)
        return function

    return add


@check("scikit-learn", "sklearn", "HasMethods", "Interval", "StrOptions", "validate_params")
def constraints():
    class Constrained(BaseEstimator):
        _parameter_constraints = {
            "number": [compat_sklearn.Interval(Integral, 1, None, closed="left")],
            "word": [compat_sklearn.StrOptions({"a"}), compat_sklearn.HasMethods(["fit"])],
        }

        def __init__(self, number=1, word="a"):
            self.number = number
            self.word = word

    compat_sklearn.validate_params(Constrained())
    compat_sklearn.validate_params(Constrained(word=SVC()))
    for wrong in (Constrained(number=0), Constrained(word="b")):
        with pytest.raises(ValueError, match="must be"):
            compat_sklearn.validate_params(wrong)


@check(
    "scikit-learn",
    "sklearn",
    "check_method_params",
    "check_sample_weight",
    "num_samples",
    "safe_indexing",
    "ovr_decision_function",
)
def validation():
    weights = np.ones(3)
    chosen = compat_sklearn.check_method_params(X[:3], params={"weights": weights})
    assert chosen["weights"].tolist() == [1, 1, 1]
    checked = compat_sklearn.check_sample_weight(None, X, ensure_non_negative=True)
    assert checked.shape == (150,)
    assert compat_sklearn.num_samples(pd.DataFrame(X)) == 150
    assert compat_sklearn.safe_indexing(["a", "b"], [1]) == ["b"]
    assert compat_sklearn.safe_indexing(X, [1], axis=1).shape == (150, 1)
    values = np.array([[-1.0, -2.0, -3.0]])
    votes = compat_sklearn.ovr_decision_function(values > 0, values, 3)
    assert votes.argmax() == 0


@check("scikit-learn", "sklearn", "fit_context")
def context():
    class Fitted(BaseEstimator):
        _parameter_constraints = {}

        @compat_sklearn.fit_context(prefer_skip_nested_validation=False)
        def fit(self, X, y=None):
            return self

    assert isinstance(Fitted().fit(X), Fitted)


@check("scikit-learn", "sklearn", "OUTPUT_CONFIG", "get_output_config", "get_metadata_request")
def settings():
    scaler = StandardScaler()
    assert compat_sklearn.get_output_config(scaler) == {}
    assert compat_sklearn.get_metadata_request(scaler) is None
    scaler.set_output(transform="pandas")
    assert compat_sklearn.get_output_config(scaler) == {"transform": "pandas"}
    assert compat_sklearn.OUTPUT_CONFIG in vars(scaler)


@check(
    "scikit-learn",
    "sklearn_search",
    "SEARCH_CONSTRAINTS",
    "BaseKFold",
    "BaseSearchCV",
    "begin_callbacks",
    "check_refit",
    "format_results",
    "get_scorers",
    "route_fit_params",
    "select_best_index",
)
def searches():
    assert {"cv", "scoring", "refit", "error_score"} <= set(sklearn_search.SEARCH_CONSTRAINTS)
    assert issubclass(KFold, sklearn_search.BaseKFold)
    search = GridSearchCV(SVC(), {"C": [1, 2]}, scoring=["accuracy", "f1_macro"], refit="accuracy")
    assert isinstance(search, sklearn_search.BaseSearchCV)
    metric = sklearn_search.get_scorers(search)[1]
    assert metric == "accuracy"
    assert sklearn_search.route_fit_params(search, {}).estimator.fit == {}
    arguments = {"estimator": search, "X": X, "y": Y, "metadata": None}
    assert sklearn_search.begin_callbacks(search, **arguments) is None
    sklearn_search.check_refit(search, {"accuracy": 1.0})
    with pytest.raises(ValueError, match="refit"):
        sklearn_search.check_refit(search, {"f1_macro": 1.0})
    folds = [
        {"test_scores": {"accuracy": s}, "fit_time": 1, "score_time": 1} for s in (0.1, 0.2) * 2
    ]
    results = sklearn_search.format_results(search, [{"C": 1}, {"C": 2}], 2, folds, {})
    np.testing.assert_allclose(results["mean_test_accuracy"], 0.15)
    assert sklearn_search.select_best_index(search, "accuracy", "accuracy", results) == 0


@check(
    "scikit-learn",
    "sklearn_search",
    "find_score_function",
    "fit_and_score",
    "list_scorers",
    "replace_scorers",
    "sees_predictions_only",
    "set_error_score",
)
def scorers():
    assert sklearn_search.find_score_function("accuracy") is accuracy_score
    many, _ = sklearn_search.get_scorers(GridSearchCV(SVC(), {}, scoring=["accuracy"], refit=False))
    one, _ = sklearn_search.get_scorers(GridSearchCV(SVC(), {}, scoring="accuracy"))
    assert sklearn_search.list_scorers(one) is None
    assert list(sklearn_search.list_scorers(many)) == ["accuracy"]
    assert sklearn_search.sees_predictions_only(one)
    assert not sklearn_search.sees_predictions_only(len)
    sklearn_search.set_error_score(many, 0.0)
    replaced = sklearn_search.replace_scorers(many, {"other": one})
    assert list(sklearn_search.list_scorers(replaced)) == ["other"]
    result = sklearn_search.fit_and_score(
        SVC(),
        X,
        Y,
        scorer=one,
        train=np.arange(0, 150, 2),
        test=np.arange(1, 150, 2),
        verbose=0,
        parameters=None,
        fit_params={},
        score_params={},
        return_n_test_samples=True,
        return_times=True,
        return_train_score=True,
        error_score="raise",
    )
    assert result["test_scores"] > 0.9
    assert result["fit_error"] is None
    assert {"train_scores", "fit_time", "score_time", "n_test_samples"} <= set(result)


@check(
    "scikit-learn",
    "sklearn_fitted",
    "HistogramTrees",
    "has_histogram_trees",
    "read_histogram_trees",
    "predict_initial_values",
)
def boosting():
    model = HistGradientBoostingClassifier(max_iter=2)
    assert not sklearn_fitted.has_histogram_trees(model)
    trees = sklearn_fitted.read_histogram_trees(model.fit(X, Y))
    assert isinstance(trees, sklearn_fitted.HistogramTrees)
    assert sklearn_fitted.has_histogram_trees(model)
    assert len(trees.predictors[0]) == 3
    assert trees.baseline.shape == (1, 3)
    assert trees.preprocessor is None
    assert not np.any(trees.bin_mapper.is_categorical_)
    model = GradientBoostingClassifier(n_estimators=1).fit(X, Y)
    assert sklearn_fitted.predict_initial_values(model, np.float32(X[:1])).shape == (1, 3)


@check(
    "scikit-learn",
    "sklearn_fitted",
    "FittedSVM",
    "read_svm",
    "get_svc_gamma",
    "FittedNeighbors",
    "read_neighbors",
)
def attributes():
    model = SVC().fit(X, Y)
    svm = sklearn_fitted.read_svm(model)
    assert isinstance(svm, sklearn_fitted.FittedSVM)
    assert svm.sparse is False
    assert svm.n_support.sum() == svm.dual_coef.shape[1]
    assert len(svm.intercept) == 3
    assert list(svm.platt) == ["_probA", "_probB"]
    assert sklearn_fitted.get_svc_gamma(model) == pytest.approx(1 / (4 * X.var()))
    assert sklearn_fitted.read_neighbors(KNeighborsClassifier()) is None
    fitted = sklearn_fitted.read_neighbors(KNeighborsClassifier(algorithm="kd_tree").fit(X, Y))
    assert isinstance(fitted, sklearn_fitted.FittedNeighbors)
    assert fitted.X.shape == np.shape(fitted.tree.data) == X.shape
    assert fitted.codes.shape == Y.shape


@check(
    "scikit-learn",
    "sklearn_fitted",
    "TRANSFORMERS_NAMES_OUT",
    "ConstantPredictor",
    "find_positive_label",
    "find_response_method",
    "get_voting_weights",
)
def composites():
    binary = np.where(Y > 0, "yes", "no")
    tree = DecisionTreeClassifier()
    scorer = make_scorer(f1_score, pos_label="yes")
    model = TunedThresholdClassifierCV(tree, scoring=scorer, cv=3).fit(X, binary)
    assert sklearn_fitted.find_positive_label(model) == "yes"
    assert "predict_proba" in sklearn_fitted.find_response_method(model)
    voting = VotingClassifier([("a", tree), ("b", "drop")], weights=[2, 3]).fit(X, Y)
    assert list(sklearn_fitted.get_voting_weights(voting)) == [2]
    labels = np.column_stack([Y > 0, Y >= 0]).astype(int)
    with pytest.warns(UserWarning, match="present in all"):
        constant = OneVsRestClassifier(tree).fit(X, labels).estimators_[1]
    assert type(constant) is sklearn_fitted.ConstantPredictor
    assert constant.y_.tolist() == [1]
    union = FeatureUnion([("scale", StandardScaler())]).set_output(transform="pandas")
    union.fit_transform(X)
    assert sklearn_fitted.TRANSFORMERS_NAMES_OUT in vars(union)


@check("scikit-learn", "sklearn_stacking", "OpenStackingClassifier")
def stacking():
    calls = []

    class Recorded(sklearn_stacking.OpenStackingClassifier):
        def prepare_estimators(self, estimators):
            calls.append("estimators")
            return super().prepare_estimators(estimators)

        def prepare_final_estimator(self, estimator):
            calls.append("final")
            return super().prepare_final_estimator(estimator)

        def join_predictions(self, X, predictions):
            calls.append("predictions")
            return super().join_predictions(X, predictions)

    model = Recorded([("tree", DecisionTreeClassifier())], cv=3).fit(X, Y)
    assert set(calls) == {"estimators", "final", "predictions"}
    assert not model.has_label_columns()
    assert len(model.get_feature_names_out()) == 3
    model.set_output_widths([2])
    assert len(model.get_feature_names_out()) == 2
    model.set_label_encoder([])
    assert model.has_label_columns()


@check(
    "optuna",
    "optuna",
    "OpenGridSampler",
    "begin_optimize",
    "count_points",
    "end_optimize",
    "get_grid",
    "get_storage",
    "get_study_id",
    "get_trial_id",
    "is_stopped",
)
def studies():
    visited = []

    class Recorded(compat_optuna.OpenGridSampler):
        def list_unvisited(self, study):
            visited.append(super().list_unvisited(study))
            return visited[-1]

    sampler = Recorded({"x": [1, 2]}, seed=0)
    assert compat_optuna.get_grid(sampler) == {"x": [1, 2]}
    assert compat_optuna.count_points(sampler) == 2
    study = optuna.create_study(sampler=sampler)
    compat_optuna.begin_optimize(study)
    assert not compat_optuna.is_stopped(study)
    trial = study.ask()
    trial.suggest_categorical("x", [1, 2])
    storage = compat_optuna.get_storage(study)
    assert storage.get_trial(compat_optuna.get_trial_id(trial)).number == 0
    (frozen,) = storage.get_all_trials(compat_optuna.get_study_id(study))
    assert compat_optuna.get_trial_id(frozen) == compat_optuna.get_trial_id(trial)
    study.tell(trial, 1.0)
    assert visited
    study.stop()
    assert compat_optuna.is_stopped(study)
    compat_optuna.end_optimize(study)
    with pytest.raises(RuntimeError):
        study.stop()


@check("lightgbm", "lightgbm", "get_other_params")
def other_parameters():
    model = lightgbm.LGBMClassifier(max_bin=63)
    assert compat_lightgbm.get_other_params(model) == {"max_bin": 63}


@check("scipy", "scipy", "check_coo")
def sparse_indices():
    matrix = scipy.sparse.coo_array(np.eye(3))
    compat_scipy.check_coo(matrix)
    matrix.coords[0][0] = 7
    with pytest.raises(ValueError, match="index"):
        compat_scipy.check_coo(matrix)


@check(
    "skl2onnx",
    "skl2onnx",
    "Native",
    "find_alias",
    "find_native",
    "has_own_converters",
    "parse_classifier",
    "parse_estimator",
    "parse_simple",
)
def converters():
    assert compat_skl2onnx.find_alias(SVC) == "SklearnSVC"
    assert compat_skl2onnx.find_alias(int) is None
    native = compat_skl2onnx.find_native("SklearnSVC")
    assert isinstance(native, compat_skl2onnx.Native)
    assert callable(native.infer)
    assert "zipmap" in native.options
    parsers = [
        compat_skl2onnx.parse_classifier,
        compat_skl2onnx.parse_estimator,
        compat_skl2onnx.parse_simple,
    ]
    own = []

    def parse(scope, model, inputs, custom_parsers=None):
        own.append(compat_skl2onnx.has_own_converters(scope))
        return parser(scope, model, inputs)

    types = [("X", FloatTensorType([None, 4]))]
    model = LinearDiscriminantAnalysis().fit(X, Y)
    for parser in parsers:  # noqa: B007 - parse uses it
        skl2onnx.convert_sklearn(model, initial_types=types, custom_parsers={type(model): parse})
    assert own == [False] * 3


@check("skl2onnx", "skl2onnx_types", "ModelComponentContainer", "Operator", "Scope", "Variable")
def types_of_converters():
    seen = []

    def infer(operator):
        seen.append(isinstance(operator, skl2onnx_types.Operator))
        seen.append(isinstance(operator.inputs[0], skl2onnx_types.Variable))
        operator.outputs[0].type = FloatTensorType([None, 4])

    def convert(scope, operator, container):
        seen.append(isinstance(scope, skl2onnx_types.Scope))
        seen.append(isinstance(container, skl2onnx_types.ModelComponentContainer))
        names = [operator.inputs[0].full_name], [operator.outputs[0].full_name]
        container.add_node("Identity", *names, name="identity")

    skl2onnx.convert_sklearn(
        StandardScaler().fit(X),
        initial_types=[("X", FloatTensorType([None, 4]))],
        custom_shape_calculators={StandardScaler: infer},
        custom_conversion_functions={StandardScaler: convert},
    )
    assert all(seen)
    assert len(seen) >= 4


@check("scikit-learn", "frames", "keep_index_of")
def pandas_frames():
    try:
        frames.keep_index_of(lambda images: ["a", "b"])
        frame = StandardScaler().set_output(transform="pandas").fit_transform(X[:2])
    finally:
        frames.keep_index_of(find_index)
    assert list(frame.index) == ["a", "b"]


@check(
    "scikit-learn", "model_files", "NODE_DTYPE", "PREDICTOR_RECORD_DTYPE", "Tree", "TreePredictor"
)
def trees():
    tree = DecisionTreeClassifier().fit(X, Y).tree_
    assert type(tree) is model_files.Tree
    assert tree.__getstate__()["nodes"].dtype == model_files.NODE_DTYPE
    model = HistGradientBoostingClassifier(max_iter=1).fit(X, Y)
    predictor = sklearn_fitted.read_histogram_trees(model).predictors[0][0]
    assert type(predictor) is model_files.TreePredictor
    assert predictor.nodes.dtype == model_files.PREDICTOR_RECORD_DTYPE


@check("skops", "model_files", "read_skops_tree")
def skops_files():
    archive = zipfile.ZipFile(io.BytesIO(skops.io.dumps(StandardScaler().fit(X))))
    tree = model_files.read_skops_tree(json.loads(archive.read("schema.json")), archive, [])
    assert tree.get_unsafe_set() == set()
    assert tree.construct().mean_.shape == (4,)


@pytest.mark.parametrize(("library", "call"), CHECKS)
def test_private_interfaces_do_what_imgfeat_needs(library, call):
    try:
        call()
    except (Exception, pytest.fail.Exception) as error:
        pytest.fail(
            f"imgfeat._compat does not work with {library} {version(library)}, whose private "
            f"interface has changed: {type(error).__name__}: {error}"
        )


@pytest.mark.parametrize("path", sorted((ROOT / "_compat").glob("[!_]*.py")), ids=lambda p: p.stem)
def test_every_name_of_compat_is_called(path):
    module = import_module(COMPAT + path.stem)
    own = {name for name in list_defined(ast.parse(path.read_text())) if hasattr(module, name)}
    own |= set(getattr(module, "__all__", ()))
    public = {name for name in own if not name.startswith("_")}
    assert public == COVERED[path.stem]


def test_libraries_in_compat_have_upper_bounds():
    lines = (Path(__file__).parents[1] / "setup.cfg").read_text().splitlines()
    for library in {parameters.values[0] for parameters in CHECKS}:
        assert any(re.match(rf"\s+{library}>=[\d.]+,<[\d.]+$", line) for line in lines), library
