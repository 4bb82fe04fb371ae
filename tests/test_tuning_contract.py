"""OptunaSearchCV keeps the laws of scikit-learn's own searches, and gives their results."""

import pickle

import numpy as np
import pytest
from helpers.counting import Unfit
from optuna.pruners import MedianPruner
from scipy.stats import loguniform, norm, randint
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning, NotFittedError, UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator

from imgfeat import OptunaSearchCV

X, Y = load_iris(return_X_y=True)
GRID = {"C": [0.01, 1, 100], "gamma": [0.001, 0.1]}


def make_like_scikit_learns(estimator, name):
    return OptunaSearchCV(
        estimator, {name: [0.1, 1.0]}, sampler="grid", cv=2, error_score="raise", random_state=0
    )


# scikit-learn's own list for GridSearchCV, and what it excuses there.
WITHOUT_WARNING = {"check_supervised_y_2d": "DataConversionWarning not caught"}


@pytest.mark.filterwarnings("ignore:Skipping check check_array_api")
# scikit-learn's type_of_target, of an infinite y.
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.parametrize(
    ("search", "excused"),
    [
        (make_like_scikit_learns(Ridge(), "alpha"), WITHOUT_WARNING),
        (make_like_scikit_learns(LogisticRegression(), "C"), {}),
        (
            make_like_scikit_learns(Pipeline([("pca", PCA()), ("ridge", Ridge())]), "ridge__alpha"),
            WITHOUT_WARNING,
        ),
        (
            make_like_scikit_learns(
                Pipeline([("pca", PCA()), ("logistic", LogisticRegression())]), "logistic__C"
            ),
            {},
        ),
    ],
)
def test_scikit_learns_checks(search, excused):
    check_estimator(search, expected_failed_checks=excused)


@pytest.fixture(scope="module")
def grid_search():
    return GridSearchCV(SVC(), GRID, cv=3, scoring=["accuracy", "f1_macro"], refit="f1_macro").fit(
        X, Y
    )


def test_a_grid_gives_what_grid_search_gives(grid_search):
    search = OptunaSearchCV(
        SVC(), GRID, sampler="grid", cv=3, scoring=["accuracy", "f1_macro"], refit="f1_macro"
    ).fit(X, Y)
    theirs, ours = grid_search.cv_results_, search.cv_results_
    assert set(theirs) <= set(ours)
    order = [ours["params"].index(p) for p in theirs["params"]]
    for name, values in theirs.items():
        if "time" in name or name == "params":
            continue
        np.testing.assert_array_equal(ours[name][order], values)
        assert ours[name].dtype == values.dtype
    assert search.best_params_ == grid_search.best_params_
    assert search.best_score_ == grid_search.best_score_
    assert search.multimetric_
    assert set(search.scorer_) == {"accuracy", "f1_macro"}
    np.testing.assert_array_equal(search.predict(X), grid_search.predict(X))
    assert search.score(X, Y) == grid_search.score(X, Y)


def test_one_score_and_callables_as_grid_search(grid_search):
    def pick_last(results):
        return len(results["params"]) - 1

    def score_both(estimator, X, y):
        return {"accuracy": estimator.score(X, y), "bad": -estimator.score(X, y)}

    search = OptunaSearchCV(SVC(), GRID, sampler="grid", cv=3, refit=pick_last).fit(X, Y)
    assert search.best_index_ == 5
    assert not hasattr(search, "best_score_")
    both = OptunaSearchCV(SVC(), GRID, sampler="grid", cv=3, scoring=score_both, refit="accuracy")
    both.fit(X, Y)
    assert both.best_score_ == max(grid_search.cv_results_["mean_test_accuracy"])
    np.testing.assert_array_equal(
        both.cv_results_["mean_test_bad"], -both.cv_results_["mean_test_accuracy"]
    )


