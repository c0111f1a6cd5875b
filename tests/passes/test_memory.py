"""The memory that is predicted, held against what is measured."""

import json
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from daskgmm import GaussianMixture, open_dataset
from daskgmm.data.source import Source
from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.expectation import Accumulator, Expectation
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.screened import ScreenedKernel
from daskgmm.model.mixture import Mixture
from daskgmm.passes import memory
from daskgmm.passes.cache import choose
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.memory import TaskSizes, available_memory, rows_bytes, worker_bytes
from tests.support import reference
from tests.support.clusters import running

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
MIB = 2**20


def allocated(action):
    """Most bytes that NumPy held at a time, beyond those before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        action()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def task_of(rows, length, n_components, dtype, **changes):
    n_features, n = rows.shape
    task = TaskSizes(
        n_features, length, n_components, n_components, n, n, rows.dtype, dtype, decoded=False
    )
    return replace(task, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE])
@pytest.mark.parametrize(
    ("kind", "n_features", "n_components"),
    [
        ("full", 2, 3), ("full", 20, 8), ("full", 50, 20), ("full", 50, 200),
        ("tied", 50, 20), ("diag", 64, 64), ("spherical", 50, 20), ("full", 190, 2),
    ],
)  # fmt: skip
def test_work_arrays_take_what_is_predicted(kind, n_features, n_components, dtype):
    mixture = reference.random_mixture(kind, n_components, n_features)
    rows = np.random.default_rng(0).normal(size=(n_features, 5000)).astype(dtype)
    length = mixture.covariance.feature_length(n_features)
    task = task_of(rows, length, n_components, dtype)
    predicted = task.kernel_bytes + 2 * task.result_bytes

    def accumulate(compiled):
        frame = Frame.identity(n_features)
        expectation = Expectation((mixture,), frame, dtype, compiled=compiled)
        with one_thread():
            Accumulator(expectation)([(rows, None)])

    for compiled in (False, True):
        accumulate(compiled)  # once, so that what is loaded does not count
    slow, fast = (allocated(lambda: accumulate(which)) for which in (False, True))  # noqa: B023
    # The prediction is for either: which one computes a pass is not known to who plans it.
    assert 0.4 * predicted <= max(slow, fast) <= 1.2 * predicted, (slow, fast, predicted)


@pytest.mark.parametrize(
    ("kind", "starts", "n_features", "n_components"),
    [
        ("full", 50, 50, 3), ("full", 20, 100, 10), ("spherical", 20, 100, 50),
        ("diag", 1, 100, 4096), ("full", 1, 200, 100), ("tied", 1, 200, 100), ("full", 1, 20, 1000),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_starts_together_and_large_mixtures_take_no_more_than_predicted(
    kind, starts, n_features, n_components
):
    random = np.random.default_rng(0)
    covariance, shape = COVARIANCES[kind], (n_components, n_features)
    units = np.broadcast_to(np.eye(n_features), (*shape, n_features))
    mixtures = tuple(
        Mixture.from_covariances(
            covariance,
            random.dirichlet(np.full(n_components, 5.0)),
            random.normal(size=shape),
            reference.in_shape(covariance, units),
        )
        for _ in range(starts)
    )
    rows = random.normal(size=(n_features, 1000))
    length = mixtures[0].covariance.feature_length(n_features)
    task = task_of(rows, length, starts * n_components, DOUBLE, most_components=n_components)
    kernel = ScreenedKernel(mixtures[:1], Frame.identity(n_features), DOUBLE)
    kernel.add(rows[:, :1])  # compiles

    def accumulate():
        with one_thread():
            made = ScreenedKernel(mixtures, Frame.identity(n_features), DOUBLE)
            made.add(rows)
            made.take()

    predicted = task.kernel_bytes + 2 * task.result_bytes
    assert (taken := allocated(accumulate)) <= 1.2 * predicted, (taken, predicted)


@pytest.mark.parametrize("n_features", [1, 20, 100])
@pytest.mark.slow
def test_reading_takes_what_is_predicted(n_features, tmp_path):
    values = np.random.default_rng(0).normal(size=(150_000, n_features))
    names = [f"x{index}" for index in range(n_features)]
    pd.DataFrame(values, columns=names).to_parquet(tmp_path / "rows.parquet")
    source = open_dataset(tmp_path / "rows.parquet").source()
    task = TaskSizes(
        n_features, 1, 1, 1, memory.largest_block(source), memory.largest_part(source),
        DOUBLE, DOUBLE,
    )  # fmt: skip
    peaks = []
    for part in source.parts:
        before = pa.default_memory_pool()
        pool = pa.proxy_memory_pool(before)  # which has a peak of its own, in any order of tests
        pa.set_memory_pool(pool)
        try:
            arrays = allocated(lambda: sum(block.rows[0, 0] for block in part.read()))  # noqa: B023
            peaks.append(arrays + pool.max_memory())
        finally:
            pa.set_memory_pool(before)
    assert 0.25 * task.reading_bytes <= max(peaks) <= task.reading_bytes


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("threads", "cache"), [(1, "disk"), (3, "disk"), (1, "none")])
def test_a_worker_peaks_where_it_is_predicted_to(threads, cache, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for number in range(6):
        frame = pd.DataFrame(rng.normal(size=(100_000, 20)), columns=list("abcdefghijklmnopqrst"))
        frame.to_parquet(tmp_path / f"{number}.parquet", compression="snappy")
    dataset = open_dataset(tmp_path)
    tasks = []
    chosen = choose.CACHES[cache]
    monkeypatch.setitem(
        choose.CACHES, cache, lambda source, task: tasks.append(task) or chosen(source, task)
    )

    def peak_bytes():  # travels by value: workers don't know this module
        lines = Path("/proc/self/status").read_text().splitlines()
        (line,) = (line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    model = GaussianMixture(8, max_iter=2, tol=0, random_state=0, subsample=2000, cache=cache)
    model.fit(dataset)  # compiles the loop where that has not been done on this machine
    with running(n_workers=1, threads_per_worker=threads, memory_limit="8GiB") as client:
        model.fit(dataset)
        (peak,) = client.run(peak_bytes).values()
        (loaded,) = client.run(lambda: "sklearn" in sys.modules).values()
    assert not loaded  # it brings 120 MiB
    predicted = worker_bytes(tasks[-1], threads)
    # How many of the threads' tasks are at their peaks together is a matter of timing.
    surely = worker_bytes(tasks[-1], 1)
    assert 0.75 * surely <= peak <= 1.1 * predicted, (peak / MIB, predicted / MIB)


CLIENT = """
import json, sys
from pathlib import Path
from distributed import Client, LocalCluster
from daskgmm import GaussianMixture, open_dataset
from daskgmm.fitting.starts import search
from daskgmm.jobs.planning.passes import PassPlan
from daskgmm.passes.memory import client_bytes

