"""Two matrix products over feature vectors, in one compiled loop."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.kernels.base import Kernel
from daskgmm.model.mixture import Mixture
from daskgmm.model.responsibilities import LEAST
from daskgmm.model.typing import Doubles, Floats

TILE = 56
"""Features that are made at once, about: with `FEWEST_ROWS` they and what meets them fit a core's
cache, and products of them with up to 20 components are of a size that BLAS takes in place."""

FEWEST_ROWS = {np.dtype(np.float64): 576, np.dtype(np.float32): 832}
MOST_ROWS = 4096

_LINE = 64
"""Rows are worked on in odd multiples of so many: whole vectors, and never a multiple of 1 KiB.
Arrays whose rows lie 4 KiB apart fall on each other in a core's nearest cache, and products took
a fifth longer."""


@final
class CompiledKernel(Kernel):
    """The products of `FeatureKernel` in a compiled loop, for mixtures that need no centring."""

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        frame: Frame,
        dtype: np.dtype[np.floating],
        origins: Sequence[Doubles] | None = None,
    ) -> None:
        super().__init__(mixtures, frame, dtype, origins)
        self.origins = [np.zeros_like(points) for points in self.origins]
        fewest = FEWEST_ROWS[self.dtype]
        ideal = int(np.clip(TILE * fewest // self.length, fewest, MOST_ROWS - 1))
        self.stretch = ideal // (2 * _LINE) * 2 * _LINE + _LINE
        self.tiles = _tiles(self.n_quadratic, self.length)
        self.monomials = self.covariance.monomials(self.n_features)
        self.cuts = np.searchsorted(self.monomials[:, 0], self.tiles)
        eta = np.vstack([one.natural_parameters for one in mixtures]).astype(dtype)
        self.eta = np.concatenate([eta[:, a:b].ravel() for a, b in pairwise(self.tiles)])
        sizes = [mixture.n_components for mixture in mixtures]
        self.edges = np.concatenate([[0], np.cumsum(sizes)])
        widest = int(np.diff(self.tiles).max())
        height = min(self.length, widest + self.n_features + 1)
        self.phi = np.empty(height * self.stretch, dtype)
        self.gamma = np.empty(self.n_components * self.stretch, dtype)
        self.partial = np.empty_like(self.gamma)
        self.product = np.empty(height * self.n_components, dtype)
        self.peak = np.empty(self.stretch, dtype)
        self.columns = np.empty((2, self.stretch))
        self.slab = MOST_ROWS // self.stretch * self.stretch
        self.densities = np.empty(self.n_components * self.slab, dtype)

    def logits(self, rows: Floats) -> Floats:
        from daskgmm.model.kernels.loops import density_loop

        found = self.densities[: self.n_components * rows.shape[1]].reshape(self.n_components, -1)
        density_loop(rows.dtype, self.dtype)(rows, *self._parameters, found)
        return found

    def _add(self, rows: Floats, weights: Doubles | None) -> None:
        from daskgmm.model.kernels.loops import loop

        loop(rows.dtype, self.dtype)(
            rows,
            *self._parameters,
            np.empty(0) if weights is None else weights,
            LEAST[self.dtype],
            self.product,
            self.peak,
            self.columns,
            self.sums,
            self.log_likelihoods,
        )

    @property
    def _parameters(self) -> tuple[Any, ...]:
        """Arguments and work arrays that both loops share."""
        return (
            self.frame.origin,
            1 / self.frame.scale,
            self.monomials,
            self.cuts,
            self.tiles,
            self.eta,
            self.edges,
            self.stretch,
            self.phi,
            self.gamma,
            self.partial,
        )


def compile_ahead(rows: np.dtype[np.floating], dtype: np.dtype[np.floating]) -> None:
    """Compile the loop for rows of one type, computed in another, or load it from its cache."""
    from daskgmm.model.kernels.loops import loop

    loop(rows, dtype)


def compile_densities_ahead(rows: np.dtype[np.floating], dtype: np.dtype[np.floating]) -> None:
    """Compile the loop for the densities of single rows, or load it from its cache."""
    from daskgmm.model.kernels.loops import density_loop

    density_loop(rows, dtype)


def _tiles(n_quadratic: int, length: int) -> NDArray[np.int64]:
    """Edges of stretches of features; the last one has the linear features and is the fullest."""
    width = -(-length // max(round(length / TILE), 1))
    first_of_last = max(min(length - width, n_quadratic), 0)
    edges = np.arange(first_of_last, 0, -width)[::-1]
    return np.concatenate([[0], edges, [length]])
