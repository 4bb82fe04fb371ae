"""Arrays on disk that are written batch by batch, and taken up again after a kill."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class OutputError(ValueError):
    """A file that cannot be written, or that is there already."""


class ResumableArray:
    """A .npy file that grows under another name, with a journal of what is in it.

    Batches go to ``NAME.partial``, and what is finished is noted in ``NAME.journal``: one line for
    each batch, with a digest of what it was made of. `finish` gives the file its name.

    Parameters
    ----------
    path : str or path-like
        Of the finished file, which must not be there yet.
    identity : str or None
        Of what makes the rows: a journal of something else, or of None, is not gone on with.
    n_rows : int
        Length of the array.

    Raises
    ------
    OutputError
        If the file is there already, or there is no folder for it.

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
        """Write some rows, then note that they are there."""
        if not self.finished:
            self._begin(rows)
        array = np.load(self.partial, mmap_mode="r")
        if rows.shape[1:] != array.shape[1:] or rows.dtype != array.dtype:
            raise OutputError(
                f"A batch has rows of {rows.shape[1:]} {rows.dtype}, those before it in "
                f"{self.partial} have {array.shape[1:]} {array.dtype}."
            )
        # Not through the map: its pages would count as memory of this process.
        with open(self.partial, "r+b") as file:
            file.seek(array.offset + span.start * array[:1].nbytes)
            file.write(np.ascontiguousarray(rows).data)
            _sync(file)
        with open(self.journal, "a", encoding="utf-8") as journal:
            journal.write(json.dumps([span.start, span.stop, digest]) + "\n")
            _sync(journal)
        self.finished[span.start, span.stop] = digest

    def finish(self) -> NDArray[Any]:
        """Give the file its name, and return it as a read-only memory map."""
        os.replace(self.partial, self.path)
        self.journal.unlink()
        return np.load(self.path, mmap_mode="r")

    def _begin(self, rows: NDArray[Any]) -> None:
        # An old journal must not be taken for the new file's.
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
    """Raise OutputError unless a file of this name can be made.

    Parameters
    ----------
    path : str or path-like
    """
    path = Path(path)
    if path.suffix != ".npy":
        raise OutputError(f"out={str(path)!r} must end in .npy.")
    if path.exists():
        raise OutputError(f"out={str(path)!r} is there already: delete it, or load it with numpy.")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"out={str(path)!r}: there is no folder {path.absolute().parent}.")


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:  # cut off by a kill
        return None


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