def test_without_refit():
    search = OptunaSearchCV(SVC(), GRID, n_trials=3, cv=2, refit=False, random_state=0).fit(X, Y)
    assert search.best_params_ in search.cv_results_["params"]
    assert not hasattr(search, "best_estimator_")
    with pytest.raises(AttributeError, match="no attribute 'predict'"):
        search.predict(X)


def test_groups_reach_the_splitter():
    groups = np.arange(len(X)) % 5
    search = OptunaSearchCV(SVC(), GRID, n_trials=2, cv=GroupKFold(5), random_state=0)
    theirs = GridSearchCV(SVC(), {"C": [1]}, cv=GroupKFold(5)).fit(X, Y, groups=groups)
    search = OptunaSearchCV(SVC(), {"C": [1]}, n_trials=1, cv=GroupKFold(5))
    search.fit(X, Y, groups=groups)
    assert search.best_score_ == theirs.best_score_


def test_sample_weights_reach_the_estimator():
    weights = np.where(Y == 0, 0.0, 1.0)
    model = Pipeline([("scale", StandardScaler()), ("svm", SVC(C=1))])
    space = {"svm__gamma": [0.1]}
    options = {"cv": 3, "n_trials": 1}
    plain = OptunaSearchCV(model, space, **options).fit(X, Y)
    weighed = OptunaSearchCV(model, space, **options).fit(X, Y, svm__sample_weight=weights)
    theirs = GridSearchCV(model, space, cv=3).fit(X, Y, svm__sample_weight=weights)
    assert weighed.best_score_ == theirs.best_score_ < plain.best_score_


def test_nested_in_cross_validation_it_is_stratified():
    search = OptunaSearchCV(SVC(), {"C": loguniform(0.1, 100)}, n_trials=3, cv=3, random_state=0)
    assert is_classifier(search)
    assert not is_classifier(OptunaSearchCV(Ridge(), {"alpha": [1.0]}))
    outer = cross_validate(search, X, Y, cv=3, return_estimator=True, return_indices=True)
    for test in outer["indices"]["test"]:
        assert np.bincount(Y[test]).tolist() == [17, 17, 16] or set(np.bincount(Y[test])) <= {
            16,
            17,
        }
    assert min(outer["test_score"]) > 0.9
    assert all(len(s.cv_results_["params"]) == 3 for s in outer["estimator"])


def test_clone_pickle_and_again():
    search = OptunaSearchCV(SVC(), {"C": loguniform(0.1, 100)}, n_trials=4, cv=3, random_state=0)
    first = clone(search).fit(X, Y)
    again = clone(first).fit(X, Y)
    assert first.cv_results_["params"] == again.cv_results_["params"]
    loaded = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(loaded.predict(X), first.predict(X))
    assert len(loaded.study_.trials) == 4


def test_all_kinds_of_spaces():
    space = {
        "C": loguniform(0.1, 100),
        "degree": randint(2, 5),
        "coef0": norm(0, 1),
        "kernel": ["rbf", "poly"],
        "class_weight": [None, {0: 2.0}],
    }
    search = OptunaSearchCV(SVC(), space, n_trials=12, cv=2, random_state=0).fit(X, Y)
    tried = search.cv_results_
    assert all(0.1 <= value <= 100 for value in tried["param_C"])
    assert set(tried["param_degree"]) <= {2, 3, 4}
    assert {type(p["degree"]) for p in tried["params"]} == {int}
    assert min(tried["param_coef0"]) < 0 < max(tried["param_coef0"])
    assert {str(value) for value in tried["param_class_weight"]} == {"None", "{0: 2.0}"}


