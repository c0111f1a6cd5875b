"""How many bytes of decoded rows fit where passes run."""

import math
import shutil
from dataclasses import dataclass
from typing import Any

import dask

from daskgmm.data.storage.scratch import machine, root
from daskgmm.passes.engine.client import active_client, explaining_losses, wait_for_workers
from daskgmm.passes.memory import Task, available_memory, worker_bytes

TARGET = 0.6
"""Of a worker's memory limit: beyond it Dask starts to write what it holds to disk."""

SHARE = 0.5
"""Of memory that is free and limited by nobody; the rest is others'."""

_SHARED_MEMORY = (None, "dask.distributed", "threads", "threading", "sync", "synchronous")
"""Schedulers whose tasks run in this process, from pass to pass."""


@dataclass(frozen=True)
class Room:
    """Bytes for decoded rows, besides what passes take themselves.

    Parameters
    ----------
    memory, disk : int
    """

    memory: int
    disk: int


@dataclass(frozen=True)
class WorkerFacts:
    """What a worker says of itself.

    Parameters
    ----------
    disk : tuple of str
        Machine and folder: workers that share one have its space once.
    disk_free : int
    memory : int
        Its limit, or what the machine has free.
    limited : bool
        Whether it is the limit.
    threads : int
    """

    disk: tuple[str, str]
    disk_free: int
    memory: int
    limited: bool
    threads: int


def room_for(task: Task) -> Room:
    """Room on the active cluster's workers if there is one, else here."""
    client = active_client()
    if client is None:
        local = dask.config.get("scheduler", None) in _SHARED_MEMORY
        memory = int(SHARE * available_memory()) if local else 0
        return Room(memory, disk_free(root()))
    wait_for_workers(client)  # whose room there is nobody knows before
    with explaining_losses():
        told = client.run(_facts, on_error="ignore")
    return _total(list(told.values()), task)


def memory_limit_for(task: Task, threads: int, held: int = 0) -> int:
    """The least limit of a worker under which Dask spills nothing of so many bytes of rows."""
    return math.ceil((worker_bytes(task, threads) + held) / TARGET)


def room_under(limit: int, task: Task, threads: int) -> int:
    """Bytes of rows that a worker with this limit holds beside its passes."""
    return max(int(TARGET * limit) - worker_bytes(task, threads), 0)


def disk_free(folder: Any) -> int:
    """Bytes that rows may take of a disk, leaving a twentieth or 1 GiB to others."""
    disk = shutil.disk_usage(folder)
    return max(disk.free - min(disk.total // 20, 2**30), 0)


def _facts(dask_worker: Any) -> WorkerFacts:
    limit = dask_worker.memory_manager.memory_limit
    place = root(dask_worker)
    return WorkerFacts(
        (machine(), str(place)),
        disk_free(place),
        limit or available_memory(),
        bool(limit),
        dask_worker.state.nthreads,
    )


def _total(workers: list[WorkerFacts], task: Task) -> Room:
    disks = {facts.disk: facts.disk_free for facts in workers}
    return Room(sum(_memory(facts, workers, task) for facts in workers), sum(disks.values()))


def _memory(facts: WorkerFacts, workers: list[WorkerFacts], task: Task) -> int:
    if facts.limited:
        return room_under(facts.memory, task, facts.threads)
    neighbours = sum(other.disk[0] == facts.disk[0] for other in workers)
    return int(SHARE * facts.memory) // neighbours
