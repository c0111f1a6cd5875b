"""The best mixture that a budget finds on sampled rows: starts, halving, moves."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance.base import Covariance
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles
from daskgmm.training.refinement.moves import Move, promising_moves
from daskgmm.training.refinement.sampled import (
    ENOUGH_ROWS,
    Budget,
    EMRun,
    SampledRows,
    run_bytes,
)
from daskgmm.training.refinement.smoothing import (
    common_covariance,
    faded,
    smoothed,
    too_few_rows,
    towards,
)

FIRST_STEPS = 8
"""EM steps of each start before the better half go on."""

CANDIDATES, CANDIDATES_ON_FEW_ROWS = 5, 10
"""Moves of a round that EM tries together; on up to `ENOUGH_ROWS` their ranks say less."""

MOST_FURTHER = 8
"""Times that as many further starts are tried while all end with a spurious component."""

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

LEFT = 5e-4
"""Nats a row that EM has still to gain by its own estimate when it counts as done."""

LEFT_IN_HASTE, SHARE_WITHOUT_HASTE = 2e-3, 3
"""The same where of the budget more than such a part, as one of so many, is spent: moves gain more
for it than the end of EM."""

LEFT_AT_THE_END = 2e-5
"""The same once the moves have ended."""

STEPS_TOGETHER = 12
"""EM steps of several moves that are made together, at the most."""

SHARE_OF_HALVING = 8
"""Part of the budget, as one of so many, that EM of the better half of the starts may take."""

MOST_STEPS = 300
"""EM steps to the end, at the most."""

LEAST_BUDGET = 3e10
"""Multiplications that a search may take at the least: those of two or three seconds."""

MANY_COMPONENTS = 24
"""From so many on, starts are clusters of joined finer ones: single rows miss some clusters in
every draw, and moves mend one at a time."""

_NONE: Iterator[Mixture] = iter(())

Halving: TypeAlias = tuple[int, tuple[EMRun, ...], int, int, Doubles | None, tuple[EMRun, ...]]
"""Number of starts so far, runs from the best down, EM steps of the next round, how many of the
runs take them, the covariance (D, D) towards which all is smoothed, and ends of earlier runs."""

_STARTS, _MOVES = "starts", "moves"
"""Places from which a search goes on: among its starts, or among moves from the best of them."""


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
    reached: Any
    place, reached = sample.recorder.resumed() or (_STARTS, None)
    if place == _STARTS:
        best, common = _best_start(starts, sample, more, further, reached)
        reached = None, best, 0, 0, False, common
        del best
    before: EMRun
    latest, before, tried, taken, again, common = reached
    del reached
    sample = towards(common, sample, before.mixture)
    smooth = smoothed(sample, before.mixture)
    run = latest or (before if smooth is sample else _again(before, smooth))
    del latest  # what moves lead away from need not stay
    if not again:
        run, tried, taken = _by_moves(run, before, smooth, common, tried, taken)
        end = run if smooth is sample else faded(run, before.mixture, sample)
        run = _end(end, run, sample, None if smooth is sample else before)
    if again or (smooth is not sample and run.spurious.any()):
        # What EM has shrunk onto a few rows at its end is seen now only.
        run, tried, taken = _by_moves(run, before, sample, common, tried, taken, again=True)
        run = _end(run, run, sample)
    gain = run.bound - before.bound if taken and run.bounds else 0.0
    wrong = bool(run.spurious.any())
    found = Refinement(tried, taken, gain, sample.budget.ended, wrong, common is not None)
    return run.mixture, found


def _by_moves(
    run: EMRun,
    before: EMRun,
    sample: SampledRows,
    common: Doubles | None,
    tried: int,
    taken: int,
    *,
    again: bool = False,
) -> tuple[EMRun, int, int]:
    """Where moves lead until none helps, and how many were tried and taken with those before.

    When the search moves `again`, it is until no component is spurious.
    """
    while run.moments is not None and (not again or run.spurious.any()):
        sample.recorder.reach((_MOVES, (run, before, tried, taken, again, common)))
        several, single = _candidates(run, sample)
        better, count = None, 1
        if several is not None:
            tried, count = tried + several.count, several.count
            sample.recorder.note(tried=tried)
            better = _together(run, several, sample)
        if better is None:
            tried, count = tried + len(single), 1
            sample.recorder.note(tried=tried)
            better = _better(run, [EMRun(move.mixture) for move in single], sample)
        if better is None:
            break
        run, taken = better, taken + count
        sample.recorder.note(taken=taken)
    return run, tried, taken


def _again(run: EMRun, sample: SampledRows) -> EMRun:
    """The run where EM is another on these rows: from its mixture, near enough to its end."""
    if run.moments is None:
        return run
    (found,) = sample.advanced([EMRun(run.mixture)], MOST_STEPS, _settled(sample.budget)) or [run]
    return found


def _end(run: EMRun, led: EMRun, sample: SampledRows, before: EMRun | None = None) -> EMRun:
    """EM to its end from where moves led or, unless that is better, from before them.

    Where the budget leaves no step for that, it is where moves led, with a bound that is unknown.
    """
    (end,) = sample.advanced([run], MOST_STEPS, _done(LEFT_AT_THE_END)) or [led]
    if not end.bounds:
        return replace(led, bounds=())
    ends = [end]
    if before is not None and (end.spurious.any() or _may_reach(before, end)):
        ends = [*sample.advanced([before], MOST_STEPS, _done(LEFT_AT_THE_END)), end]
    return best_first(ends)[0]


def _may_reach(run: EMRun, end: EMRun) -> bool:
    """Whether EM of a run may come as far as an end: by its own estimate, which is a rough one."""
    return run.bound + 2 * run.left > end.bound - LEFT


def _first_round(
    starts: Iterable[Mixture], sample: SampledRows, more: Iterator[Mixture], further: int
) -> Halving:
    """The starts after their first EM steps, on few rows, where there are several."""
    runs = [EMRun(mixture) for mixture in starts]
    first, some = runs[0].mixture, further
    if first.n_components >= MANY_COMPONENTS:
        some = min(further, max(2 - len(runs), 0))
    runs += [EMRun(mixture) for mixture in itertools.islice(more, some)]
    together = len(runs)
    common = common_covariance(first) if too_few_rows(sample, first) else None
    if together < 2:
        return together, tuple(runs), 0, 0, common, ()
    few = towards(common, sample, first).thinned(first.n_components)
    del first
    found = few.advanced(runs, FIRST_STEPS)
    if some < further and not _agree(found):
        runs = [EMRun(mixture) for mixture in itertools.islice(more, further - some)]
        together += len(runs)
        found += few.advanced(runs, FIRST_STEPS)
    sample.recorder.note(of=together)
    if not found:
        raise few.collapses[-1]
    best = [EMRun(run.mixture) for run in best_first(found)]
    affordable = sample.budget.most / SHARE_OF_HALVING
    affordable /= 2 * FIRST_STEPS * sample.cost([best[0].mixture])
    half = max(min(-(-len(best) // 2), int(affordable)), 1)
    return together, tuple(best), 2 * FIRST_STEPS, half, common, ()


def _agree(runs: Sequence[EMRun]) -> bool:
    """Whether the two best of runs are equally good, as where all of many clusters are found."""
    if len(runs) < 2:
        return False
    one, other = best_first(runs)[:2]
    alike = int(one.spurious.sum()) == int(other.spurious.sum())
    return alike and abs(one.bound - other.bound) < LEFT


def best_first(runs: Sequence[EMRun]) -> list[EMRun]:
    """Runs in order: the fewer spurious components the better, then the likelier.

    Of those that EM can't tell apart yet the first: rounding must not choose.
    """
    # Held against the best, as bounds have another zero in other units.
    top = max((run.bound for run in runs if run.bounds), default=0.0)
    return sorted(
        runs, key=lambda run: (int(run.spurious.sum()), -np.rint((run.bound - top) / LEFT))
    )


def _done(left: float) -> Callable[[EMRun], bool]:
    """Whether a run has less left to gain."""
    return lambda run: run.left < left


def _settled(budget: Budget) -> Callable[[EMRun], bool]:
    """Whether a run is near enough to its end that moves may go on from it."""

    def settled(run: EMRun) -> bool:
        hasty = budget.spent > budget.most / SHARE_WITHOUT_HASTE
        return run.left < (LEFT_IN_HASTE if hasty else LEFT)

    return settled


def _best_start(
    starts: Iterable[Mixture],
    sample: SampledRows,
    more: Iterator[Mixture],
    further: int,
    reached: Halving | None,
) -> tuple[EMRun, Doubles | None]:
    """The best of several starts; where it ends with a spurious component, the best of all ends.

    With it the covariance towards which all is smoothed.
    """
    together, best, steps, half, common, before = reached or _first_round(
        starts, sample, more, further
    )
    ends = list(before)
    if not best and not ends:  # they had collapsed before a search was cut off that goes on now
        raise sample.collapses[-1]
    first = (*best, *ends)[0].mixture
    sample = towards(common, sample, first)
    settled = _settled(sample.budget) if first.n_components >= MANY_COMPONENTS else None
    del first, before
    while half > 1 or steps == 2 * FIRST_STEPS:
        # What the starts were before is not needed any more, and need not be kept.
        sample.recorder.reach((_STARTS, (together, best, steps, half, common, ())))
        runs, best = list(best[:half]), best[half:]
        best = (*best_first(sample.advanced(runs, steps, settled)), *best)
        steps, half = 2 * steps, half // 2
    if steps:
        sample.recorder.reach((_STARTS, (together, best, steps, half, common, ())))
    runs = list(best)
    del best
    while runs and all(end.spurious.any() for end in ends):
        if ends:
            sample.recorder.reach((_STARTS, (together, tuple(runs), 0, 0, common, tuple(ends))))
        found = sample.advanced([runs.pop(0)], MOST_STEPS, _settled(sample.budget))
        ends = _contenders([*ends, *found])
        del found
    if not ends:
        raise sample.collapses[-1]
    for _ in range(MOST_FURTHER):
        if not best_first(ends)[0].spurious.any():
            break
        drawn = [EMRun(mixture) for mixture in itertools.islice(more, together)]
        if not drawn:
            break
        ends = _contenders([*ends, *sample.advanced(drawn, MOST_STEPS, _done(LEFT))])
    return best_first(ends)[0], common


def _contenders(runs: Sequence[EMRun]) -> list[EMRun]:
    """Runs that may be first of these and later ones, and the likeliest, which all are held to.

    Others need not stay in memory.
    """
    wrong = [int(run.spurious.sum()) for run in runs]
    least, top = min(wrong, default=0), max((run.bound for run in runs), default=0.0)
    pairs = list(zip(runs, wrong, strict=True))
    best = max((run.bound for run, count in pairs if count == least), default=0.0)
    return [
        run
        for run, count in pairs
        if run.bound == top or (count == least and run.bound > best - 2 * LEFT)
    ]


def _candidates(run: EMRun, sample: SampledRows) -> tuple[Move | None, list[Move]]:
    """Moves from a mixture: several at once where there are any, and single ones."""
    few = sample.thinned(run.mixture.n_components)
    wrong = run.spurious
    usual = CANDIDATES if sample.n_rows > ENOUGH_ROWS else CANDIDATES_ON_FEW_ROWS
    length = run.mixture.covariance.feature_length(sample.n_features)
    most = min(MORE_CANDIDATES if wrong.any() else usual, most_moves(len(wrong), length))
    together = np.inf if wrong.any() else least_gain(few) * few.weight
    found = list(_ranked(run, few, wrong, most, together))
    several = found.pop(0) if found and found[0].count > 1 else None
    return several, found


def most_moves(n_components: int, length: int) -> int:
    """Number of moves that a round tries at the most, for mixtures of this size."""
    fits = MOVES_BYTES // run_bytes(n_components, length)
    return min(max(fits, FEWEST_MOVES), MORE_CANDIDATES)


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


def least_gain(sample: SampledRows) -> float:
    """Least gain (nats a row) of a move."""
    return max(GAIN / sample.weight, GAIN_A_ROW)


def _together(run: EMRun, move: Move, sample: SampledRows) -> EMRun | None:
    """Several moves made together, if EM soon has them better than where they began."""
    goal = run.bound + run.left + least_gain(sample)
    found = sample.advanced([EMRun(move.mixture)], STEPS_TOGETHER, lambda one: one.bound > goal)
    better = [one for one in found if one.bound > goal]
    ends = sample.advanced(better, MOST_STEPS, _settled(sample.budget))
    return ends[0] if ends and not ends[0].spurious.any() else None


def _better(run: EMRun, candidates: Sequence[EMRun], sample: SampledRows) -> EMRun | None:
    """The best of the moves, run to its end, if it is better than where they began."""
    wrong = int(run.spurious.sum())
    goal = run.bound + (run.left if not wrong else 0.0) + least_gain(sample)
    settled = _settled(sample.budget)

    def hopeless_or_done(one: EMRun) -> bool:
        hopeless = not wrong and one.bound + 2 * one.left < goal
        return hopeless or settled(one)

    runs = list(candidates)
    if wrong:  # whether a component is spurious shows at the end only
        runs = best_first(sample.advanced(runs, MOST_STEPS, _done(LEFT)))[:1]
    else:
        *early, (last, stay) = ROUNDS if sample.n_rows > ENOUGH_ROWS else ROUNDS_ON_FEW_ROWS
        for steps, most in early:
            runs = best_first(sample.advanced(runs, steps))[:most]
        # After so many steps the estimate of what is left can be relied on.
        runs = best_first(sample.advanced(runs, last, hopeless_or_done))[:stay]
    if not runs:
        return None
    (best,) = sample.advanced(runs, MOST_STEPS, hopeless_or_done) or (None,)
    if best is None:
        return None
    left = int(best.spurious.sum())
    return best if left < wrong or (left == wrong == 0 and best.bound > goal) else None