def test_several_dicts_and_functions():
    tables = [
        {"model": [SVC()], "model__C": [1, 10]},
        {"model": [LogisticRegression(max_iter=500)], "model__C": loguniform(0.1, 10)},
    ]

    def choose(trial):
        if trial.suggest_categorical("kind", ["svm", "logistic"]) == "svm":
            return {"model": SVC(), "model__C": trial.suggest_float("C", 0.1, 10)}
        return {"model": LogisticRegression(max_iter=500)}

    for space in (tables, choose):
        pipeline = Pipeline([("scale", StandardScaler()), ("model", SVC())])
        search = OptunaSearchCV(pipeline, space, n_trials=8, cv=2, random_state=0).fit(X, Y)
        kinds = {type(p["model"]) for p in search.cv_results_["params"]}
        assert kinds == {SVC, LogisticRegression}
        assert type(search.best_estimator_["model"]) is type(search.best_params_["model"])


def test_failing_trials_are_recorded_and_the_others_count():
    space = {"kernel": ["rbf", "nonsense"]}
    with pytest.warns(FitFailedWarning, match=r"1 of 2 trials failed.*nonsense"):
        search = OptunaSearchCV(SVC(), space, sampler="grid", cv=2).fit(X, Y)
    bad = [p["kernel"] for p in search.cv_results_["params"]].index("nonsense")
    assert search.cv_results_["state"][bad] == "fail"
    assert np.isnan(search.cv_results_["mean_test_score"][bad])
    assert search.cv_results_["rank_test_score"][bad] == 2
    trial = search.study_.trials[search.cv_results_["trial_number"][bad]]
    assert "InvalidParameterError" in trial.user_attrs["imgfeat:error"]
    assert trial.params == {"kernel": "nonsense"}


def test_if_all_fail_the_first_error_is_raised():
    search = OptunaSearchCV(SVC(), {"kernel": ["nonsense"]}, n_trials=2, cv=2)
    with pytest.raises(ValueError, match="'kernel' parameter of SVC") as caught:
        search.fit(X, Y)
    assert any("In trial 0" in note for note in caught.value.__notes__)


def test_error_scores():
    space = {"kernel": ["rbf", "nonsense"]}
    options = {"sampler": "grid", "cv": 2}
    with pytest.raises(ValueError, match="'kernel' parameter of SVC"):
        OptunaSearchCV(SVC(), space, error_score="raise", **options).fit(X, Y)
    search = OptunaSearchCV(SVC(), space, error_score=-1.0, **options)
    with pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 4"):
        search.fit(X, Y)
    assert min(search.cv_results_["mean_test_score"]) == -1
    assert set(search.cv_results_["state"]) == {"complete"}


def fail_to_score(estimator, X, y):
    raise ZeroDivisionError("no score")


@pytest.mark.parametrize("scoring", [fail_to_score, {"a": fail_to_score, "b": "accuracy"}])
def test_scorers_that_fail_say_so(scoring):
    search = OptunaSearchCV(SVC(), GRID, n_trials=1, cv=2, scoring=scoring, refit="a")
    with pytest.raises(ZeroDivisionError, match="no score"):
        search.fit(X, Y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_trials": 0}, "'n_trials'"),
        ({"n_trials": None}, "needs a timeout"),
        ({"param_distributions": {}}, "is empty"),
        ({"param_distributions": []}, "is empty"),
        ({"param_distributions": {"C": []}}, "at least 1 value"),
        ({"param_distributions": {"C": "abc"}}, "must be a distribution"),
        ({"param_distributions": {"gama": [1]}}, "'gama'.*no parameter of Unfit.*Similar.*gamma"),
        ({"param_distributions": lambda trial: {}}, "at least 1 parameter"),
        ({"param_distributions": lambda trial: {"gama": 1}}, "Similar names: gamma"),
        ({"param_distributions": lambda trial: {"C": 1}, "sampler": "grid"}, "takes a dict"),
        ({"sampler": "best"}, "'sampler'"),
        ({"directions": {"score": "up"}}, "directions"),
        ({"directions": {"speed": "minimize"}}, "which are score"),
        ({"storage": "somewhere"}, "must be a file that ends in .db"),
        ({"storage": "/nowhere/at/all.db"}, "there is no folder"),
        ({"storage": "postgresql+nothing://user:secret@host/db"}, "postgresql"),
    ],
)
def test_bad_parameters(options, message):
    arguments = {"param_distributions": GRID, "n_trials": 2, "cv": StratifiedKFold(2)} | options
    with pytest.raises(ValueError, match=message) as caught:
        OptunaSearchCV(Unfit(), **arguments).fit(X, Y)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
