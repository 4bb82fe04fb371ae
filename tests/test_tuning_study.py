"""Studies: kept, resumed after a kill, pruned by fold, shared, with several objectives."""

import itertools
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from helpers.counting import Counting, Unfit
from optuna.pruners import (
    MedianPruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
    WilcoxonPruner,
)
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC

from imgfeat import HOG, OptunaSearchCV
from imgfeat.datasets import load_digits
from imgfeat.tuning import StorageError, latency_scorer, size_scorer
from imgfeat.tuning.study import workers

X, Y = load_iris(return_X_y=True)
SPACE = {"C": loguniform(1e-3, 1e3), "gamma": loguniform(1e-4, 10)}


def make_search(estimator=None, **options):
    return OptunaSearchCV(estimator or SVC(), SPACE, **({"cv": 3, "random_state": 0} | options))


@pytest.mark.parametrize("name", ["tune.db", "tune.journal"])
def test_a_search_goes_on_to_the_total_as_if_it_had_not_stopped(name, tmp_path):
    whole = make_search(n_trials=14).fit(X, Y)
    storage = tmp_path / name
    part = make_search(n_trials=5, storage=storage).fit(X, Y)
    assert len(part.cv_results_["params"]) == 5
    rest = make_search(n_trials=14, storage=storage).fit(X, Y)
    assert rest.cv_results_["params"] == whole.cv_results_["params"]
    np.testing.assert_array_equal(
        rest.cv_results_["mean_test_score"], whole.cv_results_["mean_test_score"]
    )
    again = make_search(n_trials=14, storage=storage).fit(X, Y)
    assert len(again.study_.trials) == 14
    assert again.best_params_ == whole.best_params_


KILLED = """
    import os, signal
    from pathlib import Path
    from scipy.stats import loguniform
    from sklearn.datasets import load_iris
    from sklearn.svm import SVC
    from imgfeat import OptunaSearchCV

    class Mortal(SVC):
        def fit(self, X, y):
            log = Path("fits")
            log.write_text(log.read_text() + "x" if log.exists() else "x")
            if len(log.read_text()) == 11:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().fit(X, y)

    X, y = load_iris(return_X_y=True)
    space = {"C": loguniform(1e-3, 1e3), "gamma": loguniform(1e-4, 10)}
    search = OptunaSearchCV(Mortal(), space, n_trials=6, cv=3, random_state=0, storage="tune.db")
    search.fit(X, y)
    params = search.cv_results_["params"]
    print(len(params), len(search.study_.trials), params)
"""


def test_a_kill_loses_one_trial(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(KILLED))
    first = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert first.returncode == -9
    # The fourth trial, in its second fold.
    assert (tmp_path / "fits").read_text() == "x" * 11
    second = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    # In its place, the same is tried again: all is as if nobody had killed it.
    undisturbed = make_search(n_trials=6).fit(X, Y).cv_results_["params"]
    assert second.stdout.split(maxsplit=2)[:2] == ["6", "7"]
    assert second.stdout.split(maxsplit=2)[2].strip() == str(undisturbed)
    # Three folds of three trials that are left, and the best: nothing was done again.
    assert len((tmp_path / "fits").read_text()) == 11 + 3 * 3 + 1


def test_a_study_of_another_search_is_refused(tmp_path):
    storage = tmp_path / "tune.db"
    make_search(n_trials=1, storage=storage).fit(X, Y)
    other = OptunaSearchCV(Unfit(), {"C": [1, 2]}, n_trials=2, cv=3, storage=storage)
    with pytest.raises(StorageError, match=r"started with different space.*another study_name"):
        other.fit(X, Y)
    with pytest.raises(StorageError, match="started with different folds"):
        make_search(Unfit(), n_trials=2, storage=storage, cv=4).fit(X, Y)
    with pytest.raises(StorageError, match="started with different labels"):
        make_search(Unfit(), n_trials=2, storage=storage).fit(X, np.array(["a", "b", "c"])[Y])
    with pytest.raises(StorageError, match="started with different directions"):
        make_search(Unfit(), storage=storage, directions={"score": "minimize"}).fit(X, Y)
    assert len(make_search(n_trials=1, storage=storage).fit(X, Y).study_.trials) == 1
    elsewhere = optuna.create_study(storage=f"sqlite:///{storage}", study_name="mine")
    elsewhere.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(StorageError, match="not created by OptunaSearchCV"):
        make_search(Unfit(), storage=storage, study_name="mine").fit(X, Y)


