"""Two matrix products over feature vectors, in one compiled loop."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.kernels.arguments import FeatureWork, Form, Strategy, no_model, no_neighbours
from daskgmm.model.kernels.base import Kernel, work_array
from daskgmm.model.mixture import Mixture
from daskgmm.model.responsibilities import LEAST
from daskgmm.model.typing import Doubles, Floats

TILE = 56
"""Features that are made at once, about: with `FEWEST_ROWS` they and what meets them fit a core's
cache, and products of them with up to 20 components are of a size that BLAS takes in place."""

FEWEST_ROWS = {np.dtype(np.float64): 576, np.dtype(np.float32): 832}
MOST_ROWS = 4096

LINE = 64
"""Rows are worked on in odd multiples of so many: whole vectors, and never a multiple of 1 KiB.
Arrays whose rows lie 4 KiB apart fall on each other in a core's nearest cache, and products took
a fifth longer."""


_CONVERTED_ROWS = 2**15
"""Rows of single precision that are converted at once, where they are computed in double."""

_STRATEGY = tuple(Strategy(by_features=True, screened=False, most=0.0))


class LoopKernel(Kernel, ABC):
    """A kernel that hands rows to a compiled loop.

    Rows of single precision that are computed in double are converted a few at a time, so that no
    loop of their own need be compiled.
    """

    def _add(self, rows: Floats, weights: Doubles | None) -> None:
        if rows.dtype.itemsize >= self.dtype.itemsize:
            self._add_rows(rows, weights)
            return
        for start in range(0, rows.shape[1], _CONVERTED_ROWS):
            window = slice(start, start + _CONVERTED_ROWS)
            own = None if weights is None else weights[window]
            self._add_rows(rows[:, window].astype(self.dtype), own)

    def logits(self, rows: Floats) -> Floats:
        found = self._densities[: self.n_components * rows.shape[1]].reshape(self.n_components, -1)
        self._write_logits(rows.astype(np.promote_types(rows.dtype, self.dtype), copy=False), found)
        return found

    @cached_property
    def _densities(self) -> Floats:
        """Work array of `logits`, which sums have no use for."""
        return np.empty(self.n_components * self.slab, self.dtype)

    @abstractmethod
    def _add_rows(self, rows: Floats, weights: Doubles | None) -> None:
        """Add rows of positive weight, of a type that the loop takes."""

    @abstractmethod
    def _write_logits(self, rows: Floats, out: Floats) -> None:
        """Write the logits of such rows to ``out`` (K, n)."""


def together(rows: Floats) -> Floats:
    """Rows (D, n) as (n, D), if the numbers of each lie together; none otherwise."""
    turned = rows.T
    return turned if turned.flags.c_contiguous else np.empty((0, len(rows)), rows.dtype)


@final
class CompiledKernel(LoopKernel):
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
        stretch = ideal // (2 * LINE) * 2 * LINE + LINE
        tiles = tiles_of(self.n_quadratic, self.length)
        monomials = self.covariance.monomials(self.n_features)
        cuts = np.searchsorted(monomials[:, 0], tiles)
        eta = np.vstack([one.natural_parameters for one in mixtures]).astype(dtype)
        by_tile = np.concatenate([eta[:, a:b].ravel() for a, b in pairwise(tiles)])
        edges = np.concatenate([[0], np.cumsum([mixture.n_components for mixture in mixtures])])
        self.form = Form(monomials, cuts, tiles, by_tile, edges, stretch, self.noise)
        height = min(self.length, int(np.diff(tiles).max()) + self.n_features + 1)
        self.work = FeatureWork(
            phi=work_array(height * stretch, dtype),
            gamma=work_array(self.n_components * stretch, dtype),
            partial=work_array(self.n_components * stretch, dtype),
            product=work_array(height * self.n_components, dtype),
            peak=work_array(stretch, dtype),
            columns=work_array(2 * stretch, np.float64).reshape(2, stretch),
        )
        self.slab = MOST_ROWS // stretch * stretch

    def _write_logits(self, rows: Floats, out: Floats) -> None:
        from daskgmm.model.kernels.loops.densities import density_loop

        model, pairs = no_model(self.dtype, self.slab)
        density_loop(rows.dtype, self.dtype)(
            rows, self.frame.origin, 1 / self.frame.scale, tuple(model), _STRATEGY, tuple(pairs),
            tuple(self.form), tuple(self.work), out,
        )  # fmt: skip

    def share_work(self, other: Kernel) -> None:
        if isinstance(other, CompiledKernel):
            self.work = other.work

    def _add_rows(self, rows: Floats, weights: Doubles | None) -> None:
        from daskgmm.model.kernels.loops.moments import loop

        model, pairs = no_model(self.dtype, self.slab)
        loop(rows.dtype, self.dtype)(
            rows,
            together(rows),
            self.frame.origin,
            1 / self.frame.scale,
            tuple(model),
            _STRATEGY,
            np.empty(0) if weights is None else weights,
            tuple(no_neighbours()),
            np.empty(0, np.int64),
            LEAST[self.dtype],
            tuple(pairs),
            np.empty((0, 0, 0)),
            np.empty((0, 0)),
            self.log_likelihoods,
            np.empty(0, np.uint8),
            np.zeros(5, np.int64),
            tuple(self.form),
            tuple(self.work),
            self.sums,
        )


def compile_ahead(rows: np.dtype[np.floating], dtype: np.dtype[np.floating]) -> None:
    """Compile the loops for rows of one type, computed in another, or load them from their cache.

    Passes in single precision may have to go on in double.
    """
    from daskgmm.model.kernels.loops.moments import loop

    for own in dict.fromkeys((dtype, np.dtype(np.float64))):
        loop(np.promote_types(rows, own), own)


def loop_is_kept() -> bool:
    """Whether there is a place that compiled loops are kept in."""
    from daskgmm.model.kernels.loops.moments import loop

    return loop.folder() is not None


def compile_densities_ahead(rows: np.dtype[np.floating], dtype: np.dtype[np.floating]) -> None:
    """Compile the loops for the densities of single rows, likewise."""
    from daskgmm.model.kernels.loops.densities import density_loop

    for own in dict.fromkeys((dtype, np.dtype(np.float64))):
        density_loop(np.promote_types(rows, own), own)


def tiles_of(n_quadratic: int, length: int) -> NDArray[np.int64]:
    """Edges of stretches of features; the last one has the linear features and is the fullest."""
    width = -(-length // max(round(length / TILE), 1))
    first_of_last = max(min(length - width, n_quadratic), 0)
    edges = np.arange(first_of_last, 0, -width)[::-1]
    return np.concatenate([[0], edges, [length]])
