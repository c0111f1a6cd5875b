"""Partial EM: some components on the rows near them, while all other components stay as they are.

A step of it takes the rows near a component alone, of which each row has a few, however many
components there are (Ueda et al., 2000).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daskgmm.model.covariance.base import Covariance
from daskgmm.model.mixture import Mixture, joined
from daskgmm.model.moments import Moments
from daskgmm.model.parallel import each
from daskgmm.model.typing import Doubles
from daskgmm.training.refinement.region_rows import (
    FeatureRows,
    RowsOfRegions,
    WhitenedRows,
    whitens,
)
from daskgmm.training.refinement.sampled import SampledRows, step_cost
from daskgmm.training.refinement.shares import (
    Shares,
    log_densities_under,
    shares_of_all,
    shares_within_bounds,
)

NEAR = 0.01
"""Responsibility from which a row belongs to a component, among others."""

MOST_NEAR = int(1 / NEAR)
"""Components that a row is near to, at the most."""

_TINY = 1e-16
"""Least share of a row that the components that stay have: what rounding leaves of 1."""

_FEATURE_VALUES, _ROWS_A_FEATURE = 2**22, 4
"""Values of feature vectors in memory at a time, about; and rows a feature of the components of one
region, at the least, where that is less."""

_BESIDE = 7
"""Numbers of a row beside those of its feature vector; see `region_bytes`."""

REGIONS, ROWS_OF_REGIONS = 4, 2**22
"""Regions for each component, rounded up: its own to be split, and the two pairs to be merged of
`daskgmm.training.refinement.moves`. And rows of all regions together, at the most, unless each has
few rows a feature."""

_WHITENED_VALUES = 2**18
"""Values of rows in memory at a time, about, where they are whitened for each component."""


@dataclass(frozen=True, eq=False)
class Region:
    """Rows near some components of a mixture.

    Parameters
    ----------
    components : tuple of int
        Those in whose stead others are to come.
    rows : ndarray of int of shape (m,)
    log_share : ndarray of shape (m,)
        Logarithm of the first component's responsibility.
    log_held : ndarray of shape (m,)
        Logarithm of the responsibility of all components but these, and of noise.
    times : int
        Of so many near rows one is here.
    """

    components: tuple[int, ...]
    rows: NDArray[np.int32]
    log_share: Doubles
    log_held: Doubles
    times: int


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """Rows and responsibilities under a mixture, by which its components are told apart.

    Parameters
    ----------
    mixture : Mixture
        In frame coordinates.
    moments : Moments
        From which the mixture was computed.
    sample : SampledRows
    """

    mixture: Mixture
    moments: Moments
    sample: SampledRows

    @cached_property
    def shares(self) -> Shares:
        """Responsibilities, without the rows' weights."""
        sample = self.sample
        if sample.bounds_pay(self.mixture):
            return shares_within_bounds(self.mixture, self.z)
        return shares_of_all(self.mixture, sample.rows, sample.frame, sample.settings.dtype)

    @cached_property
    def near(self) -> csr_array:
        """Responsibilities (K, n) where rows belong to components, among others."""
        every = range(self.mixture.n_components)
        least = np.log(NEAR) if NEAR > 0 else -np.inf
        counts = [np.count_nonzero(self.shares.of(k)[1] > least) for k in every]
        starts = np.cumsum([0, *counts])
        rows, shares = np.empty(starts[-1], np.int32), np.empty(starts[-1])
        for k in every:
            (own, logs), at = self.shares.of(k), slice(starts[k], starts[k + 1])
            rows[at] = own[logs > least]
            np.exp(logs[logs > least], out=shares[at])
        return csr_array((shares, rows, starts), (len(every), self.sample.n_rows))

    def rows_near(self, component: int) -> NDArray[np.int32]:
        """Rows that belong to a component, among others."""
        first, stop = self.near.indptr[component : component + 2]
        return np.asarray(self.near.indices[first:stop])

    @cached_property
    def weights(self) -> Doubles:
        """Sample weights (n,)."""
        given = self.sample.weights
        return np.ones(self.sample.n_rows) if given is None else given

    @cached_property
    def z(self) -> Doubles:
        """Rows (D, n) in frame coordinates."""
        found = np.empty(self.sample.rows.shape)
        self.sample.frame.standardise(self.sample.rows.astype(np.float64, copy=False), out=found)
        return found

    def region(self, components: tuple[int, ...]) -> Region:
        """Rows near some components: every so manieth where there are very many."""
        rows = np.unique(np.concatenate([self.rows_near(k) for k in components]))
        mixture = self.mixture
        most = most_rows_near(mixture.covariance, mixture.n_features, mixture.n_components)
        times = max(-(-len(rows) // most), 1)
        rows = rows[::times]
        logs = np.stack([self.shares.at(k, rows) for k in components])
        held = 1 - np.exp(logs).sum(axis=0)
        return Region(
            components, rows, self._every(components[0], rows, logs[0]),
            np.log(np.maximum(held, _TINY)), times,
        )  # fmt: skip

    def _every(self, component: int, rows: NDArray[np.int32], logs: Doubles) -> Doubles:
        """Logarithms of a component's responsibilities, with those that were left out."""
        out = ~np.isfinite(logs)
        if out.any():
            left = rows[out]
            found = log_densities_under(self.mixture, component, self.z[:, left])
            logs[out] = found - self.shares.log_densities[left]
        return logs

    def cost(self, regions: Sequence[Region], n_components: int, steps: int) -> float:
        """Multiplications of so many steps of so many components of each region."""
        covariance, n_features = self.mixture.covariance, self.mixture.n_features
        rows = [len(region.rows) for region in regions]
        return steps * sum(step_cost(n, covariance, n_components, n_features) for n in rows)

    def em(
        self,
        regions: Sequence[Region],
        start: Callable[[slice], Mixture],
        steps: int,
        added: float = 0.0,
    ) -> tuple[Doubles, list[Mixture]]:
        """EM of the components of each region.

        Parameters
        ----------
        regions : sequence of Region
        start : callable
            Where EM begins at some of the regions: a mixture of as many components at each one,
            region by region, with the weights that the components there have in the mixture.
        steps : int
        added : float
            Rows like those of a region's first component that are added to each component.

        Returns
        -------
        gains : ndarray of shape (P,)
            What the log-likelihood (nats) gains by each region's components, before the last step.
        mixtures : list of Mixture
            The components of each region, with such weights.

        Raises
        ------
        CollapsedComponentError
            A component has collapsed.
        """
        _ = self.z, self.weights  # made here, before several threads ask for them

        def together(window: slice) -> tuple[Doubles, list[Mixture]]:
            gains, found = self._em(regions[window], start(window), steps, added)
            components = np.arange(found.n_components).reshape(len(gains), -1)
            return gains, [found.of_components(of_place) for of_place in components]

        gains, mixtures = zip(*each(together, list(self._batches(regions))), strict=True)
        return np.concatenate(gains), list(chain.from_iterable(mixtures))

    def _batches(self, regions: Sequence[Region]) -> Iterator[slice]:
        """Stretches of regions whose rows, or feature vectors, are in memory together."""
        covariance, length = self.mixture.covariance, self.mixture.n_features
        most = _WHITENED_VALUES
        if not whitens(covariance, length):
            length, most = covariance.feature_length(length), _FEATURE_VALUES
        start, values = 0, 0
        for index, region in enumerate(regions):
            if index > start and values + len(region.rows) * length > most:
                yield slice(start, index)
                start, values = index, 0
            values += len(region.rows) * length
        yield slice(start, len(regions))

    def _em(
        self, regions: Sequence[Region], start: Mixture, steps: int, added: float
    ) -> tuple[Doubles, Mixture]:
        each = start.n_components // len(regions)
        first = np.array([region.components[0] for region in regions])
        origins = np.repeat(self.mixture.means[first], each, axis=0)
        like_first = self._like(first, added).repeat(each, axis=1)
        rows = self._rows(regions, self.mixture.of_components(first))
        log_share = np.concatenate([region.log_share for region in regions])
        log_held = np.concatenate([region.log_held for region in regions])
        weights = np.concatenate([self.weights[region.rows] * region.times for region in regions])
        logits = np.empty((each, len(weights)))
        sums = np.empty(like_first.shape, order="F")
        totals = start.weights.reshape(-1, each).sum(axis=1)
        gains, found = np.zeros(len(regions)), start
        for _ in range(steps):
            rows.write_logits(replace(found, means=found.means - origins), logits)
            logits += log_share
            density = _normalised_beside(logits, log_held)
            gains = np.add.reduceat(density * weights, rows.starts)
            logits *= weights
            rows.write_sums(logits, sums)
            moments = replace(
                self.moments, origins=origins, sums=sums + like_first, log_likelihood=0.0,
                weight=float(sums[-1].sum()), rows=self.sample.n_rows,
            )  # fmt: skip
            after = self.sample.settings.maximise(found, moments)
            counts = sums[-1].reshape(-1, each)
            shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), _TINY)
            # A covariance that all share stays.
            found = joined(
                [found.of_components(()), after], (shares * totals[:, np.newaxis]).ravel()
            )
        return gains, found

    def _like(self, components: NDArray[np.int64], rows: float) -> Doubles:
        """Moments (F, P) of so many rows like those of each component, about its mean."""
        own = replace(
            self.moments,
            origins=self.moments.origins[components],
            sums=self.moments.sums[:, components],
        ).about(self.mixture.means[components], self.mixture.covariance)
        return np.asarray(own.sums * (rows / np.maximum(own.sums[-1], _TINY)))

    def _rows(self, regions: Sequence[Region], references: Mixture) -> RowsOfRegions:
        """The regions' rows about the mean of their first component, which is the reference."""
        shape = references.covariance, references.n_features
        kind = WhitenedRows if whitens(*shape) else FeatureRows
        origins = references.means[:, :, np.newaxis]
        centred = [self.z[:, own.rows] - at for own, at in zip(regions, origins, strict=True)]
        return kind(centred, replace(references, means=np.zeros_like(references.means)))


