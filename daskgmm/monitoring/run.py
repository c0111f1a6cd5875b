"""A fit as those see it who hear of it by its events."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from daskgmm.monitoring.messages import PASS, START

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
class Run:
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

    def told(self, event: Mapping[str, Any], at: float) -> "Run":
        """Itself after one more event of its own."""
        changed: dict[str, Any] = {"ending": event}
        if event["event"] == START:  # a second one: it goes on after a break
            changed = {"about": event, "ending": {}}
        elif event["event"] == PASS:
            changed = {"latest": event, "ending": {}, **self._after(Point.of(event))}
        return replace(self, heard=at, gone=False, **changed)

    def left(self, at: float) -> "Run":
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
