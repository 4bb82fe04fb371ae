"""Digests of files, computed once for each change."""

import functools
import hashlib
import os
import time

# Changes within the resolution of timestamps, which is coarse on NFS, cannot be detected.
SETTLED_NS = 3_000_000_000


def hash_file(path: str | os.PathLike) -> str:
    """Return a digest of the content of a file.

    A file is read again if its size, modification time or change time differs, of which programs
    cannot set the change time.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    digest : str
        128 hexadecimal digits.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    status = os.stat(path)
    times = (status.st_mtime_ns, status.st_ctime_ns)
    if time.time_ns() - max(times) < SETTLED_NS:
        return _read(os.fspath(path))
    return _read_once(os.fspath(path), status.st_dev, status.st_ino, status.st_size, times)


@functools.lru_cache(maxsize=64)
def _read_once(path: str, device: int, node: int, size: int, times: tuple[int, int]) -> str:
    return _read(path)


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
