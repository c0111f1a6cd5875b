"""How many passes a fit has still to make, and how long they will take.

EM converges linearly (Dempster, Laird and Rubin, 1977): near the optimum each change is about the
same share of the one before. So the changes' logarithms lie on a line, which is followed to where
it meets ``tol``.

`Forecast` reckons for a fit in this process, from the changes of all its starts; `remaining_of`
for a fit elsewhere, from its events, which have the best start's change only. Both follow the line
of `passes_left`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from statistics import median, quantiles
from typing import Self

from daskgmm.monitoring.history import FitHistory
from daskgmm.training.states import FitState

_LOOKED_BACK = 6
"""Latest changes that the line is drawn through: earlier ones fell at another rate."""

_FEWEST = 3
"""Changes from which a rate can be estimated."""

_PASSES_TIMED = 5
"""Number of latest passes; their median time is the estimate for a pass."""


def passes_left(changes: Sequence[float], tol: float, most: int) -> int | None:
    """About how many passes a start needs until its change is below `tol`.

    Parameters
    ----------
    changes : sequence of float
        After each pass so far, of what `tol` is held against; those that are zero or not finite
        are left out.
    tol : float
    most : int
        Passes that may still be made.

    Returns
    -------
    int or None
        At most `most`; ``None`` where the changes don't shrink all the while, or are fewer than
        three.
    """
    recent = list(enumerate(changes))[-_LOOKED_BACK:]
    points = [(at, math.log(abs(one))) for at, one in recent if one and math.isfinite(one)]
    if len(points) < _FEWEST:
        return None
    # The slope of Theil and Sen, which a single trial of an acceleration hardly changes. On a
    # plateau many of the slopes rise: no end can be foreseen there.
    slopes = [(two - one) / (b - a) for (a, one), (b, two) in combinations(points, 2)]
    _, slope, highest = quantiles(slopes, n=4)
    if highest >= 0:
        return None
    if tol <= 0:
        return most
    wanted = (points[-1][1] - math.log(tol)) / -slope
    return min(max(math.ceil(wanted), 1), most)


@dataclass(frozen=True)
class Remaining:
    """About how many passes a fit has still to make.

    Parameters
    ----------
    passes : int
    seconds : float
        That they take, from the end of the latest pass on.
    """

    passes: int
    seconds: float


@dataclass(frozen=True)
class Forecast:
    """The course of a fit in this process, extrapolated to its end.

    Parameters
    ----------
    tol : float
    max_iter : int
        Most passes.
    criterion : str
        Criterion of a selection.
    latest : FitState or None
        After the latest pass.
    changes : tuple of tuple of float
        The changes of each start, a value a pass.
    seconds : tuple of float
        Wall time of the last few passes.
    """

    tol: float
    max_iter: int
    criterion: str = "bic"
    latest: FitState | None = None
    changes: tuple[tuple[float, ...], ...] = ()
    seconds: tuple[float, ...] = ()

    def after(self, state: FitState) -> Self:
        """The forecast after one more pass."""
        before = self.changes or ((),) * len(state.traces)
        pairs = zip(before, state.traces, strict=True)
        changes = tuple((*known, trace.change) for known, trace in pairs)
        seconds = (*self.seconds, state.seconds)[-_PASSES_TIMED:]
        return replace(self, latest=state, changes=changes, seconds=seconds)

    @property
    def remaining(self) -> Remaining | None:
        """Passes still to be made by the start that needs most of them.

        ``None`` before the first pass, and where a start's changes don't shrink.
        """
        if self.latest is None:
            return None
        most, passes = self.max_iter - self.latest.iteration, 0
        for trace, changes in zip(self.latest.traces, self.changes, strict=True):
            if trace.stopped is None:
                own = passes_left(changes, self.tol, most)
                if own is None:
                    return None
                passes = max(passes, own)
        return Remaining(passes, passes * median(self.seconds))

    @property
    def share(self) -> float | None:
        """Share of the way of the best start's change to `tol`, on a logarithmic scale.

        ``None`` before there is a change, or where ``tol`` is zero.
        """
        if self.latest is None or self.tol <= 0:
            return None
        best = self.latest.best
        pairs = zip(self.latest.traces, self.changes, strict=True)
        own = next(changes for trace, changes in pairs if trace is best)
        known = [abs(one) for one in own if one and math.isfinite(one)]
        if not known:
            return None
        if known[0] <= self.tol:
            return 1.0
        way = math.log(known[0] / max(known[-1], self.tol))
        return max(way / math.log(known[0] / self.tol), 0.0)


def remaining_of(run: FitHistory) -> Remaining | None:
    """Passes that a fit elsewhere has still to make; ``None`` where its changes don't shrink."""
    tol, max_iter = run.latest.get("tol"), run.latest.get("max_iter")
    if tol is None or max_iter is None or not run.points:
        return None
    # Where passes have been thinned, those kept are `every` passes apart, except for the latest.
    kept = run.points if run.every == 1 else run.points[:-1]
    changes = [point.change for point in kept if point.change is not None]
    most = max(max_iter - run.iteration, 0)
    steps = passes_left(changes, tol, most)
    if steps is None:
        return None
    passes = min(steps * run.every, most)
    return Remaining(passes, passes * _seconds_between_passes(run))


def _seconds_between_passes(run: FitHistory) -> float:
    """Median time from the end of one pass to that of the next."""
    pairs = pairwise(run.points[-_PASSES_TIMED:])
    steps = [(b.time - a.time) / (b.iteration - a.iteration) for a, b in pairs]
    # A clock may have been set back between two passes.
    return max(median(steps), 0.0) if steps else run.points[-1].seconds
