"""The lock of a local run directory: the system's own, which ends with its process."""

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
    """Holds a lock on a file; what a killed process leaves of it locks nobody out."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder)
        assert folder.local is not None  # noqa: S101  or it would be the store's
        self._path = folder.local / LOCK_FILE
        self._held = ExitStack()

    def __enter__(self) -> Self:
        """Take the lock at once or not at all."""
        name = self.folder.name
        self._held.enter_context(
            locked_file(self._path, name, lambda: held_by(name, owner_of(self.folder)))
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def check(self) -> None:
        """Nobody can take it from a process that lives."""


@contextmanager
def locked_file(path: Path, name: str, refusal: Callable[[], OutputError]) -> Iterator[None]:
    """Hold the system's lock on a file in the block, at once or not at all.

    Parameters
    ----------
    path : Path
        Made, tells of its owner, and is gone after the block.
    name : str
        Of what the lock is for, as errors show it.
    refusal : callable
        Gives the error where another process holds it.
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
        # Removed while it is held: who has opened it meanwhile sees that it is gone.
        with suppress(OSError):
            path.unlink()
        lock.release()
