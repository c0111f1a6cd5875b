"""Two matrix products over feature vectors, in one compiled loop."""

from collections.abc import Sequence
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.kernels.base import Kernel
from daskgmm.model.mixture import Mixture
from daskgmm.model.responsibilities import LEAST
from daskgmm.model.typing import Doubles, Floats

TILE = 57
"""Features that are made at once: with 512 rows they and what meets them fit a core's cache."""
FEWEST_ROWS, MOST_ROWS = 512, 4096


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
        ideal = TILE * FEWEST_ROWS / self.length
        self.slab = int(np.clip(2 ** np.round(np.log2(ideal)), FEWEST_ROWS, MOST_ROWS))
        self.tiles = _tiles(self.n_quadratic, self.length)
        self.monomials = self.covariance.monomials(self.n_features)
        self.cuts = np.searchsorted(self.monomials[:, 0], self.tiles)
        eta = np.vstack([one.natural_parameters for one in mixtures]).astype(dtype)
        self.eta = np.concatenate([eta[:, a:b].ravel() for a, b in pairwise(self.tiles)])
        sizes = [mixture.n_components for mixture in mixtures]
        self.edges = np.concatenate([[0], np.cumsum(sizes)])
        height = min(self.length, TILE + self.n_features + 1)
        self.phi = np.empty(height * self.slab, dtype)
        self.gamma = np.empty(self.n_components * self.slab, dtype)
        self.partial = np.empty_like(self.gamma)
        self.product = np.empty(height * self.n_components, dtype)
        self.columns = np.empty((2, self.slab))

    def _add(self, rows: Floats, weights: Doubles | None) -> None:
        from daskgmm.model.kernels.loops import loop

        loop(rows.dtype, self.dtype)(
            rows,
            np.empty(0) if weights is None else weights,
            self.frame.origin,
            1 / self.frame.scale,
            self.monomials,
            self.cuts,
            self.tiles,
            self.eta,
            self.edges,
            LEAST[self.dtype],
            self.slab,
            self.phi,
            self.gamma,
            self.partial,
            self.product,
            self.columns,
            self.sums,
            self.log_likelihoods,
        )


def _tiles(n_quadratic: int, length: int) -> NDArray[np.int64]:
    """Edges of stretches of features; the last one has the linear features and is the fullest."""
    first_of_last = max(min(length - TILE, n_quadratic), 0)
    edges = np.arange(first_of_last, 0, -TILE)[::-1]
    return np.concatenate([[0], edges, [length]])
