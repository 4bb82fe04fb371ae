"""Cache of features on disk, by the content of the images."""

import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Below the limit on variables in a query of older versions of SQLite.
MAX_VARIABLES = 500
TIMEOUT_SECONDS = 60.0

TABLES = """
CREATE TABLE IF NOT EXISTS rows (image BLOB PRIMARY KEY, dtype TEXT, shape TEXT, features BLOB);
"""


class RowStoreError(ValueError):
    """A cache is damaged, or the file is not a cache."""


class RowStore:
    """Cache of the features that one transformer computed, by digests of the images.

    There is one SQLite file for each transformer, which threads and processes may read and write
    concurrently. An interruption loses at most the rows that are being written.

    Parameters
    ----------
    directory : str or path-like
        Created if it does not exist.
    fingerprint : str
        Identifies the transformer; see `imgfeat.caching.fingerprints`.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from imgfeat.caching.row_store import RowStore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = RowStore(folder, "hog")
    ...     store.put([b"one"], [np.array([1.0, 2.0])])
    ...     store.get([b"one", b"two"])
    [array([1., 2.]), None]
    """

    def __init__(self, directory: str | os.PathLike, fingerprint: str):
        self.path = Path(directory) / f"{fingerprint}.sqlite"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RowStoreError(f"memory={os.fspath(directory)!r} is no folder: {error}") from error
        with closing(self._connect()) as connection, connection:
            self._try(connection.executescript, TABLES)

    def get(self, digests: Sequence[bytes | None]) -> list[NDArray[Any] | None]:
        """Return the row of each image, or None if the cache has none."""
        known: dict[bytes, NDArray[Any]] = {}
        wanted = list({digest for digest in digests if digest is not None})
        with closing(self._connect()) as connection:
            for start in range(0, len(wanted), MAX_VARIABLES):
                part = wanted[start : start + MAX_VARIABLES]
                marks = ",".join("?" * len(part))
                found = self._try(
                    connection.execute,
                    f"SELECT image, dtype, shape, features FROM rows WHERE image IN ({marks})",
                    part,
                )
                for image, dtype, shape, features in found:
                    known[image] = np.frombuffer(features, np.dtype(dtype)).reshape(
                        json.loads(shape)
                    )
        return [None if digest is None else known.get(digest) for digest in digests]

    def put(self, digests: Sequence[bytes | None], rows: Sequence[NDArray[Any]]) -> None:
        """Store the rows of images in one transaction, except those with digest None."""
        records = [
            (digest, row.dtype.str, json.dumps(row.shape), np.ascontiguousarray(row).tobytes())
            for digest, row in zip(digests, rows, strict=True)
            # The bytes of an array of objects are memory addresses.
            if digest is not None and not row.dtype.hasobject
        ]
        with closing(self._connect()) as connection, connection:
            self._try(
                connection.executemany, "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", records
            )

    def _connect(self) -> sqlite3.Connection:
        connection = self._try(sqlite3.connect, self.path, timeout=TIMEOUT_SECONDS)
        self._try(connection.execute, "PRAGMA journal_mode=WAL")
        self._try(connection.execute, "PRAGMA synchronous=NORMAL")
        return connection

    def _try(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except sqlite3.Error as error:
            raise RowStoreError(
                f"The cache {self.path} cannot be used ({error}). Delete it, or choose another "
                "memory."
            ) from error
