"""Cores that a process may use, against the threads that it runs."""

import os
from typing import Any

from daskgmm.jobs.doctor.finding import Findings, ok, warning


def cores() -> int:
    """Cores that affinity and the container leave to this process."""
    from dask.system import cpu_count

    return int(cpu_count())


def tasks_of(worker: Any) -> int:
    """Tasks at a time: of an embedded cluster's workers it is one."""
    return 1 if worker is None else int(worker.state.nthreads)


def limits(worker: Any) -> Findings:
    """Affinity and the container's share of processors."""
    machine, usable, tasks = os.cpu_count() or 1, cores(), tasks_of(worker)
    if tasks > usable:
        yield warning(
            f"{tasks} threads run tasks, and affinity or the container leaves {usable} of the "
            f"machine's {machine} cores.",
            "Give fewer threads, or a greater share of the processors.",
        )
    else:
        yield ok(f"Tasks, {tasks} at a time, may use {usable} of the machine's {machine} cores.")


def openmp(worker: Any) -> Findings:
    """OpenMP, which scikit-learn's k-means uses."""
    import sklearn.cluster  # noqa: F401  it loads OpenMP
    from threadpoolctl import threadpool_info

    pools = [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "openmp"]
    most, usable, tasks = max(pools, default=1), cores(), tasks_of(worker)
    fact = f"OpenMP threads a task: {most}; tasks at a time: {tasks}; cores: {usable}."
    if most > 1 and most * tasks > usable:
        yield warning(
            fact,
            f"Set OMP_NUM_THREADS={max(usable // tasks, 1)} before Python starts.",
        )
    else:
        yield ok(fact)
