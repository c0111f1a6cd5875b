"""Owner of a lock: the process that took it, whether it is alive, and its name in errors."""

import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import psutil

from daskgmm.data.storage.json import from_json
from daskgmm.data.storage.scratch import boot_id
from daskgmm.monitoring.text import duration


def this_process() -> dict[str, Any]:
    """Id of this process, and the machine and container in which that id is unique."""
    return {"space": _space(), "process": os.getpid()}


def process_in_words(process: Any) -> str:
    """Describe a process that `this_process` recorded, for users."""
    return f"process {process['process']} on {process['space'][0]}"


def is_dead_here(process: Any) -> bool:
    """Whether a process that `this_process` recorded has ended; False on another machine."""
    try:
        return process["space"] == _space() and not psutil.pid_exists(process["process"])
    except (KeyError, TypeError):
        return False


def _space() -> list[str]:
    """Names of the machine, of its latest boot, and of the process ids' namespace on Linux."""
    found = [platform.node(), boot_id()]
    with suppress(OSError):  # other systems have no /proc
        found.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115  no path: pid:[number]
    return found


@dataclass(frozen=True)
class Owner:
    """Process that took a lock.

    Parameters
    ----------
    process : mapping
        See `daskgmm.jobs.locks.owner.this_process`.
    since : datetime
        Time when it took the lock, by its own clock.
    """

    process: Mapping[str, Any]
    since: datetime

    @classmethod
    def here(cls) -> Self:
        """An owner for this process, from now on."""
        return cls(this_process(), datetime.now(UTC))

    @classmethod
    def told_by(cls, content: bytes | None) -> Self | None:
        """Owner that a lock's content names; ``None`` where it names none."""
        with suppress(ValueError, KeyError, TypeError, IndexError):
            found = from_json(content or b"")
            found["owner"]["process"], found["owner"]["space"][0]
            return cls(found["owner"], datetime.fromisoformat(found["since"]).astimezone(UTC))
        return None

    def content(self, **more: str) -> bytes:
        """Content of a lock of this owner, with further entries."""
        told = {"owner": self.process, "since": self.since.isoformat(), **more}
        return json.dumps(told).encode()

    @property
    def is_dead(self) -> bool:
        """Whether the process is known to have ended."""
        return is_dead_here(self.process)

    def in_words(self) -> str:
        """Describe the process, its machine and how long it has held the lock."""
        return f"{process_in_words(self.process)}, {running_in_words(self.since)}"


def running_in_words(since: datetime) -> str:
    """Describe for how long something has been running."""
    told = f"since {since:%Y-%m-%d %H:%M:%S} UTC"
    seconds = (datetime.now(UTC) - since).total_seconds()
    # Negative where a clock was set back, or two machines' clocks differ.
    return f"running for {duration(seconds)}, {told}" if seconds >= 0 else f"running {told}"
