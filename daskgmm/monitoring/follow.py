"""Choose one of the fits on a cluster and follow its events."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from daskgmm.monitoring.history import FitHistories, FitHistory
from daskgmm.monitoring.schema import START, is_ours

Event: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class News:
    """An event or another change of the fit that is followed.

    Parameters
    ----------
    run : FitHistory or None
        The fit after the event; ``None`` while there is none to follow.
    event : mapping or None
        ``None`` where the fit has just been chosen, or the cluster has changed.
    others : tuple of FitHistory
        Other fits that run, if the fit has just been chosen.
    has_workers : bool or None
        Whether the cluster has workers, if it has come to have none, or some again.
    """

    run: FitHistory | None
    event: Event | None = None
    others: tuple[FitHistory, ...] = ()
    has_workers: bool | None = None


class Follower:
    """Chooses a fit and follows it to its end.

    Parameters
    ----------
    wanted : str or None
        First characters of the fit's run id; ``None`` for the newest fit that runs.
    """

    def __init__(self, wanted: str | None = None) -> None:
        self._wanted = wanted or ""
        self._history = FitHistories()
        self._events: dict[str, list[Event]] = {}
        self._followed: str | None = None

    @property
    def runs(self) -> tuple[FitHistory, ...]:
        """The fits that match the choice: running ones first, newer ones before older ones."""
        return tuple(run for run in self._history.runs if run.run_id.startswith(self._wanted))

    @property
    def run(self) -> FitHistory | None:
        """The fit that is followed, if it has been chosen."""
        found = (run for run in self._history.runs if run.run_id == self._followed)
        return next(found, None)

    def events(self, run: FitHistory) -> tuple[Event, ...]:
        """Events of a run since it last began."""
        return tuple(self._events.get(run.run_id, ()))

    def add_earlier(self, at: float, event: Event) -> None:
        """Add an event that was logged before a fit is chosen."""
        if not is_ours(event):
            return
        self._history.add(event, at)
        run_id = event["run_id"]
        if event["event"] == START:
            self._events[run_id] = []
        if run_id.startswith(self._wanted):
            self._events.setdefault(run_id, []).append(event)

    def mark_gone(self, gone: Callable[[FitHistory], bool], at: float) -> None:
        """Mark running fits as lost if their process has left the cluster."""
        lost = [run.run_id for run in self._history.runs if run.running and gone(run)]
        self._history.mark_lost(lost, at)

    def choose(self) -> list[News]:
        """Choose the fit to follow, if there is one, and return its events so far."""
        chosen = next((run for run in self.runs if self._wanted or run.running), None)
        if chosen is None:
            return [News(None)]
        self._followed = chosen.run_id
        others = tuple(run for run in self._history.runs if run.running and run is not chosen)
        events = self.events(chosen)
        self._events.clear()  # events of other fits are not needed any more
        return [News(chosen, None, others), *(News(chosen, event) for event in events)]

    def add(self, at: float, event: Event) -> list[News]:
        """Add a new event, and return the news of the fit."""
        if self._followed is None:
            self.add_earlier(at, event)
            news = self.choose()
            return news if news[0].run is not None else []
        self._history.add(event, at)
        ours = is_ours(event) and event["run_id"] == self._followed
        return [News(self.run, event)] if ours else []

    def mark_lost(self, at: float) -> list[News]:
        """Mark the fit that is followed as lost: its process has left the cluster."""
        self._history.mark_lost([str(self._followed)], at)
        return [News(self.run)]
