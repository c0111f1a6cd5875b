"""Where a job runs: this process, an embedded cluster, or one that is there already."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from daskgmm.errors import ConfigurationError
from daskgmm.jobs.embedded import embedded
from daskgmm.jobs.events import Start
from daskgmm.jobs.inputs import Described, rows_of
from daskgmm.jobs.scheduler import connected

SMALL_BYTES = 2**28
"""Inputs of fewer bytes, decoded, are not worth the seconds that a cluster takes to start."""

SMALL_FOR_ONE_PASS = 2**34
"""Likewise for jobs of a single pass: threads have read so much before processes catch up."""

LEAST_MEMORY = 500_000_000
"""Of a worker: below it Dask pauses workers for the libraries alone, and nothing moves."""

_BYTES_DECODED = 4  # of text or compressed columns, from one byte on disk


@dataclass(frozen=True)
class Resources:
    """What a job may use.

    Parameters
    ----------
    scheduler : str or None
        Address of a running scheduler, or the file that it wrote its address to.
    workers : int or None
        Processes of the embedded cluster; one a core by default.
    threads : int or None
        Threads of each; one by default.
    memory_limit : str or None
        Of each, such as ``"2GB"``; an even share of the machine's by default.
    """

    scheduler: str | None = None
    workers: int | None = None
    threads: int | None = None
    memory_limit: str | None = None

    def __post_init__(self) -> None:
        if self.scheduler is not None and self.asks_for_cluster:
            raise ConfigurationError(
                f"The scheduler {self.scheduler} was given, and so was the size of a cluster.",
                "Leave out workers, threads and memory limit: the running cluster has its own.",
            )
        for name, count in (("workers", self.workers), ("threads", self.threads)):
            if count is not None and count < 1:
                raise ConfigurationError(f"{name} is {count}.", "It must be at least 1.")
        if self.memory_limit is not None:
            _check_memory(self.memory_limit)

    @property
    def asks_for_cluster(self) -> bool:
        """Whether anything is said of an embedded cluster."""
        return (self.workers, self.threads, self.memory_limit) != (None, None, None)


@contextmanager
def workplace(
    resources: Resources, dataset: Described, *, one_pass: bool = False
) -> Iterator[Start]:
    """Run the block's passes over a dataset where `resources` say; there may be one only.

    Raises
    ------
    ClusterError
        The scheduler doesn't answer in time, or the workers don't start.
    """
    with ExitStack() as stack:
        place, dashboard = "in this process", None
        small = SMALL_FOR_ONE_PASS if one_pass else SMALL_BYTES
        if resources.scheduler is not None:
            _silence_dask(stack)
            client = stack.enter_context(connected(resources.scheduler))
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
            place = f"on {_workers(workers)} of {client.scheduler.address}"
        elif resources.asks_for_cluster or _decoded_bytes(dataset) >= small:
            _silence_dask(stack)
            sizes = (resources.workers, resources.threads, resources.memory_limit)
            client = stack.enter_context(embedded(*sizes))
            place = f"on an embedded cluster of {_workers(len(client.cluster.workers))}"
            dashboard = client.cluster.dashboard_link if find_spec("bokeh") else None
        yield Start(rows_of(dataset), dataset.n_features, place, dashboard)


def _silence_dask(stack: ExitStack) -> None:
    """Without Dask's warnings: a port that is taken, a version that differs in a digit."""
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")


def _workers(count: int) -> str:
    return f"{count} worker{'s' * (count != 1)}"


def _decoded_bytes(dataset: Described) -> float:
    total = 0.0
    for file in dataset.files:
        if file.rows is not None:
            total += 8 * file.rows * dataset.n_features
        elif file.bytes is not None:
            total += _BYTES_DECODED * file.bytes
        else:
            return float("inf")
    return total


def _check_memory(text: str) -> None:
    from dask.utils import parse_bytes

    try:
        size = parse_bytes(text)
    except ValueError as error:
        raise ConfigurationError(
            f"The memory limit is {text!r}.", "Give a size such as 2GB or 512MiB."
        ) from error
    if size < LEAST_MEMORY:
        raise ConfigurationError(
            f"The memory limit is {text}, and a worker's libraries alone take 350 MB.",
            f"Give at least {LEAST_MEMORY // 10**6} MB, and 1 GB or more where you can.",
        )
