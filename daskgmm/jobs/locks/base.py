"""Base class of locks, and descriptions of a lock's owner for errors."""

from abc import abstractmethod
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import Self

from daskgmm.data.storage.folder import Folder
from daskgmm.errors import DaskGMMError, OutputError
from daskgmm.jobs.locks.owner import Owner, running_in_words
from daskgmm.jobs.runs.directory import REPLACEMENT, Run, State

LOCK_FILE = ".lock"


class Lock(AbstractContextManager["Lock"]):
    """The right to write into a run directory, held in a ``with`` block.

    Parameters
    ----------
    folder : Folder
        Folder of the lock, which must exist.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def check(self) -> None:
        """Raise OutputError if another run has taken the lock meanwhile."""


def held_by(name: str, owner: str, more: str = "", remedy: str = "") -> OutputError:
    """Error that another process holds the lock of a run or an output.

    Parameters
    ----------
    name : str
        Path or URL that the lock protects.
    owner : str
        Description of the process that holds it.
    more : str
        End of the sentence, if any.
    remedy : str
        Remedy, if not the usual one.
    """
    return OutputError(
        f"{name} is being written by {owner}{more}.",
        remedy
        or "Wait for it to end, or stop it; then run this again to continue where it stopped.",
    )


def owner_of(folder: Folder) -> str:
    """Describe the process that writes to a folder, by its run's record or by its lock.

    The record says more, but is written a moment after the lock.
    """
    for place in (folder.inside(REPLACEMENT), folder):
        with suppress(DaskGMMError, KeyError, TypeError, ValueError):
            run = Run.at(place)
            if run is not None and run.state is State.RUNNING:
                record = run.record
                since = datetime.fromisoformat(record["timings"]["started"])
                return (
                    f"run {run.record['run_id']} (process {record['process']} on "
                    f"{record['host']['name']}, {running_in_words(since)})"
                )
    return holder_in(folder.read(LOCK_FILE))


def holder_in(content: bytes | None) -> str:
    """Describe the process that wrote a lock with this content."""
    owner = Owner.told_by(content)
    return "another process" if owner is None else owner.in_words()
