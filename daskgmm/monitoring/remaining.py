"""How much of a run is left."""

from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from daskgmm.monitoring.forecast import passes_left
from daskgmm.monitoring.history import FitHistory

_TIMED = 5


@dataclass(frozen=True)
class Ahead:
    """About how many passes a run has still to make, and how long they take."""

    passes: int
    seconds: float


def left(run: FitHistory) -> Ahead | None:
    """What the passes so far say of those to come, ``None`` where they say nothing yet."""
    tol, most = run.latest.get("tol"), run.latest.get("max_iter")
    if tol is None or most is None or not run.points:
        return None
    # Where passes have been thinned, those kept are `every` passes apart, but for the latest.
    kept = run.points if run.every == 1 else run.points[:-1]
    changes = [point.change for point in kept if point.change is not None]
    steps = passes_left(changes, tol, max(most - run.iteration, 0))
    if steps is None:
        return None
    passes = min(steps * run.every, max(most - run.iteration, 0))
    return Ahead(passes, passes * _cadence(run))


def _cadence(run: FitHistory) -> float:
    """Seconds from a pass to the next one, what is done between them included."""
    pairs = pairwise(run.points[-_TIMED:])
    steps = [(b.time - a.time) / (b.iteration - a.iteration) for a, b in pairs]
    # Clocks may be set back in between.
    return max(median(steps), 0.0) if steps else run.points[-1].seconds
