"""Memory of a pass, in bytes: the need of a worker, and the decoded rows that fit beside it."""

import math
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil

from daskgmm.data.source import Source
from daskgmm.data.storage.scratch import boot_id, root
from daskgmm.model.kernels import centred, features
from daskgmm.model.kernels.base import padded, slab_rows
from daskgmm.model.kernels.neighbours import COPIES, sorting_values, stretch_rows
from daskgmm.model.kernels.tiles import most_tile_rows, tile_rows
from daskgmm.model.missing.accumulation import KEPT_BYTES, SIZES_KEPT
from daskgmm.passes.engine.client import active_client
from daskgmm.passes.engine.graph import fan_in
from daskgmm.passes.engine.workers import explaining_losses, wait_for_workers
from daskgmm.passes.search_memory import NO_SEARCH, SearchSizes

LIBRARIES = 288 * 2**20
"""Bytes of a worker's libraries: Python, Dask, SciPy, Arrow, numba, and its compiled loops."""

_READ_AHEAD = 2**23
"""Bytes that are read ahead of a decoder, all columns together."""

_COPIES_IN_TILE, _BOUND_AND_ROW = 6, 8
"""Copies of a tile's rows; and bytes of a pair beside its logit."""

_PAGE = 2**20
"""Parquet's usual page; a decoder has three a column: compressed, decompressed, dictionary."""

_USUAL_PART_ROWS = 2**17
"""Taken for the largest part's rows where lengths are not known."""

_STATES = 15
"""Arrays of the moments' size in the client's process: of the state before a pass, of the one after
it, and on their way, with the mixtures' covariances and factors, of twice that each."""

_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)
"""Files with a container's memory limit and use, of Linux's cgroups version 2 and 1."""


