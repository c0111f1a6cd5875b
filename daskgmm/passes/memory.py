"""Memory of a pass, in bytes: what it will take, and what there is.

How many bytes of decoded rows fit where passes run.
"""

import math
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil

from daskgmm.data.source import Source
from daskgmm.data.storage.scratch import boot_id, root
from daskgmm.model.kernels import centred, features
from daskgmm.model.kernels.base import slab_rows
from daskgmm.passes.engine.client import active_client, explaining_losses, wait_for_workers

LIBRARIES = 300 * 2**20
"""Of a worker's process: Python, Dask, pandas, SciPy, scikit-learn, Arrow, numba and its loop."""

_READ_AHEAD = 2**23
"""Bytes that are read ahead of a decoder, over all columns."""

_PAGE = 2**20
"""Parquet's usual page; a decoder has three a column: compressed, decompressed, dictionary."""

_USUAL_ROWS = 2**17

_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)
"""Files that tell a container's limit and use; Linux's second version and its first."""


@dataclass(frozen=True)
class Task:
    """A task of a pass, by the sizes that its memory depends on.

    Parameters
    ----------
    n_features : int
        D.
    length : int
        F, of a feature vector.
    n_components : int
        K, of all mixtures together.
    block_rows, part_rows : int
        Rows of the largest block and of the largest part.
    row_dtype, dtype : dtype
        What rows come as, and what they are computed in.
    decoded : bool
        Whether blocks are decoded, not lying in memory.
    """

    n_features: int
    length: int
    n_components: int
    block_rows: int
    part_rows: int
    row_dtype: np.dtype[np.floating]
    dtype: np.dtype[np.floating]
    decoded: bool = True

    @property
    def block_bytes(self) -> int:
        """A block of rows (D, n) with weights (n,)."""
        values = self.n_features * self.row_dtype.itemsize
        return self.block_rows * (values + np.dtype(np.float64).itemsize)

    @property
    def reading_bytes(self) -> int:
        """Two blocks, for a decoder holds the columns as well, its pages, what is read ahead."""
        if not self.decoded:
            return 0
        page = min(_PAGE, self.part_rows * self.row_dtype.itemsize)
        return 2 * self.block_bytes + 3 * self.n_features * page + _READ_AHEAD

    @property
    def kernel_bytes(self) -> int:
        """Slabs of Phi (F) and one of rows (D), or without Phi three of them; gamma (K).

        Then Eta, a product and sums, each (F, K). The compiled kernel's slabs are smaller.
        """
        values, widest, n_bytes = self.length + self.n_features, self.length, features.SLAB_BYTES
        if self.length > features.LONGEST:
            values, widest, n_bytes = 3 * self.n_features, 4 * self.n_features, centred.SLAB_BYTES
        slab = slab_rows(widest, self.dtype, n_bytes) * (values + self.n_components)
        parameters = 3 * self.length * self.n_components
        return slab * self.dtype.itemsize + parameters * np.dtype(np.float64).itemsize

    @property
    def result_bytes(self) -> int:
        """Moments (F, K) of a part."""
        return self.length * self.n_components * np.dtype(np.float64).itemsize


def worker_bytes(task: Task, threads: int = 1) -> int:
    """What a worker's process takes at its peak in a pass, without a cache in memory.

    Parameters
    ----------
    task : Task
    threads : int
        Tasks at a time.

    Notes
    -----
    A task holds a block, work arrays, a part's moments and the sum of those before; the number
    of its parts does not count, for it reads one after another.
    """
    return LIBRARIES + threads * (task.reading_bytes + task.kernel_bytes + 2 * task.result_bytes)


def rows_bytes(source: Source) -> int | None:
    """All rows as decoded, each with a weight; None if their number isn't known."""
    if source.lengths is None:
        return None
    values = source.n_features * source.dtype.itemsize + np.dtype(np.float64).itemsize
    return sum(source.lengths) * values


def largest_part(source: Source) -> int:
    """Rows of the largest part; where nobody knows, of one that is as large as usual."""
    return max(source.lengths) if source.lengths else _USUAL_ROWS


def largest_block(source: Source) -> int:
    """Rows of the largest block."""
    longest = largest_part(source)
    return longest if source.block_rows is None else min(longest, source.block_rows)


def available_memory() -> int:
    """Bytes that this process can still take, on its machine and in its container."""
    free = [int(psutil.virtual_memory().available)]
    for limit, used in _CGROUPS:
        with suppress(OSError, ValueError):  # no such file, or no limit: the word max
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
    return max(min(free), 0)


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
        (boot_id(), str(place)),
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
