"""Limits on the threads of numpy and scikit-learn while imgfeat runs them in its own threads."""

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limit: Any = None

# Cached, since finding the libraries takes longer than computing the features of an image.
_find_libraries = functools.cache(ThreadpoolController)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit numpy's matrix products to one thread, for the whole process.

    Products of the size of one image are many times slower on several threads than on one. Since
    the limit is that of the process, the first caller sets it, and the last one restores it.
    """
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = _find_libraries().limit(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.restore_original_limits()
                _limit = None


def limit_openmp(n_threads: int) -> contextlib.AbstractContextManager:
    """Limit the number of OpenMP threads of scikit-learn, for the calling thread only."""
    return _find_libraries().limit(limits=n_threads, user_api="openmp")
