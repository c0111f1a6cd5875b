"""One pass over rows in memory: E-step and sums for the M-step, two ways.

`FeatureKernel` computes all mixtures in two matrix products over feature vectors:

    logits  = Eta @ Phi           (K, n)
    moments = Phi @ gamma.T       (F, K)

`CentredKernel` subtracts each component's mean first and whitens: slower, and as exact for
tight or strongly correlated components far from the origin as the data allows. Both take the
same arguments, are filled block by block with `add`, and hold work arrays that are allocated
once: fresh large temporaries would be mapped, faulted and unmapped for each block.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

import numpy as np

from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.responsibilities import normalise, segments_of
from daskgmm.model.typing import Doubles, Floats

SMALL_PRODUCT = 10**6
"""OpenBLAS takes other kernels, that round otherwise, for products of fewer multiplications."""

SLAB_BYTES = 4 * 2**20
"""Work arrays of about this size did best from F = 6 to F = 1326 (tests/benchmarks)."""


def slab_rows(values_per_row: int, dtype: np.dtype[np.floating]) -> int:
    """Rows that are worked on together: a power of two such that work arrays stay in cache."""
    ideal = SLAB_BYTES / (values_per_row * dtype.itemsize)
    return int(np.clip(2 ** np.round(np.log2(ideal)), 256, 16384))


class Kernel(ABC):
    """Accumulates the moments of several mixtures of one covariance type over blocks of rows.

    Parameters
    ----------
    mixtures : sequence of Mixture
        In frame coordinates; K may differ between them.
    frame : Frame
        From the rows' coordinates to the mixtures'.
    dtype : dtype
        What rows are computed in; sums over slabs are float64 always.
    origins : sequence of ndarray of shape (K, D) or None
        What second moments are taken about.
    """

    slab: int

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        frame: Frame,
        dtype: np.dtype[np.floating],
        origins: Sequence[Doubles] | None = None,
    ) -> None:
        self.mixtures = mixtures
        self.origins = [
            mixture.means if origins is None else origins[index]
            for index, mixture in enumerate(mixtures)
        ]
        self.covariance = mixtures[0].covariance
        self.frame = frame
        self.dtype = dtype
        self.n_features = mixtures[0].n_features
        self.segments = segments_of([mixture.n_components for mixture in mixtures])
        self.n_components = self.segments[-1].stop
        self.most_components = max(mixture.n_components for mixture in mixtures)
        self.n_quadratic = self.covariance.quadratic_length(self.n_features)
        self.length = self.n_quadratic + self.n_features + 1
        self._clear()

    def _clear(self) -> None:
        self.sums: Doubles = np.zeros((self.length, self.n_components))
        nothing = np.zeros((self.n_features, 0))
        empty = np.asarray(self.covariance.scatter(nothing, nothing)[1], np.float64)
        self.shared: list[Doubles] = [empty.copy() for _ in self.mixtures]
        self.log_likelihoods = np.zeros(len(self.mixtures))
        self.weight = 0.0
        self.rows = 0

    def add(self, rows: Floats, weights: Floats | None = None) -> None:
        """Take rows (D, n) in data coordinates, with sample weights (n,), into the sums."""
        for start in range(0, rows.shape[1], self.slab):
            stop = min(start + self.slab, rows.shape[1])
            slab_weights = None if weights is None else weights[start:stop].astype(np.float64)
            self._add_slab(rows[:, start:stop], slab_weights)
            self.weight += stop - start if slab_weights is None else float(slab_weights.sum())
        self.rows += rows.shape[1]

    def _add_slab(self, rows: Floats, weights: Doubles | None) -> None:
        gamma = self.logits(rows)
        for index, segment in enumerate(self.segments):
            log_density = normalise(gamma[segment]).astype(np.float64, copy=False)
            weighted = log_density if weights is None else log_density * weights
            self.log_likelihoods[index] += weighted.sum()
        if weights is not None:
            gamma *= weights.astype(self.dtype)
        self._accumulate(gamma)

    @abstractmethod
    def logits(self, rows: Floats) -> Floats:
        """Weighted log-densities (K, n) of at most `slab` rows, in a work array.

        In frame coordinates, and without what the feature form leaves to the total scatter.
        """

    @abstractmethod
    def _accumulate(self, gamma: Floats) -> None:
        """Add the same slab's moments under these responsibilities (K, n)."""

    def take(self) -> list[Moments]:
        """Sums since the last call, one for each mixture."""
        found = [
            Moments(
                origins,
                self.sums[:, segment],
                shared,
                float(log_likelihood) + self.weight * self.frame.log_jacobian,
                self.weight,
                self.rows,
            )
            for origins, segment, shared, log_likelihood in zip(
                self.origins, self.segments, self.shared, self.log_likelihoods, strict=True
            )
        ]
        self._clear()
        return found


