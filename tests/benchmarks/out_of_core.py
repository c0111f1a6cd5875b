"""Seconds a pass over Parquet files larger than the workers' memory, by where blocks stay."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, LocalCluster

from daskgmm import GaussianMixture, open_dataset
from tests.benchmarks.result import Result
from tests.benchmarks.spark import seconds_a_pass, spark_is_here

ROWS, FEATURES, COMPONENTS = 20_000_000, 20, 8
GROUP_ROWS, FILE_ROWS = 100_000, 1_000_000
PASSES = 5
LIMITED, UNLIMITED = "512MiB", "16GiB"

SPARK_FILES, SPARK_PASSES = 1, 2
"""Spark takes so long that it gets a file only; its time is scaled to all rows."""


@dataclass(frozen=True)
class Run:
    """One fit.

    Parameters
    ----------
    seconds : float
        Of a later pass, the shortest.
    trouble : str
        What befell its workers, empty for nothing.
    """

    seconds: float
    trouble: str


def measure(size: float) -> Iterator[Result]:
    """Later passes with blocks on disk, beside blocks in memory and decoding again."""
    rows = int(ROWS * size)
    with tempfile.TemporaryDirectory(prefix="daskgmm-benchmark-") as folder:
        write(Path(folder), rows)
        runs = {
            "memory": fit(folder, "memory", UNLIMITED),
            "disk": fit(folder, "disk", LIMITED),
            "none": fit(folder, "none", LIMITED),
        }
        spark = spark_seconds(Path(folder), rows) if spark_is_here() else None
    work = f"{rows:,} x {FEATURES}, K = {COMPONENTS}, full; workers of 2 x {LIMITED}"
    for peer, wanted in (("memory", 1 / 1.3), ("none", 2.0)):
        trouble = " and ".join(filter(None, (runs["disk"].trouble, runs[peer].trouble)))
        yield Result(
            "out of core", f"{work}, against cache={peer!r}{trouble and f' ({trouble})'}",
            runs["disk"].seconds, {f"cache={peer!r}": runs[peer].seconds}, "s", wanted,
        )  # fmt: skip
    if spark is not None:
        title = f"{work}, against Spark with 2 GiB (its rows: a file's, scaled)"
        yield Result("out of core", title, runs["disk"].seconds, {"Spark": spark}, "s", 1.0)


def write(folder: Path, n_rows: int) -> None:
    """Rows of overlapping Gaussians as Parquet, compressed as usual."""
    rng = np.random.default_rng(0)
    centres = 1.5 * rng.normal(size=(COMPONENTS, FEATURES))
    names = [f"x{index}" for index in range(FEATURES)]
    schema = pa.schema([(name, pa.float64()) for name in names])
    for first in range(0, n_rows, FILE_ROWS):
        with pq.ParquetWriter(
            folder / f"{first:09}.parquet", schema, compression="snappy"
        ) as writer:
            for start in range(first, min(first + FILE_ROWS, n_rows), GROUP_ROWS):
                n = min(GROUP_ROWS, n_rows - start)
                rows = centres[rng.integers(COMPONENTS, size=n)] + rng.normal(size=(n, FEATURES))
                writer.write_table(pa.table(list(rows.T), schema=schema))


def spark_seconds(folder: Path, rows: int) -> float:
    """Seconds that Spark would take for a pass over all rows."""
    files = sorted(folder.iterdir())[:SPARK_FILES]
    names = [f"x{index}" for index in range(FEATURES)]
    seconds = seconds_a_pass(
        [str(file) for file in files], names, COMPONENTS, passes=SPARK_PASSES, memory="2g"
    )
    return seconds * rows / min(rows, SPARK_FILES * FILE_ROWS)


def fit(folder: str, cache: str, memory_limit: str) -> Run:
    """Fit on a new cluster; the survey and the first pass fill the cache and are not counted."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit=memory_limit, dashboard_address=None
    ) as cluster, Client(cluster) as client:  # fmt: skip
        before = _processes(client)
        model = GaussianMixture(
            COMPONENTS, init_params="random_from_data", max_iter=PASSES, tol=0, random_state=0,
            subsample=5_000, cache=cache,
        ).fit(open_dataset(folder))  # fmt: skip
        restarted = sum(not psutil.pid_exists(pid) for pid in before)
        events = [event for topic in client.get_events().values() for _, event in topic]
        paused = sum(isinstance(one, dict) and one.get("status") == "paused" for one in events)
    troubles = {"restarted": restarted, "paused": paused}
    told = ", ".join(f"{count} {what}" for what, count in troubles.items() if count)
    return Run(min(record["seconds"] for record in model.history_[1:]), told)


def _processes(client: Client) -> set[int]:
    return set(client.run(os.getpid).values())
