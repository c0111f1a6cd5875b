"""A cluster of this job's own on this machine."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

from daskgmm.errors import ClusterError
from daskgmm.jobs.cluster.scheduler import CONNECT_SECONDS

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 1.0
_DASHBOARD = ":8787"  # another free port where that one is taken


def size_of(workers: int | None, threads: int | None) -> tuple[int, int]:
    """Workers of the cluster and threads of each; by default one a core, with one each."""
    from dask.system import CPU_COUNT

    return workers or CPU_COUNT, threads or 1


def memory_share(threads: int) -> int:
    """Bytes that Dask leaves to a worker by default: a share of the machine's by its threads."""
    from distributed.worker_memory import parse_memory_limit

    return parse_memory_limit("auto", threads, logger=logger) or 0


@contextmanager
def embedded(
    workers: int | None = None, threads: int | None = None, memory_limit: str | None = None
) -> Iterator[Any]:
    """A client of a new cluster of processes, which end with the block.

    Parameters
    ----------
    workers : int or None
        Processes; one a core by default.
    threads : int or None
        Of each; one by default.
    memory_limit : str or None
        Of each; an even share of the machine's by default.

    Raises
    ------
    ClusterError
        The workers don't start.
    """
    from distributed import Client, LocalCluster

    processes, threads_each = size_of(workers, threads)
    try:
        with _threads_deaf_to_interrupts():
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
            "Check the memory limit and how many processes may be started.",
        ) from error
    with cluster, Client(cluster, timeout=CONNECT_SECONDS) as client:
        try:
            yield client
        except KeyboardInterrupt:
            _stop(cluster)
            raise


def _stop(cluster: Any) -> None:
    """End workers in the middle of their tasks: by itself Dask waits four seconds for them."""

    async def stop() -> None:
        nannies = list(cluster.workers.values())
        for nanny in nannies:
            nanny.auto_restart = False
        await asyncio.gather(*(nanny.kill(timeout=_PATIENCE_SECONDS) for nanny in nannies))

    with suppress(Exception):  # then they are waited for
        cluster.sync(stop)


@contextmanager
def _threads_deaf_to_interrupts() -> Iterator[None]:
    """Block Ctrl-C in threads that start meanwhile, and so in the workers that they start.

    A terminal sends it to all processes; only this one is to heed it and stop the others.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # which would unblock it again, started later
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
