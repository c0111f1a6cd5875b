"""One pass over rows in memory: E-step and sums for the M-step, two ways.

`FeatureKernel` computes all mixtures in two matrix products over feature vectors:

    logits  = Eta @ Phi           (K, n)
    moments = Phi @ gamma.T       (F, K)

`CentredKernel` subtracts each component's mean first and whitens: slower, and as exact for
tight or strongly correlated components far from the origin as the data allows. Where only some
components need that, `FeatureKernel` treats those the second way. Both take the same arguments,
are filled block by block with `add`, and hold work arrays that are allocated once: fresh large
temporaries would be mapped, faulted and unmapped for each block.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.precision import feature_components
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
        wanted = [mixture.means for mixture in mixtures] if origins is None else origins
        # What is subtracted from rows of this type is what the moments are about.
        self.origins = [points.astype(dtype).astype(np.float64) for points in wanted]
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
        self.rows += rows.shape[1]
        if weights is not None and not weights.all():
            # A row that doesn't count may hold any number; zero times infinity would be NaN.
            rows, weights = rows[:, weights > 0], weights[weights > 0]
        for start in range(0, rows.shape[1], self.slab):
            stop = min(start + self.slab, rows.shape[1])
            slab_weights = None if weights is None else weights[start:stop].astype(np.float64)
            self._add_slab(rows[:, start:stop], slab_weights)
            self.weight += stop - start if slab_weights is None else float(slab_weights.sum())

    def _add_slab(self, rows: Floats, weights: Doubles | None) -> None:
        gamma = self.logits(rows)
        for index, segment in enumerate(self.segments):
            log_density = normalise(gamma[segment], for_sums=True).astype(np.float64, copy=False)
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


class CentredComponents:
    """Logits and sums of chosen components, one after another, each about its own origin.

    Parameters
    ----------
    mixtures : sequence of Mixture
        In frame coordinates.
    origins : sequence of ndarray of shape (K, D)
        What second moments are taken about; exact in `dtype`.
    chosen : sequence of ndarray of bool of shape (K,)
        Which components of each mixture.
    slab : int
        Most rows at a time.
    dtype : dtype
        What rows are computed in.
    """

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        origins: Sequence[Doubles],
        chosen: Sequence[NDArray[np.bool_]],
        slab: int,
        dtype: np.dtype[np.floating],
    ) -> None:
        self.covariance = mixtures[0].covariance
        self.factors = [mixture.factors.astype(dtype) for mixture in mixtures]
        self.normalisers = [mixture.log_normalisers.astype(dtype) for mixture in mixtures]
        self.means = [mixture.means.astype(dtype) for mixture in mixtures]
        self.origins = [points.astype(dtype) for points in origins]
        self.indices = [np.flatnonzero(mask).tolist() for mask in chosen]
        size = (mixtures[0].n_features, slab) if any(self.indices) else (0, 0)
        self.centred = np.empty(size, dtype)
        self.weighted = np.empty(size, dtype)

    def logits(self, z: Floats, segments: Sequence[slice], out: Floats) -> None:
        """Write the chosen components' weighted log-densities at rows z (D, n) into `out`."""
        for i, segment in enumerate(segments):
            own = out[segment]
            for k in self.indices[i]:
                centred = self._centre(z, self.means[i][k])
                own[k] = self.covariance.distances(centred, self.factors[i], k)
                own[k] *= -0.5
                own[k] += self.normalisers[i][k]

    def accumulate(
        self, z: Floats, gamma: Floats, segments: Sequence[slice], kernel: "Kernel"
    ) -> None:
        """Add the chosen components' moments under responsibilities (K, n) to the kernel's."""
        weighted = self.weighted[:, : z.shape[1]]
        for i, segment in enumerate(segments):
            for k in self.indices[i]:
                centred = self._centre(z, self.origins[i][k])
                np.multiply(centred, gamma[segment][k], out=weighted)
                own, shared = self.covariance.scatter(centred, weighted)
                column = kernel.sums[:, segment.start + k]
                column[: kernel.n_quadratic] += own
                column[kernel.n_quadratic : -1] += weighted.sum(axis=1)
                column[-1] += gamma[segment][k].sum()
                kernel.shared[i] += shared

    def _centre(self, z: Floats, point: Floats) -> Floats:
        return np.subtract(z, point[:, np.newaxis], out=self.centred[:, : z.shape[1]])


@final
class FeatureKernel(Kernel):
    """Two matrix products over feature vectors, about the frame's origin.

    On few rows each mixture has products of its own, so that a start's last digits don't hang on
    how many others there are.
    """

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        frame: Frame,
        dtype: np.dtype[np.floating],
        origins: Sequence[Doubles] | None = None,
    ) -> None:
        super().__init__(mixtures, frame, dtype, origins)
        apart = [~feature_components(mixture, dtype) for mixture in mixtures]
        self.apart = np.concatenate(apart)
        self.origins = [
            np.where(mask[:, np.newaxis], points, 0.0)
            for mask, points in zip(apart, self.origins, strict=True)
        ]
        eta = np.vstack([mixture.natural_parameters for mixture in mixtures])
        self.eta = eta.astype(dtype)
        self.slab = slab_rows(max(self.length, self.most_components), dtype)
        self.phi = np.ones((self.length, self.slab), dtype)
        self.gamma = np.empty((self.n_components, self.slab), dtype)
        self.product = np.empty((self.length, self.n_components), dtype)
        self.centred = CentredComponents(mixtures, self.origins, apart, self.slab, dtype)

    def logits(self, rows: Floats) -> Floats:
        phi = self.phi[:, : rows.shape[1]]
        linear = phi[self.n_quadratic : -1]
        self.frame.standardise(rows, out=linear)
        self.covariance.quadratic(linear, out=phi[: self.n_quadratic])
        gamma = self.gamma[:, : rows.shape[1]]
        for components in self._products(rows.shape[1]):
            np.matmul(self.eta[components], phi, out=gamma[components])
        self.centred.logits(linear, self.segments, gamma)
        return gamma

    def _accumulate(self, gamma: Floats) -> None:
        phi = self.phi[:, : gamma.shape[1]]
        for components in self._products(gamma.shape[1]):
            self.product[:, components] = phi @ gamma[components].T
        self.product[:, self.apart] = 0
        self.sums += self.product
        self.centred.accumulate(phi[self.n_quadratic : -1], gamma, self.segments, self)

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
        self.slab = slab_rows(max(4 * self.n_features, self.most_components), dtype)
        self.z = np.empty((self.n_features, self.slab), dtype)
        self.gamma = np.empty((self.n_components, self.slab), dtype)
        every = [np.ones(mixture.n_components, np.bool_) for mixture in mixtures]
        self.centred = CentredComponents(mixtures, self.origins, every, self.slab, dtype)

    def logits(self, rows: Floats) -> Floats:
        z, gamma = self.z[:, : rows.shape[1]], self.gamma[:, : rows.shape[1]]
        self.frame.standardise(rows, out=z)
        self.centred.logits(z, self.segments, gamma)
        return gamma

    def _accumulate(self, gamma: Floats) -> None:
        self.centred.accumulate(self.z[:, : gamma.shape[1]], gamma, self.segments, self)
