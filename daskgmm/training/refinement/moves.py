"""Moves of split and merge: one component fewer in one place, one more in another.

As Ueda et al. (2000) move, but ranked by what a move gains and loses by partial EM, while all other
components stay as they are, which is a lower bound on its change of the log-likelihood: no guess by
overlap and fit alone.

A split shares a component's rows between two halves, a merge joins two components, and a removal
leaves a component's rows to the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daskgmm.errors import CollapsedComponentError
from daskgmm.model.mixture import Mixture, joined
from daskgmm.model.typing import Doubles
from daskgmm.training.refinement.axes import longest, most_bimodal
from daskgmm.training.refinement.pairing import Removal, Split, best_of_each, pairs_at_once
from daskgmm.training.refinement.partial import Neighbourhoods, Region
from daskgmm.training.refinement.sampled import EMRun, SampledRows
from daskgmm.training.refinement.spurious import least_rows, make_two

STEPS_OF_HALVES, STEPS_OF_MERGED = 8, 3
"""Steps of partial EM."""

_APART = 0.8
"""Deviations along an axis from a component's mean to its first halves' means."""

_PAIRS = 2
"""Pairs of components a component that are thought of for a merge: those that overlap most."""

_HOPELESS = 0.015
"""Loss (nats a row) by a move's bound beyond which EM has never been seen to make up for it."""


@dataclass(frozen=True, eq=False)
class Move:
    """One or more splits, and as many removals, of different components.

    Parameters
    ----------
    gain : float
        Of the log-likelihood over all rows (nats), at the least.
    mixture : Mixture
        The mixture after it.
    count : int
        Number of splits.
    """

    gain: float
    mixture: Mixture
    count: int = 1


def promising_moves(
    run: EMRun, sample: SampledRows, wrong: NDArray[np.bool_], most: int, together: float = np.inf
) -> list[Move]:
    """The most promising moves, best first; none where the budget does not allow to rank them.

    Parameters
    ----------
    run : EMRun
        After a step at the least.
    sample : SampledRows
    wrong : ndarray of bool of shape (K,)
        Components that no mixture should have: where there are any, one of them is removed, and
        another component split.
    most : int
        Number of moves of one split; two at most split the same component.
    together : float
        Gain (nats) from which moves of different components are made together, too, as the first,
        with all that remove such components.
    """
    assert run.moments is not None  # noqa: S101  see above
    mixture = run.mixture
    rows = (mixture.weights * sample.n_rows)[~wrong]
    divisible = make_two(rows, mixture.covariance, mixture.n_features).any()
    if mixture.n_components < 2 or not divisible or not sample.afford_shares(mixture):
        return []
    around = Neighbourhoods(mixture, run.moments, sample)
    splits = _splits(around, np.flatnonzero(~wrong))
    removals = sorted(_removals(around), key=lambda one: one.loss)
    needed = [one for one in removals if wrong[list(one.components)].any()]
    found: list[Move] = []
    if together < np.inf:
        several = pairs_at_once(splits, (needed, removals), (-np.inf, together))
        if len(several) > 1:
            gains, made, gone = zip(*several, strict=True)
            found.append(Move(sum(gains), _moved(mixture, made, gone), len(several)))
    pairs = best_of_each(splits, needed or removals)
    least = -np.inf if needed else -_HOPELESS * sample.weight
    for gain, split, removal in pairs[:most]:
        if gain > least:
            found.append(Move(gain, _moved(mixture, [split], [removal])))
    return found


def split(run: EMRun, sample: SampledRows, most: int) -> Mixture:
    """The mixture after splits of the components that gain most by them, `most` at the most.

    Where none gains anything, two halves of the heaviest component are as it was.
    """
    assert run.moments is not None  # noqa: S101  see `moves`
    mixture, best = run.mixture, dict[int, Split]()
    if sample.afford_shares(mixture):
        around = Neighbourhoods(mixture, run.moments, sample)
        for one in _splits(around, np.arange(mixture.n_components)):
            if one.gain > 0 and len(best) < most:
                best.setdefault(one.component, one)
    if not best:
        return halved(mixture, int(np.argmax(mixture.weights)))
    return _moved(mixture, list(best.values()), [])


def halved(mixture: Mixture, component: int) -> Mixture:
    """The same density, with a component written as two of half its weight."""
    twice = np.sort(np.append(np.arange(mixture.n_components), component))
    weights = mixture.weights[twice] / np.where(twice == component, 2, 1)
    return joined([mixture.of_components(twice)], weights)


