"""Damaged study databases and journals: a search must resume, or raise an error with the path."""

import contextlib
import json
import sqlite3
import tempfile
import time
import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import FitFailedWarning
from sklearn.naive_bayes import GaussianNB

from imgfeat import OptunaSearchCV
from imgfeat.datasets import load_digits
from imgfeat.tuning import StorageError

from .mutations import mutate

NAMES = ("tune.db", "tune.journal")
# Values that replace others.
WRONG = (None, "", "x", "{}", -1, 2.5, 1e300, [], {"a": 1}, True)


def fuzz(
    rng: np.random.Generator, deadline: float | None = None, n: int | None = None
) -> Counter[str]:
    """Resume damaged studies until the deadline, or `n` of them, and count the outcomes."""
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        while (n is None or outcomes.total() < n) and (
            deadline is None or time.monotonic() < deadline
        ):
            name = NAMES[outcomes.total() % len(NAMES)]
            whole = _make(name)
            damaged = mutate(whole, rng) if rng.random() < 0.5 else _change_field(name, whole, rng)
            outcomes[f"{name} {_try(Path(folder) / name, damaged)}"] += 1
    return outcomes


def search(path: Path, n_trials: int) -> OptunaSearchCV:
    """Run or resume a search on a few images, with the study in a file."""
    digits = load_digits()
    images, labels = digits.images[:60].reshape(60, -1), digits.target[:60]
    space = {"var_smoothing": [1e-9, 1e-3, 1e-1, 1.0], "priors": [None, "nonsense"]}
    options = {"cv": 2, "sampler": "random", "random_state": 3, "n_trials": n_trials}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitFailedWarning)
        return OptunaSearchCV(GaussianNB(), space, storage=path, **options).fit(images, labels)


@cache
def _make(name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        search(Path(folder) / name, 4)
        return (Path(folder) / name).read_bytes()


def _change_field(name: str, whole: bytes, rng: np.random.Generator) -> bytes:
    """Delete or replace a field of a journal, or replace a column of a database."""
    wrong = WRONG[rng.integers(len(WRONG))]
    if name.endswith(".journal"):
        lines = whole.splitlines()
        number = int(rng.integers(len(lines)))
        entry = json.loads(lines[number])
        part = entry
        key = _draw(part, rng)
        while isinstance(part[key], dict) and part[key] and rng.random() < 0.7:
            part = part[key]
            key = _draw(part, rng)
        if rng.random() < 0.5:
            del part[key]
        else:
            part[key] = wrong
        lines[number] = json.dumps(entry).encode()
        return b"\n".join([*lines, b""])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(whole)
        with contextlib.closing(sqlite3.connect(path)) as database:
            tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
            table = _draw([row[0] for row in database.execute(tables)], rng)
            column = _draw([row[1] for row in database.execute(f"PRAGMA table_info({table})")], rng)
            value = wrong if isinstance(wrong, str | int | float | None) else json.dumps(wrong)
            database.execute("PRAGMA ignore_check_constraints = ON")
            with contextlib.suppress(sqlite3.IntegrityError), database:
                database.execute(f"UPDATE {table} SET {column} = ?", (value,))
        return path.read_bytes()


def _draw(parts: Any, rng: np.random.Generator) -> Any:
    return list(parts)[rng.integers(len(parts))]


def _try(path: Path, damaged: bytes) -> str:
    for other in path.parent.iterdir():
        other.unlink()
    path.write_bytes(damaged)
    try:
        search(path, 5)
    except StorageError as error:
        if path.name not in str(error):
            raise AssertionError(f"{_keep(path.name, damaged)}: no file in {error}") from error
        return "refused"
    except Exception as error:
        raise AssertionError(f"{_keep(path.name, damaged)}: {type(error).__name__}") from error
    return "resumed"


def _keep(name: str, damaged: bytes) -> str:
    with tempfile.NamedTemporaryFile(suffix=f"-{name}", delete=False) as file:
        file.write(damaged)
    return f"A damaged {name}, kept as {file.name}"
