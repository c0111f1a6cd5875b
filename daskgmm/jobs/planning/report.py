"""Plan a fit: time, tasks and memory of its passes, before there are rows or a cluster."""

import math
from dataclasses import asdict
from typing import Any, Unpack

from daskgmm.errors import ConfigurationError
from daskgmm.fitting.checks import warn_of_few_sampled
from daskgmm.jobs.cluster.local import size_of
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.cluster.workplace import is_small
from daskgmm.jobs.inputs import Inputs
from daskgmm.jobs.methods import MixtureSpec
from daskgmm.jobs.options import Paths, PlanOptions, build, check
from daskgmm.jobs.planning.benchmark import planned_rate
from daskgmm.jobs.planning.cluster import Planner, limit_of
from daskgmm.jobs.planning.passes import SEEN_PASSES, USUAL_PASSES, PassPlan
from daskgmm.jobs.planning.search import IN_A_WORKER, SearchPlan, threads_of_search
from daskgmm.jobs.planning.search_benchmark import measured_search
from daskgmm.jobs.planning.source import source_of
from daskgmm.passes.memory import (
    TARGET,
    client_bytes,
    largest_part,
    memory_limit_for,
    rows_bytes,
    worker_bytes,
)
from daskgmm.passes.memory_limits import helpers_within


def plan(
    inputs: Paths = (),
    *,
    components: int,
    rows: float | None = None,
    features: int | None = None,
    covariance: str = "full",
    **options: Unpack[PlanOptions],
) -> dict[str, Any]:
    """Compute the time, tasks and memory that a fit will take, as ``daskgmm plan`` does.

    Sizes, tasks and memory come from the same code that a fit uses; seconds follow from short
    passes over generated rows and steps of a search for starts, in one thread of this process. That
    search runs on one worker, on the threads of all where these share a machine. Only the inputs'
    metadata is read.

    Parameters
    ----------
    inputs : path or sequence of paths
        Files, directories, patterns or URLs whose metadata holds the number of rows.
    components : int
        Number of components K.
    rows, features : int, optional
        Numbers n and D, in place of inputs, for Parquet as Arrow writes it, of type ``dtype``.
    covariance : str
        The covariance type.
    options
        As the command line has them, with its defaults; see `daskgmm.jobs.options.PlanOptions`.

    Returns
    -------
    dict
        Plain JSON values. ``memory_a_worker_bytes`` is the limit that a worker needs without
        holding rows, ``memory_a_worker_in_memory_bytes`` the limit with which ``workers`` hold
        all rows, and ``memory_client_bytes`` what the fit's own process takes beside them at most.
        ``cheapest`` is the fewest workers of at most ``memory_limit_bytes`` that hold all rows,
        each as small as it can be, or ``None`` if they have no room for rows.

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    check(options, PlanOptions)
    resources = build(Resources, options)
    method = MixtureSpec.of(options, components=components, covariance=covariance)
    estimator = method.estimator()
    source = source_of(Inputs.of(inputs, options), rows, features, estimator)
    pass_plan = PassPlan.of(estimator, source)
    if pass_plan.rows < components:
        raise ConfigurationError(
            f"{components} components were requested, but there are only {pass_plan.rows} rows.",
            "Use fewer components: each needs at least one row.",
        )
    workers, threads = size_of(resources.workers, resources.threads)
    limit, sizes = limit_of(resources, threads, pass_plan), _sizes(pass_plan)
    warn_of_few_sampled(pass_plan.settings, pass_plan.rows)
    small = not resources.asks_for_cluster and is_small(pass_plan.rows, source.n_features)
    rate = planned_rate(pass_plan, 1 if small else workers * threads)
    search = SearchPlan.of(pass_plan, rate.share)
    helpers = helpers_within(int(TARGET * limit), pass_plan.task, threads)
    spread = min(threads_of_search(workers, threads, helpers), search.parts)
    sizes |= {"sample_rows": search.rows, "starts_sought": search.starts, "search_threads": spread}
    seconds_a_step = search.rows * rate.seconds_a_row / pass_plan.starts
    measured = measured_search(pass_plan, search.rows, rate.share)
    beside = rate.crowding if spread > 1 else 1.0
    found = search.seconds(measured, seconds_a_step / rate.crowding, spread) * beside
    found *= 1 if small else IN_A_WORKER
    step = pass_plan.starts * measured.m_step
    planner = Planner(pass_plan, sizes["data_bytes"], threads, rate, step, found)
    return sizes | {"in_this_process": small} | _on(planner, workers, limit)


def _sizes(pass_plan: PassPlan) -> dict[str, Any]:
    plan, source, task = pass_plan.settings.candidates[0].plan, pass_plan.source, pass_plan.task
    return {
        "rows": pass_plan.rows,
        "features": source.n_features,
        "dtype": str(pass_plan.settings.dtype),
        "components": plan.n_components,
        "covariance": plan.covariance.name,
        "n_init": plan.n_init,
        "starts_a_pass": pass_plan.starts,
        "data_bytes": rows_bytes(source),
        "parts": len(source.parts),
        "rows_a_part": largest_part(source),
        "rows_a_block": task.block_rows,
        "passes": USUAL_PASSES,
        "passes_seen": list(SEEN_PASSES),
        "passes_at_most": pass_plan.most_passes,
    }


def _on(planner: Planner, workers: int, limit: int) -> dict[str, Any]:
    task, threads = planner.pass_plan.task, planner.threads
    needed = planner.memory_a_worker(workers)
    in_memory = needed <= limit
    tasks = planner.tasks(in_memory=in_memory)
    seconds = planner.seconds_a_pass(workers, in_memory=in_memory)
    cheapest = planner.cheapest(limit)
    return {
        "workers": workers,
        "threads": threads,
        "memory_limit_bytes": limit,
        "memory_a_worker_peak_bytes": worker_bytes(task, threads),
        "memory_a_worker_bytes": memory_limit_for(task, threads),
        "memory_a_worker_in_memory_bytes": needed,
        "memory_client_bytes": client_bytes(task),
        "rows_in_memory": in_memory,
        "tasks_a_pass": tasks.reading,
        "sums_a_pass": tasks.adding,
        "rows_a_task": math.ceil(planner.pass_plan.rows / tasks.reading),
        "rows_a_second_a_thread": 1 / planner.rate.seconds_a_row,
        "seconds_a_pass": seconds,
        "seconds_of_starts": planner.seconds_of_starts,
        "seconds": USUAL_PASSES * seconds + planner.seconds_of_starts,
        "cheapest": None if cheapest is None else asdict(cheapest),
    }
