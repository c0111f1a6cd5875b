"""Memory limits of workers, and the refusal of fits that are too large for them.

A plan and a fit refuse the same sizes, by the same count: that of `daskgmm.passes.memory`. They
refuse what would pause a worker. What only spills is done, and the plan says what more would help.
"""

import math
from dataclasses import dataclass

from dask.utils import format_bytes

from daskgmm.errors import ConfigurationError
from daskgmm.model.parallel import MOST_PARTS
from daskgmm.passes.engine.client import active_client
from daskgmm.passes.engine.workers import workers_of
from daskgmm.passes.memory import (
    LIBRARIES,
    PAUSE,
    TARGET,
    TaskSizes,
    available_memory,
    worker_bytes,
)


@dataclass(frozen=True)
class Limit:
    """Memory that a process may take, and its threads.

    Parameters
    ----------
    memory : int
        Bytes: a worker's limit, or what is free here without a cluster.
    threads : int
    """

    memory: int
    threads: int


def largest_worker() -> Limit | None:
    """Of the active cluster's workers that with the most memory; ``None`` if one has no limit.

    Also ``None`` before the first has come, which an adaptive cluster starts for tasks only.
    """
    client = active_client()
    if client is None:
        return None
    workers = workers_of(client).values()
    limits = [Limit(worker["memory_limit"] or 0, worker["nthreads"]) for worker in workers]
    if not limits or not all(limit.memory for limit in limits):
        return None
    # Of equal ones that with the fewest threads has the most room.
    return max(limits, key=lambda limit: (limit.memory, -limit.threads))


def helpers_with_room(task: TaskSizes) -> int:
    """Threads beside those of its worker for which a search for starts has memory.

    On the largest worker, or, without a cluster, in this process beside its first thread.
    """
    limit, threads = largest_worker(), 1
    if limit is None:
        left = available_memory() + LIBRARIES
    else:
        left, threads = int(TARGET * limit.memory), limit.threads
    return helpers_within(left, task, threads)


def helpers_within(left: int, task: TaskSizes, threads: int) -> int:
    """Threads beside so many for which a search for starts has memory, of so many bytes.

    Those that it is no larger with than without are always welcome.
    """
    most = max(left, worker_bytes(task, threads))
    return sum(1 for more in range(1, MOST_PARTS) if worker_bytes(task, threads, more) <= most)


def require_room(task: TaskSizes) -> None:
    """Refuse a fit that fits no worker, before any row is read; a plan refuses the same.

    Raises
    ------
    ConfigurationError
        It takes more than the largest worker may hold without being paused, or, without a cluster,
        more than is free here.
    """
    limit = largest_worker()
    if limit is not None:
        require_limit(task, limit, "the largest worker has")
    elif active_client() is None:
        free = available_memory()
        if worker_bytes(task) - LIBRARIES > free:  # the libraries are loaded
            raise too_large(task, Limit(free, 1), worker_bytes(task) - LIBRARIES, "free here are")


def least_limit(task: TaskSizes, threads: int) -> int:
    """Bytes of the smallest memory limit with which a worker makes a fit."""
    return math.ceil(worker_bytes(task, threads) / PAUSE)


def require_limit(task: TaskSizes, limit: Limit, whose: str) -> None:
    """Refuse a fit during which a worker with this memory would be paused.

    Parameters
    ----------
    task : TaskSizes
    limit : Limit
    whose : str
        Words before the limit, for the error.
    """
    needed = least_limit(task, limit.threads)
    if limit.memory < needed:
        raise too_large(task, limit, needed, whose)


def too_large(task: TaskSizes, limit: Limit, needed: int, whose: str) -> ConfigurationError:
    """The error of a fit that needs so many bytes, with the sizes and what to change."""
    moments = format_bytes(task.result_bytes)
    of = f"{task.n_components:,} components and {task.n_features:,} features"
    sizes = [f"{of}, whose moments take {moments} a task"]
    changes = ["fewer components or starts", "covariance_type='diag'"]
    if limit.threads > 1:
        sizes.append(f"{limit.threads} threads")
        changes.append("fewer threads a worker")
    search = task.search
    if search.sample_bytes > task.shared_bytes + limit.threads * task.pass_bytes:
        sample = format_bytes(search.rows * search.row_bytes)
        sizes.append(f"a sample of {search.rows:,} rows of {sample}")
        changes.insert(0, "a smaller number for subsample")
    return ConfigurationError(
        f"A fit of {', with '.join(sizes)}, needs {format_bytes(needed)} of memory; {whose} "
        f"{format_bytes(limit.memory)}.",
        f"Use {', '.join(changes)}, or workers of more memory.",
    )
