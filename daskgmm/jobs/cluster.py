"""Where a job runs: this process, an embedded cluster, or one that is there already."""

import asyncio
import json
import logging
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from daskgmm.data.dataset import Dataset
from daskgmm.errors import ClusterError, ConfigurationError
from daskgmm.jobs.events import Start
from daskgmm.jobs.inputs import rows_of

CONNECT_SECONDS = 15.0
SMALL_BYTES = 2**28
"""Inputs of fewer bytes, decoded, are not worth the seconds that a cluster takes to start."""

_BYTES_DECODED = 4  # of text or compressed columns, from one byte on disk
_DASHBOARD = ":8787"


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
            _memory_bytes(self.memory_limit)

    @property
    def asks_for_cluster(self) -> bool:
        """Whether anything is said of an embedded cluster."""
        return (self.workers, self.threads, self.memory_limit) != (None, None, None)


@contextmanager
def workplace(resources: Resources, dataset: Dataset) -> Iterator[Start]:
    """Run the block's passes over a dataset where `resources` say.

    Raises
    ------
    ClusterError
        The scheduler doesn't answer in time, or the workers don't start.
    """
    with ExitStack() as stack:
        place, dashboard = "in this process", None
        if resources.scheduler is not None:
            client = stack.enter_context(_connected(resources.scheduler))
            workers = len(client.scheduler_info()["workers"])
            place = f"on {workers} workers of {client.scheduler.address}"
        elif resources.asks_for_cluster or _decoded_bytes(dataset) >= SMALL_BYTES:
            client = stack.enter_context(_embedded(resources))
            cluster = client.cluster
            place = f"on an embedded cluster of {len(cluster.workers)} workers"
            dashboard = cluster.dashboard_link if find_spec("bokeh") else None
        yield Start(rows_of(dataset), dataset.n_features, place, dashboard)


def _decoded_bytes(dataset: Dataset) -> float:
    total = 0.0
    for file in dataset.files:
        if file.rows is not None:
            total += 8 * file.rows * dataset.n_features
        elif file.bytes is not None:
            total += _BYTES_DECODED * file.bytes
        else:
            return float("inf")
    return total


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    deadline = time.monotonic() + CONNECT_SECONDS
    address = _address(scheduler, deadline)
    from distributed import Client

    with _quiet():
        try:
            _greet(address, max(deadline - time.monotonic(), 1.0))
            client = Client(address, timeout=CONNECT_SECONDS)
        except ValueError as error:  # the address has no form that Dask knows
            raise ConfigurationError(
                f"{address!r} is no scheduler's address: {error}.",
                "Give one such as tcp://host:8786, or the scheduler's file.",
            ) from error
        except (OSError, ImportError) as error:
            raise _no_answer(f"The scheduler {address}") from error
        with client:
            yield client


def _greet(address: str, seconds: float) -> None:
    """Raise OSError unless a scheduler answers in time.

    A client waits without end for one that takes the connection and then says nothing.
    """
    from distributed.comm import connect

    async def greet() -> None:
        comm = await asyncio.wait_for(connect(address, timeout=seconds), seconds)
        comm.abort()

    asyncio.run(greet())


def _address(scheduler: str, deadline: float) -> str:
    """Read the address from a scheduler's file, which may be about to be written."""
    if "://" in scheduler or _is_host_and_port(scheduler):
        return scheduler
    while time.monotonic() < deadline:
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads(Path(scheduler).read_text())["address"])
        time.sleep(0.05)
    raise _no_answer(f"The scheduler's file {scheduler}", "did not appear with an address")


def _is_host_and_port(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit()


def _no_answer(what: str, fact: str = "did not answer") -> ClusterError:
    return ClusterError(
        f"{what} {fact} within {CONNECT_SECONDS:g} seconds.",
        "Check that the scheduler runs and that its address is right, then run it again.",
    )


@contextmanager
def _embedded(resources: Resources) -> Iterator[Any]:
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster

    with _quiet():
        try:
            with _threads_deaf_to_interrupts():
                cluster = LocalCluster(
                    processes=True,
                    n_workers=resources.workers or CPU_COUNT,
                    threads_per_worker=resources.threads or 1,
                    memory_limit=resources.memory_limit or "auto",
                    dashboard_address=_DASHBOARD,
                    silence_logs=logging.getLogger("distributed").level or logging.CRITICAL,
                )
        except (OSError, RuntimeError) as error:
            raise ClusterError(
                f"The embedded cluster did not start: {error}.",
                "Check the memory limit and how many processes may be started.",
            ) from error
        with cluster, Client(cluster, timeout=CONNECT_SECONDS) as client:
            yield client


@contextmanager
def _threads_deaf_to_interrupts() -> Iterator[None]:
    """Block Ctrl-C in threads that start meanwhile, and so in the workers that they start.

    A terminal sends it to all processes; only this one is to heed it and stop the others.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Dask's warnings: a port that is taken, a version that differs in a digit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _memory_bytes(text: str) -> int:
    from dask.utils import parse_bytes

    try:
        size = int(parse_bytes(text))
    except ValueError:
        size = 0
    if size <= 0:
        raise ConfigurationError(
            f"The memory limit is {text!r}.", "Give a size such as 2GB or 512MiB."
        )
    return size
