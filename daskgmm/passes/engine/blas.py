"""BLAS at one thread while our code runs: tasks supply the parallelism, and bits don't change."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import scipy.linalg  # noqa: F401  SciPy may bring a BLAS of its own: load it before the count
from threadpoolctl import OpenBLASController, ThreadpoolController

_lock = threading.Lock()
_running = 0
_limit: Any = None


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit this process's BLAS to one thread while any caller is inside.

    The limit is process-wide, and tasks of one worker overlap: the first one in sets it, the
    last one out puts back what was there.
    """
    global _running, _limit  # noqa: PLW0603  the limit itself is global to the process
    with _lock:
        if _running == 0:
            with _in_control():
                _limit = _controller().limit(limits=1, user_api="blas")
        _running += 1
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if _running == 0:
                with _in_control():
                    _limit.restore_original_limits()


@contextmanager
def _in_control() -> Iterator[None]:
    """Let this thread set OpenBLAS's limit: only the first one that ever did may do so again."""
    OpenBLASController.clear_controlling_thread(force=True)
    yield
    OpenBLASController.clear_controlling_thread(force=True)
