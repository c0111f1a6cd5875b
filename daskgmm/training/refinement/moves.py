"""Moves of split and merge: one component fewer in one place, one more in another.

As Ueda et al. (2000) move, but ranked by what a move gains and loses while the other components'
responsibilities stay, which is a lower bound on its change of the log-likelihood: no guess by
overlap and fit alone.

A split of component k shares its responsibilities between two halves; EM on all halves at once
takes as long as two steps on all components (partial EM; Blekas and Lagaris, 2007). A merge joins
the moments of two components, and a removal leaves a component's rows to the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from daskgmm.errors import CollapsedComponentError
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles
from daskgmm.training.refinement.sampled import SampledRows
from daskgmm.training.refinement.spurious import least_rows

STEPS_OF_HALVES = 8

_APART = 0.8
"""Deviations along an axis from a component's mean to its first halves' means."""

_SHARE = 0.01
"""Responsibility from which a row counts in the choice of axes."""

_FARTHEST = 9
"""Squared distances count up to so many times D in kurtosis, or single rows would decide."""

_PAIRS = 2
"""Pairs of components a component that are thought of for a merge: those that overlap most."""

_HOPELESS = 0.06
"""Loss (nats a row) by a move's bound beyond which EM has never been seen to make up for it."""


@dataclass(frozen=True, eq=False)
class Split:
    """One component in two halves.

    Parameters
    ----------
    gain : float
        Of the log-likelihood over all rows (nats), at the least.
    component : int
    halves : Mixture
        Of two components.
    """

    gain: float
    component: int
    halves: Mixture


@dataclass(frozen=True, eq=False)
class Removal:
    """One component less.

    Parameters
    ----------
    loss : float
        Of the log-likelihood over all rows (nats), at the most.
    components : tuple of int
        Two that are merged, or one that is left out.
    merged : Mixture or None
        Of one component; ``None`` where there is none.
    """

    loss: float
    components: tuple[int, ...]
    merged: Mixture | None


def moves(
    mixture: Mixture, sample: SampledRows, wrong: NDArray[np.bool_], most: int
) -> Iterator[Mixture]:
    """The most promising mixtures one move away, best first.

    Parameters
    ----------
    mixture : Mixture
    sample : SampledRows
    wrong : ndarray of bool of shape (K,)
        Components that no mixture should have: where there are any, one of them is removed, and
        another component split.
    most : int
        Number of moves; two at most split the same component.
    """
    (moments,) = sample.expect([mixture])
    logits = sample.logits(mixture)
    gamma = sample.responsibilities(mixture, logits)
    splits = _splits(mixture, sample, moments, logits, gamma)
    removals = _removals(mixture, sample, moments, gamma)
    least = -_HOPELESS * sample.weight
    if wrong.any():
        splits = [one for one in splits if not wrong[one.component]]
        removals = [one for one in removals if wrong[list(one.components)].any()]
        least = -np.inf
    pairs = [
        (split.gain - removal.loss, split, removal)
        for split in splits
        for removal in removals
        if split.component not in removal.components and split.gain - removal.loss > least
    ]
    used: dict[int, int] = {}
    for _, split, removal in sorted(pairs, key=lambda one: -one[0]):
        if used.get(split.component, 0) < 2 and sum(used.values()) < most:
            used[split.component] = used.get(split.component, 0) + 1
            yield _moved(mixture, split, removal)


def _moved(mixture: Mixture, split: Split, removal: Removal) -> Mixture:
    gone = (split.component, *removal.components)
    stay = [k for k in range(mixture.n_components) if k not in gone]
    parts = [_chosen(mixture, stay), split.halves]
    return _joined(parts if removal.merged is None else [*parts, removal.merged])


def _chosen(mixture: Mixture, indices: Sequence[int] | NDArray[np.int64]) -> Mixture:
    """Some components of a mixture, with the weights that they have there."""
    index = np.asarray(indices, np.int64)
    shared = mixture.covariance.needs_scatter
    return replace(
        mixture,
        weights=mixture.weights[index],
        means=mixture.means[index],
        covariances=mixture.covariances if shared else mixture.covariances[index],
        factors=mixture.factors if shared else mixture.factors[index],
    )


