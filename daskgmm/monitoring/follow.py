"""Follow one fit among all that are told of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from daskgmm.monitoring.history import FitHistory, History
from daskgmm.monitoring.schema import START, is_ours

Event: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class News:
    """What there is to say of the fit that is followed.

    Parameters
    ----------
    run : FitHistory or None
        After the event; ``None`` while there is none to follow.
    event : mapping or None
        ``None`` where only something about the run has been found out: that it is followed, or
        that its process has gone.
    others : tuple of FitHistory
        That go on beside it, where it is new.
    """

    run: FitHistory | None
    event: Event | None = None
    others: tuple[FitHistory, ...] = ()


class Follower:
    """Chooses a fit and stays with it.

    Parameters
    ----------
    wanted : str or None
        What the fit's run id begins with; ``None`` for the newest that goes on.
    """

    def __init__(self, wanted: str | None = None) -> None:
        self._wanted = wanted or ""
        self._history = History()
        self._told: dict[str, list[Event]] = {}
        self._followed: str | None = None

    @property
    def runs(self) -> tuple[FitHistory, ...]:
        """What is known of each fit that is asked for: those that go on first, newest first."""
        return tuple(run for run in self._history.runs if run.run_id.startswith(self._wanted))

    @property
    def run(self) -> FitHistory | None:
        """The one that is followed."""
        found = (run for run in self._history.runs if run.run_id == self._followed)
        return next(found, None)

    def events(self, run: FitHistory) -> tuple[Event, ...]:
        """What has been told of a run since it last began."""
        return tuple(self._told.get(run.run_id, ()))

    def remember(self, at: float, event: Event) -> None:
        """Take in an event of before."""
        if not is_ours(event):
            return
        self._history.tell(event, at)
        run_id = event["run_id"]
        if event["event"] == START:
            self._told[run_id] = []
        if run_id.startswith(self._wanted):
            self._told.setdefault(run_id, []).append(event)

    def forsake(self, gone: Callable[[FitHistory], bool], at: float) -> None:
        """Give up the fits that go on for all that is known, and whose process has gone."""
        lost = [run.run_id for run in self._history.runs if run.running and gone(run)]
        self._history.lose(lost, at)

    def choose(self) -> list[News]:
        """Follow a fit if there is one, from its beginning as far as that is known."""
        chosen = next((run for run in self.runs if self._wanted or run.running), None)
        if chosen is None:
            return [News(None)]
        self._followed = chosen.run_id
        others = tuple(run for run in self._history.runs if run.running and run is not chosen)
        events = self.events(chosen)
        self._told.clear()  # nobody asks for the others' again
        return [News(chosen, None, others), *(News(chosen, event) for event in events)]

    def hear(self, at: float, event: Event) -> list[News]:
        """Take in an event that has just come."""
        if self._followed is None:
            self.remember(at, event)
            news = self.choose()
            return news if news[0].run is not None else []
        self._history.tell(event, at)
        ours = is_ours(event) and event["run_id"] == self._followed
        return [News(self.run, event)] if ours else []

    def lose(self, at: float) -> list[News]:
        """The process of the fit that is followed has gone."""
        self._history.lose([str(self._followed)], at)
        return [News(self.run)]