@dataclass(frozen=True)
class TaskSizes:
    """Sizes that the memory of a pass's task depends on.

    Parameters
    ----------
    n_features : int
        D.
    length : int
        F, the length of a feature vector.
    n_components : int
        K, over all mixtures together.
    most_components : int
        K of the largest mixture.
    block_rows, part_rows : int
        Rows of the largest block, and of the largest part.
    row_dtype, dtype : dtype
        Type of the rows as read, and of the arithmetic.
    decoded : bool
        Whether blocks are decoded, and not in memory already.
    marginalized : bool
        Whether rows with missing values may come.
    search : SearchSizes
        Sizes of the search for starts before the passes.
    """

    n_features: int
    length: int
    n_components: int
    most_components: int
    block_rows: int
    part_rows: int
    row_dtype: np.dtype[np.floating]
    dtype: np.dtype[np.floating]
    decoded: bool = True
    marginalized: bool = False
    search: SearchSizes = NO_SEARCH

    @property
    def block_bytes(self) -> int:
        """Bytes of a block: rows (D, n) and weights (n,)."""
        values = self.n_features * self.row_dtype.itemsize
        return self.block_rows * (values + np.dtype(np.float64).itemsize)

    @property
    def reading_bytes(self) -> int:
        """Bytes for reading: two blocks (a decoder holds the columns too), pages, read-ahead."""
        if not self.decoded:
            return 0
        page = min(_PAGE, self.part_rows * self.row_dtype.itemsize)
        return 2 * self.block_bytes + 3 * self.n_features * page + _READ_AHEAD

    @property
    def kernel_bytes(self) -> int:
        """Bytes of a kernel's work arrays and parameters.

        In NumPy they are slabs of Phi (F) and rows (D), or three of rows without Phi, and of gamma
        (K). The compiled loop has tiles: copies of rows, and of each pair a bound, a row's number
        and a logit. Then Eta, factors, what was received of them and sums about two origins, each
        of (F, K) or twice that; where components share a covariance, these are matrices (D, D).
        Hundreds of components are told apart, and rows sorted by them.
        """
        row, widest, n_bytes = self.length + self.n_features, self.length, features.SLAB_BYTES
        if self.length > features.LONGEST:
            row, widest, n_bytes = 3 * self.n_features, 4 * self.n_features, centred.SLAB_BYTES
        slab = slab_rows(widest, self.dtype, n_bytes) * (row + self.n_components)
        matrices, number = self.length > 2 * self.n_features + 1, self.dtype.itemsize
        rows = tile_rows(self.most_components, self.n_features, matrices=matrices)
        tile = rows * self.most_components * (number + _BOUND_AND_ROW)
        if self.n_components > self.most_components:  # of several, a smaller one may have more rows
            rows = most_tile_rows(self.most_components, self.n_features, matrices=matrices)
        tile += rows * _COPIES_IN_TILE * padded(self.n_features) * number
        parameters = 9 * self.length * self.n_components + 4 * self.n_features**2
        double = np.dtype(np.float64).itemsize
        parameters += sorting_values(self.most_components, self.n_features)
        own = max(slab * number, tile) + parameters * double
        if not self.marginalized:
            return own
        # Work arrays for a few numbers of features, kept patterns, rows sorted and completed.
        return (1 + SIZES_KEPT) * own + KEPT_BYTES + 2 * self.block_bytes

    @property
    def shared_bytes(self) -> int:
        """Bytes of what a kernel needs of mixtures, which the tasks of a process share."""
        values = 5 * self.length * self.n_components
        sorting = sorting_values(self.most_components, self.n_features)
        rows = COPIES * stretch_rows(self.most_components, self.n_features) * self.n_features
        return (values + max(sorting - rows, 0)) * np.dtype(np.float64).itemsize

    @property
    def pass_bytes(self) -> int:
        """Bytes of a task of a pass, without what all of a process share."""
        own = self.kernel_bytes - self.shared_bytes
        return self.reading_bytes + own + self.held_results_bytes

    @property
    def search_bytes(self) -> int:
        """Bytes of a search for starts of the largest mixture; see `SearchSizes`."""
        return self.search_bytes_with(0)

    def search_bytes_with(self, helpers: int) -> int:
        """Bytes of such a search that so many further threads help in."""
        one = replace(self, n_components=self.most_components, marginalized=False)
        own = one.kernel_bytes - one.shared_bytes
        return self.search.bytes_with(one.result_bytes, one.kernel_bytes, helpers, own)

    @property
    def result_bytes(self) -> int:
        """Bytes of a part's moments (F, K)."""
        return self.length * self.n_components * np.dtype(np.float64).itemsize

    @property
    def held_results_bytes(self) -> int:
        """Bytes of the moments that a worker holds for each task at a time."""
        return (2 + fan_in(self.result_bytes)) * self.result_bytes


def worker_bytes(task: TaskSizes, threads: int = 1, more: int = 0) -> int:
    """Peak memory of a worker's process in a fit, without a cache in memory.

    Parameters
    ----------
    task : TaskSizes
    threads : int
        Tasks at a time.
    more : int
        Further threads that help in a search.

    Notes
    -----
    A task holds a block, work arrays, a part's moments and the sum of those before; the number
    of its parts does not count, as it reads them one after another. Beside it lie moments that
    wait for their neighbours, or that a task of the tree adds up; and, once a process, what the
    kernels need of the mixtures. Before the passes a worker searches for starts on the sample, with
    all of its threads.
    """
    passes = task.shared_bytes + threads * task.pass_bytes
    searches = min(threads, task.search.at_once)
    # At the most with all further threads in the same one.
    helped = task.search_bytes_with(threads - searches + more) if searches else 0
    searching = max(searches - 1, 0) * task.search_bytes + helped
    return LIBRARIES + max(passes, searching)


def client_bytes(task: TaskSizes) -> int:
    """Peak memory of a fit's client, which keeps a checkpoint, with a scheduler in its process."""
    one = replace(task, n_components=task.most_components)
    searching = task.search.client_bytes(one.result_bytes)
    return LIBRARIES + max(searching, _STATES * task.result_bytes)


