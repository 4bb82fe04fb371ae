"""Model files made to end the process, fill the memory or run code: all are refused."""

import json
import warnings
import zipfile

import numpy as np
import pytest
import scipy.sparse
import skops.io
from helpers.model_files import (
    change_arrays,
    change_schema,
    list_nodes,
    read_members,
    write_members,
)
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from imgfeat import GLCM, HOG, LBP, BagOfVisualWords, ModelFileError, load_model, save_model
from imgfeat.ensembles import bagging, boosting, svm
from imgfeat.heads.family_pool import FamilyPool

X, Y = load_iris(return_X_y=True)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 40, 40), dtype=np.uint8)


def assert_refused(path, message="structure is not sound"):
    with pytest.raises(ModelFileError, match=message):
        load_model(path)


TREES = {
    "tree": DecisionTreeClassifier(random_state=0),
    "forest": RandomForestClassifier(2, random_state=0),
    "gradient": GradientBoostingClassifier(n_estimators=2, random_state=0),
    "bagging": bagging(n_estimators=2, random_state=0),
    "histogram": HistGradientBoostingClassifier(max_iter=2),
    "boosting": boosting(max_iter=2, random_state=0),
}


@pytest.mark.parametrize("value", [1 << 20, 0, 1, "itself", "feature", "negative"])
@pytest.mark.parametrize("name", TREES)
def test_nodes_of_trees_that_lead_nowhere(name, value, tmp_path):
    path = tmp_path / "m.skops"
    save_model(TREES[name].fit(X, Y), path)

    def change(array):
        if array.dtype.names is None or len(array) < 3:
            return None
        scikit = "left_child" in array.dtype.names
        child, feature = ("left_child", "feature") if scikit else ("right", "feature_idx")
        leaf = array["left_child"] == -1 if scikit else array["is_leaf"] != 0
        last = np.flatnonzero(~leaf)[-1]
        if value == "feature":
            array[feature][last] = 4
        elif value == "negative":
            array[feature][last] = -1
        else:
            array[child][last] = last if value == "itself" else value
        return array

    assert change_arrays(path, change)
    assert_refused(path)


@pytest.mark.parametrize("name", ["n_features", "n_outputs", "node_count"])
def test_sizes_of_trees_that_are_not_theirs(name, tmp_path):
    path = tmp_path / "m.skops"
    save_model(TREES["tree"].fit(X, Y), path)

    def change(schema):
        (tree,) = list_nodes(schema, "TreeNode")
        arguments = tree["__reduce__"]["args"]["content"]
        node = {
            "n_features": arguments[0],
            "n_outputs": arguments[2],
            "node_count": tree["content"]["content"]["node_count"],
        }[name]
        node["content"] = "1000000"
        del node["__id__"]

    change_schema(path, change)
    assert_refused(path, "not sound")


LIGHTGBM = [
    ("left_child=", "left_child=900 "),
    ("split_feature=", "split_feature=70 "),
    ("decision_type=2", "decision_type=3"),
    ("num_leaves=", "num_leaves=9"),
    ("num_class=3\n", "num_class=30000\n"),
    ("max_feature_idx=3", "max_feature_idx=2"),
    ("objective=multiclass", "objective=custom"),
    ("num_cat=0", "num_cat=1"),
    ("is_linear=0", "is_linear=1"),
    ("leaf_value=", "leaf_value=1 "),
]
XGBOOST = [
    ('"left_children":[', '"left_children":[0,'),
    ('"left_children":[1,', '"left_children":[0,'),
    ('"left_children":[1,', '"left_children":[1000000,'),
    ('"num_nodes":"', '"num_nodes":"9'),
    ('"num_feature":"4","num_target"', '"num_feature":"1","num_target"'),
    ('"tree_info":[0,', '"tree_info":[7,'),
    ('"num_class":"3","num_feature"', '"num_class":"2","num_feature"'),
    ('"iteration_indptr":[0,', '"iteration_indptr":[1,'),
    ('"name":"gbtree"', '"name":"dart"'),
    ('"split_conditions":[', '"split_conditions":[NaN,'),
]


@pytest.mark.parametrize(
    ("library", "old", "new"),
    [("lightgbm", *change) for change in LIGHTGBM] + [("xgboost", *change) for change in XGBOOST],
)
def test_boosters_of_other_libraries(library, old, new, tmp_path):
    path = tmp_path / "m.skops"
    save_model(
        boosting(library=library, max_iter=2, early_stopping=False, n_jobs=1).fit(X, Y), path
    )

    def change(schema):
        for node in list_nodes(schema, "JsonNode"):
            text = json.loads(node["content"])
            if isinstance(text, str) and len(text) > 1000:
                assert old in text
                node["content"] = json.dumps(text.replace(old, new, 1))

    change_schema(path, change)
    assert_refused(path, "damaged or not a model")