@final
class FeatureKernel(Kernel):
    """Two matrix products over feature vectors, about the frame's origin.

    What comes out for a mixture is the same to the bit with or without others of its size in
    the pass.
    """

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        frame: Frame,
        dtype: np.dtype[np.floating],
        origins: Sequence[Doubles] | None = None,
    ) -> None:
        del origins
        # Features are of rows measured from the frame's origin, whatever was asked for.
        super().__init__(mixtures, frame, dtype, [np.zeros(one.shape) for one in mixtures])
        eta = np.vstack([mixture.natural_parameters for mixture in mixtures])
        self.eta = eta.astype(dtype)
        self.slab = slab_rows(max(self.length, self.most_components), dtype)
        self.phi = np.ones((self.length, self.slab), dtype)
        self.gamma = np.empty((self.n_components, self.slab), dtype)
        self.product = np.empty((self.length, self.n_components), dtype)

    def logits(self, rows: Floats) -> Floats:
        phi = self.phi[:, : rows.shape[1]]
        linear = phi[self.n_quadratic : -1]
        self.frame.standardise(rows, out=linear)
        self.covariance.quadratic(linear, out=phi[: self.n_quadratic])
        for rows_of_eta in self._products(rows.shape[1]):
            out = self.gamma[rows_of_eta, : rows.shape[1]]
            np.matmul(self.eta[rows_of_eta], phi, out=out)
        return self.gamma[:, : rows.shape[1]]

    def _accumulate(self, gamma: Floats) -> None:
        phi = self.phi[:, : gamma.shape[1]]
        for columns in self._products(gamma.shape[1]):
            self.product[:, columns] = phi @ gamma[columns].T
        self.sums += self.product

    def _products(self, n: int) -> list[slice]:
        """One product for all mixtures, or one each where BLAS would treat them differently."""
        sizes = [mixture.n_components for mixture in self.mixtures]
        if min(sizes) > 1 and min(sizes) * self.length * n > SMALL_PRODUCT:
            return [slice(0, self.n_components)]
        return self.segments


@final
class CentredKernel(Kernel):
    """Component by component, about the current means or other origins near the next ones."""

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        frame: Frame,
        dtype: np.dtype[np.floating],
        origins: Sequence[Doubles] | None = None,
    ) -> None:
        super().__init__(mixtures, frame, dtype, origins)
        # What is subtracted from rows of this type is what the moments are about.
        self.origins = [origin.astype(dtype).astype(np.float64) for origin in self.origins]
        self.factors = [mixture.factors.astype(dtype) for mixture in mixtures]
        self.slab = slab_rows(max(4 * self.n_features, self.most_components), dtype)
        self.z = np.empty((self.n_features, self.slab), dtype)
        self.centred = np.empty_like(self.z)
        self.weighted = np.empty_like(self.z)
        self.gamma = np.empty((self.n_components, self.slab), dtype)

    def logits(self, rows: Floats) -> Floats:
        n = rows.shape[1]
        self.frame.standardise(rows, out=self.z[:, :n])
        for mixture, factors, segment in zip(
            self.mixtures, self.factors, self.segments, strict=True
        ):
            own = self.gamma[segment, :n]
            for k, log_normaliser in enumerate(mixture.log_normalisers):
                centred = self._centre(mixture.means[k], n)
                own[k] = self.covariance.distances(centred, factors, k)
                own[k] *= -0.5
                own[k] += log_normaliser.astype(self.dtype)
        return self.gamma[:, :n]

    def _centre(self, point: Doubles, n: int) -> Floats:
        return np.subtract(
            self.z[:, :n], point.astype(self.dtype)[:, np.newaxis], out=self.centred[:, :n]
        )

    def _accumulate(self, gamma: Floats) -> None:
        n = gamma.shape[1]
        weighted = self.weighted[:, :n]
        for index, (origins, segment) in enumerate(zip(self.origins, self.segments, strict=True)):
            for k, origin in enumerate(origins, start=segment.start):
                centred = self._centre(origin, n)
                np.multiply(centred, gamma[k], out=weighted)
                own, shared = self.covariance.scatter(centred, weighted)
                self.sums[: self.n_quadratic, k] += own
                self.sums[self.n_quadratic : -1, k] += weighted.sum(axis=1)
                self.sums[-1, k] += gamma[k].sum()
                self.shared[index] += shared
