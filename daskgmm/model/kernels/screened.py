"""Only the pairs (row, component) that count, each centred and whitened, in one compiled loop."""

from collections.abc import Sequence
from typing import final

import numpy as np

from daskgmm.model import screening
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.arguments import FeatureWork, Model, PairWork, Ways, no_form
from daskgmm.model.kernels.base import SMALL_PRODUCT, Kernel
from daskgmm.model.kernels.compiled import LINE, CompiledKernel, LoopKernel
from daskgmm.model.kernels.ways import ways_of
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.responsibilities import LEAST
from daskgmm.model.typing import Doubles, Floats

TILE_VALUES = 2**18
"""Numbers of a tile's rows, about: a component's share of the rows is to be worth a product."""

TILE_PAIRS = 2**20
"""Pairs of a tile's rows with components, at most."""

FEWEST_ROWS, MOST_ROWS = 256, 2048
"""Less `LINE`, so that features do not lie a power of two apart."""

_MOST_GAP = {np.dtype(np.float32): 80.0, np.dtype(np.float64): 700.0}
"""What the loops' exponentials reach down to."""

_GAP_OF_DENSITIES = {np.dtype(np.float32): 105.0, np.dtype(np.float64): 750.0}
"""Below these, the exponential of a difference of logits is zero in the type itself."""


def tile_rows(n_components: int, n_features: int) -> int:
    """Rows of a tile, from the mixture's sizes alone."""
    ideal = min(TILE_VALUES // n_features, TILE_PAIRS // n_components)
    return int(np.clip(2 ** int(np.log2(max(ideal, 1))), FEWEST_ROWS, MOST_ROWS)) - LINE


def tile_values(n_features: int) -> int:
    """Numbers of a tile's rows, at the most, whatever the number of components."""
    return int(np.clip(TILE_VALUES, FEWEST_ROWS * n_features, MOST_ROWS * n_features))


def tile_pairs(n_components: int) -> int:
    """Pairs of a tile's rows with components, at the most, whatever the number of features."""
    return int(np.clip(TILE_PAIRS, FEWEST_ROWS * n_components, MOST_ROWS * n_components))


@final
class ScreenedKernel(LoopKernel):
    """Computes each mixture by the pairs that count, about the means or other origins.

    Where so many count that all pairs cost less, tiles go that way: by the feature form where it
    is exact enough.

    Parameters
    ----------
    mixtures, frame, dtype, origins
        See `Kernel`.
    ways : Ways or None
        How tiles are computed, if not as costs least.
    """

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        frame: Frame,
        dtype: np.dtype[np.floating],
        origins: Sequence[Doubles] | None = None,
        ways: Ways | None = None,
    ) -> None:
        super().__init__(mixtures, frame, dtype, origins)
        self.models = [
            model_of(mixture, points, self.dtype)
            for mixture, points in zip(mixtures, self.origins, strict=True)
        ]
        # Sums moved from another point come with fewer digits; and without quadratic features the
        # feature form leaves out what the other ways do not.
        features = origins is None and not self.covariance.needs_scatter
        self.ways = [
            ways or ways_of(mixture, self.dtype, feature_form=features) for mixture in mixtures
        ]
        if not features:
            self.ways = [own._replace(by_features=False) for own in self.ways]
        self.by_features: list[CompiledKernel | None] = []
        self.works: list[PairWork] = []
        self._share_work_arrays()
        self.slab = MOST_ROWS
        self.counted = np.zeros(3, np.int64)

    def _share_work_arrays(self) -> None:
        """Give mixtures of one size the same ones: they are computed one after another."""
        pairs: dict[int, PairWork] = {}
        features: dict[int, FeatureWork] = {}
        for mixture, model, own in zip(self.mixtures, self.models, self.ways, strict=True):
            size = mixture.n_components
            if size not in pairs:
                pairs[size] = work_for(model, self.dtype)
            self.works.append(pairs[size])
            kernel = CompiledKernel([mixture], self.frame, self.dtype) if own.by_features else None
            if kernel is not None:
                kernel.work = features.setdefault(size, kernel.work)
            self.by_features.append(kernel)

    def _clear(self) -> None:
        super()._clear()
        height = self.n_features if self.covariance.has_matrices else 1
        # Second moments are one sum for all components where these share a covariance.
        shared = self.covariance.needs_scatter
        counts = [mixture.n_components for mixture in self.mixtures]
        self.second = [np.zeros((1 if shared else k, height, self.n_features)) for k in counts]
        self.first = [np.zeros((k, self.n_features + 1)) for k in counts]

    def _write_logits(self, rows: Floats, out: Floats) -> None:
        from daskgmm.model.kernels.loops.densities import density_loop

        form, work = no_form(self.dtype)
        for i, segment in enumerate(self.segments):
            model = self.models[i]
            every = model._replace(gaps=np.full_like(model.gaps, _GAP_OF_DENSITIES[self.dtype]))
            density_loop(rows.dtype, self.dtype)(
                rows, self.frame.origin, 1 / self.frame.scale, tuple(every),
                tuple(self.ways[i]._replace(by_features=False)), tuple(self.works[i]),
                tuple(form), tuple(work), out[segment],
            )  # fmt: skip

    def _add_rows(self, rows: Floats, weights: Doubles | None) -> None:
        from daskgmm.model.kernels.loops.moments import loop

        for i, features in enumerate(self.by_features):
            form, work, sums = (
                (*no_form(self.dtype), np.empty((0, 0)))
                if features is None
                else (features.form, features.work, features.sums)
            )
            loop(rows.dtype, self.dtype)(
                rows,
                self.frame.origin,
                1 / self.frame.scale,
                tuple(self.models[i]),
                tuple(self.ways[i]),
                np.empty(0) if weights is None else weights,
                LEAST[self.dtype],
                tuple(self.works[i]),
                self.second[i],
                self.first[i],
                self.log_likelihoods[i : i + 1],
                self.counted,
                tuple(form),
                tuple(work),
                sums,
            )

    def take(self) -> list[Moments]:
        for i, segment in enumerate(self.segments):
            own, features = self.sums[:, segment], self.by_features[i]
            self._place(self.second[i], self.first[i], own, self.shared[i])
            if features is not None and features.sums[-1].any():
                (found,) = features.take()
                own += found.about(self.origins[i], self.covariance).sums
        return super().take()

    def _place(self, second: Doubles, first: Doubles, sums: Doubles, shared: Doubles) -> None:
        """Add one mixture's sums to those over feature vectors (F, K), and to the shared ones."""
        sums[self.n_quadratic :] += first.T
        if self.n_quadratic:
            feature, i, j = self.covariance.monomials(self.n_features).T
            products = second[:, i, j] if self.covariance.has_matrices else second[:, 0, i]
            starts = np.searchsorted(feature, np.arange(self.n_quadratic))
            sums[: self.n_quadratic] += np.add.reduceat(products.T, starts, axis=0)
        if shared.size:
            shared += second[0] if self.covariance.has_matrices else np.diag(second[0, 0])