def most_rows_near(covariance: Covariance, n_features: int, n_components: int) -> int:
    """Rows of a region, at the most."""
    length = covariance.feature_length(n_features)
    fit = min(_FEATURE_VALUES // length, ROWS_OF_REGIONS // (REGIONS * n_components))
    return max(fit, _ROWS_A_FEATURE * n_features)


def region_bytes(covariance: Covariance, n_features: int) -> int:
    """Bytes of EM on the rows of regions that are worked on together, or on their feature vectors.

    Beside the numbers of a row stand some seven: logits under two components, shares, weight and
    density.
    """
    width, values = covariance.feature_length(n_features), _FEATURE_VALUES
    rows = max(_FEATURE_VALUES // width, _ROWS_A_FEATURE * n_features)
    if whitens(covariance, n_features):
        width = n_features
        values = max(_WHITENED_VALUES, rows * width) + 2 * rows * width  # centred, and whitened
    values = max(values, rows * width)
    return math.ceil(values * (1 + _BESIDE / width)) * np.dtype(np.float64).itemsize


def _normalised_beside(logits: Doubles, held: Doubles) -> Doubles:
    """Turn logits (c, m) into responsibilities in place, beside a held part (m,) of the density.

    Returns the log-density (m,).
    """
    peak = np.maximum(logits.max(axis=0), held)
    logits -= peak
    np.exp(logits, out=logits)
    total = logits.sum(axis=0) + np.exp(held - peak)
    logits /= total
    return np.asarray(np.log(total, out=total) + peak)
