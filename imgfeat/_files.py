"""Writing a file as a whole or not at all, and what is wrong with model files."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class ModelFileError(ValueError):
    """A file that is no model, is damaged, or holds what is not trusted."""


class ModelFileWarning(UserWarning):
    """A model was loaded without something that its file holds."""


@contextlib.contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, which takes the place of `path` if all went well.

    Parameters
    ----------
    path : Path
        In a folder that exists; a file that is there is replaced.

    Raises
    ------
    ValueError
        If something else is there, such as a folder.
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
    """Refuse to put a file in the place of a folder, or of a device such as /dev/null."""
    if path.is_dir():
        raise ValueError(f"{os.fspath(path)!r} is a folder: name a file in it.")
    if path.exists() and not path.is_file():
        raise ValueError(
            f"{os.fspath(path)!r} is no ordinary file, and would be lost: name another."
        )


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file; a reader sees the old one or the new one, never half of it.

    Parameters
    ----------
    path : Path
        In a folder that exists; a file that is there is replaced.
    content : bytes or str
        Text is written as UTF-8; what that cannot hold, such as file names in no encoding, is
        escaped.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    with replace_atomically(path) as temporary:
        temporary.write_bytes(content)


def write_paths_as_text(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of an estimator with texts for paths, which model files do not hold."""
    return {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in state.items()
    }