def test_metadata_is_routed_as_scikit_learn_does(sampler):
    weights = np.where(Y == 0, 0.5, 1.0) * np.linspace(0.5, 1, len(Y))
    groups = np.arange(len(Y)) % 5
    with config_context(enable_metadata_routing=True):
        svm = SVC().set_fit_request(sample_weight=True)
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        common = {"scoring": scorer, "cv": GroupKFold(5)}
        metadata = {"sample_weight": weights, "groups": groups}
        theirs = GridSearchCV(svm, {"C": [0.01]}, **common).fit(X, Y, **metadata)
        ours = OptunaSearchCV(svm, {"C": [0.01]}, n_trials=1, sampler=sampler, **common)
        ours.fit(X, Y, **metadata)
        assert ours.best_score_ == theirs.best_score_
        np.testing.assert_array_equal(
            ours.best_estimator_.dual_coef_, theirs.best_estimator_.dual_coef_
        )
        assert ours.score(X, Y, sample_weight=weights) == theirs.score(X, Y, sample_weight=weights)
        plain = OptunaSearchCV(SVC(), {"C": [0.01]}, n_trials=1, cv=GroupKFold(5))
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            plain.fit(X, Y, **metadata)


def test_an_unfitted_search_says_so():
    with pytest.raises(NotFittedError):
        OptunaSearchCV(SVC(), GRID).predict(X)


class GivesNothing(SVC):
    """Has a `fit` that returns no self, and fails for a negative `coef0`."""

    def fit(self, X, y):
        if self.coef0 < 0:
            raise RuntimeError("coef0 is negative")
        super().fit(X, y)


def score_two(estimator, X, y):
    return {"right": estimator.score(X, y), "wrong": 1 - estimator.score(X, y)}


def pick_first(results):
    return 0


def test_an_estimator_whose_fit_returns_nothing():
    search = OptunaSearchCV(GivesNothing(), GRID, sampler="grid", cv=2).fit(X, Y)
    assert search.score(X, Y) == SVC(**search.best_params_).fit(X, Y).score(X, Y)
    model = make_pipeline(FunctionTransformer(), GivesNothing())
    search = OptunaSearchCV(model, {"givesnothing__C": [1.0]}, sampler="grid", cv=2).fit(X, Y)
    assert search.score(X, Y) == SVC().fit(X, Y).score(X, Y)


@pytest.mark.parametrize("refit", [False, pick_first])
def test_scores_by_a_callable_without_a_name_to_refit_by(refit):
    options = {"cv": 3, "scoring": score_two, "refit": refit}
    theirs = GridSearchCV(SVC(), {"C": [0.01, 1]}, **options).fit(X, Y)
    ours = OptunaSearchCV(SVC(), {"C": [0.01, 1]}, sampler="grid", **options).fit(X, Y)
    order = [ours.cv_results_["params"].index(params) for params in theirs.cv_results_["params"]]
    for name in ("mean_test_right", "mean_test_wrong", "rank_test_wrong"):
        np.testing.assert_array_equal(ours.cv_results_[name][order], theirs.cv_results_[name])
    names = ("best_index_", "best_score_", "best_params_", "best_estimator_", "multimetric_")
    for name in names:
        assert hasattr(ours, name) == hasattr(theirs, name)
    # The first of the scores is what the study is about.
    found = ours.study_.best_value
    assert found == max(ours.cv_results_["mean_test_right"])


