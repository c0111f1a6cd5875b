"""A worker's memory limit against what a pass takes."""

from typing import Any

import numpy as np

from daskgmm.jobs.checks.threads import tasks_of
from daskgmm.jobs.cluster.local import memory_share
from daskgmm.jobs.doctor.finding import Findings, gib, ok, problem, warning
from daskgmm.passes.memory import Task, available_memory, worker_bytes
from daskgmm.passes.room import TARGET

_FEATURES = 20
_COMPONENTS = 20
_USUAL = Task(
    n_features=_FEATURES,
    length=_FEATURES * (_FEATURES + 1) // 2 + _FEATURES + 1,
    n_components=_COMPONENTS,
    block_rows=2**16,
    part_rows=2**20,
    row_dtype=np.dtype(np.float64),
    dtype=np.dtype(np.float64),
)
_PASS = f"a pass over {_FEATURES} columns with {_COMPONENTS} full components"


def limit(worker: Any) -> Findings:
    """Whether a usual pass fits."""
    available = available_memory()
    found = memory_share(threads=1) if worker is None else worker.memory_manager.memory_limit
    needed = worker_bytes(_USUAL, tasks_of(worker))
    if not found:
        yield warning(
            f"The worker has no memory limit, so Dask never spills nor pauses it; {gib(available)} "
            "are free.",
            "Start it with --memory-limit.",
        )
        return
    if found < needed:
        yield problem(
            f"A worker may take {gib(found)}, and {_PASS} takes {gib(needed)}.",
            "Give fewer workers or threads, or more memory.",
        )
    elif TARGET * found < needed:
        yield warning(
            f"A worker may take {gib(found)}, of which Dask uses {TARGET:.0%} before it spills, "
            f"and {_PASS} takes {gib(needed)}.",
            "Give fewer workers or threads, or more memory.",
        )
    else:
        yield ok(f"A worker may take {gib(found)}; {_PASS} takes {gib(needed)}.")
    if found > available:
        yield warning(
            f"A worker may take {gib(found)}, and {gib(available)} are free.",
            "End what else takes memory, or give a lower limit.",
        )
