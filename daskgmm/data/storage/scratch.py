"""A temporary folder on a local disk, removed when its last process has ended.

Each process that uses it holds a shared lock beside it. A process that gets the lock exclusively
knows that the others are gone, however they ended, and removes the folder. The locks have the form
of Dask's own for its workers' folders, so workers that start there remove it as well.
"""

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: a folder that a killed process leaves stays
    fcntl = None

_PREFIX = "daskgmm-"
_LOCK = ".dirlock"
_ATTEMPTS = 10


class Scratch:
    """A process's hold on the folder.

    Parameters
    ----------
    token : str
        Processes of one machine with the same token share a folder.
    parent : Path, optional
        The folder to make it in; by default `root`.

    Raises
    ------
    OSError
        It can't be made.
    """

    def __init__(self, token: str, parent: Path | None = None) -> None:
        parent = root() if parent is None else parent
        parent.mkdir(parents=True, exist_ok=True)
        _remove_left(parent)
        self.folder = folder_of(token, parent)
        self._lock = _share(_lock_of(self.folder))
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def remove(self) -> None:
        """Remove the folder, even if other processes use it."""
        _remove(self.folder)
        self._release()

    def leave(self) -> None:
        """Remove the folder unless another process uses it."""
        self._release()
        _remove_if_left(_lock_of(self.folder))

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def root(worker: Any = None) -> Path:
    """The folder for scratch folders: the parent of the worker's, or Dask's for temporary files."""
    worker = this_worker() if worker is None else worker
    if worker is not None:
        return Path(worker.local_directory).parent
    from dask import config

    return Path(config.get("temporary-directory", None) or tempfile.gettempdir())


def folder_of(token: str, parent: Path) -> Path:
    """The folder's path, which changes when the machine restarts: a crash may damage files."""
    return parent / f"{_PREFIX}{token}-{boot_id()}"


def remove(token: str, parent: Path) -> None:
    """Remove a folder that this process may never have used."""
    _remove(folder_of(token, parent))


@cache
def boot_id() -> str:
    """An identifier of this machine that changes when it restarts."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    import socket

    return socket.gethostname()


def this_worker() -> Any:
    """The Dask worker whose task this is; ``None`` outside of tasks."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.get_worker()
    except ValueError:
        return None


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK)


def _share(lock: Path) -> int | None:
    """Take the shared lock; return the descriptor to close."""
    if fcntl is None:
        return None
    while True:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        # The process that removes the folder also removes the lock, which then protects nothing.
        with suppress(FileNotFoundError):
            if lock.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)


def _remove_left(parent: Path) -> None:
    for lock in parent.glob(f"{_PREFIX}*{_LOCK}"):
        with suppress(OSError):
            _remove_if_left(lock)


def _remove_if_left(lock: Path) -> None:
    if fcntl is None or not lock.exists():
        return
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(lock.with_name(lock.name.removesuffix(_LOCK)))
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    for _ in range(_ATTEMPTS):  # a late task may put a file in while others are removed
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            _lock_of(folder).unlink(missing_ok=True)
            return
