"""Two matrix products over feature vectors, in one compiled loop."""

from collections.abc import Sequence
from typing import final

import numpy as np

from daskgmm.model.frame import Frame
from daskgmm.model.kernels.base import SMALL_PRODUCT, Kernel, slab_rows
from daskgmm.model.mixture import Mixture
from daskgmm.model.responsibilities import LEAST
from daskgmm.model.typing import Doubles, Floats

SLAB_BYTES = 2**18
"""Of feature vectors, so that they stay in a core's own cache between the two products."""


@final
class CompiledKernel(Kernel):
    """As `FeatureKernel`, for mixtures that the feature form serves in all components."""

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        frame: Frame,
        dtype: np.dtype[np.floating],
        origins: Sequence[Doubles] | None = None,
    ) -> None:
        super().__init__(mixtures, frame, dtype, origins)
        self.origins = [np.zeros_like(points) for points in self.origins]
        self.slab = slab_rows(max(self.length, self.most_components), dtype, SLAB_BYTES)
        self.eta = np.vstack([one.natural_parameters for one in mixtures]).astype(dtype)
        self.monomials = self.covariance.monomials(self.n_features)
        sizes = [mixture.n_components for mixture in mixtures]
        # Products are made for all mixtures at once where BLAS treats them as it treats one.
        fewest = SMALL_PRODUCT // (min(sizes) * self.length) if min(sizes) > 1 else self.slab
        self.joint_rows = max(fewest + 1, 1)
        self.edges = np.concatenate([[0], np.cumsum(sizes)])
        self.phi = np.empty(self.length * self.slab, dtype)
        self.gamma = np.empty(self.n_components * self.slab, dtype)
        self.product = np.empty(self.length * self.n_components, dtype)
        self.columns = np.empty((2, self.slab))

    def _add(self, rows: Floats, weights: Doubles | None) -> None:
        from daskgmm.model.kernels.loops import loop

        loop(rows.dtype, self.dtype)(
            rows,
            np.empty(0) if weights is None else weights,
            self.frame.origin,
            1 / self.frame.scale,
            self.monomials,
            self.eta,
            self.edges,
            self.joint_rows,
            LEAST[self.dtype],
            self.slab,
            self.phi,
            self.gamma,
            self.product,
            self.columns,
            self.sums,
            self.log_likelihoods,
        )
