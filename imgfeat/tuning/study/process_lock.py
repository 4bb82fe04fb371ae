"""A lock file that is held until the process ends, by which other processes notice its end."""

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


class ProcessLock:
    """A temporary file that the process locks; the operating system unlocks it when it ends.

    Unlike a process ID, the name of the file is never reused. On Windows, or if the folder for
    temporary files is not writable, there is no lock, and `is_abandoned` returns False.

    Examples
    --------
    >>> from imgfeat.tuning.study.process_lock import ProcessLock, is_abandoned
    >>> lock = ProcessLock()
    >>> lock.acquire()
    >>> is_abandoned(lock.name)
    False
    >>> lock.release()
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
    """Return whether the lock file is on this machine and its process has ended."""
    if fcntl is None or not re.fullmatch("[0-9a-f]{32}", name):
        return False
    try:
        handle = os.open(_locate(name), os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # its process holds the lock
        return False
    finally:
        os.close(handle)
    return True


def _locate(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"imgfeat-{name}.lock"
