"""`imgfeat tune`, and the pictures of a search."""

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from optuna.distributions import FloatDistribution
from PIL import Image
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.svm import SVC

from imgfeat import OptunaSearchCV, load_model
from imgfeat.cli import main
from imgfeat.datasets import load_digits, load_folder
from imgfeat.recipes import load_recipe
from imgfeat.tuning import list_pareto_front, plot_pareto_front
from imgfeat.tuning.pictures import measure_importances, write_pictures

X, Y = load_iris(return_X_y=True)


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def test_a_recipe_is_tuned_kept_and_resumed(capsys, texture_folder, tmp_path):
    out, storage = tmp_path / "model.skops", tmp_path / "tune.db"
    arguments = [
        "tune", "hog_svm", texture_folder, "--storage", storage, "--out", out, "--folds", 2,
    ]  # fmt: skip
    style = dict(matplotlib.rcParams)
    status, printed, errors = run(capsys, *arguments, "--trials", 3)
    assert status == 0
    assert "3/3" in errors
    assert "best " in errors
    assert "Best score" in printed
    assert "3 complete" in printed
    assert "head__svm__estimator__estimator__C" in printed
    names = {"model-history.png", "model-parallel.png"}
    assert names <= {path.name for path in tmp_path.iterdir()}
    with Image.open(tmp_path / "model-history.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 3
    assert dict(matplotlib.rcParams) == style
    assert pyplot.get_fignums() == []
    paths, labels = load_folder(texture_folder)
    assert (load_model(out).predict(paths) == labels).mean() > 0.9
    out.unlink()
    status, printed, errors = run(capsys, *arguments, "--trials", 5)
    assert status == 0
    assert "5 complete" in printed
    assert "3/5" in errors
    assert out.exists()
    status, printed, _ = run(capsys, "predict", out, paths[0])
    assert status == 0
    assert str(labels[0]) in printed


@pytest.mark.parametrize("sampler", ["grid", "random", "gp"])
def test_samplers_pruning_and_memory(sampler, capsys, texture_folder, tmp_path):
    recipe = tmp_path / "small.py"
    recipe.write_text(
        '"""Small."""\n'
        "from optuna.distributions import CategoricalDistribution, FloatDistribution\n"
        "from imgfeat.recipes import load_recipe\n"
        "build = load_recipe('hog_svm').build\n"
        "SPACE = {'hog__orientations': CategoricalDistribution([6, 9]),\n"
        "         'head__svm__estimator__estimator__C': FloatDistribution(1, 10, log=True)}\n"
    )
    status, printed, _ = run(
        capsys, "tune", recipe, texture_folder, "--out", tmp_path / "m.skops", "--folds", 3,
        "--sampler", sampler, "--trials", 12, "--prune", "--memory", tmp_path / "cache",
    )  # fmt: skip
    assert status == 0
    assert f"({10 if sampler == 'grid' else 12} complete)" in printed or "pruned" in printed
    assert any((tmp_path / "cache").glob("*.sqlite"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "nowhere/m.skops"], "--out nowhere/m.skops: there is no folder nowhere"),
        (["--out", "m.skops", "--storage", "tune.txt"], "storage='tune.txt' must be a file"),
        (["--out", "m.skops", "--scoring", "best"], "'scoring'"),
        (["--out", "m.skops", "--timeout", "-1"], "'timeout'"),
    ],
)
def test_bad_arguments(arguments, message, capsys, texture_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, errors = run(capsys, "tune", "hog_svm", texture_folder, *arguments)
    assert status == 2
    assert message in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("storage", [None, "tune.db"])
def test_an_interruption_says_how_to_go_on(storage, capsys, texture_folder, tmp_path, monkeypatch):
    class Interrupted(OptunaSearchCV):
        def fit(self, X, y):
            self.set_params(callbacks=[self.stop])
            return super().fit(X, y)

        def stop(self, study, trial):
            if trial.number == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr("imgfeat.tuning.search.OptunaSearchCV", Interrupted)
    monkeypatch.chdir(tmp_path)
    options = [] if storage is None else ["--storage", storage]
    status, _, errors = run(
        capsys, "tune", "hog_svm", texture_folder, "--out", "m.skops", "--folds", 2, *options
    )
    assert status == 130
    said = "2 trials are lost" if storage is None else "the same command goes on"
    assert said in errors
    assert not (tmp_path / "m.skops").exists()


def test_scikit_learns_searches_take_recipes_as_they_are():
    digits = load_digits()
    images, labels = digits.images[:200], digits.target[:200]
    recipe = load_recipe("hog_svm").build()
    recipe.set_params(head__svm__estimator=SVC(), load__size=16)
    C = "head__svm__estimator__C"
    grid = GridSearchCV(recipe, {C: [1, 10], "hog__orientations": [6, 9]}, cv=2)
    assert grid.fit(images, labels).best_score_ > 0.7
    chance = RandomizedSearchCV(recipe, {C: loguniform(0.1, 100)}, n_iter=3, cv=2, random_state=0)
    assert chance.fit(images, labels).best_score_ > 0.7


@pytest.fixture(scope="module")
def front_search():
    return OptunaSearchCV(
        SVC(),
        {"C": FloatDistribution(0.01, 100, log=True), "gamma": [0.01, 0.1, 1.0]},
        n_trials=12,
        cv=2,
        random_state=0,
        scoring={"accuracy": "accuracy", "supports": count_supports},
        directions={"accuracy": "maximize", "supports": "minimize"},
        refit="accuracy",
    ).fit(X, Y)


def count_supports(estimator, X, y):
    return len(estimator.support_)


def test_the_front_is_what_no_trial_surpasses(front_search):
    front = list_pareto_front(front_search)
    results = front_search.cv_results_
    means = np.array([results["mean_test_accuracy"], -results["mean_test_supports"]]).T
    kept = [
        number
        for number, mean in enumerate(means)
        if not any((other >= mean).all() and (other > mean).any() for other in means)
    ]
    assert sorted(front.index) == kept
    assert (np.diff(front["mean_accuracy"]) <= 0).all()
    assert (np.diff(front["mean_supports"]) <= 0).all()
    assert {"C", "gamma", "std_supports"} <= set(front.columns)
    axes = plot_pareto_front(front_search).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("accuracy (maximize)", "supports (minimize)")
    np.testing.assert_allclose(axes.lines[0].get_xdata(), front["mean_accuracy"])
    assert len(axes.collections[0].get_offsets()) == 12


def test_a_front_of_one_objective_is_a_line_of_the_table():
    search = OptunaSearchCV(SVC(), {"C": [0.01, 1.0]}, sampler="grid", cv=2).fit(X, Y)
    assert list_pareto_front(search)["C"].tolist() == [search.best_params_["C"]]
    with pytest.raises(ValueError, match="of 2 objectives, got 1"):
        plot_pareto_front(search)


def test_importances_where_there_are_none(tmp_path):
    search = OptunaSearchCV(SVC(), {"C": [1.0]}, n_trials=2, cv=2).fit(X, Y)
    assert measure_importances(search.study_) == {}
    names = [path.name for path in write_pictures(search.study_, tmp_path / "m.skops")]
    assert names == ["m-history.png", "m-parallel.png"]
    search = OptunaSearchCV(
        SVC(), {"C": [1e-4, 1.0], "tol": [1e-3, 1e-4]}, sampler="grid", cv=2
    ).fit(X, Y)
    assert next(iter(measure_importances(search.study_))) == "C"


def test_a_kill_leaves_no_half_picture(tmp_path, monkeypatch):
    search = OptunaSearchCV(SVC(), {"C": [1.0]}, n_trials=2, cv=2).fit(X, Y)

    def write_half(figure, path, **options):
        with open(path, "wb") as file:
            file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", write_half)
    old = tmp_path / "m-history.png"
    old.write_bytes(b"whole")
    with pytest.raises(KeyboardInterrupt):
        write_pictures(search.study_, tmp_path / "m.skops")
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_bytes() == b"whole"
