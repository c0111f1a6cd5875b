"""Two matrix products over feature vectors, in NumPy."""

from collections.abc import Sequence
from typing import final

import numpy as np

from daskgmm.model.frame import Frame
from daskgmm.model.kernels.base import SMALL_PRODUCT, SlabKernel, slab_rows
from daskgmm.model.kernels.centred import CentredComponents, CentredKernel
from daskgmm.model.mixture import Mixture
from daskgmm.model.precision import feature_components
from daskgmm.model.typing import Doubles, Floats

SLAB_BYTES = 4 * 2**20
"""Of work arrays, which did best from F = 6 to F = 1326: fewer calls of Python's."""

LONGEST = 2**14
"""Beyond this F (D = 180 with full covariances) whole feature vectors outgrow every cache."""


def kernel_in_numpy(mixture: Mixture, dtype: np.dtype[np.floating]) -> type[SlabKernel]:
    """`FeatureKernel` if it is exact enough for any component, else `CentredKernel`."""
    length = mixture.covariance.quadratic_length(mixture.n_features)
    by_features = length <= LONGEST and feature_components(mixture, dtype).any()
    return FeatureKernel if by_features else CentredKernel


@final
class FeatureKernel(SlabKernel):
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
        self.slab = slab_rows(max(self.length, self.most_components), dtype, SLAB_BYTES)
        self.phi = np.empty((self.length, self.slab), dtype)
        self.phi[-1] = 1
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

    def accumulate(self, gamma: Floats) -> None:
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
