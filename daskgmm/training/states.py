"""States of the EM loop after each pass."""

from dataclasses import dataclass, field
from enum import Enum

from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.training.acceleration import AccelerationState

ROUNDING = 1e-10
"""Lower bounds closer than this, relative, are the same number summed in another order."""


class StopReason(Enum):
    """Why a fit stopped; the value tells cause and remedy."""

    CONVERGED = "The change fell below tol."
    MAX_ITER = "max_iter passes were made before the change fell below tol: raise max_iter or tol."
    COLLAPSED = "A component collapsed: use fewer components, a larger reg_covar or other starts."


@dataclass(frozen=True)
class Trace:
    """The course of one start so far.

    Parameters
    ----------
    mixture : Mixture
        Its parameters after the latest M-step, in frame coordinates.
    moments : Moments or None
        The sums that produced them; ``None`` before the first step.
    lower_bounds : tuple of float
        Mean log-likelihood a row (nats) under the parameters that each pass began with; the
        one before again for a pass whose trial was refused.
    settled_bound : float
        That of a fit that this one goes on from, which the first pass's is compared with.
    change : float
        What was held against ``tol`` last; infinite before there is anything to compare.
    acceleration : AccelerationState
        What the acceleration remembers.
    stopped : StopReason or None
        ``None`` while it goes on.
    """

    mixture: Mixture
    moments: Moments | None = None
    lower_bounds: tuple[float, ...] = ()
    settled_bound: float = float("-inf")
    change: float = float("inf")
    acceleration: AccelerationState = field(default_factory=AccelerationState)
    stopped: StopReason | None = None

    @property
    def lower_bound(self) -> float:
        """The latest lower bound, minus infinity before the first pass."""
        return self.lower_bounds[-1] if self.lower_bounds else self.settled_bound

    @property
    def next_mixture(self) -> Mixture:
        """The mixture whose moments the next pass computes: a trial, or the latest one."""
        return self.acceleration.trial or self.mixture


@dataclass(frozen=True)
class FitState:
    """All starts after one more pass over the rows; enough to resume from.

    Parameters
    ----------
    iteration : int
        Passes of EM made, from 1; 0 is the state before the first.
    traces : tuple of Trace
        One for each start, in their order.
    rows : int
        Rows read by this pass.
    seconds : float
        Wall time of this pass.
    """

    iteration: int
    traces: tuple[Trace, ...]
    rows: int
    seconds: float

    @property
    def alive(self) -> list[Trace]:
        """The starts that have not collapsed."""
        return [one for one in self.traces if one.stopped is not StopReason.COLLAPSED]

    @property
    def best(self) -> Trace:
        """The start with the greatest lower bound; the first of those that equal it.

        Starts that end in the same mixture differ in their last digits, which hang on how the
        rows are cut: the choice must not.
        """
        greatest = max(trace.lower_bound for trace in self.alive)
        margin = ROUNDING * max(1.0, abs(greatest))
        return next(one for one in self.alive if one.lower_bound >= greatest - margin)

    @property
    def finished(self) -> bool:
        """Whether every start has stopped."""
        return all(trace.stopped for trace in self.traces)
