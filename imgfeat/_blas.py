"""How many threads numpy and scikit-learn use, while threads of our own run them."""

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limit: Any = None

# Finding the libraries takes longer than describing an image.
_find_libraries = functools.cache(ThreadpoolController)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold numpy's matrix products to one thread, for the whole process.

    Products of the size of one image are many times slower on several threads than on one, and
    the limit belongs to the process: the first to come in sets it, the last to go restores it.
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
    """Hold scikit-learn's loops to some threads; this limit belongs to the calling thread."""
    return _find_libraries().limit(limits=n_threads, user_api="openmp")
