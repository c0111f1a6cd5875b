"""Seconds a pass over very many tiny partitions, where nothing but overhead is left."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import dask.array as da
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daskgmm import GaussianMixture, open_dataset
from tests.benchmarks.result import Result
from tests.benchmarks.works import Work, unit

PARTITIONS = 10_000
ROWS = 20
"""Rows of a partition."""
PASSES = 7
GOAL = 1.0
"""Seconds a pass over 10,000 partitions."""


def measure(size: float) -> Iterator[Result]:
    """Arrays without a cluster and on one of two workers, drawn anew, persisted; files."""
    n = max(int(PARTITIONS * size), 200)
    rows = Work("", n * ROWS, 2, 3, "full", unit).data()
    least = seconds_a_pass(rows)
    result = partial(_result, n, least)
    drawn = da.random.default_rng(0).normal(size=rows.shape, chunks=(ROWS, 2))
    yield result("drawn anew, threads", seconds_a_pass(drawn))
    with tempfile.TemporaryDirectory() as folder:
        write(rows, Path(folder))
        files = open_dataset(folder)
        yield result("Parquet files, threads", seconds_a_pass(files))
        with cluster():
            yield result("drawn anew, 2 workers", seconds_a_pass(drawn))
            held = da.from_array(rows, chunks=(ROWS, 2)).persist()
            yield result("persisted, 2 workers", seconds_a_pass(held))
            del held
            yield result("Parquet files, 2 workers", seconds_a_pass(files))


def _result(n: int, least: float, case: str, seconds: float) -> Result:
    peers = {"goal": GOAL * n / PARTITIONS}
    return Result("scheduling", f"{n:,} partitions, {case}", seconds, peers, "s", 1.0, least)


def seconds_a_pass(X: Any) -> float:
    """Median of the passes after the first one, which may build what the others use."""
    start = {
        "weights_init": np.full(3, 1 / 3),
        "means_init": np.array([[-1.0, 0], [0, 1], [1, 0]]),
        "precisions_init": np.stack([np.eye(2)] * 3),
    }
    model = GaussianMixture(3, tol=0, max_iter=PASSES, random_state=0, **start).fit(X)
    return median(record["seconds"] for record in model.history_[1:])


def write(rows: np.ndarray, folder: Path) -> None:
    """A Parquet file for each partition."""
    for first in range(0, len(rows), ROWS):
        table = pa.table(dict(zip("ab", rows[first : first + ROWS].T, strict=True)))
        pq.write_table(table, folder / f"{first:09}.parquet")


@contextmanager
def cluster() -> Iterator[Any]:
    """Two workers of one thread."""
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as workers, Client(workers) as client:
        yield client
