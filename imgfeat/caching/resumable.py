"""Arrays on disk that are written in batches and can be resumed after an interruption."""

import json
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


class OutputError(ValueError):
    """A file cannot be written, or already exists."""


class ResumableArray:
    """A .npy file that is written in batches under a temporary name, with a journal.

    Batches are written to ``NAME.partial``, and recorded in ``NAME.journal`` with a digest of their
    input, one line each. `finish` renames the file to ``NAME``.

    Parameters
    ----------
    path : str or path-like
        Path of the finished file, which must not exist yet.
    identity : str or None
        Identifies what computes the rows. A journal of another identity, or of None, is not
        resumed.
    n_rows : int
        Length of the array.

    Raises
    ------
    OutputError
        If the file exists, or its folder does not.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from imgfeat.caching.resumable import ResumableArray
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     array = ResumableArray(f"{folder}/rows.npy", "an example", 3)
    ...     array.write(slice(0, 2), "first", np.eye(2))
    ...     again = ResumableArray(f"{folder}/rows.npy", "an example", 3)
    ...     print(again.finished)
    ...     again.write(slice(2, 3), "second", np.ones((1, 2)))
    ...     again.finish().tolist()
    {(0, 2): 'first'}
    [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    """

    def __init__(self, path: str | os.PathLike, identity: str | None, n_rows: int):
        self.path = Path(path)
        self.n_rows = n_rows
        self.partial = self.path.with_name(self.path.name + ".partial")
        self.journal = self.path.with_name(self.path.name + ".journal")
        check_output(self.path)
        self._title = {"identity": identity, "n_rows": n_rows}
        self.finished = self._read_journal()

    def write(self, span: slice, digest: str, rows: NDArray[Any]) -> None:
        """Write some rows, then record them in the journal."""
        if not self.finished:
            self._begin(rows)
        array = np.load(self.partial, mmap_mode="r")
        if rows.shape[1:] != array.shape[1:] or rows.dtype != array.dtype:
            raise OutputError(
                f"A batch has rows of {rows.shape[1:]} {rows.dtype}, those before it in "
                f"{self.partial} have {array.shape[1:]} {array.dtype}."
            )
        # Not written through the memory map, whose pages would count as memory of this process.
        with open(self.partial, "r+b") as file:
            file.seek(array.offset + span.start * array[:1].nbytes)
            file.write(np.ascontiguousarray(rows).data)
            _sync(file)
        with open(self.journal, "a", encoding="utf-8") as journal:
            journal.write(json.dumps([span.start, span.stop, digest]) + "\n")
            _sync(journal)
        self.finished[span.start, span.stop] = digest

    def finish(self) -> NDArray[Any]:
        """Rename the file to its final name, and return it as a read-only memory map."""
        os.replace(self.partial, self.path)
        self.journal.unlink()
        return np.load(self.path, mmap_mode="r")

    def _begin(self, rows: NDArray[Any]) -> None:
        # An old journal must not be mistaken for that of the new file.
        self.journal.unlink(missing_ok=True)
        shape = (self.n_rows, *rows.shape[1:])
        np.lib.format.open_memmap(self.partial, mode="w+", dtype=rows.dtype, shape=shape).flush()
        self._write_title()

    def _write_title(self) -> None:
        with open(self.journal, "w", encoding="utf-8") as journal:
            journal.write(json.dumps(self._title) + "\n")
            _sync(journal)

    def _read_journal(self) -> dict[tuple[int, int], str]:
        if not (self.journal.exists() and self.partial.exists()):
            return {}
        title, *lines = self.journal.read_text(encoding="utf-8").splitlines() or [""]
        if self._title["identity"] is None or _parse(title) != self._title:
            return {}
        entries = [_parse(line) for line in lines]
        return {(entry[0], entry[1]): entry[2] for entry in entries if entry is not None}


def check_output(path: str | os.PathLike) -> None:
    """Raise OutputError unless a file of this name can be created.

    Parameters
    ----------
    path : str or path-like
    """
    path = Path(path)
    if path.suffix != ".npy":
        raise OutputError(f"out={str(path)!r} must end in .npy.")
    if path.exists():
        raise OutputError(f"out={str(path)!r} already exists: delete it, or load it with numpy.")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"out={str(path)!r}: there is no folder {path.absolute().parent}.")


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:  # incomplete after an interruption
        return None


def _sync(file: IO) -> None:
    file.flush()
    os.fsync(file.fileno())
