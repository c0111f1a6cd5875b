"""Larger mixtures from smaller ones, so that a selection's bound never falls with K."""

import numpy as np

from daskgmm.model.mixture import Mixture
from daskgmm.training.refinement.ends import LEFT_AT_THE_END, MOST_STEPS, best_first
from daskgmm.training.refinement.halving import FIRST_STEPS
from daskgmm.training.refinement.moves import halved, split
from daskgmm.training.refinement.rounds import least_gain
from daskgmm.training.refinement.sampled import EMRun, SampledRows


def grown(smaller: Mixture, own: Mixture, sample: SampledRows) -> EMRun | None:
    """What a smaller mixture becomes by splits and EM, where another one is worse.

    It is never chosen below the smaller mixture itself: two halves of a component that are alike
    have its likelihood.

    Parameters
    ----------
    smaller, own : Mixture
        Of fewer components, and of as many as are wanted; in frame coordinates.
    sample : SampledRows
        Rows that say which is better. Its budget is that of the growth.
    """
    before, ours = (sample.advanced([EMRun(mixture)], 1) for mixture in (smaller, own))
    if not before or not before[0].bounds or not ours or not ours[0].bounds:
        return None
    goal = ours[0].bound + least_gain(sample)

    def hopeless_or_done(one: EMRun) -> bool:
        return one.left < LEFT_AT_THE_END or one.bound + 2 * one.left < goal

    run = _of_size(before[0], own.n_components, sample)
    ends = sample.advanced([run], MOST_STEPS, hopeless_or_done)
    if ours[0].bound < before[0].bound:
        alike = _written_with(smaller, own.n_components)
        return best_first([*ends, *sample.advanced([EMRun(alike)], 1), *ours])[0]
    wrong = [int(run.spurious.sum()) for run in (*ours, *ends)]
    if not ends or wrong[1] > wrong[0] or (wrong[1] == wrong[0] and ends[0].bound < goal):
        return None
    return ends[0]


def _of_size(run: EMRun, n_components: int, sample: SampledRows) -> EMRun:
    """A run from splits of the components that gain most by them."""
    while run.mixture.n_components < n_components:
        if run.moments is None:  # EM collapsed, or the budget has ended
            return EMRun(_written_with(run.mixture, n_components))
        few = sample.thinned(n_components)
        larger = split(run, few, n_components - run.mixture.n_components)
        (run,) = sample.advanced([EMRun(larger)], FIRST_STEPS) or (EMRun(larger),)
    return run


def _written_with(mixture: Mixture, n_components: int) -> Mixture:
    """The same density with more components."""
    while mixture.n_components < n_components:
        mixture = halved(mixture, int(np.argmax(mixture.weights)))
    return mixture
