"""States of the EM loop after each pass."""

from dataclasses import dataclass, field
from enum import Enum

from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.training.acceleration import AccelerationState

ROUNDING = 1e-10
"""Relative difference below which lower bounds are equal: sums in another order differ so."""


class StopReason(Enum):
    """Reason why a fit stopped; the value is a text with cause and remedy."""

    CONVERGED = "The change fell below tol."
    MAX_ITER = "max_iter passes were made before the change fell below tol: raise max_iter or tol."
    COLLAPSED = "A component collapsed: use fewer components, a larger reg_covar or other starts."


@dataclass(frozen=True)
class Trace:
    """The course of one start so far.

    Parameters
    ----------
    mixture : Mixture
        Mixture after the latest M-step, in frame coordinates.
    moments : Moments or None
        Moments from which the M-step computed it; ``None`` before the first step.
    lower_bounds : tuple of float
        What EM raises (nats a row), after each pass: see `daskgmm.training.m_step.MStep.bound`.
        Of maximum likelihood it is the mean log-likelihood under the mixture that the pass began
        with. A pass whose trial was refused repeats the one before.
    settled_bound : float
        Lower bound of the fit that this one continues, with which the first pass's is compared.
    change : float
        Change that was last compared with ``tol``; infinite before the first comparison.
    acceleration : AccelerationState
        State of the acceleration.
    stopped : StopReason or None
        Reason why the start stopped; ``None`` while it runs.
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
        Number of EM passes made; 0 before the first.
    traces : tuple of Trace
        Traces of the starts, in their order.
    rows : int
        Number of rows read by this pass.
    seconds : float
        Wall time of this pass.
    """

    iteration: int
    traces: tuple[Trace, ...]
    rows: int
    seconds: float

    @property
    def alive(self) -> list[Trace]:
        """Traces of the starts that have not collapsed."""
        return [one for one in self.traces if one.stopped is not StopReason.COLLAPSED]

    @property
    def best(self) -> Trace:
        """Trace of the start with the greatest lower bound; the first of equal ones.

        Starts that end in the same mixture differ in their last digits, which depend on how rows
        are divided into tasks; the choice must not depend on that.
        """
        greatest = max(trace.lower_bound for trace in self.alive)
        margin = ROUNDING * max(1.0, abs(greatest))
        return next(one for one in self.alive if one.lower_bound >= greatest - margin)

    @property
    def finished(self) -> bool:
        """Whether every start has stopped."""
        return all(trace.stopped for trace in self.traces)
