"""Where studies are kept: memory, a file, or a database that several machines share."""

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

# On a study, what it searches.
IDENTITY = "imgfeat:search"

SQLITE = (".db", ".sqlite", ".sqlite3")
JOURNAL = (".log", ".journal")

Direction = Literal["maximize", "minimize"]

# Two processes that start together may both make the tables.
ATTEMPTS = 5
# A server behind a closed door would be waited for some minutes.
SECONDS_TO_CONNECT = 20


class StorageError(ValueError):
    """A storage that cannot be reached, or a study in it that is of another search."""


def open_storage(storage: str | os.PathLike | BaseStorage | None) -> BaseStorage:
    """Return Optuna's storage for a file name or an address.

    Parameters
    ----------
    storage : str, path-like, BaseStorage or None
        A file that ends in .db (SQLite, for one machine), or in .log or .journal (Optuna's
        journal, for shared folders); the address of a database as SQLAlchemy has it, such as
        ``postgresql+psycopg://user@host/name``; None keeps the study in memory.

    Returns
    -------
    storage : BaseStorage

    Raises
    ------
    StorageError
        If it is none of these, or cannot be reached.
    """
    if storage is None:
        return InMemoryStorage()
    if isinstance(storage, BaseStorage):
        return storage
    text = os.fspath(storage)
    if "://" in text:
        return _connect(text)
    path = Path(text)
    if path.suffix not in SQLITE + JOURNAL:
        raise StorageError(
            f"storage={text!r} must be a file that ends in {', '.join(SQLITE + JOURNAL)}, or the "
            "address of a database, such as postgresql+psycopg://user@host/name."
        )
    if not path.absolute().parent.is_dir():
        raise StorageError(f"storage={text!r}: there is no folder {path.absolute().parent}.")
    if path.suffix in JOURNAL:
        return JournalStorage(JournalFileBackend(str(path)))
    return _connect(f"sqlite:///{path.absolute()}")


@contextlib.contextmanager
def connect(storage: str | os.PathLike | BaseStorage | None) -> Iterator[BaseStorage]:
    """Open a storage for a while; what is asked of its studies later connects anew.

    Parameters
    ----------
    storage : str, path-like, BaseStorage or None
        See `open_storage`; one that is open already stays so.

    Yields
    ------
    storage : BaseStorage
    """
    opened = open_storage(storage)
    try:
        yield opened
    finally:
        if isinstance(opened, RDBStorage) and opened is not storage:
            opened.remove_session()
            opened.engine.dispose()


def open_study(
    storage: BaseStorage,
    name: str | None,
    identity: Mapping[str, Any],
    directions: Sequence[Direction],
    sampler: BaseSampler,
    pruner: BasePruner,
) -> optuna.Study:
    """Create a study, or load the one of that name if it is of the same search.

    Parameters
    ----------
    storage : BaseStorage
    name : str or None
        None is "imgfeat" in a storage that stays.
    identity : dict of str to object
        What makes two searches the same, for JSON.
    directions : sequence of {"maximize", "minimize"}
        Of the objectives.
    sampler : BaseSampler
    pruner : BasePruner

    Returns
    -------
    study : Study

    Raises
    ------
    StorageError
        If there is a study of that name that searches something else.
    """
    if name is None and not isinstance(storage, InMemoryStorage):
        name = "imgfeat"
    with _say_less():
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            directions=list(directions),
            sampler=sampler,
            pruner=pruner,
            load_if_exists=True,
        )
    known = study.user_attrs.get(IDENTITY)
    wanted = json.loads(json.dumps({**identity, "directions": list(directions)}))
    if known is None:
        if study.get_trials(deepcopy=False):
            raise StorageError(
                f"The storage has a study {study.study_name!r} that no OptunaSearchCV made: choose "
                "another study_name."
            )
        study.set_user_attr(IDENTITY, wanted)
    elif known != wanted:
        parts = sorted(k for k in known.keys() | wanted.keys() if known.get(k) != wanted.get(k))
        raise StorageError(
            f"The study {study.study_name!r} was begun with other {', '.join(parts)}: its trials "
            "cannot be compared with this call's. Choose another study_name, or delete the study."
        )
    return study


def hash_folds(folds: Sequence[tuple[Any, Any]]) -> str:
    """Return what tells folds from others."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (part for fold in folds for part in fold):
        rows = np.asarray(part)
        digest.update(str((rows.dtype.kind, rows.shape)).encode())
        digest.update(np.ascontiguousarray(rows, np.int64).tobytes())
    return digest.hexdigest()


def hash_labels(y: Any) -> str:
    """Return what tells labels from others."""
    labels = np.asarray(y)
    if labels.dtype.hasobject:
        labels = labels.astype(str)
    digest = hashlib.blake2b(str((labels.dtype.kind, labels.shape)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(labels).tobytes())
    return digest.hexdigest()


class _QuickConnection(sqlite3.Connection):
    """Does not wait for the disk twenty times a trial: a kill loses nothing all the same."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")


def _connect(url: str) -> RDBStorage:
    arguments: dict[str, Any] = {}
    if url.startswith("sqlite"):
        arguments = {"timeout": 60, "factory": _QuickConnection}
    if url.startswith("postgresql"):
        arguments = {"connect_timeout": SECONDS_TO_CONNECT}
    for attempt in range(ATTEMPTS):
        try:
            return RDBStorage(url, engine_kwargs={"connect_args": arguments})
        except ImportError as error:
            raise StorageError(
                f"storage={_hide(url)!r} needs a driver that is not installed: {error}"
            ) from error
        # Every database has errors of its own for what is in the way.
        except Exception as error:
            if attempt == ATTEMPTS - 1 or not _is_race(error):
                cause = str(error).splitlines()[0]
                raise StorageError(
                    f"storage={_hide(url)!r} cannot be opened: {_hide(cause)}"
                ) from error
            time.sleep(0.1 * 2**attempt)
    raise AssertionError("unreachable")


def _is_race(error: Exception) -> bool:
    text = str(error).lower()
    return any(word in text for word in ("already exists", "locked", "unique constraint"))


def _hide(text: str) -> str:
    return re.sub(r"//([^:/@\s]+):[^@/\s]+@", r"//\1:***@", text)


@contextlib.contextmanager
def _say_less() -> Iterator[None]:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
