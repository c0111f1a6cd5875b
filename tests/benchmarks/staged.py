"""Seconds a pass over 12 GB of rows that two workers of 1 GiB keep on disk, beside the disk.

The operating system keeps none of the rows in memory: what it has cached of the workers' files is
dropped after each pass. One fit is interrupted in its third pass and goes on from its checkpoint.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, LocalCluster

from daskgmm import GaussianMixture, open_dataset
from daskgmm.training.states import FitState
from tests.benchmarks.result import Result
from tests.benchmarks.works import Work, correlated

FILES, FILE_ROWS, GROUP_ROWS = 50, 1_500_000, 100_000
FEATURES, COMPONENTS = 20, 20
PASSES = 4
MEMORY = "1GiB"
COMPUTED_FILES = 5
"""Files whose rows fit in memory, to time what is computed alone."""

READ_BYTES = 1 << 22


def measure(size: float) -> Iterator[Result]:
    """Time a pass from disk beside reading and computing alone; then interrupt a fit."""
    n_files = max(round(FILES * size), 2)
    with tempfile.TemporaryDirectory(prefix="daskgmm-benchmark-") as base:
        rows, scratch = Path(base, "rows"), Path(base, "scratch")
        rows.mkdir()
        write(rows, n_files)
        reading: list[float] = []

        def read(state: FitState) -> None:
            if state.iteration == PASSES:
                reading.append(seconds_to_read(scratch))

        whole = fit(rows, scratch, callback=read)
        ours = min(record["seconds"] for record in whole.history_[2:])
        few = min(COMPUTED_FILES, n_files)
        part = [str(path) for path in sorted(rows.iterdir())[:few]]
        in_memory = fit(part, scratch, cache="memory", memory="8GiB")
        computing = min(record["seconds"] for record in in_memory.history_[2:]) * n_files / few
        gigabytes = n_files * FILE_ROWS * FEATURES * 8 / 1e9
        work = f"{gigabytes:.1f} GB, {FEATURES} columns, K = {COMPONENTS}, full; 2 x {MEMORY}"
        needed = {"reading": min(reading), "computing": computing}
        larger = max(needed, key=lambda name: needed[name])
        yield Result("staged", work, ours, needed, "s", 1 / 1.3, rival=larger)
        checkpoint = Path(base, "checkpoint")
        with suppress(KeyboardInterrupt):
            fit(rows, scratch, checkpoint=checkpoint, callback=interrupted)
        begun = time.perf_counter()
        resumed = fit(rows, scratch, checkpoint=checkpoint)
        seconds = time.perf_counter() - begun
        same = all(
            (getattr(resumed, name) == getattr(whole, name)).all()
            for name in ("weights_", "means_", "covariances_")
        )
        title = f"{work}; interrupted and resumed in {seconds:.0f} s: fits that differ in a bit"
        yield Result("staged", title, float(not same), {"allowed": 0.0}, "", 1.0)


def write(folder: Path, n_files: int) -> None:
    """Correlated rows as Parquet, each file a jittered copy of the same mixture's rows."""
    work = Work("", FILE_ROWS, FEATURES, COMPONENTS, "full", lambda *_: np.empty(0))
    rng = np.random.default_rng(0)
    drawn = correlated(work, rng, spread=100)
    schema = pa.schema([(f"x{index}", pa.float64()) for index in range(FEATURES)])
    for number in range(n_files):
        with pq.ParquetWriter(folder / f"{number:03}.parquet", schema, compression="snappy") as out:
            for first in range(0, FILE_ROWS, GROUP_ROWS):
                group = drawn[first : first + GROUP_ROWS]
                group = group + 0.01 * rng.normal(size=group.shape)
                out.write_table(pa.table(list(group.T), schema=schema))


def fit(
    rows: Path | list[str],
    scratch: Path,
    *,
    cache: str = "disk",
    memory: str = MEMORY,
    checkpoint: Path | None = None,
    callback: Callable[[FitState], None] | None = None,
) -> GaussianMixture:
    """Fit on a new cluster; the workers' files leave the system's cache after each pass."""

    def between(state: FitState) -> None:
        forget(scratch)
        if callback is not None:
            callback(state)

    with LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit=memory, local_directory=str(scratch),
        dashboard_address=None,
    ) as cluster, Client(cluster):  # fmt: skip
        return GaussianMixture(
            COMPONENTS, init_params="random_from_data", max_iter=PASSES, tol=0, random_state=0,
            subsample=20_000, refine="none", cache=cache, checkpoint=checkpoint,
            callbacks=[between],
        ).fit(open_dataset(rows))  # fmt: skip


def interrupted(state: FitState) -> None:
    """End the fit in its third pass."""
    if state.iteration == 2:
        raise KeyboardInterrupt


def files(scratch: Path) -> list[Path]:
    """Files of decoded rows."""
    return sorted(scratch.rglob("*.rows"))


def forget(scratch: Path) -> None:
    """Drop what the operating system has cached of the files of decoded rows."""
    for path in files(scratch):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def seconds_to_read(scratch: Path) -> float:
    """Seconds that two threads take to read the files of decoded rows."""

    def read(path: Path) -> None:
        with path.open("rb", buffering=0) as file:
            while file.read(READ_BYTES):
                pass

    begun = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(read, files(scratch)))
    return time.perf_counter() - begun
