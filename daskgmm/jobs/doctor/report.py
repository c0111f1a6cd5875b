"""Run all checks on this machine, or on a running cluster, and report what they find."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.doctor import cluster, environment, processor
from daskgmm.jobs.doctor import resources as memory_and_disk
from daskgmm.jobs.doctor.finding import Finding, Findings, problem, warning

HERE = "here"

Checks = Mapping[str, Callable[[Any], Findings]]

OF_PROCESS: Checks = {
    "vector width": processor.vector_width,
    "BLAS threads": processor.threads,
    "cores": processor.limits,
    "memory": memory_and_disk.limit,
    "disk space": memory_and_disk.space,
    "disk kind": memory_and_disk.kind,
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


@dataclass(frozen=True)
class Reported:
    """A finding and the places where it holds.

    Parameters
    ----------
    check : str
        Name of the check.
    level : str
        ``"ok"``, ``"warning"`` or ``"problem"``.
    fact, remedy : str
    where : tuple of str
        ``"here"``, ``"cluster"``, or addresses of workers.
    """

    check: str
    level: str
    fact: str
    remedy: str
    where: tuple[str, ...]


def examine(resources: Resources) -> tuple[Reported, ...]:
    """All findings, in the order of the checks; one that many workers share is listed once.

    Raises
    ------
    ClusterError
        The scheduler doesn't answer.
    """
    if resources.scheduler is None:
        return _merged((HERE, name, finding) for name, finding in look(OF_PROCESS, None))
    from daskgmm.jobs.cluster.scheduler import connected

    with _silently(), connected(resources.scheduler, resources.tls) as client:
        everywhere = client.run(_look_in_worker, on_error="return")
        told = [
            (worker, name, finding)
            for worker, found in everywhere.items()
            for name, finding in _of_worker(found)
        ]
        if not everywhere:
            none = problem("The cluster has no workers.", "Start workers.")
            return _merged([("cluster", "workers", none)])
        told += [("cluster", name, finding) for name, finding in look(OF_CLUSTER, client)]
    return _merged(told)


@contextmanager
def _silently() -> Iterator[None]:
    """Suppress Dask's warning of different versions, which a check reports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def look(checks: Checks, subject: Any) -> list[tuple[str, Finding]]:
    """Findings of checks on a worker, a client or None; a check that fails becomes a warning."""
    found = []
    for name, check in checks.items():
        try:
            found += [(name, finding) for finding in check(subject)]
        except Exception as error:  # noqa: BLE001  one check's failure must not hide the others' findings
            fact = f"The check failed: {type(error).__name__}: {error}."
            found.append((name, warning(fact, "Check this yourself.")))
    return found


def _look_in_worker(dask_worker: Any) -> list[tuple[str, Finding]]:
    return look(OF_PROCESS, dask_worker)


def _of_worker(found: Any) -> list[tuple[str, Finding]]:
    if not isinstance(found, BaseException):
        return list(found)
    fact = f"The worker can't run daskgmm's code: {type(found).__name__}: {found}."
    return [("worker", problem(fact, "Install the same version of daskgmm there."))]


def _merged(told: Iterable[tuple[str, str, Finding]]) -> tuple[Reported, ...]:
    places: dict[tuple[str, Finding], list[str]] = {}
    for where, name, finding in told:
        places.setdefault((name, finding), []).append(where)
    order = list(dict.fromkeys(name for name, _ in places))
    return tuple(
        Reported(name, str(finding.level), finding.fact, finding.remedy, tuple(where))
        for (name, finding), where in sorted(places.items(), key=lambda one: order.index(one[0][0]))
    )
