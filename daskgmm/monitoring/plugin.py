"""A scheduler's ear: it keeps the board up to date."""

import time
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

from daskgmm.monitoring.events import TOPIC
from daskgmm.monitoring.schema import END, is_ours
from daskgmm.monitoring.state import Board

NAME = "daskgmm"


class FitPlugin(SchedulerPlugin):  # type: ignore[misc]  # distributed has no types
    """Hears the events of fits and counts the tasks of their passes.

    Parameters
    ----------
    board : Board
    """

    name = NAME
    idempotent = True

    def __init__(self, board: Board) -> None:
        self.board = board
        self.faults: dict[str, str] = {}
        self.closing: list[Callable[[], None]] = []

    def log_event(self, topic: str, msg: Any) -> None:
        """An event has been logged, of a fit or not."""
        if topic == TOPIC and is_ours(msg):
            self.board.history.tell(msg, time.time())
            if msg["event"] == END:
                self.board.tally.forget([msg["run_id"]])

    def update_graph(
        self, scheduler: Any, *, client: str, tasks: Iterable[Hashable], **kwargs: Any
    ) -> None:
        """A graph has come."""
        self.board.tally.begin(client, tasks, time.time())

    def transition(self, key: Hashable, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """A task has changed its state, as all tasks of all users do several times."""
        if start == "processing" and finish == "memory":
            self.board.tally.finish(key, kwargs["worker"])

    def remove_client(self, scheduler: Any, client: str) -> None:
        """A client has gone: no more is to be heard of its fits."""
        gone = [run.run_id for run in self.board.history.runs if run.client == client]
        self.board.history.lose(gone, time.time())
        self.board.tally.forget(self.board.tally.runs_of(client))

    async def close(self) -> None:
        """The scheduler closes."""
        for close in self.closing:
            with suppress(Exception):  # it goes away in any case
                close()
