"""Embedded clusters: worker processes on this machine that end with the job."""

import asyncio
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

from daskgmm.errors import ClusterError
from daskgmm.jobs.cluster.scheduler import CONNECT_SECONDS

logger = logging.getLogger(__name__)

PROFILE = "distributed.worker.profile.enabled"
PROFILER_STOPS_WORKERS = sys.version_info < (3, 12)
"""Whether Dask's profiler may stop a process for good: see `settings_for_workers`."""

_PATIENCE_SECONDS = 1.0
_BACK_AGAIN = {"distributed.deploy.lost-worker-timeout": "10m"}
_NO_PROFILE = {PROFILE: False}
_ENVIRONMENT = "distributed.nanny.pre-spawn-environ"
_KEPT = {"MALLOC_MMAP_THRESHOLD_": 4 * 2**20, "MALLOC_TRIM_THRESHOLD_": 32 * 2**20}
_DASKS = {"MALLOC_TRIM_THRESHOLD_": 65536}
"""What Dask's configuration has of these by default."""

_DASHBOARD = ":8787"  # Dask takes another free port if this one is in use


def size_of(workers: int | None, threads: int | None) -> tuple[int, int]:
    """Number of workers and of threads per worker; by default one worker a core, one thread."""
    from dask.system import CPU_COUNT

    return workers or CPU_COUNT, threads or 1


def memory_share(threads: int) -> int:
    """Memory limit (bytes) of a worker by default: its threads' share of the machine's memory."""
    from distributed.worker_memory import parse_memory_limit

    return parse_memory_limit("auto", threads, logger=logger) or 0


@contextmanager
def embedded(
    workers: int | None = None, threads: int | None = None, memory_limit: str | None = None
) -> Iterator[Any]:
    """Start a cluster of processes for the block, and yield its client.

    Parameters
    ----------
    workers : int or None
        Number of processes; by default one a core.
    threads : int or None
        Threads of each process; by default one.
    memory_limit : str or None
        Memory limit of each process; by default an equal share of the machine's memory.

    Raises
    ------
    ClusterError
        The workers don't start.
    """
    from distributed import Client, LocalCluster

    processes, threads_each = size_of(workers, threads)
    with settings_for_workers():
        try:
            with threads_deaf_to_interrupts():
                cluster = LocalCluster(
                    processes=True,
                    n_workers=processes,
                    threads_per_worker=threads_each,
                    memory_limit=memory_limit or "auto",
                    dashboard_address=_DASHBOARD,
                    silence_logs=logging.getLogger("distributed").level,
                )
        except (OSError, RuntimeError) as error:
            raise ClusterError(
                f"The embedded cluster did not start: {error}.",
                "Check the memory limit, and the system's limit on processes.",
            ) from error
        with cluster, Client(cluster, timeout=CONNECT_SECONDS) as client:
            try:
                yield client
            except KeyboardInterrupt:
                kill_workers(cluster)
                raise


@contextmanager
def settings_for_workers() -> Iterator[None]:
    """Dask's settings from before workers start on this machine until they have ended.

    Dask gives up a worker that is not back 15 seconds after its process died, for good. On a busy
    machine a worker takes longer to start, and a job whose workers were all given up has none to
    wait for.

    Dask has the C library give back all memory above 64 KiB that a worker frees, and take it anew
    for each array of 128 KiB: that takes as long as a Cholesky factor of the array. Here workers
    keep up to 32 MiB, for arrays of up to 4 MiB. What the user has set in Dask's configuration goes
    before, and so do environment variables.

    On Python 3.11 workers are not profiled. There a process in which threads begin while it is
    asked where its threads are, as Dask's profiler asks a hundred times a second, may stop for
    good: https://github.com/dask/distributed/issues/8616. Dask would start it again after five
    minutes.
    """
    import dask

    given = dask.config.get(_ENVIRONMENT, {})
    kept = {
        f"{_ENVIRONMENT}.{name}": value
        for name, value in _KEPT.items()
        if given.get(name) == _DASKS.get(name)
    }
    with dask.config.set(_BACK_AGAIN | kept | (_NO_PROFILE if PROFILER_STOPS_WORKERS else {})):
        yield


def kill_workers(cluster: Any) -> None:
    """Kill workers on this machine amid their tasks, for which Dask would wait four seconds."""

    async def stop() -> None:
        nannies = list(cluster.workers.values())
        for nanny in nannies:
            nanny.auto_restart = False
        await asyncio.gather(*(nanny.kill(timeout=_PATIENCE_SECONDS) for nanny in nannies))

    with suppress(Exception):  # if killing fails, Dask waits for the tasks
        cluster.sync(stop)


@contextmanager
def threads_deaf_to_interrupts() -> Iterator[None]:
    """Block Ctrl-C in threads that start in the block, and in the workers that these start.

    A terminal sends Ctrl-C to all processes; only this process should handle it and stop the
    workers.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # started later, it would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
