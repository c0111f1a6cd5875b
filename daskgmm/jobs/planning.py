"""Plan a fit: what its passes will take, before there are rows or a cluster."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Unpack

import numpy as np
from dask.utils import format_bytes, parse_bytes

from daskgmm.data.imagined import imagined
from daskgmm.data.source import Source
from daskgmm.errors import ConfigurationError
from daskgmm.estimators.parameters import compute_dtype
from daskgmm.estimators.prospect import SEEN_PASSES, USUAL_PASSES, Prospect
from daskgmm.jobs.cluster import Resources
from daskgmm.jobs.embedded import memory_share, size_of
from daskgmm.jobs.inputs import Inputs
from daskgmm.jobs.methods import Mixture
from daskgmm.jobs.options import Paths, PlanOptions, build, check, inputs_of
from daskgmm.passes.memory import largest_part, rows_bytes, worker_bytes
from daskgmm.passes.room import memory_limit_for, room_under
from daskgmm.passes.scheduling import MEASURED

MOST_ROWS = 10**12


@dataclass(frozen=True)
class Cluster:
    """Workers of one size, and how long they take.

    Parameters
    ----------
    workers, threads : int
        How many, and of each.
    memory_a_worker_bytes, memory_bytes : int
        The limit of each, and of all together.
    seconds_a_pass, seconds : float
        Of the kernels and the scheduler; of the usual passes.
    """

    workers: int
    threads: int
    memory_a_worker_bytes: int
    memory_bytes: int
    seconds_a_pass: float
    seconds: float


@dataclass(frozen=True)
class Planner:
    """A fit whose passes are known, on workers of some size.

    Parameters
    ----------
    prospect : Prospect
    threads : int
        Of each worker.
    seconds_a_row : float
        Of one thread.
    """

    prospect: Prospect
    threads: int
    seconds_a_row: float

    def seconds_a_pass(self, workers: int) -> float:
        """Of kernels and scheduler, rows lying in memory."""
        tasks, rows = self.prospect.tasks, self.prospect.rows
        return MEASURED.seconds(
            tasks,
            len(self.prospect.source.parts),
            workers,
            self.seconds_a_row * rows / tasks,
            self.prospect.moments_bytes,
            threads=self.threads,
        )

    def memory_a_worker(self, workers: int, data_bytes: int = 0) -> int:
        """The limit under which workers hold so many bytes of rows together."""
        share = math.ceil(data_bytes / workers)
        return memory_limit_for(self.prospect.task, self.threads, share)

    def cheapest(self, limit: int, data_bytes: int) -> Cluster:
        """The fewest workers of at most `limit` bytes that hold all rows, none larger than needed.

        Each worker more would add the memory that a process takes without rows.
        """
        workers = math.ceil(data_bytes / room_under(limit, self.prospect.task, self.threads))
        each, seconds = self.memory_a_worker(workers, data_bytes), self.seconds_a_pass(workers)
        return Cluster(workers, self.threads, each, workers * each, seconds, USUAL_PASSES * seconds)


def plan(
    inputs: Paths = (),
    *,
    components: int,
    rows: float | None = None,
    features: int | None = None,
    covariance: str = "full",
    **options: Unpack[PlanOptions],
) -> dict[str, Any]:
    """Say what a fit will take: what ``daskgmm plan`` does.

    Sizes, tasks and memory are what the fit's own code reckons with; seconds follow from a short
    pass over generated rows on one thread of this process. Of inputs only metadata is read.

    Parameters
    ----------
    inputs : path or sequence of paths
        Files, directories, patterns or URLs that tell their number of rows.
    components : int
        K.
    rows, features : int, optional
        n and D, instead of inputs: of Parquet as Arrow writes it, of type ``dtype``.
    covariance : str
        The covariance type.
    options
        As the command line has them, with its defaults; see `daskgmm.jobs.options.PlanOptions`.

    Returns
    -------
    dict
        Of plain JSON values. ``memory_a_worker_bytes`` is the limit that a worker needs without
        holding rows, ``memory_a_worker_in_memory_bytes`` the one with which ``workers`` hold all
        of them; ``cheapest`` is the fewest workers of ``memory_limit_bytes`` that do, each
        only as large as it must be.

    Raises
    ------
    DaskGMMError
        Of any kind.
    """
    check(options, PlanOptions)
    resources = build(Resources, options)
    method = build(Mixture, options, components=components, covariance=covariance)
    estimator = method.estimator()
    source = _source(inputs_of(inputs, options), rows, features, estimator)
    prospect = Prospect.of(estimator, source)
    if prospect.rows < components:
        raise ConfigurationError(
            f"{components} components were asked for, and there are {prospect.rows} rows.",
            "Ask for fewer components: each needs rows of its own.",
        )
    workers, threads = size_of(resources.workers, resources.threads)
    limit = _limit(resources, threads, prospect)
    planner = Planner(prospect, threads, prospect.seconds_a_row())
    return _sizes(prospect) | _on(planner, workers, limit)


def _sizes(prospect: Prospect) -> dict[str, Any]:
    plan, source, task = prospect.settings.candidates[0].plan, prospect.source, prospect.task
    return {
        "rows": prospect.rows,
        "features": source.n_features,
        "dtype": str(prospect.settings.dtype),
        "components": plan.n_components,
        "covariance": plan.covariance.name,
        "n_init": plan.n_init,
        "starts_a_pass": prospect.starts,
        "data_bytes": rows_bytes(source),
        "parts": len(source.parts),
        "rows_a_part": largest_part(source),
        "rows_a_task": math.ceil(prospect.rows / prospect.tasks),
        "rows_a_block": task.block_rows,
        "tasks_a_pass": prospect.tasks,
        "sums_a_pass": prospect.sums,
        "passes": USUAL_PASSES,
        "passes_seen": list(SEEN_PASSES),
        "passes_at_most": prospect.most_passes,
    }


def _on(planner: Planner, workers: int, limit: int) -> dict[str, Any]:
    prospect, threads = planner.prospect, planner.threads
    data_bytes = rows_bytes(prospect.source) or 0
    in_memory = planner.memory_a_worker(workers, data_bytes)
    seconds = planner.seconds_a_pass(workers)
    return {
        "workers": workers,
        "threads": threads,
        "memory_limit_bytes": limit,
        "memory_a_worker_peak_bytes": worker_bytes(prospect.task, threads),
        "memory_a_worker_bytes": planner.memory_a_worker(workers),
        "memory_a_worker_in_memory_bytes": in_memory,
        "rows_in_memory": in_memory <= limit,
        "rows_a_second_a_thread": 1 / planner.seconds_a_row,
        "seconds_a_pass": seconds,
        "seconds": USUAL_PASSES * seconds,
        "cheapest": asdict(planner.cheapest(limit, data_bytes)),
    }


def _source(inputs: Inputs, rows: float | None, features: int | None, estimator: Any) -> Source:
    if inputs.paths and (rows, features) != (None, None):
        raise ConfigurationError(
            f"Both {inputs.paths[0]} and a number of rows or features were given.",
            "Give inputs, whose metadata tells both, or the two numbers.",
        )
    if inputs.paths:
        return _known(inputs.open().source(), inputs.paths[0])
    if rows is None or features is None:
        raise ConfigurationError(
            f"What is to be fitted isn't known: rows={rows}, features={features}, and no inputs.",
            "Give inputs, or the numbers of both rows and features.",
        )
    dtype = compute_dtype(estimator, np.dtype(np.float64))
    return imagined(_whole("rows", rows, MOST_ROWS), _whole("features", features), dtype)


def _known(source: Source, path: str) -> Source:
    if source.lengths is None:
        raise ConfigurationError(
            f"How many rows {path} has isn't known before they are read.",
            "Give the numbers of rows and features instead of inputs.",
        )
    return source


def _whole(name: str, number: float, most: float = math.inf) -> int:
    if not 1 <= number <= most or number % 1:
        least = "a whole number of at least 1"
        remedy = least if math.isinf(most) else f"{least} and at most {most:,}"
        raise ConfigurationError(f"{name} is {number}.", f"It must be {remedy}.")
    return int(number)


def _limit(resources: Resources, threads: int, prospect: Prospect) -> int:
    """Bytes that a worker may take; enough for a pass."""
    given = resources.memory_limit
    limit = memory_share(threads) if given is None else parse_bytes(given)
    needed = memory_limit_for(prospect.task, threads)
    if room_under(limit, prospect.task, threads) == 0:
        whose = "this machine's share for a worker" if given is None else "the memory limit"
        raise ConfigurationError(
            f"A worker of {threads} threads needs more than {format_bytes(needed)} for a pass, and "
            f"{whose} is {format_bytes(limit)}.",
            "Plan for a larger memory limit, fewer threads, or fewer components.",
        )
    return int(limit)
