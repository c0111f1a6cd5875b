"""Which process of which machine."""

import os
import platform
from contextlib import suppress
from typing import Any

import psutil

from daskgmm.data.storage.scratch import machine


def this_process() -> dict[str, Any]:
    """Its number, and where that number means something."""
    return {"space": _space(), "process": os.getpid()}


def in_words(process: Any) -> str:
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
    found = [platform.node(), machine()]
    with suppress(OSError):  # Linux tells
        found.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115  no path: pid:[number]
    return found