def try_few_moves():  # as of large mixtures
    from daskgmm.training.refinement import rounds
    rounds.MOVES_BYTES = 1

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

if __name__ == "__main__":
    search.STRETCH = 3e9
    try_few_moves()
    dataset = open_dataset(sys.argv[1])
    model = GaussianMixture(100, max_iter=10, random_state=0, checkpoint=sys.argv[2])
    task = PassPlan.of(model, dataset.source()).task
    sizes = dict(n_workers=1, threads_per_worker=1, memory_limit="8GiB", dashboard_address=":0")
    with LocalCluster(**sizes) as cluster, Client(cluster) as client:
        client.run(try_few_moves)
        before = peak()
        model.fit(dataset)
    print(json.dumps([before, peak(), client_bytes(task)]))
"""


@pytest.mark.slow
def test_a_client_peaks_where_it_is_predicted_to(tmp_path):
    rng = np.random.default_rng(0)
    means = 3 * rng.normal(size=(100, 60))
    rows = means[rng.integers(100, size=15_000)] + rng.normal(size=(15_000, 60))
    path = tmp_path / "rows.parquet"
    pd.DataFrame(rows, columns=[f"x{number}" for number in range(60)]).to_parquet(path)
    asked = (sys.executable, "-W", "ignore", "-c", CLIENT, str(path), str(tmp_path / "checkpoint"))
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    before, peak, predicted = json.loads(done.stdout)
    assert peak > before + 50 * MIB  # so that what a search keeps is seen
    assert 0.75 * predicted <= peak <= 1.1 * predicted, (peak / MIB, predicted / MIB)


def test_more_threads_blocks_and_components_take_more():
    task = TaskSizes(20, 231, 8, 8, 10_000, 100_000, DOUBLE, DOUBLE)
    least = worker_bytes(task)
    assert worker_bytes(task, 2) - least == least - memory.LIBRARIES - task.shared_bytes
    for change in ({"block_rows": 20_000}, {"n_components": 9}, {"n_features": 21}):
        assert worker_bytes(replace(task, **change)) > least


def test_rows_take_their_numbers_and_a_weight():
    source = Source((), 3, SINGLE, lengths=(10, 0, 5))
    assert rows_bytes(source) == 15 * (3 * 4 + 8)
    assert rows_bytes(replace(source, lengths=None)) is None


def test_a_container_s_limit_is_seen(tmp_path, monkeypatch):
    (tmp_path / "max").write_text("1000\n")
    (tmp_path / "used").write_text("400\n")
    files = (str(tmp_path / "max"), str(tmp_path / "used"))
    monkeypatch.setattr(memory, "_CGROUPS", (files,))
    assert available_memory() == 600
    (tmp_path / "max").write_text("max\n")
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 2**20 < available_memory() < total
