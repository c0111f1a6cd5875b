"""`Resources`: the cluster and limits that a job is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from daskgmm.errors import ConfigurationError
from daskgmm.jobs.cluster.classes import ClusterSpec
from daskgmm.jobs.cluster.dashboard import check_report
from daskgmm.jobs.cluster.tls import Tls

LEAST_MEMORY = 500_000_000
"""Least memory limit of a worker (bytes): below it the libraries alone make Dask pause workers."""


@dataclass(frozen=True)
class Resources:
    """Cluster and limits that a job runs with.

    Parameters
    ----------
    scheduler : str or None
        Address of a running scheduler, or the file that it wrote its address to.
    workers : int or None
        Processes of the embedded cluster; by default one a core.
    threads : int or None
        Threads of each process; by default one.
    memory_limit : str or None
        Memory limit of each process, such as ``"2GB"``; by default an equal share of the
        machine's memory.
    tls_ca, tls_cert, tls_key : str or None
        Files for an encrypted connection to the scheduler; see `Tls`.
    cluster : mapping or None
        Class of a cluster that the job starts, its arguments, and ``scale`` or ``adapt``; see
        `daskgmm.jobs.cluster.classes`.
    performance_report : str or None
        File for Dask's performance report. A job that would run without a cluster then starts
        an embedded one.
    wait_for_workers : int or None
        Number of workers to wait for before the job begins; by default one.
    worker_timeout : float
        Seconds without any worker, or at the beginning without `wait_for_workers` of them,
        after which the job fails.
    """

    scheduler: str | None = None
    workers: int | None = None
    threads: int | None = None
    memory_limit: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    cluster: Mapping[str, Any] | None = field(default=None, repr=False)
    performance_report: str | None = None
    wait_for_workers: int | None = None
    worker_timeout: float = 300.0

    def __post_init__(self) -> None:
        if self.scheduler is not None and self.asks_for_cluster:
            raise ConfigurationError(
                f"Both the scheduler {self.scheduler} and the size of an embedded cluster were "
                "given.",
                "Leave out workers, threads and memory limit: a running cluster has its own.",
            )
        if self.cluster is not None:
            name = ClusterSpec.of(self.cluster).name
            if self.scheduler is not None or self.asks_for_cluster:
                other = "a scheduler" if self.scheduler else "the size of an embedded cluster"
                raise ConfigurationError(
                    f"Both the cluster class {name} and {other} were given.",
                    "Leave one of them out.",
                )
        if self.tls and self.scheduler is None:
            raise ConfigurationError(
                "Certificates were given without a scheduler.",
                "Give the scheduler's address, or leave the certificates out: an embedded cluster "
                "does not use any.",
            )
        counts = {
            "workers": self.workers,
            "threads": self.threads,
            "wait_for_workers": self.wait_for_workers,
        }
        for name, count in counts.items():
            if count is not None and count < 1:
                raise ConfigurationError(f"{name} is {count}.", "It must be at least 1.")
        if not self.worker_timeout > 0:
            raise ConfigurationError(
                f"worker_timeout is {self.worker_timeout}.", "It must be more than 0 seconds."
            )
        if self.memory_limit is not None:
            _check_memory(self.memory_limit)
        if self.performance_report is not None:
            check_report(self.performance_report)

    @property
    def tls(self) -> Tls:
        """Files for an encrypted connection to the scheduler."""
        return Tls(self.tls_ca, self.tls_cert, self.tls_key)

    @property
    def asks_for_cluster(self) -> bool:
        """Whether the size of an embedded cluster is given."""
        return (self.workers, self.threads, self.memory_limit) != (None, None, None)

    def plain(self) -> dict[str, Any]:
        """Plain values for a run's record: of a cluster only its class, without arguments."""
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        cluster = None if self.cluster is None else ClusterSpec.of(self.cluster).name
        return own | {"cluster": cluster}


def _check_memory(text: str) -> None:
    from dask.utils import parse_bytes

    try:
        size = parse_bytes(text)
    except ValueError as error:
        raise ConfigurationError(
            f"The memory limit {text!r} is not a size.", "Give a size such as 2GB or 512MiB."
        ) from error
    if size < LEAST_MEMORY:
        raise ConfigurationError(
            f"The memory limit is {text}, but a worker's libraries alone take 350 MB.",
            f"Give at least {LEAST_MEMORY // 10**6} MB, better 1 GB or more.",
        )
