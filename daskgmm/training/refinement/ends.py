"""EM of a mixture to its end, when it counts as done, and which of several runs is best."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from daskgmm.training.refinement.sampled import Budget, EMRun, SampledRows

MOST_STEPS = 300
"""EM steps to the end, at the most."""

LEFT = 5e-4
"""Nats a row that EM has still to gain by its own estimate when it counts as done."""

LEFT_IN_HASTE, SHARE_WITHOUT_HASTE = 2e-3, 3
"""The same where of the budget more than such a part, as one of so many, is spent: moves gain more
for it than the end of EM."""

LEFT_AT_THE_END = 2e-5
"""The same once the moves have ended."""


def done(left: float) -> Callable[[EMRun], bool]:
    """Whether a run has less left to gain."""
    return lambda run: run.left < left


def settled(budget: Budget) -> Callable[[EMRun], bool]:
    """Whether a run is near enough to its end that moves may go on from it."""

    def near(run: EMRun) -> bool:
        hasty = budget.spent > budget.most / SHARE_WITHOUT_HASTE
        return run.left < (LEFT_IN_HASTE if hasty else LEFT)

    return near


def best_first(runs: Sequence[EMRun]) -> list[EMRun]:
    """Runs in order: the fewer spurious components the better, then the likelier.

    Of those that EM can't tell apart yet the first: rounding must not choose.
    """
    # Held against the best, as bounds have another zero in other units.
    top = max((run.bound for run in runs if run.bounds), default=0.0)
    return sorted(
        runs, key=lambda run: (int(run.spurious.sum()), -np.rint((run.bound - top) / LEFT))
    )


def agree(runs: Sequence[EMRun]) -> bool:
    """Whether the two best of runs are equally good, as where all of many clusters are found."""
    if len(runs) < 2:
        return False
    one, other = best_first(runs)[:2]
    alike = int(one.spurious.sum()) == int(other.spurious.sum())
    return alike and abs(one.bound - other.bound) < LEFT


def contenders(runs: Sequence[EMRun]) -> tuple[EMRun, ...]:
    """Runs that may be first of these and later ones, and the likeliest, which all are held to.

    Others need not stay in memory.
    """
    wrong = [int(run.spurious.sum()) for run in runs]
    least, top = min(wrong, default=0), max((run.bound for run in runs), default=0.0)
    pairs = list(zip(runs, wrong, strict=True))
    best = max((run.bound for run, count in pairs if count == least), default=0.0)
    return tuple(
        run
        for run, count in pairs
        if run.bound == top or (count == least and run.bound > best - 2 * LEFT)
    )


def ended(run: EMRun, led: EMRun, sample: SampledRows, before: EMRun | None = None) -> EMRun:
    """EM to its end from where moves led or, unless that is better, from before them.

    Where the budget leaves no step for that, it is where moves led, with a bound that is unknown.
    """
    (end,) = sample.advanced([run], MOST_STEPS, done(LEFT_AT_THE_END)) or [led]
    if not end.bounds:
        return replace(led, bounds=())
    ends = [end]
    if before is not None and (end.spurious.any() or _may_reach(before, end)):
        ends = [*sample.advanced([before], MOST_STEPS, done(LEFT_AT_THE_END)), end]
    return best_first(ends)[0]


def _may_reach(run: EMRun, end: EMRun) -> bool:
    """Whether EM of a run may come as far as an end: by its own estimate, which is a rough one."""
    return run.bound + 2 * run.left > end.bound - LEFT
