"""Opening of Optuna's storages, and of studies in them: memory, files and databases."""

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

# User attributes of a study: the identity of its search, and an incomplete one by old versions.
IDENTITY, INCOMPLETE = "imgfeat:identity", "imgfeat:search"

SQLITE = (".db", ".sqlite", ".sqlite3")
JOURNAL = (".log", ".journal")

Direction = Literal["maximize", "minimize"]
# The type of the parameter `storage`.
StorageLike = str | os.PathLike | BaseStorage | None

# Two processes that start at the same time may both create the tables, and one then fails.
ATTEMPTS = 5
# Without a timeout, connecting to a server behind a firewall takes several minutes to fail.
SECONDS_TO_CONNECT = 20


class StorageError(ValueError):
    """A storage that cannot be opened, or that holds a study of a different search."""


def open_storage(storage: StorageLike) -> BaseStorage:
    """Return Optuna's storage for a file name or an address.

    Parameters
    ----------
    storage : str, path-like, BaseStorage or None
        A file that ends in .db, .sqlite or .sqlite3 (SQLite, for one machine), or in .log or
        .journal (Optuna's journal, for shared folders); or a database URL of SQLAlchemy, such as
        ``postgresql+psycopg://user@host/name``. None keeps the study in memory.

    Returns
    -------
    storage : BaseStorage

    Raises
    ------
    StorageError
        If `storage` is not such a file or URL, or cannot be opened.
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
            "URL of a database, such as postgresql+psycopg://user@host/name."
        )
    if not path.absolute().parent.is_dir():
        raise StorageError(
            f"storage={text!r}: there is no folder {path.absolute().parent}. Create it first."
        )
    try:
        return _open_file(path.absolute())
    except StorageError:
        raise
    except Exception as error:  # of Optuna, sqlite3 or json, by what is damaged
        raise make_damage_error(storage, error) from error


@contextlib.contextmanager
def connect(storage: StorageLike) -> Iterator[BaseStorage]:
    """Open a storage in a context; later access to its studies opens new connections.

    Parameters
    ----------
    storage : str, path-like, BaseStorage or None
        See `open_storage`; a BaseStorage is not closed afterwards.

    Yields
    ------
    storage : BaseStorage

    Raises
    ------
    StorageError
        If it cannot be opened, or fails within the context.
    """
    from sqlalchemy.exc import SQLAlchemyError

    opened = open_storage(storage)
    try:
        yield opened
    except (SQLAlchemyError, StorageInternalError, sqlite3.Error) as error:
        raise make_damage_error(storage, error) from error
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
    """Create a study, or load the study of that name if its search is the same.

    Parameters
    ----------
    storage : BaseStorage
    where : str
        Description of the storage for error messages.
    name : str or None
        None is "imgfeat" in a file or database.
    identity : dict of str to dict
        Identity of the search, from `imgfeat.tuning.study.identity.identify`.
    directions : sequence of {"maximize", "minimize"}
        Directions of the objectives.
    sampler : BaseSampler
    pruner : BasePruner

    Returns
    -------
    study : Study

    Raises
    ------
    StorageError
        If there is a study of that name whose search differs, or cannot be compared.
    """
    if name is None and not isinstance(storage, InMemoryStorage):
        name = "imgfeat"
    with _silence_optuna():
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
            f"The study {title} was started by an earlier version of imgfeat, which did "
            "not record the estimator and the images: choose another study_name."
        )
    elif study.get_trials(deepcopy=False):
        raise StorageError(
            f"The storage has a study {title} that was not created by OptunaSearchCV: choose "
            "another study_name."
        )
    else:
        study.set_user_attr(IDENTITY, dict(identity))
        _warn_not_resumable(title, identity)
    return study


def _check_same(title: str, known: Mapping[str, Part], wanted: Mapping[str, Part]) -> None:
    parts = find_differences(known, wanted)
    if parts:
        details = "; ".join(explain(part, known, wanted) for part in parts)
        unknown = all(wanted[part]["digest"] is None for part in parts)
        verb = "may have been" if unknown else "was"
        raise StorageError(
            f"The study {title} {verb} started with different {', '.join(parts)} ({details}): its "
            "trials cannot be compared with this call's. Choose another study_name, or delete the "
            "study."
        )


def _warn_not_resumable(title: str, identity: Mapping[str, Part]) -> None:
    for part, content in identity.items():
        if content["digest"] is None:
            logging.getLogger(__name__).warning(
                "No later call can continue the study %s: %s.",
                title,
                explain(part, identity, identity),
            )


def make_damage_error(storage: StorageLike, error: Exception) -> StorageError:
    """Return a StorageError for a storage whose content cannot be read."""
    cause = (str(error).splitlines() or [""])[0]
    return StorageError(
        f"storage={describe_storage(storage)} cannot be opened, or is damaged "
        f"({type(error).__name__}: {_hide_password(cause)}). Restore it from a copy, or start a "
        "new study in another file."
    )


def describe_storage(storage: StorageLike) -> str:
    """Return a description of a storage for messages, without passwords."""
    if isinstance(storage, str | os.PathLike):
        return repr(_hide_password(os.fspath(storage)))
    return type(storage).__name__


def _open_file(path: Path) -> BaseStorage:
    if path.suffix in JOURNAL:
        if path.exists() and path.stat().st_size > 0:
            _drop_incomplete_line(path)
        return JournalStorage(JournalFileBackend(str(path)))
    if path.exists():
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as database:
            found = database.execute("PRAGMA quick_check").fetchone()
        if found != ("ok",):
            raise sqlite3.DatabaseError(found[0])
    return _connect(f"sqlite:///{path}")


def _drop_incomplete_line(path: Path) -> None:
    """Remove the incomplete line that a killed process may leave at the end of a journal.

    Optuna would append the next line to it, and then could read neither.
    """
    with open(path, "rb") as file:
        if not file.readline().startswith(b'{"op_code"'):
            raise StorageError(
                f"storage={str(path)!r} is not a journal of Optuna: name another file."
            )
    if not _ends_incomplete(path):
        return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        if _ends_incomplete(path):  # again: another process may just have completed it
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    finally:
        lock.release()


def _ends_incomplete(path: Path) -> bool:
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size - 1)
        return file.read() != b"\n"


class _WALConnection(sqlite3.Connection):
    """An SQLite connection in WAL mode, which waits for the disk less often.

    If a process is killed, no committed data is lost.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")


