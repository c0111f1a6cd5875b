"""Where graphs run: the user's cluster or scheduler if there is one, else threads here."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeAlias

import dask

from daskgmm.errors import ClusterError, ConfigurationError
from daskgmm.passes.engine.keys import Phase, counted

_FEW = 4
"""Nodes of a graph with one group of parts: its argument, its task, and the survey's two ends."""

_NOT_LOADED = "Error during deserialization of the task graph"
"""Dask's words for tasks that its scheduler could not unpickle."""

_NO_LOOP = "IOLoop is closed"
"""Dask's words for a client that was closed, by who waits for it."""

_GONE = "lost dependencies"
"""Dask's words for keys that a graph needs and its scheduler has forgotten."""

_RESTARTED = "scheduler-restart"
"""Dask's reason for futures that somebody's ``client.restart()`` cancelled."""

_LOST = ("scheduler-connection-lost", "unknown")
"""Its reasons where the scheduler, or the client, was closed."""

_NO_WORKERS = "no-workers"
"""Ours for futures that we gave up."""

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_BEFORE_TOLD, _SECONDS_BETWEEN_LINES = 5.0, 60.0
"""Without workers: a nanny starts a worker anew in less than the first."""

_NOBODY = object()
_chosen: ContextVar[Any] = ContextVar("client that passes run on", default=_NOBODY)

_patience: ContextVar[float | None] = ContextVar("seconds to wait for workers", default=None)

Graph: TypeAlias = Mapping[Hashable, Any]

logger = logging.getLogger(__name__)


@contextmanager
def running_on(client: Any) -> Iterator[None]:
    """Run the block's passes on a client, or with ``None`` in this process.

    What else is active in the process, or the cluster whose task it is, then doesn't matter.
    """
    token = _chosen.set(client)
    try:
        yield
    finally:
        _chosen.reset(token)


@contextmanager
def waiting_for_workers(seconds: float) -> Iterator[None]:
    """Give the block's passes up where no worker was there for so long; else they wait for ever."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


@contextmanager
def settled() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Run all of the block's passes on the client that is active at its beginning, if one is.

    Else passes would go on in this process once it is closed, without what it holds.

    Yields
    ------
    callable
        Gives a context manager, in whose block passes run as they did before.
    """
    before, client = _chosen.get(), active_client()
    with nullcontext() if client is None else running_on(client):
        yield partial(running_on, before)


@contextmanager
def as_passes_do() -> Iterator[None]:
    """Have what Dask computes in the block by itself run where passes do."""
    client = _chosen.get()
    if client is _NOBODY:
        yield
    elif client is None:
        with dask.config.set(scheduler="threads"):
            yield
    else:
        try:
            with client.as_current(), _watched(client):
                yield
        finally:
            _forget_if_closed(client)


def _forget_if_closed(client: Any) -> None:
    """Undo that a client which was closed meanwhile is named as Dask's scheduler again."""
    from distributed.client import default_client

    if client.status != "closed":
        return
    try:
        default_client()
    except ValueError:
        dask.config.set(scheduler=None)


def active_client() -> Any:
    """The distributed client that passes run on here, or None.

    Raises
    ------
    ConfigurationError
        It is asynchronous.
    """
    if _chosen.get() is not _NOBODY:
        return _chosen.get()
    distributed = sys.modules.get("distributed")
    # A client that was made the default names itself; another name is the user's choice.
    if distributed is None or dask.config.get("scheduler", None) not in (None, "dask.distributed"):
        return None
    try:
        client = distributed.get_client()
    except ValueError:
        return None
    if client.asynchronous:
        raise ConfigurationError(
            "The active Dask client is asynchronous.",
            "Use a Client without asynchronous=True, or call from a thread of its own.",
        )
    return client


def compute(graph: Graph, keys: Any, phase: Phase) -> Any:
    """Run a graph and return the value of a key, or of a list of keys.

    Parameters
    ----------
    graph : mapping
    keys : hashable or list of hashable
    phase : Phase
        Of the run, that a cluster counts it to.

    Raises
    ------
    ClusterError
        Workers died under the tasks or the scheduler went away.
    ConfigurationError
        The scheduler can't load them.
    """
    client = active_client()
    if client is not None:
        with explaining_losses(), counted(phase), _watched(client):
            return client.get(graph, keys)
    if dask.config.get("scheduler", None) not in (None, "dask.distributed"):
        return dask.base.get_scheduler()(graph, keys)
    if len(graph) <= _FEW:  # a pool of threads would take longer than they do
        return dask.local.get_sync(graph, keys)
    return _compute_in_threads(graph, keys)


def _compute_in_threads(graph: Graph, keys: Any) -> Any:
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, len(graph)))
    try:
        return dask.threaded.get(graph, keys, pool=pool)
    except Exception:
        # Who heeds the error may remove what tasks that are still running write.
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        pool.shutdown(wait=False)


def hold(graph: Graph, keys: Sequence[Hashable]) -> dict[Hashable, Any]:
    """Have the active cluster compute some keys and keep them while their futures live."""
    with explaining_losses(), counted(Phase.INITIALISATION):
        futures = active_client().get(graph, list(keys), sync=False)
    return dict(zip(keys, futures, strict=True))


