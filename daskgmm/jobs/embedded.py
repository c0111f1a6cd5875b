"""A cluster of this job's own on this machine."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

from daskgmm.errors import ClusterError

_CONNECT_SECONDS = 15.0
_PATIENCE_SECONDS = 1.0
_DASHBOARD = ":8787"  # another free port where that one is taken


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
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster

    try:
        with _threads_deaf_to_interrupts():
            cluster = LocalCluster(
                processes=True,
                n_workers=workers or CPU_COUNT,
                threads_per_worker=threads or 1,
                memory_limit=memory_limit or "auto",
                dashboard_address=_DASHBOARD,
                silence_logs=logging.getLogger("distributed").level,
            )
    except (OSError, RuntimeError) as error:
        raise ClusterError(
            f"The embedded cluster did not start: {error}.",
            "Check the memory limit and how many processes may be started.",
        ) from error
    with cluster, Client(cluster, timeout=_CONNECT_SECONDS) as client:
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