def test_files_that_are_no_storage(tmp_path):
    path = tmp_path / "tune.db"
    path.write_text("This is no database. " * 100)
    with pytest.raises(StorageError, match=r"cannot be opened.*not a database"):
        make_search(storage=path).fit(X, Y)
    assert path.read_text().startswith("This")


PRUNERS = {
    MedianPruner: {"n_startup_trials": 3},
    WilcoxonPruner: {"p_threshold": 0.2},
    SuccessiveHalvingPruner: {},
    ThresholdPruner: {"lower": 0.9},
}


@pytest.mark.filterwarnings("ignore:WilcoxonPruner is experimental")
@pytest.mark.parametrize("kind", PRUNERS)
@pytest.mark.parametrize("n_jobs", [None, 3])
def test_hopeless_trials_stop_between_folds(kind, n_jobs):
    pruner = kind(**PRUNERS[kind])
    search = make_search(n_trials=20, cv=5, pruner=pruner, n_jobs=n_jobs).fit(X, Y)
    results = search.cv_results_
    folds = np.array([results[f"split{k}_test_score"] for k in range(5)])
    pruned = results["state"] == "pruned"
    assert 0 < pruned.sum() < 20
    assert np.isnan(folds[-1, pruned]).all()
    assert np.isfinite(folds[0]).all()
    assert np.isfinite(folds[:, ~pruned]).all()
    assert np.isnan(results["mean_test_score"][pruned]).all()
    assert results["mean_test_score"][~pruned].max() == search.best_score_ > 0.9
    # A pruner that goes by levels stops those below, whatever the others do.
    if isinstance(pruner, ThresholdPruner):
        means = [np.nanmean(folds[:, k]) for k in range(20)]
        assert all((mean < 0.9) == gone for mean, gone in zip(means, pruned, strict=True) if gone)


@pytest.mark.filterwarnings("ignore:WilcoxonPruner is experimental")
def test_what_is_reported_suits_the_pruner():
    common = {"n_trials": 4, "cv": 4}
    mean = make_search(pruner=MedianPruner(n_startup_trials=99), **common).fit(X, Y)
    raw = make_search(pruner=WilcoxonPruner(n_startup_steps=99), **common).fit(X, Y)
    for number in range(4):
        folds = [mean.cv_results_[f"split{k}_test_score"][number] for k in range(4)]
        reported = mean.study_.trials[number].intermediate_values
        assert reported == pytest.approx({k: np.mean(folds[: k + 1]) for k in range(3)})
        reported = raw.study_.trials[number].intermediate_values
        assert reported == pytest.approx(dict(enumerate(folds[:3])))


def test_many_jobs_try_the_same_as_one():
    alone = make_search(n_trials=8).fit(X, Y)
    spread = make_search(n_trials=8, n_jobs=3).fit(X, Y)
    assert spread.cv_results_["params"] == alone.cv_results_["params"]
    np.testing.assert_array_equal(
        spread.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )


def test_callbacks_see_every_trial_and_may_stop():
    seen = []
    callbacks = [lambda study, trial: seen.append(trial.number), MaxTrialsCallback(3)]
    search = make_search(n_trials=10, callbacks=callbacks).fit(X, Y)
    assert seen == [0, 1, 2]
    assert len(search.cv_results_["params"]) == 3


