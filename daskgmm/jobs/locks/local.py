"""The lock of a local run directory: the system's own, which ends with its process."""

from contextlib import suppress
from typing import Self, final

from filelock import FileLock, Timeout

from daskgmm.data.places import Place, unwritable
from daskgmm.jobs.locks.base import LOCK_FILE, Lock, busy


@final
class LocalLock(Lock):
    """Holds a lock on a file; what a killed process leaves of it locks nobody out."""

    def __init__(self, folder: Place) -> None:
        super().__init__(folder)
        assert folder.local is not None  # noqa: S101  or it would be the store's
        self._path = folder.local / LOCK_FILE
        self._lock = FileLock(self._path, timeout=0)

    def __enter__(self) -> Self:
        """Take the lock at once or not at all."""
        try:
            self._lock.acquire()
        except Timeout as error:
            raise busy(self.folder) from error
        except OSError as error:
            raise unwritable(self.folder.name, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        # Removed while it is held: who has opened it meanwhile sees that it is gone.
        with suppress(OSError):
            self._path.unlink()
        self._lock.release()

    def check(self) -> None:
        """Nobody can take it from a process that lives."""
