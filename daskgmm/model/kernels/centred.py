"""Whitening about each component's own origin: exact for tight components far away."""

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.kernels.base import Kernel, SlabKernel, slab_rows
from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles, Floats

SLAB_BYTES = 2**24
"""Of work arrays, so that a component's products are large."""


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
        self.indices = [np.flatnonzero(mask).tolist() for mask in chosen]
        if not any(self.indices):
            return
        self.factors = [mixture.factors.astype(dtype) for mixture in mixtures]
        self.normalisers = [mixture.log_normalisers.astype(dtype) for mixture in mixtures]
        self.means = [mixture.means.astype(dtype) for mixture in mixtures]
        self.origins = [points.astype(dtype) for points in origins]
        self.centred = np.empty((mixtures[0].n_features, slab), dtype)

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
        for i, segment in enumerate(segments):
            for k in self.indices[i]:
                centred = self._centre(z, self.origins[i][k])
                own, column = gamma[segment][k], kernel.sums[:, segment.start + k]
                column[kernel.n_quadratic : -1] += centred @ own
                column[-1] += own.sum()
                quadratic = column[: kernel.n_quadratic]
                self.covariance.add_scatter(centred, own, quadratic, kernel.shared[i])

    def _centre(self, z: Floats, point: Floats) -> Floats:
        return np.subtract(z, point[:, np.newaxis], out=self.centred[:, : z.shape[1]])


@final
class CentredKernel(SlabKernel):
    """Computes components one by one, about their means or other origins near the next ones."""

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        frame: Frame,
        dtype: np.dtype[np.floating],
        origins: Sequence[Doubles] | None = None,
    ) -> None:
        super().__init__(mixtures, frame, dtype, origins)
        self.slab = slab_rows(max(4 * self.n_features, self.most_components), dtype, SLAB_BYTES)
        self.z = np.empty((self.n_features, self.slab), dtype)
        self.gamma = np.empty((self.n_components, self.slab), dtype)
        every = [np.ones(mixture.n_components, np.bool_) for mixture in mixtures]
        self.centred = CentredComponents(mixtures, self.origins, every, self.slab, dtype)

    def logits(self, rows: Floats) -> Floats:
        z, gamma = self.z[:, : rows.shape[1]], self.gamma[:, : rows.shape[1]]
        self.frame.standardise(rows, out=z)
        self.centred.logits(z, self.segments, gamma)
        return gamma

    def accumulate(self, gamma: Floats) -> None:
        self.centred.accumulate(self.z[:, : gamma.shape[1]], gamma, self.segments, self)
