"""Registry of all checks, by name."""

from collections.abc import Callable, Mapping
from typing import Any

from daskgmm.jobs.doctor import cluster, environment, processor, resources
from daskgmm.jobs.doctor.finding import Findings

Checks = Mapping[str, Callable[[Any], Findings]]

OF_PROCESS: Checks = {
    "vector width": processor.vector_width,
    "BLAS threads": processor.threads,
    "OpenMP threads": processor.openmp,
    "cores": processor.limits,
    "memory": resources.limit,
    "disk space": resources.space,
    "disk kind": resources.kind,
    "compiled kernels": environment.cache,
    "packages": environment.optional,
    "Dask's settings": environment.of_worker,
}
"""Checks of a process; they take its Dask worker, or None."""

OF_CLUSTER: Checks = {
    "versions": cluster.versions,
    "clocks": cluster.clocks,
    "shared cores": cluster.processors,
    "workers' packages": cluster.packages,
    "scheduler's settings": cluster.settings,
}
"""Checks of a cluster; they take a client of it."""
