"""Execution of graphs: on the active client, in threads of this process, or here."""

import os
import sys
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pickle import PickleBuffer
from typing import Any, TypeAlias
from uuid import uuid4

import dask
from dask.base import normalize_token

from daskgmm.data.containers.dask import is_future
from daskgmm.data.containers.task_spec import DataNode
from daskgmm.passes.engine.client import active_client
from daskgmm.passes.engine.keys import Phase, counted
from daskgmm.passes.engine.threads import threads_here
from daskgmm.passes.engine.workers import explaining_losses, giving_up

_FEW_NODES = 4
"""Nodes of a graph with one group of parts: its argument, its task, and the survey's two ends."""

Graph: TypeAlias = Mapping[Hashable, Any]


class _NewGraph(dict[Hashable, Any]):
    """A graph whose keys are used only once."""


def _name(graph: _NewGraph) -> str:
    """Name a graph for Dask, which would else read all that its tasks carry to make a name."""
    del graph
    return uuid4().hex


normalize_token.register(_NewGraph, _name)


def _unknown(graph: Graph) -> _NewGraph:
    """The nodes of a graph that the scheduler does not know: it knows futures by their keys.

    It would else unpack, order and compare thousands of persisted chunks in each pass.
    """
    return _NewGraph(
        (key, node) for key, node in graph.items() if not (is_future(node) and node.key == key)
    )


def compute(graph: Graph, keys: Any, phase: Phase) -> Any:
    """Run a graph and return the value of a key, or of a list of keys.

    It runs on the active client if there is one, on a scheduler named in Dask's configuration,
    else in threads of this process.
    """
    client = active_client()
    if client is not None:
        with explaining_losses(), counted(phase), giving_up(client):
            return client.get(_unknown(graph), keys)
    if dask.config.get("scheduler", None) not in (None, "dask.distributed"):
        return dask.base.get_scheduler()(graph, keys)
    if len(graph) <= _FEW_NODES:  # starting a pool of threads takes longer than these tasks
        return dask.local.get_sync(graph, keys)
    return _compute_in_threads(graph, keys)


class _Threads(threading.local):
    """Threads for the graphs of whoever asks, kept from one pass to the next.

    To start them takes longer than the tasks of a small pass.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def pool(self) -> ThreadPoolExecutor:
        """The pool of this thread; those of a process do not live on in what it forks."""
        if self._pool is None or self._process != os.getpid():
            self._pool, self._process = ThreadPoolExecutor(threads_here()), os.getpid()
        return self._pool

    def give_up(self, *, wait: bool) -> None:
        """Let go of the pool, and of the tasks that it has not begun."""
        if self._pool is not None:
            self._pool.shutdown(wait=wait, cancel_futures=True)
        self._pool = None


_threads = _Threads()


def _compute_in_threads(graph: Graph, keys: Any) -> Any:
    try:
        return dask.threaded.get(graph, keys, pool=_threads.pool())
    except BaseException as error:
        # The caller may remove files that tasks still write, so wait for those tasks.
        _threads.give_up(wait=isinstance(error, Exception))
        raise


def hold(graph: Graph, keys: Sequence[Hashable]) -> dict[Hashable, Any]:
    """Compute some keys on the active cluster, which keeps them as long as their futures live."""
    with explaining_losses(), counted(Phase.INITIALISATION):
        futures = active_client().get(_unknown(graph), list(keys), sync=False)
    return dict(zip(keys, futures, strict=True))


def sent(key: Hashable, value: Any) -> dict[Hashable, Any]:
    """Send a value to the active cluster: tasks find it by its key as long as its future lives.

    It is sent as a graph, which the scheduler keeps: a value that is scattered is lost with the
    worker that has it.
    """
    with graphs_without_rows():
        return hold({key: DataNode(key, value)}, [key])


def sent_bytes(value: Any) -> int:
    """Bytes of a value as it is sent to a cluster."""
    from distributed.protocol import pickle

    buffers: list[PickleBuffer] = []
    rest = pickle.dumps(value, buffer_callback=buffers.append)
    return len(rest) + sum(one.raw().nbytes for one in buffers)


@contextmanager
def graphs_without_rows() -> Iterator[None]:
    """Send the block's graphs however large they are: Dask warns of large ones as of rows."""
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": sys.maxsize}):
        yield
