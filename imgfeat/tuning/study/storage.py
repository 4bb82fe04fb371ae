"""Where studies are kept: memory, a file, or a database that several machines share."""

import contextlib
import logging
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from imgfeat.tuning.study.identity import Part, explain, find_differences

# On a study, what it searches; and what earlier versions wrote, which was less.
IDENTITY, INCOMPLETE = "imgfeat:identity", "imgfeat:search"

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
    try:
        return _open_file(path.absolute())
    except StorageError:
        raise
    except Exception as error:  # of Optuna, sqlite3 or json, by what is damaged
        raise say_damaged(storage, error) from error


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

    Raises
    ------
    StorageError
        If it cannot be reached, or fails later.
    """
    from sqlalchemy.exc import SQLAlchemyError

    opened = open_storage(storage)
    try:
        yield opened
    except (SQLAlchemyError, StorageInternalError, sqlite3.Error) as error:
        raise say_damaged(storage, error) from error
    finally:
        if isinstance(opened, RDBStorage) and opened is not storage:
            opened.remove_session()
            opened.engine.dispose()


def open_study(
    storage: BaseStorage,
    where: str,
    name: str | None,
    identity: Mapping[str, Part],
    directions: Sequence[Direction],
    sampler: BaseSampler,
    pruner: BasePruner,
) -> optuna.Study:
    """Create a study, or load the one of that name if it is of the same search.

    Parameters
    ----------
    storage : BaseStorage
    where : str
        What to call it in messages.
    name : str or None
        None is "imgfeat" in a storage that stays.
    identity : dict of str to dict
        What makes two searches the same: see `imgfeat.tuning.study.identity.identify`.
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
        If there is a study of that name that searches something else, or may do so.
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
    attributes = study.user_attrs
    known = attributes.get(IDENTITY)
    title = f"{study.study_name!r} in {where}"
    if known is not None:
        _check_same(title, known, identity)
    elif INCOMPLETE in attributes:
        raise StorageError(
            f"The study {title} was begun by an earlier version of imgfeat, which did "
            "not note the estimator and the images: choose another study_name."
        )
    elif study.get_trials(deepcopy=False):
        raise StorageError(
            f"The storage has a study {title} that no OptunaSearchCV made: choose another "
            "study_name."
        )
    else:
        study.set_user_attr(IDENTITY, dict(identity))
        _say_what_cannot_go_on(title, identity)
    return study


def _check_same(title: str, known: Mapping[str, Part], wanted: Mapping[str, Part]) -> None:
    parts = find_differences(known, wanted)
    if parts:
        details = "; ".join(explain(part, known, wanted) for part in parts)
        unknown = all(wanted[part]["digest"] is None for part in parts)
        verb = "may have been" if unknown else "was"
        raise StorageError(
            f"The study {title} {verb} begun with other {', '.join(parts)} ({details}): its "
            "trials cannot be compared with this call's. Choose another study_name, or delete the "
            "study."
        )


def _say_what_cannot_go_on(title: str, identity: Mapping[str, Part]) -> None:
    for part, content in identity.items():
        if content["digest"] is None:
            logging.getLogger(__name__).warning(
                "No later call can go on with the study %s: %s.",
                title,
                explain(part, identity, identity),
            )


def say_damaged(storage: Any, error: Exception) -> StorageError:
    """Return the error for a storage whose contents cannot be read."""
    cause = (str(error).splitlines() or [""])[0]
    return StorageError(
        f"storage={name_storage(storage)} cannot be opened, or is damaged "
        f"({type(error).__name__}: {_hide(cause)}). Restore it from a copy, or begin a new study "
        "in another file."
    )


def name_storage(storage: Any) -> str:
    """Return how to call a storage in a message, without passwords."""
    if isinstance(storage, str | os.PathLike):
        return repr(_hide(os.fspath(storage)))
    return type(storage).__name__


def _open_file(path: Path) -> BaseStorage:
    if path.suffix in JOURNAL:
        if path.exists() and path.stat().st_size > 0:
            _drop_torn_line(path)
        return JournalStorage(JournalFileBackend(str(path)))
    if path.exists():
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as database:
            found = database.execute("PRAGMA quick_check").fetchone()
        if found != ("ok",):
            raise sqlite3.DatabaseError(found[0])
    return _connect(f"sqlite:///{path}")


def _drop_torn_line(path: Path) -> None:
    """Remove the half line that a killed process may leave at the end of a journal.

    Nobody was told that it had been written; with the next line behind it, neither could be read.
    """
    with open(path, "rb") as file:
        if not file.readline().startswith(b'{"op_code"'):
            raise StorageError(f"storage={str(path)!r} is no journal of Optuna: name another file.")
    if not _is_torn(path):
        return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        if _is_torn(path):  # and not another process in the middle of writing it
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    finally:
        lock.release()


def _is_torn(path: Path) -> bool:
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size - 1)
        return file.read() != b"\n"


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