def test_an_interruption_keeps_what_is_done(tmp_path):
    def interrupt(study, trial):
        if trial.number == 2:
            raise KeyboardInterrupt

    search = make_search(n_trials=9, callbacks=[interrupt], storage=tmp_path / "tune.db")
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, Y)
    states = [trial.state for trial in search.study_.trials]
    assert states == [TrialState.COMPLETE] * 3
    rest = make_search(n_trials=4, storage=tmp_path / "tune.db").fit(X, Y)
    assert [trial.state for trial in rest.study_.trials] == [TrialState.COMPLETE] * 4


class Interrupted(Counting):
    """Is interrupted while it describes the images for the third trial, if there is a file."""

    def transform(self, X):
        if self.factor == 3 and len(X) > 1 and (Path(self.log) / "interrupt").exists():
            raise KeyboardInterrupt
        return super().transform(X)


def test_an_interruption_among_the_features_loses_that_trial_alone(tmp_path):
    digits = load_digits()
    images, labels = digits.images[:60], digits.target[:60]
    options = {"n_trials": 4, "sampler": "grid", "cv": 2, "storage": tmp_path / "tune.db"}
    grid = {"a__factor": [1.0, 2.0, 3.0, 4.0]}
    model = Pipeline([("a", Interrupted(str(tmp_path))), ("svm", SVC())])
    (tmp_path / "interrupt").touch()
    with pytest.raises(KeyboardInterrupt):
        OptunaSearchCV(model, grid, **options).fit(images, labels)
    (tmp_path / "interrupt").unlink()
    search = OptunaSearchCV(model, grid, **options).fit(images, labels)
    assert sorted(search.cv_results_["param_a__factor"]) == [1, 2, 3, 4]
    assert set(search.cv_results_["state"]) == {"complete"}
    again = OptunaSearchCV(model, grid, **(options | {"n_trials": 9})).fit(images, labels)
    assert len(again.cv_results_["params"]) == 4


class Stopped(SVC):
    """Is interrupted in some of its fits, while there is a file "alive" in a folder."""

    def __init__(self, folder="nowhere", C=1.0, gamma="scale"):
        super().__init__(C=C, gamma=gamma)
        self.folder = folder

    def fit(self, X, y):
        if (Path(self.folder) / "alive").exists():
            log = Path(self.folder) / "fits"
            log.write_text(log.read_text() + "x" if log.exists() else "x")
            if len(log.read_text()) in (5, 11, 12):
                raise KeyboardInterrupt
        return super().fit(X, y)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
@pytest.mark.parametrize("pruner", [None, MedianPruner(n_startup_trials=2)])
def test_after_interruptions_it_is_what_it_would_have_been(sampler, pruner, tmp_path):
    alive = tmp_path / "alive"
    options = {"n_trials": 14, "cv": 2, "sampler": sampler, "pruner": pruner}
    whole = make_search(Stopped(), **options).fit(X, Y)
    options["storage"] = tmp_path / "tune.db"
    alive.touch()
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            make_search(Stopped(str(tmp_path)), **options).fit(X, Y)
    alive.unlink()
    rest = make_search(Stopped(str(tmp_path)), **options).fit(X, Y)
    assert len(rest.study_.trials) == 17
    assert rest.cv_results_["params"] == whole.cv_results_["params"]
    for name in ("state", "split0_test_score", "split1_test_score", "rank_test_score"):
        np.testing.assert_array_equal(rest.cv_results_[name], whole.cv_results_[name])
    assert rest.best_params_ == whole.best_params_


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_trials_that_ran_at_the_same_time_are_begun_anew_in_their_places(sampler, tmp_path):
    def interrupt(study, trial):
        if trial.number == 0:
            raise KeyboardInterrupt

    never = MedianPruner(n_startup_trials=99)
    options = {"n_trials": 9, "cv": 2, "sampler": sampler, "pruner": never}
    whole = make_search(**options).fit(X, Y)
    options |= {"storage": tmp_path / "tune.db", "n_jobs": 3}
    with pytest.raises(KeyboardInterrupt):
        make_search(callbacks=[interrupt], **options).fit(X, Y)
    rest = make_search(**options).fit(X, Y)
    assert len(rest.study_.trials) == 11
    assert rest.cv_results_["params"] == whole.cv_results_["params"]
    np.testing.assert_array_equal(
        rest.cv_results_["mean_test_score"], whole.cv_results_["mean_test_score"]
    )


