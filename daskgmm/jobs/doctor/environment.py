"""Settings of Dask that hurt."""

from typing import Any

import dask
import distributed  # noqa: F401  which has most of the settings

from daskgmm.jobs.doctor.finding import Findings, ok, warning

_MEMORY = "distributed.worker.memory"
_OFF = {
    "target": "what it holds is never spilled early",
    "spill": "nothing is spilled to disk",
    "pause": "a full worker takes more tasks",
    "terminate": "the system kills it instead, and perhaps others",
}


def of_worker(_worker: Any) -> Findings:
    """What workers do when memory runs short."""
    off = [name for name in _OFF if dask.config.get(f"{_MEMORY}.{name}") is False]
    for name in off:
        yield warning(f"{_MEMORY}.{name} is off: {_OFF[name]}.", "Leave it at its default.")
    if not off:
        yield ok("Workers spill and pause when memory runs short.")


def of_scheduler(saturation: float, failures: int) -> Findings:
    """How the scheduler hands out tasks, and how often one may lose its worker."""
    if saturation == float("inf"):
        yield warning(
            "distributed.scheduler.worker-saturation is inf: tasks are not queued, and rows may "
            "be read faster than they are used.",
            "Leave it at its default.",
        )
    elif failures < 1:
        yield warning(
            "distributed.scheduler.allowed-failures is 0: one lost worker ends a fit.",
            "Leave it at its default of 3.",
        )
    else:
        yield ok(f"The scheduler queues tasks; one may lose its worker {failures} times.")