@pytest.mark.parametrize("refit", [True, "nothing"])
@pytest.mark.parametrize("space", [GRID, {"coef0": [-1.0, 0.0]}])
def test_scores_by_a_callable_with_a_wrong_name_to_refit_by(refit, space):
    search = OptunaSearchCV(
        GivesNothing(), space, sampler="grid", cv=2, scoring=score_two, refit=refit
    )
    with pytest.raises(ValueError, match="For multi-metric scoring, the parameter refit must be"):
        search.fit(X, Y)


@pytest.mark.parametrize("pruner", [None, MedianPruner(n_startup_trials=0)])
@pytest.mark.parametrize("scoring", [None, score_two])
def test_a_number_for_folds_that_fail(pruner, scoring):
    options = {"sampler": "grid", "cv": 3, "error_score": 0.25, "scoring": scoring}
    options["refit"] = True if scoring is None else "right"
    space = {"coef0": [-1.0, 0.0]}
    search = OptunaSearchCV(GivesNothing(), space, pruner=pruner, **options)
    with pytest.warns(FitFailedWarning, match=r"fits failed out of a total of") as caught:
        search.fit(X, Y)
    assert "coef0 is negative" in str(caught[0].message)
    bad = [params["coef0"] for params in search.cv_results_["params"]].index(-1.0)
    name = "score" if scoring is None else "right"
    assert search.cv_results_[f"split0_test_{name}"][bad] == 0.25
    assert search.best_params_ == {"coef0": 0.0}
    search.set_params(param_distributions={"coef0": [-1.0, -2.0]}, pruner=None)
    with pytest.raises(ValueError, match=r"All the 6 fits failed[\s\S]*coef0 is negative"):
        search.fit(X, Y)


def test_folds_that_are_none_or_fewer_than_promised():
    used = StratifiedKFold(2).split(X, Y)
    list(used)
    for folds in ([], used):
        with pytest.raises(ValueError, match="Was the CV iterator empty"):
            OptunaSearchCV(Unfit(), GRID, cv=folds).fit(X, Y)


def test_scores_of_training_images():
    options = {"cv": 3, "return_train_score": True}
    theirs = GridSearchCV(SVC(), {"C": [0.01, 1]}, **options).fit(X, Y).cv_results_
    ours = OptunaSearchCV(SVC(), {"C": [0.01, 1]}, sampler="grid", **options).fit(X, Y)
    order = [ours.cv_results_["params"].index(params) for params in theirs["params"]]
    assert set(theirs) <= set(ours.cv_results_)
    for name in ("split2_train_score", "mean_train_score", "std_train_score"):
        np.testing.assert_array_equal(ours.cv_results_[name][order], theirs[name])


@pytest.mark.parametrize("head", [(), (FunctionTransformer(),)])
@pytest.mark.parametrize("refit", [True, False])
def test_callbacks_of_scikit_learn_see_what_those_of_grid_search_see(head, refit):
    tests = pytest.importorskip("sklearn.callback.tests._utils")
    # Of whole steps in the case of pipelines, which do not hand callbacks on.
    model = make_pipeline(*head, SVC()) if head else tests.MaxIterEstimator()
    space = {"svc__C": [0.1, 1.0]} if head else {"max_iter": [2, 3]}
    seen = []
    for kind, options in ((GridSearchCV, {}), (OptunaSearchCV, {"sampler": "grid"})):
        callbacks = [tests.RecordingCallback(), tests.RecordingAutoPropagatedCallback()]
        search = kind(model, space, cv=2, refit=refit, scoring="r2", **options)
        search.set_callbacks(*callbacks)
        if head:
            with pytest.warns(UserWarning, match="does not support callbacks"):
                search.fit(X, Y)
        else:
            search.fit(X, Y)
        hooks = ("setup", "on_fit_task_begin", "on_fit_task_end", "teardown")
        seen.append([[callback.count_hooks(hook) for hook in hooks] for callback in callbacks])
    assert seen[0] == seen[1]
    assert seen[0][0][0] == 1
