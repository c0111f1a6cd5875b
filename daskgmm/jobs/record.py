"""The circumstances of a run, for its record."""

import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import Any

_PACKAGES = (
    "daskgmm", "dask", "distributed", "numpy", "scipy", "scikit-learn", "pyarrow", "safetensors",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Of Python and of the packages that can change a result."""
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
    """Most bytes that this process held at a time, where the system tells."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def stopwatch() -> Callable[[], dict[str, Any]]:
    """Start the time; what is returned tells when it began and how long ago that is."""
    started, began = datetime.now(UTC), perf_counter()

    def timings() -> dict[str, Any]:
        return {
            "started": started.isoformat(),
            "ended": datetime.now(UTC).isoformat(),
            "seconds": perf_counter() - began,
        }

    return timings