@pytest.fixture
def running(tmp_path):
    """Return a study with a trial that runs, and what shows that its process lives."""
    study = make_search(n_trials=1, storage=tmp_path / "tune.db").fit(X, Y).study_
    pulse = workers.Heartbeat(study)
    with pulse:
        trial = study.ask()
        pulse.register(trial)
        yield study, trial, pulse


def sign(study, trial, **changes):
    attributes = study._storage.get_trial(trial._trial_id).user_attrs[workers.WORKER]
    study._storage.set_trial_user_attr(trial._trial_id, workers.WORKER, attributes | changes)
    return attributes["seen"]


def test_the_heartbeat_decides_and_no_number_of_a_process(running, monkeypatch):
    study, trial, _ = running
    monkeypatch.setattr(os, "kill", Unfit().fit)
    # Of a process whose number another has now; of another machine; and without a lock.
    for changes in ({"pid": os.getpid()}, {"host": "elsewhere"}, {"lease": "0" * 32}):
        seen = sign(study, trial, **changes)
        assert workers.find_stale_trials(study, seen + workers.GRACE_PERIOD - 1) == []
        lost = workers.find_stale_trials(study, seen + workers.GRACE_PERIOD + 1)
        assert [one.number for one in lost] == [trial.number]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
def test_a_dead_process_of_this_machine_is_known_at_once(running):
    study, trial, _ = running
    assert workers.find_stale_trials(study) == []
    lease = (
        "import sys; from imgfeat.tuning.study.process_lock import ProcessLock; "
        "lease = ProcessLock(); lease.acquire()"
    )
    script = f"{lease}; print(lease.name, flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    name = other.stdout.readline().strip()
    sign(study, trial, lease=name)
    assert workers.find_stale_trials(study) == []
    other.kill()
    other.communicate()
    assert [lost.number for lost in workers.find_stale_trials(study)] == [trial.number]
    sign(study, trial, host="elsewhere")
    assert workers.find_stale_trials(study) == []
    sign(study, trial, lease="../" + name, host=socket.gethostname())
    assert workers.find_stale_trials(study) == []
    Path(tempfile.gettempdir(), f"imgfeat-{name}.lock").unlink()


class TakenForDead(SVC):
    """Has its trial discarded by another process while it is fitted."""

    storage: str

    def fit(self, X, y):
        study = optuna.load_study(study_name="imgfeat", storage=f"sqlite:///{self.storage}")
        running = [t for t in study.trials if t.state == TrialState.RUNNING]
        if running and running[0].number == 1:
            workers.discard_trial(study, running[0]._trial_id, "its process ended")
        return super().fit(X, y)


@pytest.mark.parametrize("pruner", [None, MedianPruner()])
def test_a_trial_that_others_took_for_lost_is_left_to_them(pruner, tmp_path, monkeypatch):
    storage = tmp_path / "tune.db"
    monkeypatch.setattr(TakenForDead, "storage", str(storage), raising=False)
    search = make_search(TakenForDead(), n_trials=3, storage=storage, pruner=pruner).fit(X, Y)
    assert search.cv_results_["trial_number"].tolist() == [0, 2, 3]
    whole = make_search(n_trials=3).fit(X, Y)
    assert search.cv_results_["params"] == whole.cv_results_["params"]


