"""Lock of a local run directory: the operating system's own, which ends with its process."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self, final

from filelock import FileLock, Timeout

from daskgmm.data.storage.errors import output_errors
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import OutputError
from daskgmm.jobs.locks.base import LOCK_FILE, Lock, held_by, owner_of
from daskgmm.jobs.locks.owner import Owner


@final
class LocalLock(Lock):
    """Holds the system's lock on a file; the file that a killed process leaves locks nothing."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder)
        assert folder.local is not None  # noqa: S101  stores have a StoreLock
        self._path = folder.local / LOCK_FILE
        self._held = ExitStack()

    def __enter__(self) -> Self:
        """Take the lock, or raise OutputError at once."""
        name = self.folder.name
        self._held.enter_context(
            locked_file(self._path, name, lambda: held_by(name, owner_of(self.folder)))
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def check(self) -> None:
        """Do nothing: a living process can't lose this lock."""


@contextmanager
def locked_file(path: Path, name: str, refusal: Callable[[], OutputError]) -> Iterator[None]:
    """Hold the system's lock on a file in the block, or raise an error at once.

    Parameters
    ----------
    path : Path
        File that describes the lock's owner; it is created, and removed after the block.
    name : str
        Path or URL that the lock protects, for errors.
    refusal : callable
        Returns the error to raise if another process holds the lock.
    """
    lock = FileLock(path, timeout=0)
    with output_errors(name):
        try:
            lock.acquire()
        except Timeout as error:
            raise refusal() from error
    try:
        with output_errors(name):
            path.write_bytes(Owner.here().content())
        yield
    finally:
        # Removed while locked: a process that opened the file meanwhile notices that it is gone.
        with suppress(OSError):
            path.unlink()
        lock.release()
