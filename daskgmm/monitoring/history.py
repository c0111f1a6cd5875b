"""The fits of a cluster as its scheduler remembers them: bounded, however long they go on.

A fit as those see it who hear of it by its events.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from daskgmm.monitoring.schema import PASS, START, is_ours

MOST_POINTS = 400
"""Passes of a run that are kept: of more, every second, fourth, …; and always the latest."""

RUNNING, LOST = "running", "lost"


@dataclass(frozen=True, slots=True)
class Point:
    """A pass, as it is kept.

    Parameters
    ----------
    iteration : int
    time : float
        When it ended (seconds since 1970, by the clock of the fit's process).
    lower_bound, change : float or None
    seconds : float
    rows, bytes_read : int
        Read by it.
    weights : tuple of float
        Of the best start's components, the first ones.
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
        """What is kept of a pass's event."""
        return cls(
            int(event.get("iteration", 0)),
            float(event.get("time", 0.0)),
            event.get("lower_bound"),
            event.get("change"),
            float(event.get("seconds", 0.0)),
            int(event.get("rows", 0)),
            int(event.get("bytes_read", 0)),
            tuple(event.get("weights", ())),
        )

    @property
    def rows_per_second(self) -> float | None:
        """How fast rows went by."""
        return self.rows / self.seconds if self.seconds > 0 else None


@dataclass(frozen=True, eq=False)
class FitHistory:
    """A fit after all that has been told of it.

    Parameters
    ----------
    run_id : str
    heard : float
        When news of it came last, by the scheduler's clock (seconds since 1970).
    about : mapping
        Its ``fit-start``; empty where that was missed.
    latest : mapping
        Its last ``pass``; empty before the first.
    ending : mapping
        Its ``fit-end``; empty while it runs.
    gone : bool
        Whether the process that makes it left the cluster without having ended it.
    points : tuple of Point
        Its passes, thinned evenly.
    every : int
        Of so many passes one is kept.
    passes, rows : int
        Passes told of in all, and rows that they read.
    seconds : float
        That they took.
    """

    run_id: str
    heard: float
    about: Mapping[str, Any] = field(default_factory=dict)
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
        """``running``, ``lost``, or how it ended: a value of `Reason`."""
        if self.ending:
            return str(self.ending.get("stopped"))
        return LOST if self.gone else RUNNING

    @property
    def client(self) -> str | None:
        """Dask's id of the client that it runs on, where that was told."""
        return (self.latest or self.about).get("client")

    @property
    def running(self) -> bool:
        """Whether it goes on, for all that is known."""
        return self.state == RUNNING

    @property
    def started(self) -> float:
        """When (seconds since 1970); where that was missed, its first known pass."""
        first = self.points[0].time if self.points else self.heard
        return float(self.about.get("time", first))

    @property
    def iteration(self) -> int:
        """Of its latest pass, 0 before the first."""
        return self.points[-1].iteration if self.points else 0

    def told(self, event: Mapping[str, Any], at: float) -> "FitHistory":
        """Itself after one more event of its own."""
        changed: dict[str, Any] = {"ending": event}
        if event["event"] == START:  # a second one: it goes on after a break
            changed = {"about": event, "ending": {}}
        elif event["event"] == PASS:
            changed = {"latest": event, "ending": {}, **self._after(Point.of(event))}
        return replace(self, heard=at, gone=False, **changed)

    def left(self, at: float) -> "FitHistory":
        """Itself after its process has gone."""
        return replace(self, heard=at, gone=True)

    def _after(self, point: Point) -> dict[str, Any]:
        points, every = _without_repeats(self.points, point.iteration), self.every
        if len(points) > 1 and (points[-1].iteration - points[0].iteration) % every:
            points = points[:-1]  # it was there as the latest only
        points = (*points, point)
        if len(points) > MOST_POINTS:  # by one, and that number is even: the latest stays
            points, every = points[::2], 2 * every
        return {
            "points": points,
            "every": every,
            "passes": self.passes + 1,
            "rows": self.rows + point.rows,
            "seconds": self.seconds + point.seconds,
        }


def _without_repeats(points: tuple[Point, ...], iteration: int) -> tuple[Point, ...]:
    """Those before an iteration: a fit that resumes makes its last passes again."""
    while points and points[-1].iteration >= iteration:
        points = points[:-1]
    return points


MOST_RUNS = 20


class History:
    """Fits, from the events that they log; may be read while it is told of more.

    Parameters
    ----------
    most : int
        Runs that are kept: of more, those that ended are forgotten first, the oldest first.
    """

    def __init__(self, most: int = MOST_RUNS) -> None:
        self._most = most
        self._runs: dict[str, FitHistory] = {}
        self._outcomes: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._version = 0

    @property
    def version(self) -> int:
        """Grows with all that is told."""
        return self._version

    @property
    def runs(self) -> tuple[FitHistory, ...]:
        """What is known of each fit: those that run first, of these the newest first."""
        with self._lock:
            runs = list(self._runs.values())
        return tuple(sorted(runs, key=lambda run: (not run.running, -run.started)))

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many fits have ended, by `Run.state`; those that are forgotten count on."""
        with self._lock:
            return dict(self._outcomes)

    def tell(self, event: Any, at: float) -> None:
        """Take in an event of a fit; anything else is let pass.

        Parameters
        ----------
        event : dict
            As `messages` makes them.
        at : float
            When the scheduler got it, by its own clock (seconds since 1970).
        """
        if not is_ours(event):
            return
        with self._lock:
            run_id = event["run_id"]
            run = self._runs.get(run_id) or FitHistory(run_id, heard=at)
            self._keep(run.told(event, at))

    def lose(self, run_ids: Iterable[str], at: float) -> None:
        """The processes that made these fits have left the cluster."""
        with self._lock:
            for run_id in run_ids:
                run = self._runs.get(run_id)
                if run is not None and run.running:
                    self._keep(run.left(at))

    def _keep(self, run: FitHistory) -> None:
        before = self._runs.get(run.run_id)
        if not run.running and (before is None or before.running):
            self._outcomes[run.state] += 1
        self._runs[run.run_id] = run
        self._version += 1
        if len(self._runs) > self._most:
            others = (one for one in self._runs.values() if one is not run)
            del self._runs[min(others, key=lambda one: (one.running, one.heard)).run_id]