def compiled_kernel(mixture: Mixture, dtype: np.dtype[np.floating]) -> type[Kernel]:
    """The compiled kernel for the moments of a mixture.

    The feature form alone where it is exact enough and costs less than bounds, or where it has no
    quadratic terms, so that its sums are not those of other ways.
    """
    own = ways_of(mixture, dtype)
    only = own.by_features and (mixture.covariance.needs_scatter or not own.screened)
    return CompiledKernel if only else ScreenedKernel


def model_of(mixture: Mixture, origins: Doubles, dtype: np.dtype[np.floating]) -> Model:
    """A mixture's arrays for the loop, of one type."""
    factors = mixture.covariance.whitening(mixture.factors, mixture.shape)
    n_features = mixture.n_features
    means = np.array(mixture.means, dtype, order="C")
    if mixture.covariance.has_matrices:
        rows = screening.directions(mixture, factors)
        leading = np.array(rows.reshape(-1, n_features), dtype, order="C")
        axes = np.empty(0, np.int64)
        offsets = np.einsum("kmd,kd->km", rows, mixture.means).ravel()
        scales = np.ones(len(offsets))
    else:
        along = screening.axes(mixture, factors[:, 0])
        leading, axes = np.empty((0, 0), dtype), along.ravel()
        offsets = np.take_along_axis(means, along, axis=1).ravel()
        scales = np.take_along_axis(factors[:, 0], along, axis=1).ravel()
    return Model(
        means=means,
        origins=np.array(origins, dtype, order="C"),
        factors=np.array(factors, dtype, order="C"),
        whitens=mixture.covariance.has_matrices,
        normalisers=mixture.log_normalisers.astype(dtype),
        gaps=np.minimum(screening.gaps(mixture), _MOST_GAP[np.dtype(dtype)]).astype(dtype),
        directions=leading,
        axes=axes,
        offsets=offsets.astype(dtype),
        scales=scales.astype(dtype),
    )


def work_for(model: Model, dtype: np.dtype[np.floating]) -> PairWork:
    """Work arrays for the tiles of a mixture."""
    n_components, n_features = model.means.shape
    n = tile_rows(n_components, n_features)
    own = len(model.offsets) // n_components * n  # directions of one component, at the least
    leading = max(SMALL_PRODUCT // n_features, own) if model.whitens else 0
    return PairWork(
        z=np.empty(n_features * n, dtype),
        by_row=np.empty(n_features * n, dtype),
        leading=np.empty(leading, dtype),
        squares=np.empty(n, dtype),
        best=np.empty(n, np.float32),
        limits=np.empty(n_components),
        upper=np.empty(n_components * n, np.float32),
        guess=np.empty(n, np.int32),
        guess_starts=np.empty(n_components + 1, np.int64),
        ordered=np.empty(n, np.int64),
        low=np.empty(n, dtype),
        peak=np.empty(n, dtype),
        pair_rows=np.empty(n_components * n, np.int64),
        pair_starts=np.empty(n_components + 1, np.int64),
        pair_logits=np.empty(n_components * n, dtype),
        chosen=np.empty(n, np.int64),
        logits=np.empty(n, dtype),
        gathered=np.empty((n_features + 1) * n, dtype),
        white=np.empty(n_features * n, dtype),
        product=np.empty(max((n_features + 1) ** 2, 2 * n_features), dtype),
        columns=np.empty((2, n)),
    )
