"""A study goes on only under the question that it was begun with, and says what differs."""

import functools
import importlib.util
import subprocess
import sys
import textwrap

import numpy as np
import optuna
import pytest
from optuna.pruners import MedianPruner
from PIL import Image
from scipy import sparse
from scipy.stats import norm
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC, NuSVC

from imgfeat import HOG, ImageLoader, OptunaSearchCV
from imgfeat.caching.content import CannotIdentifyError
from imgfeat.cli import main
from imgfeat.tuning import StorageError
from imgfeat.tuning.study.digests import digest
from imgfeat.tuning.study.identity import hash_images, hash_labels

X, Y = load_iris(return_X_y=True)
SPACE = {"C": [0.1, 1.0, 10.0]}


def fit(folder, estimator=None, space=None, images=X, labels=Y, fit_params=None, **options):
    options = {"n_trials": 1, "cv": 2, "random_state": 0} | options
    search = OptunaSearchCV(
        estimator or SVC(), space or SPACE, storage=folder / "tune.db", **options
    )
    return search.fit(images, labels, **(fit_params or {}))


def suggest_small(trial):
    return {"C": trial.suggest_float("C", 0.1, 1.0)}


def suggest_large(trial):
    return {"C": trial.suggest_float("C", 10.0, 1000.0)}


def score_right(estimator, X, y):
    return float((estimator.predict(X) == y).mean())


def score_wrong(estimator, X, y):
    return float((estimator.predict(X) != y).mean())


