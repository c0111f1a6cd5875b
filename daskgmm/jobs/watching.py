"""Watch the fits of a cluster from elsewhere, by the events that they log."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from daskgmm.errors import ClusterError
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.cluster.scheduler import connected
from daskgmm.monitoring.events import TOPIC
from daskgmm.monitoring.follow import Follower, News
from daskgmm.monitoring.history import FitHistory
from daskgmm.monitoring.schema import is_ours
from daskgmm.passes.engine.workers import workers_of

_ALL = "all"
"""Dask's topic of what happens to a scheduler; its workers' coming and going among it."""

_SECONDS_BETWEEN_LOOKS = 0.5
"""Interval of checks of the local connection, in seconds; they send nothing."""


@contextmanager
def watching(resources: Resources, wanted: str | None = None) -> Iterator["Watching"]:
    """Follow the events of fits on a running cluster, with the earlier ones that it still holds.

    Parameters
    ----------
    resources : Resources
        With a scheduler.
    wanted : str or None
        Beginning of a run id; other fits are ignored.

    Raises
    ------
    ClusterError
        The scheduler doesn't answer.
    """
    assert resources.scheduler is not None  # noqa: S101  the command requires it
    with connected(resources.scheduler, resources.tls) as client:
        yield Watching(client, wanted)


class Watching:
    """Fits of a client's cluster.

    Parameters
    ----------
    client : distributed.Client
    wanted : str or None
        See `watching`.
    """

    def __init__(self, client: Any, wanted: str | None) -> None:
        self._client = client
        self._connection = client.scheduler_comm
        self._heard: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self.follower = Follower(wanted)
        # Subscribe first, then ask for earlier events: none is missed, but some come twice.
        self._listen_to(TOPIC)
        self._listen_to(_ALL)
        self._known = [(at, event) for at, event in client.get_events(TOPIC) if is_ours(event)]
        for at, event in self._known:
            self.follower.add_earlier(at, event)
        self.follower.mark_gone(self._is_gone, time.time())
        self._workers = set(workers_of(client))
        self._told_of_workers = True

    def news(self) -> Iterator[News]:
        """Follow a fit from its beginning, or its earliest known event, to its end.

        Raises
        ------
        ClusterError
            The connection to the scheduler is lost.
        """
        fresh = self.follower.choose()
        yield from fresh
        if fresh[0].run is not None:
            self._listen_for_the_end(fresh[0].run)
        while (run := self.follower.run) is None or run.running:
            if run is not None and bool(self._workers) is not self._told_of_workers:
                self._told_of_workers = bool(self._workers)
                yield News(run, has_workers=self._told_of_workers)
            fresh = self._next()
            if run is None and fresh and fresh[0].run is not None:
                self._listen_for_the_end(fresh[0].run)
            yield from fresh

    def _next(self) -> list[News]:
        topic, (at, event) = self._wait()
        if topic == TOPIC:
            old_or_foreign = not is_ours(event) or self._is_known((at, event))
            return [] if old_or_foreign else self.follower.add(at, event)
        if topic == _ALL:
            self._count_workers(event)
            return []
        return self.follower.mark_lost(at) if _is_leaving(event) else []

    def _count_workers(self, event: Any) -> None:
        match event:
            case {"action": "add-worker", "worker": address}:
                self._workers.add(address)
            case {"action": "remove-worker", "worker": address}:
                self._workers.discard(address)

    def _wait(self) -> tuple[str, Any]:
        while True:
            try:
                return self._heard.get(timeout=_SECONDS_BETWEEN_LOOKS)
            except Empty:
                # A reconnected client gets no events: the scheduler has lost its subscriptions.
                if self._client.scheduler_comm is not self._connection or self._is_cut_off():
                    raise ClusterError(
                        "The connection to the scheduler was lost.",
                        "Check that the scheduler is running, and watch again: fits don't need "
                        "this connection.",
                    ) from None

    def _is_cut_off(self) -> bool:
        return bool(self._client.status != "running" or self._connection.closed())

    def _is_known(self, stamped: tuple[float, Any]) -> bool:
        if self._known and stamped in self._known:
            return True
        self._known.clear()  # events come in order, so no known one follows
        return False

    def _listen_for_the_end(self, run: FitHistory) -> None:
        client = _client_of(run)
        self._listen_to(client)
        if self._is_gone(run):  # in the meantime
            self._heard.put((client, (time.time(), {"action": "remove-client"})))

    def _listen_to(self, topic: str) -> None:
        self._client.subscribe_topic(topic, lambda event: self._heard.put((topic, event)))

    def _is_gone(self, run: FitHistory) -> bool:
        """Whether the process that runs a fit has left the cluster."""
        told = self._client.get_events(_client_of(run))
        return not told or _is_leaving(told[-1][1])


def _client_of(run: FitHistory) -> str:
    return str(run.client)


def _is_leaving(event: Any) -> bool:
    """Whether an event reports that a client has left; the topic may hold events of any form."""
    return isinstance(event, Mapping) and event.get("action") == "remove-client"
