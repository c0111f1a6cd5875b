"""Locks, so that one run at a time writes to a directory; they end with their process."""

from contextlib import AbstractContextManager

from daskgmm.data.storage.folder import Folder
from daskgmm.jobs.locks.base import LOCK_FILE, Lock
from daskgmm.jobs.locks.local import LocalLock
from daskgmm.jobs.locks.store import StoreLock

__all__ = ["LOCK_FILE", "Lock", "locked"]


def locked(folder: Folder) -> AbstractContextManager[Lock]:
    """Hold the lock of a run directory in the block.

    Raises
    ------
    OutputError
        Another run holds the lock, or the directory can't be written to.
    """
    return StoreLock(folder) if folder.local is None else LocalLock(folder)