@pytest.mark.parametrize("value", ["gbdt machine_list_filename=x", "gbdt\nconfig=x"])
def test_parameters_that_would_be_others(value, tmp_path):
    path = tmp_path / "m.skops"
    model = boosting(library="lightgbm", max_iter=2, early_stopping=False, n_jobs=1).fit(X, Y)
    save_model(model, path)

    def change(schema):
        for node in list_nodes(schema, "JsonNode"):
            if node["content"] == '"gbdt"':
                node["content"] = json.dumps(value)

    change_schema(path, change)
    assert_refused(path, "LightGBM: boosting_type")


def _set(model, **attributes):
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def _shorten(model, name):
    return _set(model, **{name: getattr(model, name)[:-1]})


def _forge_random():
    model = LogisticRegression(random_state=np.random.RandomState(0))
    state = model.random_state.get_state(legacy=False)
    state["state"]["pos"] = 10**6
    model.random_state.set_state(state)
    return model


def _forge_sparse():
    matrix = scipy.sparse.csr_matrix(np.eye(3))
    matrix.indices[1] = 10**6
    return _set(LogisticRegression(), C=matrix)


def _forge_forest():
    forest = RandomForestClassifier(2, random_state=0).fit(X, Y)
    forest.estimators_[1] = DecisionTreeClassifier().fit(np.hstack([X, X]), Y)
    return forest


def _forge_bag():
    bag = BaggingClassifier(n_estimators=2, random_state=0).fit(X, Y)
    bag.estimators_features_[0] = np.array([0, 1, 2, 9])
    return bag


def _forge_gradient():
    model = GradientBoostingClassifier(n_estimators=2).fit(X, Y)
    model.init_.fit(X, Y > 0)
    return model


FORGED = {
    "words_": lambda: _shorten(BagOfVisualWords(n_words=9, random_state=0).fit(IMAGES), "words_"),
    "n_words": lambda: _set(BagOfVisualWords(n_words=9, random_state=0).fit(IMAGES), n_words=3),
    "radius": lambda: _set(LBP().fit(IMAGES), radius=-1.0),
    "levels": lambda: _set(GLCM().fit(IMAGES), levels=0),
    "image_shape_": lambda: _set(HOG().fit(IMAGES), image_shape_=(40, -40, 1)),
    "landmarks_": lambda: _shorten(svm().fit(X, Y)[-1].classifier_, "landmarks_"),
    "n_support_": lambda: _shorten(svm().fit(X, Y)[-1].classifier_, "n_support_"),
    "families_": lambda: _set(svm().fit(X, Y)[-1].classifier_, families_={"": np.array([9])}),
    "coefficients_": lambda: _shorten(svm(max_exact=0).fit(X, Y)[-1].classifier_, "coefficients_"),
    "bias_": lambda: _shorten(FamilyPool().fit(np.hstack([X, X])[:, :3], Y), "bias_"),
    "support_vectors_": lambda: _shorten(SVC().fit(X, Y), "support_vectors_"),
    "_n_support": lambda: _set(SVC().fit(X, Y), _n_support=np.array([10**6, 1, 1], np.int32)),
    "_intercept_": lambda: _shorten(SVC().fit(X, Y), "_intercept_"),
    "support_": lambda: _set(
        SVC(kernel="precomputed").fit(X @ X.T, Y), support_=np.full(9, 10**6, np.int32)
    ),
    "_y": lambda: _set(KNeighborsClassifier(algorithm="brute").fit(X, Y), _y=np.full(150, 10**6)),
    "_fit_X": lambda: _set(KNeighborsClassifier().fit(X, Y), _fit_X=X[:, :2]),
    "cluster_centers_": lambda: _set(KMeans(2, n_init=1).fit(X), cluster_centers_=np.zeros((2, 1))),
    "coef_": lambda: _set(LogisticRegression(max_iter=300).fit(X, Y), coef_=np.zeros((3, 9))),
    "trees of other features": _forge_forest,
    "columns out of range": _forge_bag,
    "first guess of two classes": _forge_gradient,
    "random generator": _forge_random,
    "sparse matrix": _forge_sparse,
}


@pytest.mark.parametrize("name", FORGED)
def test_fitted_attributes_that_do_not_fit_together(name, tmp_path):
    path = tmp_path / "m.skops"
    skops.io.dump(FORGED[name](), path)
    assert_refused(path, "damaged or not a model")
    with pytest.raises(ModelFileError, match="cannot be saved"):
        save_model(FORGED[name](), tmp_path / "again.skops")
    assert not (tmp_path / "again.skops").exists()


def test_a_tree_of_neighbours_is_built_anew(tmp_path):
    model = KNeighborsClassifier().fit(X, Y)
    path = tmp_path / "m.skops"
    expected = model.kneighbors(X, return_distance=False)
    state = model._tree.__getstate__()
    model._tree.__setstate__((state[0], np.full_like(state[1], 10**6), *state[2:]))
    skops.io.dump(model, path)
    np.testing.assert_array_equal(load_model(path).kneighbors(X, return_distance=False), expected)


