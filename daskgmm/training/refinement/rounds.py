"""Rounds of moves: which of them are tried from a mixture, and whether one is taken."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.typing import Doubles
from daskgmm.training.refinement.ends import LEFT, MOST_STEPS, best_first, done, settled
from daskgmm.training.refinement.halving import MANY_COMPONENTS
from daskgmm.training.refinement.moves import Move, promising_moves
from daskgmm.training.refinement.sampled import ENOUGH_ROWS, EMRun, SampledRows, run_bytes

CANDIDATES, CANDIDATES_ON_FEW_ROWS = 5, 10
"""Moves of a round that EM tries together; on up to `ENOUGH_ROWS` their ranks say less."""

MORE_CANDIDATES = 20
"""The same where a component is spurious: they are few rows then, and any way out will do."""

MOVES_BYTES, FEWEST_MOVES = 2**27, 2
"""Bytes of the mixtures, with their moments, that moves of a round may take; and the number of
moves that are tried even so."""

ROUNDS, ROUNDS_ON_FEW_ROWS = ((3, 3), (6, 2), (12, 1)), ((3, 5), (6, 3), (12, 2), (12, 1))
"""EM steps of the moves, and how many of them then go on."""

GAIN = 5.0
"""Least gain of a move in log-likelihood over all rows (nats). On few rows less is chance, and in
any case not worth a further round."""

GAIN_A_ROW = 1e-3
"""Least gain of a move (nats a row)."""

STEPS_TOGETHER = 12
"""EM steps of several moves that are made together, at the most."""


def least_gain(sample: SampledRows) -> float:
    """Least gain (nats a row) of a move."""
    return max(GAIN / sample.weight, GAIN_A_ROW)


def most_moves(n_components: int, length: int) -> int:
    """Number of moves that a round tries at the most, for mixtures of this size."""
    fits = MOVES_BYTES // run_bytes(n_components, length)
    return min(max(fits, FEWEST_MOVES), MORE_CANDIDATES)


@dataclass(eq=False)
class Rounds:
    """A search among moves so far.

    Parameters
    ----------
    run : EMRun
        Where moves have led.
    before : EMRun
        The start from which they led.
    common : ndarray of shape (D, D), or None
        The covariance towards which all is smoothed; see `daskgmm.training.refinement.smoothing`.
    tried, taken : int
        Number of moves.
    again : bool
        Whether the search moves again after its end, until no component is spurious.
    """

    run: EMRun
    before: EMRun
    common: Doubles | None = None
    tried: int = 0
    taken: int = 0
    again: bool = False

    def go_on(self, sample: SampledRows) -> None:
        """Make moves until none helps."""
        recorder = sample.recorder
        while self.run.moments is not None and (not self.again or self.run.spurious.any()):
            recorder.reach(replace(self))
            several, single = _candidates(self.run, sample)
            better, count = None, 1
            if several is not None:
                self.tried, count = self.tried + several.count, several.count
                recorder.note(tried=self.tried)
                better = _together(self.run, several, sample)
            if better is None:
                self.tried, count = self.tried + len(single), 1
                recorder.note(tried=self.tried)
                better = _better(self.run, [EMRun(move.mixture) for move in single], sample)
            if better is None:
                break
            self.run, self.taken = better, self.taken + count
            recorder.note(taken=self.taken)


def _candidates(run: EMRun, sample: SampledRows) -> tuple[Move | None, list[Move]]:
    """Moves from a mixture: several at once where there are any, and single ones."""
    few = sample.thinned(run.mixture.n_components)
    wrong = run.spurious
    usual = CANDIDATES if sample.n_rows > ENOUGH_ROWS else CANDIDATES_ON_FEW_ROWS
    length = run.mixture.covariance.feature_length(sample.n_features)
    most = min(MORE_CANDIDATES if wrong.any() else usual, most_moves(len(wrong), length))
    alone = wrong.any() and len(wrong) < MANY_COMPONENTS
    together = np.inf if alone else least_gain(few) * few.weight
    found = list(_ranked(run, few, wrong, most, together))
    several = found.pop(0) if found and found[0].count > 1 else None
    return several, found


def _ranked(
    run: EMRun, few: SampledRows, wrong: NDArray[np.bool_], most: int, together: float
) -> tuple[Move, ...]:
    """The most promising moves: a step that the recorder keeps."""
    known: tuple[Move, ...] | None = few.recorder.begin(None)
    if known is not None:
        return known
    spent = few.budget.spent
    found = tuple(promising_moves(run, few, wrong, most, together))
    few.recorder.keep(found, few.budget.spent - spent)
    return found


def _together(run: EMRun, move: Move, sample: SampledRows) -> EMRun | None:
    """Several moves made together, if EM soon has them better than where they began."""
    wrong = int(run.spurious.sum())
    if wrong:  # whether a component is spurious shows at the end only
        ends = sample.advanced([EMRun(move.mixture)], MOST_STEPS, settled(sample.budget))
        return ends[0] if ends and int(ends[0].spurious.sum()) < wrong else None
    goal = run.bound + run.left + least_gain(sample)
    found = sample.advanced([EMRun(move.mixture)], STEPS_TOGETHER, lambda one: one.bound > goal)
    better = [one for one in found if one.bound > goal]
    ends = sample.advanced(better, MOST_STEPS, settled(sample.budget))
    return ends[0] if ends and not ends[0].spurious.any() else None


def _better(run: EMRun, candidates: Sequence[EMRun], sample: SampledRows) -> EMRun | None:
    """The best of the moves, run to its end, if it is better than where they began."""
    wrong = int(run.spurious.sum())
    goal = run.bound + (run.left if not wrong else 0.0) + least_gain(sample)
    near = settled(sample.budget)

    def hopeless_or_near(one: EMRun) -> bool:
        hopeless = not wrong and one.bound + 2 * one.left < goal
        return hopeless or near(one)

    runs = list(candidates)
    if wrong:  # whether a component is spurious shows at the end only
        runs = best_first(sample.advanced(runs, MOST_STEPS, done(LEFT)))[:1]
    else:
        *early, (last, stay) = ROUNDS if sample.n_rows > ENOUGH_ROWS else ROUNDS_ON_FEW_ROWS
        for steps, most in early:
            runs = best_first(sample.advanced(runs, steps))[:most]
        # After so many steps the estimate of what is left can be relied on.
        runs = best_first(sample.advanced(runs, last, hopeless_or_near))[:stay]
    if not runs:
        return None
    (best,) = sample.advanced(runs, MOST_STEPS, hopeless_or_near) or (None,)
    if best is None:
        return None
    left = int(best.spurious.sum())
    return best if left < wrong or (left == wrong == 0 and best.bound > goal) else None