OTHERS = {
    "a parameter": ("estimator", {}, {"estimator": SVC(kernel="sigmoid")}),
    "another class": (
        "estimator",
        {"space": {"gamma": [0.1]}},
        {"space": {"gamma": [0.1]}, "estimator": NuSVC()},
    ),
    "a nested class": (
        "estimator",
        {"estimator": make_pipeline(StandardScaler(), SVC()), "space": {"svc__C": [1.0]}},
        {"estimator": make_pipeline(MinMaxScaler(), SVC()), "space": {"svc__C": [1.0]}},
    ),
    "a nested parameter": (
        "estimator",
        {"estimator": make_pipeline(StandardScaler(), SVC()), "space": {"svc__C": [1.0]}},
        {
            "estimator": make_pipeline(StandardScaler(with_mean=False), SVC()),
            "space": {"svc__C": [1.0]},
        },
    ),
    "images": ("images", {}, {"images": np.random.default_rng(0).normal(size=X.shape)}),
    "one pixel": ("images", {}, {"images": X + np.eye(len(X), 4) / 100}),
    "labels": ("labels", {}, {"labels": Y[::-1]}),
    "folds": ("folds", {}, {"cv": 3}),
    "a score": ("scoring", {"scoring": "accuracy"}, {"scoring": "f1_macro"}),
    "a function": ("scoring", {"scoring": score_right}, {"scoring": score_wrong}),
    "a function's parameter": (
        "scoring",
        {"scoring": make_scorer(accuracy_score)},
        {"scoring": make_scorer(accuracy_score, normalize=False)},
    ),
    "directions": ("directions", {}, {"directions": {"score": "minimize"}}),
    "a range": ("space", {}, {"space": {"C": [0.1, 1.0, 100.0]}}),
    "a function for a space": ("space", {"space": suggest_small}, {"space": suggest_large}),
    "scipy's distributions": (
        "space",
        {"space": {"coef0": norm(0, 1)}},
        {"space": {"coef0": norm(5, 1)}},
    ),
    "choices that print alike": (
        "space",
        {"space": {"class_weight": [dict.fromkeys(range(20), 1.0), None]}},
        {"space": {"class_weight": [{k: 1.0 + (k > 15) for k in range(20)}, None]}},
    ),
    "weights": ("metadata", {}, {"fit_params": {"sample_weight": np.linspace(0.5, 1, len(Y))}}),
    "the score of failures": ("error_score", {}, {"error_score": 0.0}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_question_is_refused_and_the_same_goes_on(name, tmp_path):
    part, first, second = OTHERS[name]
    fit(tmp_path, **first)
    message = rf"'imgfeat'.*started with different.* {part}[ ,]"
    with pytest.raises(StorageError, match=message) as caught:
        fit(tmp_path, **(second | {"n_trials": 2}))
    assert "another study_name" in str(caught.value)
    assert f"{part}: " in str(caught.value)
    assert len(fit(tmp_path, **(first | {"n_trials": 2})).study_.trials) == 2


def test_the_error_says_what_was_and_what_is(tmp_path):
    fit(tmp_path)
    message = r"estimator: SVC\(kernel='sigmoid'\) in this call, SVC\(\) in the study"
    with pytest.raises(StorageError, match=message):
        fit(tmp_path, SVC(kernel="sigmoid"))


def test_what_decides_nothing_may_change(tmp_path):
    fit(tmp_path, SVC(cache_size=200), sampler="random")
    same = fit(
        tmp_path,
        make := SVC(),
        images=X.copy(order="F"),
        labels=Y.astype(np.int32).tolist(),
        n_trials=4,
        sampler="tpe",
        pruner=MedianPruner(),
        n_jobs=2,
        random_state=7,
        callbacks=[lambda study, trial: None],
        timeout=1000,
        memory=tmp_path / "cache",
        refit=False,
        cache_bytes=0,
    )
    assert len(same.study_.trials) == 4
    assert make.get_params() == SVC().get_params()


UNKNOWN = {
    "a lambda": {"space": lambda trial: {"C": trial.suggest_float("C", 0.1, 1.0)}},
    "a closure": {"space": (lambda low: lambda trial: suggest_small(trial) if low else 0)(1)},
    "a partial lambda": {"scoring": functools.partial(lambda e, X, y: 1.0)},
    "a step": {
        "estimator": make_pipeline(FunctionTransformer(lambda X: X / 2), SVC()),
        "space": {"svc__C": [1.0]},
    },
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_told_from_others_cannot_go_on(name, tmp_path, caplog):
    options = UNKNOWN[name]
    fit(tmp_path, **options)
    assert "No later call can continue the study 'imgfeat'" in caplog.text
    with pytest.raises(StorageError, match=r"lambda.*with a name.*storage=None"):
        fit(tmp_path, **(options | {"n_trials": 2}))
    memory = OptunaSearchCV(
        options.get("estimator", SVC()),
        options.get("space", SPACE),
        scoring=options.get("scoring"),
        n_trials=2,
        cv=2,
    )
    for _ in range(2):
        assert len(memory.fit(X, Y).study_.trials) == 2


def test_folds_that_are_drawn_anew_each_time(tmp_path):
    fit(tmp_path, cv=ShuffleSplit(2))
    with pytest.raises(StorageError, match="started with different folds"):
        fit(tmp_path, cv=ShuffleSplit(2))


def test_studies_of_before_and_of_others(tmp_path):
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / 'tune.db'}", study_name="imgfeat")
    study.set_user_attr("imgfeat:search", {"space": [], "folds": "", "labels": "", "scores": []})
    with pytest.raises(StorageError, match=r"earlier version of imgfeat.*another study_name"):
        fit(tmp_path)


MODULE = """
import functools
import threading
from sklearn.svm import SVC
import numpy as np

N_CALLS = 0
SCALES = [1.0, 2.0]
LOCK = threading.Lock()

@functools.cache
def double(number):
    return 2 * number

FUNCTIONS = {"shift": lambda values: values + double(1)}

def scale(X, factor=1):
    return X * SCALES[0]

class Model(SVC):
    power = 1
    n_fits = 0

    def fit(self, X, y):
        global N_CALLS
        N_CALLS += 1
        Model.n_fits += 1
        return super().fit(scale(X) ** self.power, y)

    def predict(self, X):
        return super().predict(scale(X) ** self.power)


    def decision_function(self, X):
        return FUNCTIONS["shift"](super().decision_function(X))
"""


def load(folder, source):
    path = folder / "own.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("own_models", path)
    module = importlib.util.module_from_spec(spec)
    # Not through the file of bytecode, which knows edits by the second.
    exec(compile(source, path, "exec"), module.__dict__)
    return module.Model


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("power = 1", "power = 2"),
        ("[1.0, 2.0]", "[3.0, 2.0]"),
        ("X * SCALES[0]", "X + SCALES[0]"),
        ("factor=1", "factor=2"),
        ("values + double", "values - double"),
        ("2 * number", "3 * number"),
        ("super().fit(scale(X)", "super().fit(2 * scale(X)"),
        ("class Model(SVC):", "class Base(SVC):\n    shrinking = 1\n\nclass Model(Base):"),
    ],
)
def test_the_code_of_a_users_estimator_counts(old, new, tmp_path):
    assert old in MODULE
    model = load(tmp_path, MODULE)()
    assert digest(model) == digest(load(tmp_path, "# Moved.\n\n" + MODULE)())
    model.fit(X, Y)
    assert digest(model) == digest(load(tmp_path, MODULE)())
    assert digest(model) != digest(load(tmp_path, MODULE.replace(old, new))())


RECIPE = '''"""A recipe."""
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from imgfeat import HOG, ImageLoader

SPACE = {"svc__C": [1.0, 10.0]}

def shift(rows):
    return rows + 1

def build(random_state=0):
    return make_pipeline(
        ImageLoader(16, color="gray"), HOG(), FunctionTransformer(shift), SVC(gamma="scale")
    )
'''


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("rows + 1", "rows * 0", "estimator"),
        ("HOG()", "HOG(6)", "estimator"),
        ("10.0]", "100.0]", "space"),
        ("A recipe.", "The recipe, with another docstring.", None),
    ],
)
def test_tuning_an_edited_recipe(old, new, part, tmp_path, texture_folder, capsys):
    recipe = tmp_path / "own.py"
    command = ["tune", recipe, texture_folder, "--storage", tmp_path / "tune.db"]
    command = [*command, "--out", tmp_path / "model.skops", "--folds", 2, "--trials"]
    recipe.write_text(RECIPE)
    main([str(word) for word in [*command, 1]])
    assert "begun with" not in capsys.readouterr().err
    recipe.write_text(RECIPE.replace(old, new))
    main([str(word) for word in [*command, 2]])
    # No model file keeps a recipe's own function, which the command says behind its last trial.
    expected = "cannot be saved" if part is None else f"started with different {part}"
    assert expected in capsys.readouterr().err


