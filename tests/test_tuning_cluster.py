"""Several processes on one search: through SQLite, a journal, PostgreSQL and Dask."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from helpers.counting import Unfit
from optuna.pruners import MedianPruner
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from imgfeat import HOG, OptunaSearchCV
from imgfeat.datasets import load_digits
from imgfeat.tuning import StorageError

X, Y = load_iris(return_X_y=True)
SPACE = {"C": loguniform(1e-3, 1e3), "gamma": loguniform(1e-4, 10)}

WORKER = """
    import sys, time
    from pathlib import Path
    from scipy.stats import loguniform
    from sklearn.datasets import load_iris
    from sklearn.svm import SVC
    from imgfeat import OptunaSearchCV

    X, y = load_iris(return_X_y=True)
    space = {"C": loguniform(1e-3, 1e3), "gamma": loguniform(1e-4, 10)}
    own = []

    def wait_for_the_other(study, trial):
        own.append(trial.number)
        Path(f"{sys.argv[1]}.began").touch()
        while len(list(Path().glob("*.began"))) < 2:
            time.sleep(0.01)

    search = OptunaSearchCV(
        SVC(), space, n_trials=20, cv=3, random_state=int(sys.argv[1]), storage=sys.argv[2],
        callbacks=[wait_for_the_other],
    )
    search.fit(X, y)
    print(len(own), search.best_score_)
"""


def share_a_study(storage, folder):
    """Run two searches on one study at the same time, and look at what is in it."""
    script = folder / "worker.py"
    script.write_text(textwrap.dedent(WORKER))
    workers = [
        subprocess.Popen(
            [sys.executable, script, str(seed), storage],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in (0, 1)
    ]
    n_own = []
    for worker in workers:
        output, errors = worker.communicate(timeout=300)
        assert worker.returncode == 0, errors
        n_own.append(int(output.split()[0]))
        assert float(output.split()[1]) > 0.9
    assert min(n_own) > 0
    assert sum(n_own) == 20
    search = OptunaSearchCV(SVC(), SPACE, n_trials=20, cv=3, storage=storage).fit(X, Y)
    assert len(search.cv_results_["params"]) == 20
    assert len({tuple(params.values()) for params in search.cv_results_["params"]}) >= 19


@pytest.mark.parametrize("name", ["tune.db", "tune.journal"])
def test_two_processes_share_a_file(name, tmp_path):
    share_a_study(str(tmp_path / name), tmp_path)


def find_postgresql():
    """Return the folder of PostgreSQL's programs, or None."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else Path("/usr/lib/postgresql").glob("*/bin")
    return max((f for f in folders if (f / "initdb").exists()), default=None)


def find_free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def postgresql():
    """Run a server of our own on loopback, and return its address."""
    programs = find_postgresql()
    if programs is None:
        pytest.skip("needs PostgreSQL's server, such as Debian's package postgresql")
    # It refuses to run as root.
    run_as = {"user": "nobody", "extra_groups": []} if os.getuid() == 0 else {}
    port = find_free_port()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if run_as:
            shutil.chown(folder, "nobody")
        data = Path(folder) / "data"
        initdb = [programs / "initdb", "-D", data, "-U", "tuner", "-A", "trust", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **run_as)
        options = ["-h", "127.0.0.1", "-p", str(port), "-F", "-c", "unix_socket_directories="]
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, *options],
            cwd=folder,
            stderr=subprocess.DEVNULL,
            **run_as,
        )
        stack.callback(server.wait, timeout=60)
        # A mere SIGTERM would wait for clients.
        stack.callback(server.send_signal, signal.SIGINT)
        while not is_listening(port):
            assert server.poll() is None
            time.sleep(0.1)
        yield f"postgresql+psycopg://tuner@127.0.0.1:{port}/postgres"


def test_two_processes_share_a_database_server(postgresql, tmp_path):
    share_a_study(postgresql, tmp_path)
    with pytest.raises(StorageError, match="started with different folds"):
        OptunaSearchCV(SVC(), SPACE, cv=4, storage=postgresql).fit(X, Y)


def test_a_server_that_is_not_there_is_noticed_before_any_work():
    address = f"postgresql+psycopg://tuner:secret@127.0.0.1:{find_free_port()}/postgres"
    search = OptunaSearchCV(Unfit(), SPACE, storage=address, error_score="raise")
    with pytest.raises(StorageError, match=r"tuner:\*\*\*@127.*cannot be opened") as caught:
        search.fit(X, Y)
    assert "secret" not in str(caught.value)


def note_process(estimator, images, labels):
    return float(os.getpid())


@pytest.fixture(scope="module")
def workers():
    """Start a cluster, to which joblib sends work; return the numbers of its processes."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        yield set(client.run(os.getpid).values())


@pytest.mark.parametrize("pruner", [None, MedianPruner(n_startup_trials=2)])
def test_a_dask_cluster_scores_the_folds(pruner, workers):
    digits = load_digits()
    images, labels = digits.images[:200], digits.target[:200]
    search = OptunaSearchCV(
        make_pipeline(HOG(pixels_per_cell=4, cells_per_block=1), SVC()),
        {"svc__C": loguniform(0.1, 100), "hog__orientations": [6, 9]},
        n_trials=4,
        cv=2,
        random_state=0,
        scoring={"accuracy": "accuracy", "process": note_process},
        refit="accuracy",
        pruner=pruner,
    )
    spread = search.fit(images, labels).cv_results_
    noted = np.concatenate([spread["split0_test_process"], spread["split1_test_process"]])
    assert set(noted[np.isfinite(noted)]) <= workers
    if pruner is None:
        with joblib.parallel_config(backend="sequential"):
            alone = search.fit(images, labels).cv_results_
        assert alone["params"] == spread["params"]
        np.testing.assert_array_equal(alone["mean_test_accuracy"], spread["mean_test_accuracy"])