def _moved(mixture: Mixture, splits: Sequence[Split], removals: Sequence[Removal]) -> Mixture:
    gone = {one.component for one in splits} | {k for one in removals for k in one.components}
    stay = [k for k in range(mixture.n_components) if k not in gone]
    parts = [mixture.of_components(stay), *(one.halves for one in splits)]
    parts += [one.merged for one in removals if one.merged is not None]
    weights = np.concatenate([part.weights for part in parts])
    left = 1.0 if mixture.noise is None else 1 - mixture.noise.weight
    return joined(parts, left * (weights / weights.sum()))


def _splits(around: Neighbourhoods, components: NDArray[np.int64]) -> list[Split]:
    """The best split of each of these components, from either axis."""
    mixture, sample = around.mixture, around.sample
    regions = [around.region((int(k),)) for k in components if len(around.rows_near(k))]
    cost = 2 * around.cost(regions, 2, STEPS_OF_HALVES)
    if not regions or not sample.budget.spend(cost):
        return []
    own = np.array([region.components[0] for region in regions])
    half = replace(mixture, weights=mixture.weights / 2, log_weights=None)

    def halves_of(window: slice, axes: Doubles) -> Mixture:
        start = half.of_components(np.repeat(own[window], 2))
        apart = _APART * np.repeat(axes[window], 2, axis=0)
        apart[1::2] *= -1
        return replace(start, means=start.means + apart)

    found: list[Split] = []
    least = least_rows(mixture.covariance, mixture.n_features)
    for axes in (longest(around, regions), most_bimodal(around, regions)):
        start = partial(halves_of, axes=axes)
        try:
            # Rows like the component's own keep halves from collapsing.
            gains, halves = around.em(regions, start, STEPS_OF_HALVES, mixture.n_features + 1)
        except CollapsedComponentError:
            continue
        for k, gain, pair in zip(own, gains, halves, strict=True):
            if pair.weights.min() * sample.n_rows >= least:
                found.append(Split(float(gain), int(k), pair))
    return sorted(found, key=lambda one: -one.gain)


def _removals(around: Neighbourhoods) -> list[Removal]:
    """The removal of each single component, and merges of the pairs that overlap most."""
    found = []
    total = around.sample.weight
    for k in range(around.mixture.n_components):
        rows, logs = around.shares.of(k)
        left = -np.log1p(-np.minimum(np.exp(logs), 1 - 1e-12)) @ around.weights[rows]
        weight = min(float(around.mixture.weights[k]), 1 - 1e-12)
        found.append(Removal(float(left + total * np.log1p(-weight)), (k,), None))
    return found + _merges(around)


def _merges(around: Neighbourhoods) -> list[Removal]:
    regions = [around.region(pair) for pair in _overlapping(around)]
    if not regions or not around.sample.budget.spend(around.cost(regions, 1, STEPS_OF_MERGED)):
        return []
    try:
        gains, merged = around.em(
            regions, lambda window: _merged(around, regions[window]), STEPS_OF_MERGED
        )
    except CollapsedComponentError:
        return []
    return [
        Removal(float(-gain), region.components, one)
        for gain, region, one in zip(gains, regions, merged, strict=True)
    ]


def _overlapping(around: Neighbourhoods) -> list[tuple[int, int]]:
    """Pairs of components that overlap most."""
    near = around.near
    scaled = near.data * np.sqrt(around.weights[near.indices])
    near = csr_array((scaled, near.indices, near.indptr), near.shape)
    overlap = (near @ near.T).toarray()
    sizes = np.sqrt(np.maximum(np.diag(overlap), 1e-300))
    first, second = np.triu_indices(len(overlap), 1)
    overlaps = (overlap / np.outer(sizes, sizes))[first, second]
    most = np.argsort(-overlaps, kind="stable")[: _PAIRS * len(overlap)]
    return [(int(first[q]), int(second[q])) for q in most if overlaps[q] > 0]


def _merged(around: Neighbourhoods, regions: Sequence[Region]) -> Mixture:
    """The merged pairs as components, with the weights that they have in the mixture."""
    mixture, moments = around.mixture, around.moments
    first, second = np.array([region.components for region in regions]).T
    counts = moments.sums[-1]
    share = (counts[second] / (counts[first] + counts[second]))[:, np.newaxis]
    means = moments.means[first] + share * (moments.means[second] - moments.means[first])
    weights = mixture.weights[first] + mixture.weights[second]
    one, other = (
        replace(moments, origins=moments.origins[index], sums=moments.sums[:, index]).about(
            means, mixture.covariance
        )
        for index in (first, second)
    )
    found = around.sample.settings.maximise(
        mixture.of_components(first), replace(one, sums=one.sums + other.sums)
    )
    return joined([mixture.of_components(()), found], weights)
