"""Circumstances of a run for its record: versions, machine, times, memory and failure."""

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import Any, Self, TypeAlias

from daskgmm.data.storage.credentials import without_credentials
from daskgmm.errors import DaskGMMError

_PACKAGES = (
    "daskgmm", "dask", "distributed", "numpy", "scipy", "scikit-learn", "pyarrow", "safetensors",
)  # fmt: skip


Stopwatch: TypeAlias = Callable[[], dict[str, Any]]


def circumstances() -> dict[str, Any]:
    """Versions, machine and process that make a run."""
    return {"versions": versions(), "host": host(), "process": os.getpid()}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # vendored or renamed by a distributor
            found[name] = "unknown"
    return found


def host() -> dict[str, Any]:
    """The machine that the run was started on."""
    return {
        "name": platform.node(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


def peak_memory() -> int | None:
    """Peak memory of this process in bytes, where the system reports it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def stopwatch() -> Stopwatch:
    """Start a stopwatch; calling it returns the start, the end so far and the seconds between."""
    started, began = datetime.now(UTC), perf_counter()

    def timings() -> dict[str, Any]:
        seconds = perf_counter() - began  # from a monotonic clock, which is never set
        # The clock of dates may be set back meanwhile: the end must not precede the start.
        ended = max(datetime.now(UTC), started + timedelta(seconds=seconds))
        return {"started": started.isoformat(), "ended": ended.isoformat(), "seconds": seconds}

    return timings


def how_it_goes_on(has_checkpoint: bool) -> str:
    """Describe how an unfinished run continues when it is run again."""
    if has_checkpoint:
        return "it continues from its checkpoint"
    return "no pass was finished, so it starts from the beginning"


@dataclass(frozen=True)
class FailureRecord:
    """Cause and remedy of a failed run.

    Parameters
    ----------
    kind : str
        Name of the error's class, or ``interrupted``.
    cause, remedy : str
    """

    kind: str
    cause: str
    remedy: str

    @classmethod
    def of(cls, error: BaseException, *, has_checkpoint: bool) -> Self:
        """Describe an exception for readers of the record."""
        if isinstance(error, DaskGMMError):
            return cls(type(error).__name__, error.cause, error.remedy)
        if isinstance(error, KeyboardInterrupt):
            remedy = f"Run the same command again: {how_it_goes_on(has_checkpoint)}."
            return cls("interrupted", "The run was interrupted.", remedy)
        cause = without_credentials(" ".join(f"{type(error).__name__}: {error}".split()))
        remedy = "Run the same command again, and report the error if it recurs."
        return cls(type(error).__name__, cause, remedy)