@contextmanager
def explaining_losses() -> Iterator[None]:
    """Say what it is where workers or the scheduler are lost on the way, or can't load tasks."""
    from distributed.client import ClosedClientError, FutureCancelledError
    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"Workers died again and again under the task {error.task!r}.",
            "They probably ran out of memory: give them more, or use smaller partitions.",
        ) from error
    except FutureCancelledError as error:
        if _GONE in str(error):
            raise ClusterError(
                "The cluster no longer holds values that the input is made of.",
                "Keep what was persisted in a variable of its own until the call returns; "
                "persist it again if the cluster was restarted.",
            ) from error
        raise _cancelled(error) from error
    except (CommClosedError, TimeoutError) as error:
        raise _lost(error) from error
    except ClosedClientError as error:
        raise _closed() from error
    except RuntimeError as error:
        if str(error) == _NO_LOOP:
            raise _closed() from error
        if not str(error).startswith(_NOT_LOADED):
            raise
        raise ConfigurationError(
            "The scheduler can't load the tasks of a pass.",
            "Install the same versions of daskgmm and of its libraries where the scheduler runs.",
        ) from error


def _cancelled(error: Any) -> ClusterError:
    """What has become of tasks that Dask cancelled."""
    if error.reason == _NO_WORKERS:
        return _no_workers(str(error.msg))
    if error.reason == _RESTARTED:
        return ClusterError(
            "The cluster was restarted (client.restart()), and what its workers were doing is "
            "lost.",
            "Run the same again once nobody restarts it.",
        )
    if error.reason in _LOST:
        return _lost(error)
    return ClusterError(
        f"The cluster gave up the task {error.key!r} ({error.reason}).",
        "Somebody may have cancelled it, or rows that it held are lost: run the same again.",
    )


def _lost(error: Exception) -> ClusterError:
    return ClusterError(
        f"The connection to the scheduler was lost ({type(error).__name__}).",
        "Check that the scheduler runs and can be reached, and run the same again.",
    )


def _closed() -> ClusterError:
    return ClusterError(
        "The Dask client was closed before the cluster had done its work.",
        "Leave it open until then, and run the same again.",
    )


def _no_workers(fact: str) -> ClusterError:
    return ClusterError(
        fact,
        "Start workers, or wait longer for them with worker_timeout= (--worker-timeout), and run "
        "the same again.",
    )


class _Wait:
    """Looks whether workers are there, says now and then that they are not, and for how long.

    Parameters
    ----------
    client : distributed.Client
    least : int
        Workers that suffice.
    """

    def __init__(self, client: Any, least: int = 1) -> None:
        self._client, self._least = client, least
        self._began, self._told = time.monotonic(), -float("inf")
        self.workers = 0

    async def look(self) -> float:
        """Seconds for which too few workers have been there by now."""
        found = await self._client.scheduler.identity(n_workers=0)
        now, self.workers = time.monotonic(), found["n_workers"]
        if self.workers >= self._least:
            self._began = now
        seconds = now - self._began
        due = max(self._told + _SECONDS_BETWEEN_LINES, self._began + _SECONDS_BEFORE_TOLD)
        if self.workers < self._least and now >= due:
            logger.warning("%s Waiting, %.0f s so far.", self.fact(), seconds)
            self._told = now
        return seconds

    def fact(self, seconds: float | None = None) -> str:
        """How many workers there are."""
        told = f"{self.workers} of {self._least} workers are" if self.workers else "No worker is"
        was = "" if seconds is None else f" after {seconds:g} s"
        return f"{told} there{was} ({self._client.scheduler.address})."


def wait_for_workers(client: Any, least: int = 1) -> None:
    """Wait until a cluster has workers, no longer than `waiting_for_workers` says.

    Raises
    ------
    ClusterError
        They have not come in time, or the scheduler went away.
    """
    patience = _patience.get()

    async def wait() -> str | None:
        waited = _Wait(client, least)
        while (seconds := await waited.look()) >= 0 and waited.workers < least:
            if patience is not None and seconds >= patience:
                return waited.fact(patience)
            await asyncio.sleep(min(_SECONDS_BETWEEN_LOOKS, patience or _SECONDS_BETWEEN_LOOKS))
        return None

    with explaining_losses():
        fact = client.sync(wait)
    if fact is not None:
        raise _no_workers(fact)


@contextmanager
def _watched(client: Any) -> Iterator[None]:
    """Give up what the block has the cluster compute, where its workers stay away for too long."""
    from distributed import Future

    patience, before = _patience.get(), frozenset(client.futures)

    async def watch() -> None:
        waited = _Wait(client)
        with suppress(OSError):  # the scheduler is lost, and who waits for it is told
            while True:
                await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
                seconds = await waited.look()
                if patience is not None and seconds >= patience:
                    ours = [Future(key, client) for key in set(client.futures) - before]
                    fact = waited.fact(patience)
                    await client.cancel(ours, asynchronous=True, reason=_NO_WORKERS, msg=fact)
                    return

    if client.status != "running":  # then it says so itself
        yield
        return
    watching = asyncio.run_coroutine_threadsafe(watch(), client.loop.asyncio_loop)
    try:
        yield
    finally:
        watching.cancel()
