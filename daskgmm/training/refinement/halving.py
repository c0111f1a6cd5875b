"""The best of several starts: all take a few EM steps, then the better half twice as many."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles
from daskgmm.training.refinement.ends import (
    LEFT,
    MOST_STEPS,
    agree,
    best_first,
    contenders,
    done,
    settled,
)
from daskgmm.training.refinement.sampled import EMRun, SampledRows
from daskgmm.training.refinement.smoothing import common_covariance, too_few_rows, towards

FIRST_STEPS = 8
"""EM steps of each start before the better half go on."""

MOST_FURTHER = 8
"""Times that as many further starts are tried while all end with a spurious component."""

SHARE_OF_HALVING = 8
"""Part of the budget, as one of so many, that EM of the better half of the starts may take."""

MANY_COMPONENTS = 24
"""From so many on, starts are clusters of joined finer ones: single rows miss some clusters in
every draw, and moves mend one at a time."""


@dataclass(eq=False)
class Halving:
    """A search among its starts so far.

    Parameters
    ----------
    started : int
        Number of starts so far.
    runs : tuple of EMRun
        EM of the starts, from the best down. They leave this tuple while they take steps, so that
        what they were does not stay in memory.
    steps, half : int
        EM steps of the next round, and how many of the runs take them.
    common : ndarray of shape (D, D), or None
        The covariance towards which all is smoothed; see `daskgmm.training.refinement.smoothing`.
    ends : tuple of EMRun
        Ends of earlier runs, each with a spurious component.
    """

    started: int
    runs: tuple[EMRun, ...]
    steps: int = 0
    half: int = 0
    common: Doubles | None = None
    ends: tuple[EMRun, ...] = ()

    def best(self, sample: SampledRows, more: Iterator[Mixture]) -> EMRun:
        """The best of the starts; where it ends with a spurious component, the best of all ends.

        Parameters
        ----------
        sample : SampledRows
        more : iterator of Mixture
            Further starts, for where all these end with a spurious component.

        Raises
        ------
        CollapsedComponentError
            All have collapsed.
        """
        if not self.runs and not self.ends:  # they had before a search was cut off
            raise sample.collapses[-1]
        some = (*self.runs, *self.ends)[0].mixture
        sample = towards(self.common, sample, some)
        many = some.n_components >= MANY_COMPONENTS
        del some
        self._halve(sample, many)
        while self.runs and all(end.spurious.any() for end in self.ends):
            if self.ends:
                self._reach(sample)
            found = sample.advanced(self._taken(1), MOST_STEPS, settled(sample.budget))
            self.ends = contenders([*self.ends, *found])
            del found
            if many and self.ends:  # some are spurious in nearly every start: moves mend them
                break
        if not self.ends:
            raise sample.collapses[-1]
        for _ in range(0 if many else MOST_FURTHER):
            if not best_first(self.ends)[0].spurious.any():
                break
            drawn = [EMRun(mixture) for mixture in itertools.islice(more, self.started)]
            if not drawn:
                break
            found = sample.advanced(drawn, MOST_STEPS, done(LEFT))
            self.ends = contenders([*self.ends, *found])
            del found
        return best_first(self.ends)[0]

    def _halve(self, sample: SampledRows, many: bool) -> None:
        """Let the better half go on, and of them the better half, until one is left."""
        enough = settled(sample.budget) if many else None
        while self.half > 1 or self.steps == 2 * FIRST_STEPS:
            # What the starts were before is not needed any more, and need not be kept.
            self._reach(sample)
            found = sample.advanced(self._taken(self.half), self.steps, enough)
            self.runs = (*best_first(found), *self.runs)
            self.steps, self.half = 2 * self.steps, self.half // 2
            del found
        if self.steps:
            self._reach(sample)
            self.steps = self.half = 0

    def _taken(self, count: int) -> list[EMRun]:
        """The best runs, which are no longer among `runs`."""
        taken, self.runs = list(self.runs[:count]), self.runs[count:]
        return taken

    def _reach(self, sample: SampledRows) -> None:
        sample.recorder.reach(replace(self))


def first_round(
    starts: Iterable[Mixture], sample: SampledRows, more: Iterator[Mixture], further: int
) -> Halving:
    """The starts after their first EM steps, on few rows, where there are several.

    Parameters are those of `daskgmm.training.refinement.search.search`.
    """
    runs = [EMRun(mixture) for mixture in starts]
    first, some = runs[0].mixture, further
    if first.n_components >= MANY_COMPONENTS:
        some = min(further, max(2 - len(runs), 0))
    runs += [EMRun(mixture) for mixture in itertools.islice(more, some)]
    started = len(runs)
    common = common_covariance(first) if too_few_rows(sample, first) else None
    if started < 2:
        return Halving(started, tuple(runs), common=common)
    few = towards(common, sample, first).thinned(first.n_components)
    del first
    found = few.advanced(runs, FIRST_STEPS)
    if some < further and not agree(found):
        runs = [EMRun(mixture) for mixture in itertools.islice(more, further - some)]
        started += len(runs)
        found += few.advanced(runs, FIRST_STEPS)
    sample.recorder.note(of=started)
    if not found:
        raise few.collapses[-1]
    best = tuple(EMRun(run.mixture) for run in best_first(found))
    affordable = sample.budget.most / SHARE_OF_HALVING
    affordable /= 2 * FIRST_STEPS * sample.cost([best[0].mixture])
    half = max(min(-(-len(best) // 2), int(affordable)), 1)
    return Halving(started, best, 2 * FIRST_STEPS, half, common)
