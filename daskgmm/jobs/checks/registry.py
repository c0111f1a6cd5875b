"""All checks."""

from collections.abc import Callable, Mapping
from typing import Any

from daskgmm.jobs.checks import (
    blas,
    cluster,
    compiled,
    dask_config,
    disk,
    memory,
    packages,
    threads,
)
from daskgmm.jobs.checks.finding import Findings

Checks = Mapping[str, Callable[[Any], Findings]]

OF_PROCESS: Checks = {
    "vector width": blas.vector_width,
    "BLAS threads": blas.threads,
    "OpenMP threads": threads.openmp,
    "cores": threads.limits,
    "memory": memory.limit,
    "disk space": disk.space,
    "disk kind": disk.kind,
    "compiled kernels": compiled.cache,
    "packages": packages.optional,
    "Dask's settings": dask_config.of_worker,
}
"""Given the worker whose process it is, or None."""

OF_CLUSTER: Checks = {
    "versions": cluster.versions,
    "clocks": cluster.clocks,
    "shared cores": cluster.processors,
    "workers' packages": cluster.packages,
    "scheduler's settings": cluster.settings,
}
"""Given a client of it."""