@pytest.mark.parametrize(
    ("way", "module", "name"),
    [
        ("ConstructorFromReduceNode", "sklearn.tree._tree", "Tree"),
        ("ListNode", "imgfeat.batching", "Batched"),
        ("SetNode", "sklearn.feature_selection._univariate_selection", "chi2"),
        ("TupleNode", "sklearn.utils._bunch", "Bunch"),
        ("LossNode", "imgfeat.images.loading", "ImageLoader"),
        ("RandomStateNode", "imgfeat.images.loading", "ImageLoader"),
    ],
)
def test_trusted_names_are_not_called_with_arguments_from_the_file(way, module, name, tmp_path):
    path = tmp_path / "m.skops"
    save_model(HOG(), path)

    def change(schema):
        node = list_nodes(schema, "JsonNode")[0]
        inner = dict(node)
        node.clear()
        node |= {"__loader__": way, "__module__": module, "__class__": name, "content": [inner]}

    change_schema(path, change)
    assert_refused(path, "which is not intended for it|does not trust")


@pytest.mark.parametrize("function", [np.save, np.load, open, exec, json.loads])
def test_functions_are_refused(function, tmp_path):
    path = tmp_path / "m.skops"
    skops.io.dump(FunctionTransformer(function), path)
    assert_refused(path, function.__name__)
    with pytest.raises(ModelFileError, match="cannot be saved"):
        save_model(FunctionTransformer(function), path)


def test_a_small_file_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "m.skops"
    skops.io.dump(FunctionTransformer(kw_args={"a": np.zeros(3 * 10**6)}), path)
    write_members(path, read_members(path), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 200_000
    assert_refused(path, r"limit of 16,777,216.*max_bytes=24\d{6}")
    assert load_model(path, max_bytes=10**8).kw_args["a"].shape == (3 * 10**6,)


def test_one_array_named_again_and_again_counts_each_time(tmp_path):
    path = tmp_path / "m.skops"
    arrays = [np.zeros(10**5) for _ in range(100)]
    model = _set(LogisticRegression(), C=arrays)
    skops.io.dump(model, path)
    members = read_members(path)
    (kept, *_), schema = (
        [n for n in members if n.endswith(".npy")],
        json.loads(members["schema.json"]),
    )
    for node in list_nodes(schema, "NdArrayNode"):
        node["file"] = kept
    write_members(path, {kept: members[kept], "schema.json": json.dumps(schema).encode()})
    assert_refused(path, "beyond the limit")


def test_headers_that_promise_more_than_there_is(tmp_path):
    path = tmp_path / "m.skops"
    save_model(LogisticRegression(max_iter=300).fit(X, Y), path)
    members = read_members(path)
    for name, content in members.items():
        if name.endswith(".npy") and b"'shape': (3, 4)" in content:
            members[name] = content.replace(b"(3, 4), }       ", b"(3, 9999999), } ")
    write_members(path, members)
    assert_refused(path, "its header says shape")


def test_deep_nesting(tmp_path):
    path = tmp_path / "m.skops"
    depth = 100_000
    for content in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        write_members(path, {"schema.json": content})
        assert_refused(path, "damaged")


def test_a_seal_tells_any_change(tmp_path):
    path = tmp_path / "m.skops"
    save_model(LogisticRegression(max_iter=300).fit(X, Y), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    changed = bytearray(members["schema.json"])
    place = changed.index(b"0.0001")
    changed[place : place + 6] = b"0.0002"
    write_members(path, {**members, "schema.json": bytes(changed)})
    assert_refused(path, "contents are not those")


@pytest.mark.parametrize("name", ["schema.json", "imgfeat.json"])
def test_two_contents_of_one_name(name, tmp_path):
    path = tmp_path / "m.skops"
    save_model(LogisticRegression(max_iter=300).fit(X, Y), path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(name, archive.read(name))
    assert_refused(path, "two members of the same name")


def test_files_of_skops_itself_load(tmp_path):
    path = tmp_path / "m.skops"
    model = RandomForestClassifier(3, random_state=0).fit(X, Y)
    skops.io.dump(model, path)
    np.testing.assert_array_equal(load_model(path).predict_proba(X), model.predict_proba(X))


def test_warnings_of_the_file_are_not_lost(tmp_path):
    path = tmp_path / "m.skops"
    save_model(LogisticRegression(max_iter=300).fit(X, Y), path)

    def change(schema):
        schema["content"]["content"]["_sklearn_version"] = {
            "__class__": "str",
            "__module__": "builtins",
            "__loader__": "JsonNode",
            "content": '"1.5.0"',
        }

    change_schema(path, change)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_model(path)
    assert "1.5.0" in str(caught[0].message)
