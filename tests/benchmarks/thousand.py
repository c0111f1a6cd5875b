"""A model of a pass on up to a thousand workers, stepped through the graph that a fit builds.

The graph is the real one, of `pass_graph` over the groups that a fit makes of so many rows. Each
of its tasks is followed: the scheduler hands it out at its measured cost, a worker receives what
it needs at the measured cost of a byte, then computes. What comes out is held against passes on
worker processes here whose kernels are timed waits, then told for more workers than fit here,
beside the formula by which ``plan`` forecasts a pass.

`python -m tests.benchmarks.thousand TABLE PICTURE` draws weak and strong scaling from what
`python -m tests.benchmarks thousand --json TABLE` wrote.
"""

import json
import sys
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import ceil, log2
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from daskgmm.data.source import Source
from daskgmm.fitting.settings import ROWS_A_COMPONENT
from daskgmm.model.covariance import covariance_named
from daskgmm.passes.cost import MEASURED, PassCost, estimated_seconds_a_row
from daskgmm.passes.engine.graph import pass_graph
from daskgmm.passes.engine.grouping import group_measured
from daskgmm.passes.engine.work import Work
from tests.benchmarks.result import Result
from tests.benchmarks.scale import Nothing, Pass, cluster, timed

N_FEATURES, N_COMPONENTS = 50, 100
PART_ROWS = 100_000
LARGE = (10**9, 10**10)
WORKERS = (1, 10, 30, 100, 300, 1000)
ROWS_A_WORKER = 10**7
"""Of weak scaling."""
HERE = ((2, 0.05), (8, 0.2), (40, 1.0))
"""Worker processes that a run is held against, and the seconds that each of its tasks waits."""
TASKS_HERE = 240
TOLERANCE = 1.3


@dataclass(frozen=True)
class Run:
    """What a pass takes.

    Parameters
    ----------
    tasks, transfers : int
        Tasks of the graph, and results and parameters that go from worker to worker.
    sent : int
        Bytes of these transfers.
    scheduler, critical, seconds : float
        Seconds that the scheduler is busy, seconds of the longest chain of tasks and transfers
        where nothing waits for the scheduler or a free worker, and seconds of the pass.
    """

    tasks: int
    transfers: int
    sent: int
    scheduler: float
    critical: float
    seconds: float


def simulated(
    graph: Mapping[Hashable, Any],
    workers: int,
    wait: float,
    result_bytes: int,
    argument_bytes: int = 0,
    cost: PassCost = MEASURED,
) -> Run:
    """Follow each task of a graph through the scheduler and the workers.

    Parameters
    ----------
    graph : mapping
        A pass's, as `pass_graph` returns it.
    workers : int
        Of one thread each.
    wait : float
        Seconds of a task that reads rows.
    result_bytes, argument_bytes : int
        Bytes of a task's moments, and of the parameters, which each worker receives once; those
        who have them pass them on.
    """
    handing = cost.a_task + cost.a_meeting * workers**cost.exponent
    tasks = {key: [one for one in node.dependencies if one in graph] for key, node in graph.items()}
    (argument,) = (key for key, needs in tasks.items() if not needs)
    leaves = [key for key, needs in tasks.items() if needs == [argument]]
    users = {need: key for key, needs in tasks.items() for need in needs if need != argument}
    left = {key: len(needs) for key, needs in tasks.items()}
    spread = argument_bytes * cost.a_byte * ceil(log2(workers + 1))
    free = [(0.0, number) for number in range(workers)]  # when each worker is next idle
    heapify(free)
    idle = [0.0] * workers
    place, done, longest = {}, {}, {}
    ready: list[tuple[float, int, Hashable]] = []
    count = len(leaves)
    clock, transfers, sent, end = 0.0, 0, 0, 0.0
    for number, key in enumerate(leaves):
        clock += handing
        began, worker = heappop(free)
        first = spread if number < workers else 0.0
        finish = max(began, clock) + first + wait
        transfers, sent = transfers + (first > 0), sent + argument_bytes * (number < workers)
        place[key], done[key], longest[key] = worker, finish, spread + wait
        idle[worker] = finish
        heappush(free, (finish, worker))
        heappush(ready, (finish, number, key))
    while ready:
        finish, _, key = heappop(ready)
        end = max(end, finish)
        user = users.get(key)
        if user is None:
            continue
        left[user] -= 1
        if left[user]:
            continue
        needs = tasks[user]
        clock = max(clock, finish) + handing
        worker = place[needs[-1]]
        foreign = sum(place[need] != worker for need in needs)
        moving = foreign * result_bytes * cost.a_byte
        ended = max(clock, idle[worker]) + moving
        idle[worker] = ended
        place[user], done[user] = worker, ended
        longest[user] = max(longest[need] for need in needs) + moving
        transfers, sent = transfers + foreign, sent + foreign * result_bytes
        count += 1
        heappush(ready, (ended, count, user))
    busy = handing * (len(tasks) - 1)
    return Run(len(tasks), transfers, sent, busy, max(longest.values()), end)