def _joined(parts: Sequence[Mixture]) -> Mixture:
    """One mixture of all components; of those that share a covariance, with the first one's."""
    first, shared = parts[0], parts[0].covariance.needs_scatter

    def together(name: str) -> Doubles:
        return np.concatenate([getattr(part, name) for part in parts])

    weights = together("weights")
    left = 1.0 if first.noise is None else 1 - first.noise.weight
    return replace(
        first,
        weights=left * (weights / weights.sum()),
        means=together("means"),
        covariances=first.covariances if shared else together("covariances"),
        factors=first.factors if shared else together("factors"),
    )


def _splits(
    mixture: Mixture, sample: SampledRows, moments: Moments, logits: Doubles, gamma: Doubles
) -> list[Split]:
    """The best split of each component, from either axis."""
    twice = np.repeat(np.arange(mixture.n_components), 2)
    signs = np.tile([[_APART], [-_APART]], (mixture.n_components, 1))
    base = _chosen(replace(mixture, weights=mixture.weights / 2), twice)
    found: list[Split] = []
    for axes in (_principal(mixture, sample), _bimodal(mixture, sample, gamma)):
        halves = replace(base, means=base.means + signs * axes[twice])
        try:
            gains, halves = _halved(mixture, halves, sample, moments, logits, gamma)
        except CollapsedComponentError:
            continue
        for k, gain in enumerate(gains):
            own = _chosen(halves, (2 * k, 2 * k + 1))
            weights = own.weights / own.weights.sum() * mixture.weights[k]
            if weights.min() * sample.n_rows >= least_rows(mixture.n_features):
                found.append(Split(float(gain), k, replace(own, weights=weights)))
    return sorted(found, key=lambda one: -one.gain)


def _halved(
    mixture: Mixture,
    halves: Mixture,
    sample: SampledRows,
    moments: Moments,
    logits: Doubles,
    gamma: Doubles,
) -> tuple[Doubles, Mixture]:
    """EM of the halves of each component; returns what each split gains (K,), and the 2 K halves.

    D + 1 rows like the component's own are added to each half, so that none collapses.
    """
    twice = np.repeat(np.arange(mixture.n_components), 2)
    added = (mixture.n_features + 1) / np.maximum(moments.sums[-1], 1.0)
    like_own = (moments.sums * added)[:, twice]
    gains = np.zeros(mixture.n_components)
    for _ in range(STEPS_OF_HALVES):
        kernel = sample.kernel(halves)
        gains[:] = 0
        for window in sample.windows(kernel):
            shares, own = kernel.logits(sample.rows[:, window]), gamma[:, window]
            first, second = shares[::2], shares[1::2]
            higher, ratio = np.maximum(first, second), np.exp(-np.abs(first - second))
            gains += ((higher + np.log1p(ratio) - logits[:, window]) * own).sum(axis=1)
            of_first = np.where(first > second, 1, ratio) / (1 + ratio) * own
            first[...], second[...] = of_first, own - of_first
            kernel.accumulate(shares)
        (sums,) = kernel.take()
        sums = sums.about(moments.origins[twice], mixture.covariance)
        sums = replace(sums, sums=sums.sums + like_own, shared=moments.shared)
        weight = float(sums.sums[-1].sum())
        after = sample.settings.maximise(halves, replace(sums, weight=weight, rows=sample.n_rows))
        # A covariance that all share stays, as the logits leave out what it would change.
        halves = _joined([_chosen(halves, ()), after])
    return gains, halves


def _principal(mixture: Mixture, sample: SampledRows) -> Doubles:
    """Longest axes (K, D) of the components in standardised coordinates, a deviation long."""
    units = np.where(sample.settings.deviations > 0, sample.settings.deviations, 1.0)
    matrices = mixture.covariance.as_matrices(mixture.covariances, mixture.shape)
    # Of axes that are equally long rounding must not choose.
    tilted = units * (1 + 1e-6 * np.arange(mixture.n_features))
    lengths, axes = np.linalg.eigh(matrices / np.outer(tilted, tilted))
    return _signed(axes[:, :, -1] * np.sqrt(lengths[:, -1:])) * units


