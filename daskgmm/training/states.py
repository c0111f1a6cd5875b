"""What the EM loop tells about itself after each pass."""

from dataclasses import dataclass
from enum import Enum

from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments


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
        Mean log-likelihood a row (nats) under the parameters that each pass began with.
    change : float
        What was held against ``tol`` last; infinite before there is anything to compare.
    stopped : StopReason or None
        ``None`` while it goes on.
    """

    mixture: Mixture
    moments: Moments | None = None
    lower_bounds: tuple[float, ...] = ()
    change: float = float("inf")
    stopped: StopReason | None = None

    @property
    def iteration(self) -> int:
        """Passes made."""
        return len(self.lower_bounds)

    @property
    def lower_bound(self) -> float:
        """The latest lower bound, minus infinity before the first pass."""
        return self.lower_bounds[-1] if self.lower_bounds else float("-inf")


@dataclass(frozen=True)
class FitState:
    """All starts after one more pass over the rows; enough to resume from.

    Parameters
    ----------
    iteration : int
        Passes of EM made, from 1; 0 is the state before the first.
    traces : tuple of Trace
        One for each start, in their order.
    passes : int
        Passes over all rows up to here, those of the initialisation included.
    rows : int
        Rows read by this pass.
    seconds : float
        Wall time of this pass.
    """

    iteration: int
    traces: tuple[Trace, ...]
    passes: int
    rows: int
    seconds: float

    @property
    def best(self) -> Trace:
        """The start with the greatest lower bound; the first of equals."""
        return max(self.traces, key=lambda trace: trace.lower_bound)

    @property
    def finished(self) -> bool:
        """Whether every start has stopped."""
        return all(trace.stopped for trace in self.traces)
