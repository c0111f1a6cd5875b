"""The course of each fit on a cluster, from its events, in bounded memory."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from daskgmm.monitoring.schema import PASS, START, STARTS, is_ours

MOST_POINTS = 400
"""Passes of a fit that are kept; of more, every second, fourth and so on, and the latest."""

MOST_RUNS = 20
"""Fits that are kept."""

RUNNING, LOST = "running", "lost"
"""States of a fit that has not ended; `Reason` has the others."""


@dataclass(frozen=True, slots=True)
class Point:
    """The figures of a pass that are kept for charts.

    Parameters
    ----------
    iteration : int
    time : float
        When it ended (seconds since 1970, by the clock of the fit's process).
    lower_bound, change : float or None
    seconds : float
    rows, bytes_read : int
        That it read.
    weights : tuple of float
        Weights of the best start's first components.
    """

    iteration: int
    time: float
    lower_bound: float | None
    change: float | None
    seconds: float
    rows: int
    bytes_read: int
    weights: tuple[float, ...]

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "Point":
        """Figures of a pass, from its event."""
        return cls(
            int(event.get("iteration", 0)),
            float(event.get("time", 0.0)),
            event.get("lower_bound"),
            event.get("change"),
            float(event.get("seconds", 0.0)),
            int(event.get("rows") or 0),
            int(event.get("bytes_read", 0)),
            tuple(event.get("weights", ())),
        )

    @property
    def rows_per_second(self) -> float | None:
        """Rows a second, where the time is known."""
        return self.rows / self.seconds if self.seconds > 0 else None


@dataclass(frozen=True, eq=False)
class FitHistory:
    """A fit as its events describe it.

    Parameters
    ----------
    run_id : str
    heard : float
        When its latest event came, by the scheduler's clock (seconds since 1970).
    about : mapping
        The fit's event ``fit-start``; empty where that is not known.
    starts : mapping of int to mapping
        The latest event ``starts`` of each candidate, by its number.
    latest : mapping
        The fit's last event ``pass``; empty before the first.
    ending : mapping
        The fit's event ``fit-end``; empty while it runs.
    gone : bool
        Whether its process left the cluster before the fit ended.
    points : tuple of Point
        Passes of the fit, thinned evenly.
    every : int
        Passes from one that is kept to the next.
    passes, rows : int
        All passes that were heard of, and rows that they read.
    seconds : float
        That they took.
    """

    run_id: str
    heard: float
    about: Mapping[str, Any] = field(default_factory=dict)
    starts: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    latest: Mapping[str, Any] = field(default_factory=dict)
    ending: Mapping[str, Any] = field(default_factory=dict)
    gone: bool = False
    points: tuple[Point, ...] = ()
    every: int = 1
    passes: int = 0
    rows: int = 0
    seconds: float = 0.0

    @property
    def state(self) -> str:
        """State of the fit: ``running``, ``lost``, or how it ended, a value of `Reason`."""
        if self.ending:
            return str(self.ending.get("stopped"))
        return LOST if self.gone else RUNNING

    @property
    def client(self) -> str | None:
        """Dask's id of the client that the fit runs on, where that is known."""
        return (self.latest or self.about).get("client")

    @property
    def search(self) -> tuple[Mapping[str, Any], ...]:
        """Latest events of the search for starts, one a candidate, until the first pass."""
        return () if self.latest else tuple(one for _, one in sorted(self.starts.items()))

    @property
    def running(self) -> bool:
        """Whether the fit has not ended and its process is not lost."""
        return self.state == RUNNING

    @property
    def started(self) -> float:
        """Start of the fit (seconds since 1970), or the end of its first known pass."""
        first = self.points[0].time if self.points else self.heard
        return float(self.about.get("time", first))

    @property
    def iteration(self) -> int:
        """Number of the fit's latest pass, 0 before the first."""
        return self.points[-1].iteration if self.points else 0

    def after(self, event: Mapping[str, Any], at: float) -> "FitHistory":
        """The fit's history after one more event."""
        changed: dict[str, Any] = {"ending": event}
        if event["event"] == START:  # a second one: the fit resumes
            changed = {"about": event, "starts": {}, "ending": {}}
        elif event["event"] == STARTS:
            changed = {"starts": {**self.starts, event.get("candidate", 0): event}}
        elif event["event"] == PASS:
            changed = {"latest": event, "ending": {}, **self._with_point(Point.of(event))}
        return replace(self, heard=at, gone=False, **changed)

    def lost(self, at: float) -> "FitHistory":
        """The fit's history after its process has left the cluster."""
        return replace(self, heard=at, gone=True)

    def _with_point(self, point: Point) -> dict[str, Any]:
        points, every = _without_repeats(self.points, point.iteration), self.every
        if len(points) > 1 and (points[-1].iteration - points[0].iteration) % every:
            points = points[:-1]  # kept only while it was the latest
        points = (*points, point)
        if len(points) > MOST_POINTS:  # one too many; MOST_POINTS is even, so the latest stays
            points, every = points[::2], 2 * every
        return {
            "points": points,
            "every": every,
            "passes": self.passes + 1,
            "rows": self.rows + point.rows,
            "seconds": self.seconds + point.seconds,
        }


def _without_repeats(points: tuple[Point, ...], iteration: int) -> tuple[Point, ...]:
    """The points before an iteration: a fit that resumes repeats its last passes."""
    while points and points[-1].iteration >= iteration:
        points = points[:-1]
    return points


class FitHistories:
    """The fits of a cluster, from their events; safe to read from other threads.

    Parameters
    ----------
    most : int
        Fits that are kept; those that have ended make room first, the oldest first.
    """

    def __init__(self, most: int = MOST_RUNS) -> None:
        self._most = most
        self._runs: dict[str, FitHistory] = {}
        self._outcomes: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._version = 0

    @property
    def version(self) -> int:
        """Number that grows with each change of a fit."""
        return self._version

    @property
    def runs(self) -> tuple[FitHistory, ...]:
        """The fits: those that run first, and newer ones before older ones."""
        with self._lock:
            runs = list(self._runs.values())
        return tuple(sorted(runs, key=lambda run: (not run.running, -run.started)))

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many fits have ended so far, by `FitHistory.state`."""
        with self._lock:
            return dict(self._outcomes)

    def add(self, event: Any, at: float) -> None:
        """Add an event of a fit; anything else is ignored.

        Parameters
        ----------
        event : object
        at : float
            When the scheduler received it, by its clock (seconds since 1970).
        """
        if not is_ours(event):
            return
        with self._lock:
            run_id = event["run_id"]
            run = self._runs.get(run_id) or FitHistory(run_id, heard=at)
            self._keep(run.after(event, at))

    def mark_lost(self, run_ids: Iterable[str], at: float) -> None:
        """Record that the processes of these fits have left the cluster."""
        with self._lock:
            for run_id in run_ids:
                run = self._runs.get(run_id)
                if run is not None and run.running:
                    self._keep(run.lost(at))

    def _keep(self, run: FitHistory) -> None:
        before = self._runs.get(run.run_id)
        if not run.running and (before is None or before.running):
            self._outcomes[run.state] += 1
        self._runs[run.run_id] = run
        self._version += 1
        if len(self._runs) > self._most:
            others = (one for one in self._runs.values() if one is not run)
            del self._runs[min(others, key=lambda one: (one.running, one.heard)).run_id]