def _bimodal(mixture: Mixture, sample: SampledRows, gamma: Doubles) -> Doubles:
    """Axes (K, D) of the components' least kurtosis, a deviation long.

    A component that covers two clusters is flattest along the line between them (Peña and Prieto,
    2001), an eigenvector of its whitened rows' fourth moments (Cardoso, 1989).
    """
    matrices = mixture.covariance.as_matrices(mixture.covariances, mixture.shape)
    z = np.empty(sample.rows.shape)
    sample.frame.standardise(sample.rows.astype(np.float64, copy=False), out=z)
    found = np.empty(mixture.shape)
    for k, lower in enumerate(np.linalg.cholesky(matrices)):
        near = np.flatnonzero(gamma[k] > _SHARE)
        white = np.linalg.solve(lower, z[:, near] - mixture.means[k][:, np.newaxis])
        squares = np.minimum((white**2).sum(axis=0), _FARTHEST * mixture.n_features)
        _, axes = np.linalg.eigh((white * (squares * gamma[k, near])) @ white.T)
        found[k] = lower @ axes[:, 0]
    return _signed(found)


def _signed(axes: Doubles) -> Doubles:
    """Axes (K, D) with the largest entry positive: which half comes first is no accident."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, np.newaxis], axis=1)
    return axes * np.where(largest < 0, -1.0, 1.0)


def _removals(
    mixture: Mixture, sample: SampledRows, moments: Moments, gamma: Doubles
) -> list[Removal]:
    """Merges of the pairs that overlap most, and the removal of each single component."""
    weights = 1.0 if sample.weights is None else sample.weights
    shares = np.minimum(gamma / np.maximum(weights, 1e-300), 1 - 1e-12)
    total = sample.weight
    found = []
    if mixture.n_components > 1:
        left = -(np.log1p(-shares) * weights).sum(axis=1)
        left += total * np.log1p(-np.minimum(mixture.weights, 1 - 1e-12))
        found = [Removal(float(loss), (k,), None) for k, loss in enumerate(left)]
        found += _merges(mixture, sample, moments, gamma, shares)
    return found


def _merges(
    mixture: Mixture, sample: SampledRows, moments: Moments, gamma: Doubles, shares: Doubles
) -> list[Removal]:
    overlap = shares @ gamma.T
    sizes = np.sqrt(np.maximum(np.diag(overlap), 1e-300))
    first, second = np.triu_indices(mixture.n_components, 1)
    overlaps = (overlap / np.outer(sizes, sizes))[first, second]
    most = np.argsort(-overlaps, kind="stable")[: _PAIRS * mixture.n_components]
    first, second = first[most], second[most]
    try:
        merged = _merged(mixture, sample, moments, first, second)
    except CollapsedComponentError:
        return []
    # With responsibilities as they are, the log-likelihood is what the normalisers sum to, and the
    # entropy of the responsibilities.
    counts = moments.sums[-1]
    both = counts[first] + counts[second]
    own = counts * mixture.log_normalisers
    loss = own[first] + own[second] - both * merged.log_normalisers
    if mixture.covariance.needs_scatter:
        apart = mixture.means[first] - mixture.means[second]
        form = (mixture.covariance.precision_times(mixture.factors, apart) * apart).sum(axis=1)
        shift = counts[first] * counts[second] / both * form
        loss = loss + sample.weight / 2 * np.log1p(shift / sample.weight)
    weights = 1.0 if sample.weights is None else sample.weights
    for q, (i, j) in enumerate(zip(first, second, strict=True)):
        one, other = shares[i], shares[j]
        entropy = xlogy(one + other, one + other) - xlogy(one, one) - xlogy(other, other)
        loss[q] += (entropy * weights).sum()
    return [
        Removal(float(loss[q]), (int(i), int(j)), _chosen(merged, (q,)))
        for q, (i, j) in enumerate(zip(first, second, strict=True))
    ]


def _merged(
    mixture: Mixture,
    sample: SampledRows,
    moments: Moments,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> Mixture:
    """The merged pairs as components, with the weights that they have in the mixture."""
    counts = moments.sums[-1]
    both = counts[first] + counts[second]
    share = (counts[second] / both)[:, np.newaxis]
    means = moments.means[first] + share * (moments.means[second] - moments.means[first])
    weights = mixture.weights[first] + mixture.weights[second]
    if mixture.covariance.needs_scatter:
        return replace(mixture, weights=weights, means=means)
    one, other = (
        replace(moments, origins=moments.origins[index], sums=moments.sums[:, index]).about(
            means, mixture.covariance
        )
        for index in (first, second)
    )
    found = sample.settings.maximise(mixture, replace(one, sums=one.sums + other.sums))
    return replace(found, weights=weights)
