"""The process that holds a lock: its content, whether it is dead, and how errors name it."""

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
    """Its number, and where that number means something."""
    return {"space": _space(), "process": os.getpid()}


def process_in_words(process: Any) -> str:
    """What `this_process` once told, for users."""
    return f"process {process['process']} on {process['space'][0]}"


def is_dead_here(process: Any) -> bool:
    """Whether what `this_process` once told certainly ended: known on the same machine only."""
    try:
        return process["space"] == _space() and not psutil.pid_exists(process["process"])
    except (KeyError, TypeError):
        return False


def _space() -> list[str]:
    """The machine since it was started, and the container's own numbering if there is one."""
    found = [platform.node(), boot_id()]
    with suppress(OSError):  # Linux tells
        found.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115  no path: pid:[number]
    return found


@dataclass(frozen=True)
class Owner:
    """A process that took a lock.

    Parameters
    ----------
    process : mapping
        See `daskgmm.jobs.locks.owner.this_process`.
    since : datetime
        By its own clock.
    """

    process: Mapping[str, Any]
    since: datetime

    @classmethod
    def here(cls) -> Self:
        """The process that asks, from now on."""
        return cls(this_process(), datetime.now(UTC))

    @classmethod
    def told_by(cls, content: bytes | None) -> Self | None:
        """The one that wrote a lock's content; ``None`` where it tells of none."""
        with suppress(ValueError, KeyError, TypeError, IndexError):
            found = from_json(content or b"")
            found["owner"]["process"], found["owner"]["space"][0]
            return cls(found["owner"], datetime.fromisoformat(found["since"]).astimezone(UTC))
        return None

    def content(self, **more: str) -> bytes:
        """What a lock's content tells of it."""
        told = {"owner": self.process, "since": self.since.isoformat(), **more}
        return json.dumps(told).encode()

    @property
    def is_dead(self) -> bool:
        """Whether it certainly ended."""
        return is_dead_here(self.process)

    def in_words(self) -> str:
        """Process, machine and age."""
        return f"{process_in_words(self.process)}, {running_in_words(self.since)}"


def running_in_words(since: datetime) -> str:
    """For how long something has been running."""
    told = f"since {since:%Y-%m-%d %H:%M:%S} UTC"
    seconds = (datetime.now(UTC) - since).total_seconds()
    # Less than nothing where a clock was set back or two machines' clocks differ.
    return f"running for {duration(seconds)}, {told}" if seconds >= 0 else f"running {told}"
