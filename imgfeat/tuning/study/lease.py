"""A lock of this machine that a process holds as long as it lives, and no longer."""

import contextlib
import os
import re
import tempfile
import uuid
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Lease:
    """A file that is locked while the process lives: the system unlocks it when that dies.

    The number of a process tells less: another may have it later. Without a lock, on Windows or
    where the folder of temporary files cannot be written, nobody can tell.

    Examples
    --------
    >>> from imgfeat.tuning.study.lease import Lease, is_abandoned
    >>> lease = Lease()
    >>> lease.acquire()
    >>> is_abandoned(lease.name)
    False
    >>> lease.release()
    """

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex
        self._handle: int | None = None

    def acquire(self) -> None:
        """Lock the file."""
        if fcntl is None:
            return
        with contextlib.suppress(OSError):
            path = _locate(self.name)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(self._handle, fcntl.LOCK_EX)

    def release(self) -> None:
        """Remove the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
            _locate(self.name).unlink(missing_ok=True)


def is_abandoned(name: str) -> bool:
    """Tell whether a lease is of this machine, and its process died."""
    if fcntl is None or not re.fullmatch("[0-9a-f]{32}", name):
        return False
    try:
        handle = os.open(_locate(name), os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # somebody holds it
        return False
    finally:
        os.close(handle)
    return True


def _locate(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"imgfeat-{name}.lock"
