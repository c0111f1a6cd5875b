"""The best mixture that a budget finds on sampled rows: starts, halving, moves."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from daskgmm.model.covariance.base import Covariance
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.training.refinement.ends import MOST_STEPS, ended, settled
from daskgmm.training.refinement.halving import Halving, first_round
from daskgmm.training.refinement.rounds import Rounds
from daskgmm.training.refinement.sampled import Budget, EMRun, SampledRows
from daskgmm.training.refinement.smoothing import faded, smoothed, towards

LEAST_BUDGET = 3e10
"""Multiplications that a search may take at the least: those of two or three seconds."""

_NONE: Iterator[Mixture] = iter(())


@dataclass(frozen=True)
class Refinement:
    """What the search for a start did.

    Parameters
    ----------
    tried, taken : int
        Number of split-and-merge moves.
    gain : float
        Log-likelihood that they gained (nats a row of the sample).
    budget_ended : bool
        Whether the budget ended the search before its own end.
    spurious : bool
        Whether the best mixture has a spurious component all the same.
    smoothed : bool
        Whether covariances were smoothed to the end, as the sample had too few rows for them.
    """

    tried: int
    taken: int
    gain: float
    budget_ended: bool
    spurious: bool
    smoothed: bool = False

    def after(self, mixture: Mixture, moments: Moments | None) -> "Refinement":
        """The same after passes over all rows, which alone tell what is spurious if it smoothed."""
        if not self.smoothed:
            return self
        return replace(self, spurious=bool(EMRun(mixture, moments).spurious.any()))


def budget_for(n_rows: int, covariance: Covariance, n_components: int, n_features: int) -> Budget:
    """Multiplications of two passes over all rows, for every pair of a row and a component."""
    a_pass = 2.0 * n_rows * covariance.feature_length(n_features) * n_components
    return Budget(max(2 * a_pass, LEAST_BUDGET))


def search(
    starts: Iterable[Mixture],
    sample: SampledRows,
    more: Iterator[Mixture] = _NONE,
    further: int = 0,
) -> tuple[Mixture, Refinement]:
    """Find the best mixture from several starts, by EM and moves on the sample.

    Parameters
    ----------
    starts : iterable of Mixture
    sample : SampledRows
    more : iterator of Mixture
        Further starts. More of them are tried where all others end with a spurious component.
    further : int
        How many are tried in any case, unless many components are found alike before.

    Raises
    ------
    CollapsedComponentError
        No start has an EM step that does not collapse.
    """
    reached: Halving | Rounds | None = sample.recorder.resumed()
    begun = isinstance(reached, Rounds)
    if isinstance(reached, Rounds):
        rounds = replace(reached)  # a search may go on from there once more
    else:
        halving = replace(reached) if reached else first_round(starts, sample, more, further)
        best = halving.best(sample, more)
        rounds = Rounds(best, best, halving.common)
        del halving, best
    del reached  # starts that were not the best need not stay
    sample = towards(rounds.common, sample, rounds.before.mixture)
    smooth = smoothed(sample, rounds.before.mixture)
    if not begun and smooth is not sample:
        rounds.run = _again(rounds.before, smooth)
    if not rounds.again:
        rounds.go_on(smooth)
        if smooth is sample:
            rounds.run = ended(rounds.run, rounds.run, sample)
        else:
            end = faded(rounds.run, rounds.before.mixture, sample)
            rounds.run = ended(end, rounds.run, sample, rounds.before)
            del end
            rounds.again = bool(rounds.run.spurious.any())
    if rounds.again:
        # What EM has shrunk onto a few rows at its end is seen now only.
        rounds.go_on(sample)
        rounds.run = ended(rounds.run, rounds.run, sample)
    run, before, taken = rounds.run, rounds.before, rounds.taken
    gain = run.bound - before.bound if taken and run.bounds else 0.0
    wrong = bool(run.spurious.any())
    found = Refinement(
        rounds.tried, taken, gain, sample.budget.ended, wrong, rounds.common is not None
    )
    return run.mixture, found


def _again(run: EMRun, sample: SampledRows) -> EMRun:
    """The run where EM is another on these rows: from its mixture, near enough to its end."""
    if run.moments is None:
        return run
    (found,) = sample.advanced([EMRun(run.mixture)], MOST_STEPS, settled(sample.budget)) or [run]
    return found
