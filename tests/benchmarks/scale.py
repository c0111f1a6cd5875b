"""Where the scheduler limits a pass: the real graph on many workers, its kernel a timed wait.

Client, scheduler and workers share one process here, and its interpreter's lock: what is measured
is more than a scheduler with a core of its own would take.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import ceil
from operator import add
from statistics import median
from typing import Any

import dask
import numpy as np
from scipy.optimize import nnls

from daskgmm.data.source import Source
from daskgmm.model.covariance import covariance_named
from daskgmm.passes.cost import PassCost, estimated_seconds_a_row, factors
from daskgmm.passes.engine.execution import compute
from daskgmm.passes.engine.gathering import held_groups
from daskgmm.passes.engine.graph import pass_graph
from daskgmm.passes.engine.grouping import MOST_TASKS
from daskgmm.passes.engine.keys import Phase, token
from daskgmm.passes.engine.work import Work, each_part
from tests.benchmarks.result import Result

WORKERS = (1, 10, 100, 1000)
GRIDS = ((128, 128), (512, 10_000), (512, 100_000), (2048, 10_000), (4096, 100_000))
"""Tasks and partitions of the passes that are timed."""
MOST_MEETINGS = 600_000
"""Tasks times workers beyond which one process takes minutes for what a cluster shares out."""
HUGE = {"rows": 10**10, "n_features": 50, "n_components": 100}
EXPONENTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
MEGABYTE = 2**17
"""Numbers in moments of a megabyte: F = 1326 and K = 100 are about that."""


@dataclass(frozen=True)
class Nothing:
    """A part without rows."""

    index: int
    inputs: tuple[()] = ()
    label = "nothing"

    def read(self) -> Iterator[Any]:
        """Nothing."""
        return iter(())


@dataclass(frozen=True)
class Pass:
    """A pass to time: tasks, partitions, seconds that a task waits, numbers in its moments."""

    tasks: int
    partitions: int
    wait: float = 0.0
    values: int = 1


def _begin(one: Pass) -> Any:
    time.sleep(one.wait)
    return each_part(lambda *_: np.zeros(one.values), add)


def timed(one: Pass, repeats: int) -> float:
    """Median seconds of a pass on the active cluster, its groups held as in a fit."""
    edges = np.linspace(0, one.partitions, one.tasks + 1).astype(int).tolist()
    groups = [range(a, b) for a, b in pairwise(edges)]
    source = Source([Nothing(i) for i in range(one.partitions)], 1, np.dtype(float))
    source, groups = held_groups(source, groups)
    seconds = []
    for _ in range(1 + repeats):
        began = time.perf_counter()
        graph, root = pass_graph(source, groups, Work(_begin, add, one), "gmm-pass", token())
        compute(graph, root, Phase.PASS)
        seconds.append(time.perf_counter() - began)
    return median(seconds[1:])  # the first one waits for what is held


@contextmanager
def cluster(workers: int, *, processes: bool = False) -> Iterator[None]:
    """Workers of one thread each, in this process unless `processes`."""
    from distributed import Client, LocalCluster

    quiet = {
        "distributed.worker.profile.enabled": False,
        "distributed.worker.use-file-locking": False,
        "distributed.admin.system-monitor.interval": "1h",
        "distributed.admin.tick.interval": "1h",
        "distributed.admin.tick.limit": "1h",
    }
    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    with (
        dask.config.set(quiet),
        LocalCluster(**options, processes=processes, memory_limit=0, silence_logs=50) as many,
        Client(many) as client,
    ):
        client.wait_for_workers(workers)
        yield


def predict(
    cost: PassCost, rows: int, n_features: int, n_components: int, *, workers: int, tasks: int
) -> tuple[float, float]:
    """Seconds of one pass of full covariances, and what the kernels alone would take."""
    length = covariance_named("full").feature_length(n_features)
    work = rows * estimated_seconds_a_row(n_features, length, n_components)
    sent = 8 * length * n_components
    return cost.seconds(tasks, 100_000, workers, work / tasks, sent), work / workers


def fitted(found: dict[tuple[int, int, int], float], a_byte: float) -> PassCost:
    """Least squares of relative errors, no coefficient below zero, over a grid of exponents."""
    seconds = np.array(list(found.values()))
    best, least = PassCost(0, 0, 0, 0), np.inf
    for exponent in EXPONENTS:
        costed = np.array([factors(*key, exponent) for key in found])
        costs, error = nnls(costed / seconds[:, np.newaxis], np.ones(len(seconds)))
        if error < least:
            best, least = PassCost(*map(float, costs), exponent, a_byte), error
    return best


def measure(size: float) -> Iterator[Result]:
    """Passes without work, then with waits held against the model, then what it predicts."""
    repeats, found, waited = max(round(2 * size), 1), {}, {}
    for workers in WORKERS:
        if workers > 1000 * size:
            continue
        with cluster(workers):
            for tasks, partitions in GRIDS:
                if tasks <= 4096 * size and tasks * workers <= MOST_MEETINGS:
                    seconds = timed(Pass(tasks, partitions), repeats)
                    found[tasks, partitions, workers] = seconds
                    print(tasks, partitions, workers, seconds, file=sys.stderr, flush=True)
            wait = min(workers * 0.01, 2.0)
            waited[workers, wait] = timed(Pass(512, 10_000, wait), 1)
    model = fitted(found, seconds_a_byte(repeats))
    print(model, file=sys.stderr, flush=True)
    yield _deviation(model, found)
    yield from _compared(model, found, waited)
    yield from _predicted(model)


def seconds_a_byte(repeats: int) -> float:
    """What moments of a megabyte add to a pass on two processes, for each byte."""
    with cluster(2, processes=True):
        small, large = (timed(Pass(64, 64, 0.0, n), repeats) for n in (1, MEGABYTE))
    return max(large - small, 0.0) / (64 * 8 * MEGABYTE)


def _deviation(model: PassCost, found: Any) -> Result:
    ratios = [model.scheduler(*key) / seconds for key, seconds in found.items()]
    worst = max(max(ratio, 1 / ratio) for ratio in ratios)
    coefficients = ", ".join(f"{name} {value:.3g}" for name, value in asdict(model).items())
    work = f"largest deviation of {len(found)} passes from the model: {coefficients}"
    return Result("scale", work, worst, {"wanted": 1.5}, "times", 1.0)


def _compared(model: PassCost, found: Any, waited: Any) -> Iterator[Result]:
    for (tasks, partitions, workers), seconds in found.items():
        work = f"{workers:,} workers, {partitions:,} partitions, {tasks:,} tasks, no kernel"
        peers = {"model": model.scheduler(tasks, partitions, workers)}
        yield Result("scale", work, seconds, peers, "s", 0.5)
    for (workers, wait), seconds in waited.items():
        work = f"{workers:,} workers, 10,000 partitions, 512 tasks that wait {wait:.2g} s"
        peers = {"model": model.seconds(512, 10_000, workers, wait, 8)}
        yield Result("scale", work, seconds, peers, "s", 0.8, ceil(512 / workers) * wait)


def _predicted(model: PassCost) -> Iterator[Result]:
    for workers in (100, 1000):
        for tasks in sorted({1024, 4096, 16_384, 65_536, MOST_TASKS}):
            seconds, least = predict(model, **HUGE, workers=workers, tasks=tasks)
            work = f"predicted: 10^10 rows x 50, K = 100, {workers:,} workers, {tasks:,} tasks"
            yield Result("scale", work, seconds, {"kernels alone": least}, "s", 0.8, least)
