"""Memory of a pass, in bytes: what it will take, and what there is."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from daskgmm.data.source import Source
from daskgmm.model.kernels import centred, features
from daskgmm.model.kernels.base import slab_rows

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
