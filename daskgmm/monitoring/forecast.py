"""How many passes a fit has still to make, and how long they will take.

EM converges linearly (Dempster, Laird and Rubin, 1977): near the optimum each change is about the
same share of the one before. So the changes' logarithms lie on a line, which is followed to where
it meets ``tol``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import median, quantiles
from typing import Self

from daskgmm.training.states import FitState

_LOOKED_BACK = 6
"""Latest changes that the line is drawn through: earlier ones fell at another rate."""

_FEWEST = 3
"""Changes that tell a rate."""

_PASSES_TIMED = 5


def passes_left(changes: Sequence[float], tol: float, most: int) -> int | None:
    """About how many passes a start needs until its change is below `tol`.

    Parameters
    ----------
    changes : sequence of float
        After each pass so far, in whatever `tol` is held against; those that are not finite or
        zero tell nothing.
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
    # Theil's and Sen's slope: a trial of an acceleration doesn't sway it. A plateau has no end
    # that could be foreseen: there many of the slopes rise.
    slopes = [(two - one) / (b - a) for (a, one), (b, two) in combinations(points, 2)]
    _, slope, highest = quantiles(slopes, n=4)
    if highest >= 0:
        return None
    if tol <= 0:
        return most
    wanted = (points[-1][1] - math.log(tol)) / -slope
    return min(max(math.ceil(wanted), 1), most)


@dataclass(frozen=True)
class Forecast:
    """What the passes so far say of those to come.

    Parameters
    ----------
    tol : float
    max_iter : int
        Most passes.
    latest : FitState or None
        After the last pass.
    changes : tuple of tuple of float
        Of each start, after each pass that this was told of.
    seconds : tuple of float
        Wall time of the last few passes.
    """

    tol: float
    max_iter: int
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
    def passes_left(self) -> int | None:
        """About how many passes are still to be made, by the start that needs most of them.

        ``None`` where a start's changes don't tell.
        """
        if self.latest is None:
            return None
        left = 0
        for trace, changes in zip(self.latest.traces, self.changes, strict=True):
            if trace.stopped is None:
                own = passes_left(changes, self.tol, self.max_iter - self.latest.iteration)
                if own is None:
                    return None
                left = max(left, own)
        return left

    @property
    def seconds_left(self) -> float | None:
        """About how long those passes will take, from the last pass on."""
        left = self.passes_left
        return None if left is None else left * median(self.seconds)

    @property
    def share(self) -> float | None:
        """How far the best start's change has come from its first towards `tol`, on a log scale.

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