def test_places_of_trials_that_begin_at_the_same_time():
    study = optuna.create_study()
    trials = [study.ask() for _ in range(4)]
    frozen = [study._storage.get_trial(trial._trial_id) for trial in trials]
    assert [workers.claim_position(study, frozen[k]) for k in (2, 0, 1)] == [2, 0, 1]
    workers.discard_trial(study, frozen[1]._trial_id, "its process ended")
    assert workers.claim_position(study, frozen[3]) == 1


def test_trials_that_nobody_signed_are_given_up_after_a_while(tmp_path, monkeypatch):
    storage = tmp_path / "tune.db"
    search = make_search(n_trials=2, storage=storage)
    study = search.fit(X, Y).study_
    study.ask()  # as if killed on the spot
    assert len(make_search(n_trials=3, storage=storage).fit(X, Y).cv_results_["params"]) == 2
    monkeypatch.setattr(workers, "GRACE_PERIOD", 0.0)
    assert len(make_search(n_trials=3, storage=storage).fit(X, Y).cv_results_["params"]) == 3


def test_timeout_and_progress(capsys, monkeypatch):
    # A clock on which a second goes by each time that it is looked at.
    clock = SimpleNamespace(monotonic=itertools.count().__next__)
    monkeypatch.setattr("imgfeat.tuning.trials.time", clock)
    search = make_search(n_trials=None, timeout=8, progress=True).fit(X, Y)
    assert 1 <= len(search.cv_results_["params"]) <= 8
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"best {search.best_score_:.4f}" in printed.err


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", optuna.samplers.NSGAIISampler(seed=0)])
def test_samplers(sampler):
    search = make_search(n_trials=12, sampler=sampler).fit(X, Y)
    assert len({str(p) for p in search.cv_results_["params"]}) == 12
    expected = cross_val_score(SVC(**search.best_params_), X, Y, cv=3).mean()
    assert search.best_score_ == pytest.approx(expected, abs=1e-12)


def test_several_objectives_find_a_front():
    digits = load_digits()
    images, labels = digits.images[:200], digits.target[:200]
    search = OptunaSearchCV(
        make_pipeline(HOG(pixels_per_cell=2), KNeighborsClassifier()),
        {"kneighborsclassifier__n_neighbors": [1, 5, 25, 60], "hog__orientations": [3, 9]},
        sampler="grid",
        cv=2,
        scoring={"accuracy": "accuracy", "ms": latency_scorer, "mb": size_scorer},
        directions={"accuracy": "maximize", "mb": "minimize"},
        refit="accuracy",
    ).fit(images, labels)
    results = search.cv_results_
    accuracy, size = results["mean_test_accuracy"], results["mean_test_mb"]
    front = {t.number for t in search.study_.best_trials}
    dominated = [
        any(
            a >= accuracy[k] and s <= size[k] and (a > accuracy[k] or s < size[k])
            for a, s in zip(accuracy, size, strict=True)
        )
        for k in range(8)
    ]
    assert front == {k for k in range(8) if not dominated[k]}
    assert 0 < len(front) < 8
    # What fewer orientations save shows: the whole pipeline is measured, on images.
    assert results["rank_test_mb"][size.argmin()] == 1
    assert (results["mean_test_ms"] > 0).all()
    with pytest.raises(ValueError, match=r"pruner=.*one objective"):
        search.set_params(pruner=MedianPruner()).fit(images, labels)


def test_latency_is_of_images_not_of_rows(tmp_path):
    def check(estimator, images, y):
        assert images.shape[1:] == (8, 8)
        assert isinstance(estimator[0], HOG)
        return float(len(images))

    check.takes_images = True
    digits = load_digits()
    search = OptunaSearchCV(
        make_pipeline(HOG(pixels_per_cell=2), SVC()),
        {"svc__C": [1]},
        n_trials=1,
        cv=2,
        scoring=check,
    ).fit(digits.images[:100], digits.target[:100])
    assert search.best_score_ == 50
