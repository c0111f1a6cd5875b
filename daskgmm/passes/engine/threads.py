"""How many threads this process has for tasks, and which a search for starts uses beside its own.

It uses those that no task needs meanwhile. On a cluster these are threads of the search's worker
and, where all workers are on this machine, as many as other workers have that do not search.
Without one they are those of this process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import dask

from daskgmm.data.storage.scratch import this_worker
from daskgmm.model.parallel import Lender, helped
from daskgmm.passes.engine import blas
from daskgmm.passes.engine.client import active_client

_IN_THREADS = (None, "dask.distributed", "threads", "threading")
"""Dask's schedulers whose tasks run in threads of this process, where there is no cluster."""


class _Lenders:
    """The lender of this process, and those of workers, of which a process may have several."""

    def __init__(self) -> None:
        self._begin()
        if hasattr(os, "register_at_fork"):
            # Threads that borrowed, or held a lock, when a child was forked are not there.
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._lock, self._here = Lock(), Lender()
        self._of_workers: WeakKeyDictionary[Any, Lender] = WeakKeyDictionary()

    def of(self, worker: Any) -> Lender:
        """The lender of a worker, or, for ``None``, of this process."""
        with self._lock:
            return self._here if worker is None else self._of_workers.setdefault(worker, Lender())


_lenders = _Lenders()


def threads_here() -> int:
    """Threads of this process that work on a graph without a cluster."""
    return os.cpu_count() or 1


def threads_each(searches: int) -> int:
    """Threads that each of so many searches may use, or, on a cluster, may at least."""
    client = active_client()
    if client is None:
        alone = this_worker() is None and dask.config.get("scheduler", None) in _IN_THREADS
        return threads_here() if alone else 1
    return max(min(_threads_of_this_machine(client), threads_here()) // searches, 1)


def _threads_of_this_machine(client: Any) -> int:
    """Threads of all workers of a cluster that this process has started here; else none."""
    from distributed import LocalCluster

    cluster = client.cluster
    return int(cluster.scheduler.total_nthreads) if isinstance(cluster, LocalCluster) else 0


@contextmanager
def spare_threads(share: int) -> Iterator[None]:
    """Spread what the block computes over threads that are spare.

    Parameters
    ----------
    share : int
        Threads of the search; on a cluster those of its worker, where they are more.
    """
    worker = this_worker()

    def free() -> int:
        if worker is None:
            return share - blas.running()
        return max(int(worker.state.nthreads), share) - int(worker.state.executing_count)

    with helped(_lenders.of(worker), free):
        yield
