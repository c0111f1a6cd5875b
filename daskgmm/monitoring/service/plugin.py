"""Scheduler plugin that keeps the state of fits up to date."""

import time
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

from daskgmm.monitoring.events import TOPIC
from daskgmm.monitoring.schema import END, is_ours
from daskgmm.monitoring.service.state import ClusterFits

NAME = "daskgmm"


class FitPlugin(SchedulerPlugin):  # type: ignore[misc]  # distributed has no types
    """Records the events of fits and counts the tasks of their passes.

    Parameters
    ----------
    fits : ClusterFits
    """

    name = NAME
    idempotent = True

    def __init__(self, fits: ClusterFits) -> None:
        self.fits = fits
        self.faults: dict[str, str] = {}
        self.closing: list[Callable[[], None]] = []

    def log_event(self, topic: str, msg: Any) -> None:
        """Record a logged event, if it is a fit's."""
        if topic == TOPIC and is_ours(msg):
            self.fits.histories.add(msg, time.time())
            if msg["event"] == END:
                self.fits.tasks.forget([msg["run_id"]])

    def update_graph(
        self, scheduler: Any, *, client: str, tasks: Iterable[Hashable], **kwargs: Any
    ) -> None:
        """Begin to count the tasks of a graph."""
        self.fits.tasks.begin_pass(client, tasks, time.time())

    def transition(self, key: Hashable, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Count a finished task; Dask calls this for each change of each user's tasks."""
        if start == "processing" and finish == "memory":
            self.fits.tasks.add_finished(key, kwargs["worker"])
        elif finish == "waiting":
            self.fits.tasks.take_back(key)

    def remove_client(self, scheduler: Any, client: str) -> None:
        """Mark the fits of a client that has left as lost."""
        gone = [run.run_id for run in self.fits.histories.runs if run.client == client]
        self.fits.histories.mark_lost(gone, time.time())
        self.fits.tasks.forget(self.fits.tasks.runs_of(client))

    async def close(self) -> None:
        """Close the parts that were added to the scheduler, which closes itself."""
        for close in self.closing:
            with suppress(Exception):  # it goes away with the scheduler in any case
                close()
