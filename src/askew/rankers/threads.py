"""One thread for the matrix libraries, whoever else computes meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = Lock()
_inside = 0
_blas: Any = None


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold the libraries to one thread: sums are then the same whatever the machine.

    BLAS has one setting for the whole process, so the first who enters sets it and the last who
    leaves sets it back. That of OpenMP is each thread's own.
    """
    global _inside, _blas
    libraries = _libraries(len(sys.modules))
    with _lock:
        if not _inside:
            _blas = libraries.select(user_api="blas").limit(limits=1)
        _inside += 1
    try:
        with libraries.select(user_api="openmp").limit(limits=1):
            yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _blas.restore_original_limits()


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> ThreadpoolController:
    """Find the libraries, which takes milliseconds; anew once more modules are loaded."""
    return ThreadpoolController()
