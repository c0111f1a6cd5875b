"""Clusters on this machine, the graphs that they are sent, and schedulers that do not answer."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from distributed import Client, LocalCluster

from daskgmm.passes.engine import graph as engine
from daskgmm.passes.engine.keys import Phase


def cluster_of(n_workers: int = 1, **options: Any) -> LocalCluster:
    """A cluster of workers with a thread each, its dashboard at a free port."""
    settings = {"dashboard_address": ":0", "threads_per_worker": 1} | options
    return LocalCluster(n_workers=n_workers, **settings)


@contextmanager
def in_threads(n_workers: int = 1, **options: Any) -> Iterator[Client]:
    """A client of such a cluster whose workers are threads here: quick to start.

    What they say to each other is sent all the same.
    """
    with running(n_workers, processes=False, protocol="tcp://", **options) as client:
        yield client


@contextmanager
def running(n_workers: int = 1, **options: Any) -> Iterator[Client]:
    """A client of such a cluster for the length of a `with` block."""
    with cluster_of(n_workers, **options) as cluster, Client(cluster) as client:
        yield client


def assert_forgotten(client: Client) -> None:
    """The scheduler soon has no task left."""
    deadline = time.monotonic() + 30
    while left := client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks)):
        assert time.monotonic() < deadline, left[:5]
        time.sleep(0.05)


@contextmanager
def recording():
    """The graphs of a fit's EM passes, as they are sent."""
    graphs, plain = [], engine.compute
    with pytest.MonkeyPatch.context() as patch:

        def keeping(graph, keys, phase, *more):
            own = {key: one for key, one in graph.items() if type(one).__name__ != "Future"}
            if phase is Phase.PASS:
                graphs.append(own)
            return plain(graph, keys, phase, *more)

        patch.setattr(engine, "compute", keeping)
        yield graphs


def silent():
    """A socket that takes connections and says nothing."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


def closed_port():
    """A port of this machine at which nothing listens."""
    with silent() as server:
        return server.getsockname()[1]
