"""BLAS limited to one thread while tasks run: they supply the parallelism, and bits don't vary."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import scipy.linalg  # noqa: F401  SciPy may bring its own BLAS: load it before they are counted
from threadpoolctl import OpenBLASController, ThreadpoolController

_lock = threading.Lock()
_running = 0
_limit: Any = None


def running() -> int:
    """Number of callers inside `one_thread` in this process: of tasks at work, each in a thread."""
    return _running


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit this process's BLAS to one thread while any caller is inside.

    The limit is process-wide and tasks of one worker overlap, so the first caller sets it and the
    last one restores what was set before.
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
    """Let this thread set OpenBLAS's limit, which only the first thread that set it may change."""
    OpenBLASController.clear_controlling_thread(force=True)
    yield
    OpenBLASController.clear_controlling_thread(force=True)
