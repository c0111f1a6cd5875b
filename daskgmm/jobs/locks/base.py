"""What locks have in common, and who holds one."""

from abc import abstractmethod
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from typing import Self

from daskgmm.data.places import Place
from daskgmm.errors import DaskGMMError, OutputError
from daskgmm.jobs.runs import REPLACEMENT, Run, State

LOCK_FILE = ".lock"


class Lock(AbstractContextManager["Lock"]):
    """The right to write into a run directory, held in a ``with`` block.

    Parameters
    ----------
    folder : Place
        It must be there.
    """

    def __init__(self, folder: Place) -> None:
        self.folder = folder

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def check(self) -> None:
        """Raise OutputError where another run has taken the lock meanwhile."""


def busy(folder: Place, owner: str, more: str = "", remedy: str = "") -> OutputError:
    """Another process holds the lock."""
    return OutputError(
        f"{folder.name} is being written by {owner}{more}.",
        remedy or "Wait for its end, or stop it first; this one then goes on where it was.",
    )


def owner_of(folder: Place) -> str:
    """Who writes there, as far as the records tell: they follow a moment after the lock."""
    for place in (folder.inside(REPLACEMENT), folder):
        with suppress(DaskGMMError, KeyError, TypeError, ValueError):
            run = Run.at(place)
            if run is not None and run.state is State.RUNNING:
                record = run.record
                since = datetime.fromisoformat(record["timings"]["started"])
                return (
                    f"run {run.record['run_id']} (process {record['process']} on "
                    f"{record['host']['name']}, {_running(since)})"
                )
    return "another run, which has just begun"


def _running(since: datetime) -> str:
    told = f"since {since:%Y-%m-%d %H:%M:%S} UTC"
    seconds = (datetime.now(UTC) - since).total_seconds()
    # Less than nothing where a clock was set back or two machines' clocks differ.
    return f"running for {in_words(seconds)}, {told}" if seconds >= 0 else f"running {told}"


def in_words(seconds: float) -> str:
    """A duration, to its two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