def rows_bytes(source: Source) -> int | None:
    """Bytes of all decoded rows, each with a weight; None if their number is not known."""
    if source.lengths is None:
        return None
    values = source.n_features * source.dtype.itemsize + np.dtype(np.float64).itemsize
    return sum(source.lengths) * values


def largest_part(source: Source) -> int:
    """Rows of the largest part, or of a usual one where lengths are not known."""
    return max(source.lengths) if source.lengths else _USUAL_PART_ROWS


def largest_block(source: Source) -> int:
    """Rows of the largest block."""
    longest = largest_part(source)
    return longest if source.block_rows is None else min(longest, source.block_rows)


def available_memory() -> int:
    """Bytes that this process can still allocate, on its machine and in its container."""
    free = [int(psutil.virtual_memory().available)]
    for limit, used in _CGROUPS:
        with suppress(OSError, ValueError):  # no such file, or no limit: the word max
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
    return max(min(free), 0)


TARGET = 0.6
"""Share of a worker's memory limit above which Dask starts to spill to disk."""

PAUSE = 0.8
"""Share of a worker's memory limit above which Dask gives it no more tasks."""

SHARE = 0.5
"""Share of free memory that rows may take where there is no limit; other processes need some."""

_SHARED_MEMORY = (None, "dask.distributed", "threads", "threading", "sync", "synchronous")
"""Schedulers whose tasks run in this process, so that its memory lasts from pass to pass."""


@dataclass(frozen=True)
class Room:
    """Bytes free for decoded rows, beside the memory of the passes.

    Parameters
    ----------
    memory, disk : int
    """

    memory: int
    disk: int


@dataclass(frozen=True)
class WorkerFacts:
    """A worker's memory, disk and threads.

    Parameters
    ----------
    disk : tuple of str
        Machine and folder; the space of workers that share them is counted once.
    disk_free : int
        Bytes that rows may take of the disk.
    memory : int
        Bytes of its limit, or of the machine's free memory.
    limited : bool
        Whether `memory` is its limit.
    threads : int
    """

    disk: tuple[str, str]
    disk_free: int
    memory: int
    limited: bool
    threads: int


def room_for(task: TaskSizes) -> Room:
    """Bytes for decoded rows on the active cluster's workers, or here if there is none."""
    client = active_client()
    if client is None:
        local = dask.config.get("scheduler", None) in _SHARED_MEMORY
        memory = int(SHARE * available_memory()) if local else 0
        return Room(memory, disk_free(root()))
    wait_for_workers(client)  # their memory is unknown until they are there
    with explaining_losses():
        facts = client.run(_facts, on_error="ignore")
    return _total(list(facts.values()), task)


def memory_limit_for(task: TaskSizes, threads: int, held: int = 0) -> int:
    """The smallest memory limit of a worker that holds so many bytes of rows without spilling."""
    return math.ceil((worker_bytes(task, threads) + held) / TARGET)


def room_under(limit: int, task: TaskSizes, threads: int) -> int:
    """Bytes of rows that a worker with this memory limit can hold beside its passes."""
    return max(int(TARGET * limit) - worker_bytes(task, threads), 0)


def disk_free(folder: Any) -> int:
    """Bytes that rows may take of a disk; a twentieth of it, or 1 GiB, stays free."""
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


def _total(workers: list[WorkerFacts], task: TaskSizes) -> Room:
    disks = {facts.disk: facts.disk_free for facts in workers}
    return Room(sum(_memory(facts, workers, task) for facts in workers), sum(disks.values()))


def _memory(facts: WorkerFacts, workers: list[WorkerFacts], task: TaskSizes) -> int:
    if facts.limited:
        return room_under(facts.memory, task, facts.threads)
    neighbours = sum(other.disk[0] == facts.disk[0] for other in workers)
    return int(SHARE * facts.memory) // neighbours