def test_images_are_known_by_their_content(tmp_path):
    rng = np.random.default_rng(0)
    paths, moved = [], []
    for number in range(40):
        pixels = rng.integers(0, 256, (16, 16), np.uint8)
        paths.append(str(tmp_path / f"{number}.png"))
        moved.append(tmp_path / f"moved{number}.png")
        for path in (paths[-1], moved[-1]):
            Image.fromarray(pixels).save(path)
    model, space = make_pipeline(ImageLoader(16), HOG(), SVC()), {"svc__C": [0.1, 1.0]}
    labels = np.arange(40) % 2
    fit(tmp_path, model, space, paths, labels)
    assert len(fit(tmp_path, model, space, moved, labels, n_trials=2).study_.trials) == 2
    Image.new("L", (16, 16)).save(paths[7])
    message = r"different images .images: 40 images, with different content"
    with pytest.raises(StorageError, match=message):
        fit(tmp_path, model, space, paths, labels, n_trials=3)


def test_digests_of_data():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = {"text": ["a", "b"], "number": [1.0, 2.0]}
    frames = [pandas.DataFrame(columns), pandas.DataFrame(columns, index=[5, 3])]
    assert len({hash_images(frame) for frame in frames}) == 1
    assert hash_images(polars.DataFrame(columns)) == hash_images(polars.DataFrame(columns))
    others = [
        {"text": ["a", "c"], "number": [1.0, 2.0]},
        {"text": ["a", "b"], "number": [1.0, 3.0]},
    ]
    assert len({hash_images(pandas.DataFrame(part)) for part in [columns, *others]}) == 3
    assert hash_images(["some text"]) != hash_images(["other text"])
    assert hash_images(X.astype(np.float32)) != hash_images(X)
    assert hash_labels(np.array(["a", "b"])) == hash_labels(np.array(["a", "b"], dtype=object))
    marks = [sparse.csr_array(np.eye(2000)[::step]) for step in (1, -1)]
    assert hash_labels(marks[0]) != hash_labels(marks[1]) == hash_labels(marks[1].tocoo())
    assert hash_labels([1, 2]) != hash_labels(["1", "2"])
    assert hash_labels(np.array([1, "1"], dtype=object)) != hash_labels(
        np.array(["1", "1"], dtype=object)
    )


def square(values):
    return values**2


def cube(values):
    return values**3


def test_objects_of_packages_that_hold_functions():
    alike = [make_scorer(square), make_scorer(square)]
    assert len({digest(scorer) for scorer in alike}) == 1
    others = [make_scorer(cube), make_scorer(square, greater_is_better=False)]
    others += [functools.partial(square), functools.partial(cube), functools.cache(square)]
    others += [functools.cache(cube), FunctionTransformer(square), FunctionTransformer(cube)]
    others += [FunctionTransformer(np.log1p), FunctionTransformer(np.exp), len, max, norm(0, 1)]
    others += [norm(1, 1), np.random.RandomState(0), np.random.RandomState(1), X, X[1:]]
    others += [np.random.default_rng(0), np.random.default_rng(1), "other".upper, "upper".upper]
    assert len({digest(part) for part in [*others, alike[0]]}) == len(others) + 1
    with pytest.raises(CannotIdentifyError, match="cannot be pickled"):
        digest(FunctionTransformer(kw_args={"rows": iter(x for x in X)}))


def test_what_was_learnt_and_is_kept_counts():
    first, second = SVC(C=1.0).fit(X, Y), SVC(C=1.0).fit(X[::2], Y[::2])
    assert digest(first) == digest(second) == digest(SVC())
    assert digest(FrozenEstimator(first)) != digest(FrozenEstimator(second))
    with pytest.raises(CannotIdentifyError, match="lambda"):
        digest({"key": [lambda: 0]})


SCRIPT = """
    import sys
    from sklearn.datasets import load_iris
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.svm import SVC
    from imgfeat import OptunaSearchCV

    def double(X):
        return 2 * X

    def halve(X):
        return X / 2

    def accuracy(estimator, X, y):
        return estimator.score(X, y)

    space = {"functiontransformer__func": [double, halve], "svc__class_weight": [None, {0: 2.0}]}
    search = OptunaSearchCV(
        make_pipeline(FunctionTransformer(), SVC()), space, n_trials=int(sys.argv[1]), cv=2,
        scoring=accuracy, storage="tune.db", random_state=0,
    )
    print(len(search.fit(*load_iris(return_X_y=True)).study_.trials))
"""


def test_functions_are_the_same_in_every_process(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    for n_trials in ("2", "4"):
        printed = subprocess.run(
            [sys.executable, "script.py", n_trials],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert printed.split() == [n_trials]
