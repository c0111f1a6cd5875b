"""Where graphs run: the user's cluster or scheduler if there is one, else threads here."""

import os
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeAlias

import dask

from daskgmm.errors import ClusterError, ConfigurationError
from daskgmm.passes.naming import Phase, counted

_FEW = 4
"""Nodes of a graph with one group of parts: its argument, its task, and the survey's two ends."""

_NOT_LOADED = "Error during deserialization of the task graph"
"""Dask's words for tasks that its scheduler could not unpickle."""

_NO_LOOP = "IOLoop is closed"
"""Dask's words for a client that was closed, by who waits for it."""

_GONE = "lost dependencies"
"""Dask's words for keys that a graph needs and its scheduler has forgotten."""

_NOBODY = object()
_chosen: ContextVar[Any] = ContextVar("client that passes run on", default=_NOBODY)

Graph: TypeAlias = Mapping[Hashable, Any]


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
            with client.as_current():
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
        with explaining_losses(), counted(phase):
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
    except (ClosedClientError, CommClosedError, FutureCancelledError, TimeoutError) as error:
        if _GONE in str(error):
            raise ClusterError(
                "The cluster no longer holds values that the input is made of.",
                "Keep what was persisted in a variable of its own until the call returns; "
                "persist it again if the cluster was restarted.",
            ) from error
        raise _lost(error) from error
    except RuntimeError as error:
        if str(error) == _NO_LOOP:
            raise _lost(error) from error
        if not str(error).startswith(_NOT_LOADED):
            raise
        raise ConfigurationError(
            "The scheduler can't load the tasks of a pass.",
            "Install the same versions of daskgmm and of its libraries where the scheduler runs.",
        ) from error


def _lost(error: Exception) -> ClusterError:
    return ClusterError(
        f"The connection to the scheduler was lost ({type(error).__name__}).",
        "Check that it is alive, leave the client open, and run the same again.",
    )