def _connect(url: str) -> RDBStorage:
    arguments: dict[str, Any] = {}
    if url.startswith("sqlite"):
        arguments = {"timeout": 60, "factory": _WALConnection}
    if url.startswith("postgresql"):
        arguments = {"connect_timeout": SECONDS_TO_CONNECT}
    for attempt in range(ATTEMPTS):
        try:
            return RDBStorage(url, engine_kwargs={"connect_args": arguments})
        except ImportError as error:
            raise StorageError(
                f"storage={_hide_password(url)!r} needs a driver that is not installed: {error}"
            ) from error
        # Each database has its own exception classes.
        except Exception as error:
            if attempt == ATTEMPTS - 1 or not _is_race(error):
                cause = str(error).splitlines()[0]
                raise StorageError(
                    f"storage={_hide_password(url)!r} cannot be opened: {_hide_password(cause)}"
                ) from error
            time.sleep(0.1 * 2**attempt)
    raise AssertionError("unreachable")


def _is_race(error: Exception) -> bool:
    text = str(error).lower()
    return any(word in text for word in ("already exists", "locked", "unique constraint"))


def _hide_password(text: str) -> str:
    return re.sub(r"//([^:/@\s]+):[^@/\s]+@", r"//\1:***@", text)


@contextlib.contextmanager
def _silence_optuna() -> Iterator[None]:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