def _unread(argument: Any) -> Any:
    """Stands in graphs that are followed, and not run."""
    return argument


def graph_of(rows: int, n_features: int, n_components: int) -> tuple[dict[Hashable, Any], float]:
    """The graph of a pass of full covariances over so many rows, and seconds of a task."""
    length = covariance_named("full").feature_length(n_features)
    cost_a_row = estimated_seconds_a_row(n_features, length, n_components)
    lengths = (PART_ROWS,) * max(rows // PART_ROWS, 1)
    groups = group_measured(lengths, cost_a_row, fewest_rows=ROWS_A_COMPONENT * n_components)
    source = Source(
        [Nothing(i) for i in range(len(lengths))], n_features, np.dtype(float), lengths=lengths
    )
    work = Work(_unread, add, None, 8 * length * n_components)
    graph, _ = pass_graph(source, groups, work, "gmm-pass", "0" * 32)
    return graph, sum(lengths) * cost_a_row / len(groups)


def measure(size: float) -> Iterator[Result]:
    """Runs here beside the model, then what it tells."""
    for workers, wait in HERE:
        if workers <= 40 * size:
            yield _held_against(workers, wait)
    for rows in LARGE:
        for workers in WORKERS:
            yield _told("strong", rows, workers)
    for workers in WORKERS:
        yield _told("weak", ROWS_A_WORKER * workers, workers)


def _held_against(workers: int, wait: float) -> Result:
    groups = [range(i, i + 1) for i in range(TASKS_HERE)]
    source = Source([Nothing(i) for i in range(TASKS_HERE)], 1, np.dtype(float))
    graph, _ = pass_graph(source, groups, Work(_unread, add, None), "gmm-pass", "0" * 32)
    run = simulated(graph, workers, wait, 8)
    with cluster(workers, processes=True):
        seconds = timed(Pass(TASKS_HERE, TASKS_HERE, wait), 3)
    work = f"{workers} worker processes, {TASKS_HERE} tasks that wait {wait:g} s"
    return Result("thousand", work, seconds, {"model": run.seconds}, "s", 1 / TOLERANCE)


def _told(scaling: str, rows: int, workers: int) -> Result:
    length = covariance_named("full").feature_length(N_FEATURES)
    moments = 8 * N_COMPONENTS * length
    graph, wait = graph_of(rows, N_FEATURES, N_COMPONENTS)
    run = simulated(graph, workers, wait, moments, 2 * moments)
    alone = rows * estimated_seconds_a_row(N_FEATURES, length, N_COMPONENTS) / workers
    shape = f"{rows:.0e} rows x {N_FEATURES}, K = {N_COMPONENTS}, {workers:,} workers"
    sent = f"{run.transfers:,} transfers of {run.sent / 2**30:.2f} GiB"
    busy = f"scheduler {run.scheduler:.3g} s, critical path {run.critical:.3g} s"
    work = f"{scaling}: {shape}: {run.tasks:,} tasks, {sent}, {busy}"
    reading = sum(isinstance(key, tuple) and key[0].startswith("gmm-pass") for key in graph)
    peers = {
        "kernels alone": alone,
        "plan": MEASURED.seconds(reading, max(rows // PART_ROWS, 1), workers, wait, moments),
    }
    return Result("thousand", work, run.seconds, peers, "s", 0.8, alone, rival="kernels alone")


def draw(table: Path, picture: Path) -> None:
    """Draw seconds a pass against workers, with what the kernels alone would take."""
    import matplotlib.pyplot as plt

    found = json.loads(table.read_text())
    figure, both = plt.subplots(1, 2, figsize=(9, 3.6))
    for axes, scaling in zip(both, ("strong", "weak"), strict=True):
        own = [one for one in found if one["work"].startswith(scaling)]
        for start in range(0, len(own), len(WORKERS)):
            line = own[start : start + len(WORKERS)]
            name = (
                f"{line[0]['work'].split()[1]} rows"
                if scaling == "strong"
                else "1e+07 rows a worker"
            )
            axes.loglog(WORKERS, [one["peers"]["kernels alone"] for one in line], "--", color="0.6")
            axes.loglog(WORKERS, [one["ours"] for one in line], "o-", label=name)
        if scaling == "weak":
            axes.set_yscale("linear")
            axes.set_ylim(bottom=0)
        axes.set_title(f"{scaling} scaling")
        axes.set_xlabel("workers")
        axes.legend(frameon=False)
    both[0].set_ylabel("seconds a pass")
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
