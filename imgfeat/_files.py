"""Atomic writing of files, and the error and warning for model files."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class ModelFileError(ValueError):
    """A file is not a model, is damaged, or holds untrusted types."""


class ModelFileWarning(UserWarning):
    """A model was loaded without some of the content of its file."""


@contextlib.contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which replaces `path` if no exception is raised.

    Parameters
    ----------
    path : Path
        Path in an existing folder; an existing file is replaced.

    Raises
    ------
    ValueError
        If `path` exists and is not a regular file.
    OSError
        If the file cannot be written; the error names `path`.
    """
    check_target(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, name):
            error.filename, error.filename2 = os.fspath(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_target(path: Path) -> None:
    """Raise ValueError if a path is a folder, or a device such as /dev/null."""
    if path.is_dir():
        raise ValueError(f"{os.fspath(path)!r} is a folder: name a file in it.")
    if path.exists() and not path.is_file():
        raise ValueError(
            f"{os.fspath(path)!r} is not a regular file and would be overwritten: name another one."
        )


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file atomically: a reader sees the old or the new content, never a part.

    Parameters
    ----------
    path : Path
        Path in an existing folder; an existing file is replaced.
    content : bytes or str
        Text is written as UTF-8; characters that cannot be encoded, such as those of file names
        with invalid bytes, are escaped.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    with replace_atomically(path) as temporary:
        temporary.write_bytes(content)


def write_paths_as_text(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of an estimator with paths as strings, since model files hold no paths."""
    return {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in state.items()
    }
