"""Components that share a matrix: among whitened rows they are spheres of one size."""

from collections.abc import Sequence
from typing import final

import numpy as np
from scipy.linalg import solve_triangular

from daskgmm.model.covariance import covariance_named
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.base import Kernel
from daskgmm.model.kernels.compiled import CompiledKernel
from daskgmm.model.kernels.costs import costs
from daskgmm.model.kernels.screened import ScreenedKernel
from daskgmm.model.kernels.strategy import row_cost, strategy_of
from daskgmm.model.mixture import Mixture
from daskgmm.model.mixture_cache import cached_by_mixture
from daskgmm.model.moments import Moments
from daskgmm.model.precision import SINGLE_ERROR, TOLERANCE, exact_logits
from daskgmm.model.typing import Doubles, Floats

_TOLERANCE = {
    np.dtype(np.float32): SINGLE_ERROR,
    np.dtype(np.float64): TOLERANCE[np.dtype(np.float64)],
}
"""Error of a logit (nats) that rows whitened about the frame's origin may have."""


@cached_by_mixture
def spheres_of(mixture: Mixture, dtype: np.dtype[np.floating]) -> Mixture:
    """The mixture of whitened rows, whose components are spheres of deviation 1."""
    del dtype
    unit = np.ones(mixture.n_components)
    return Mixture(
        covariance_named("spherical"), mixture.weights, mixture.means @ mixture.factors, unit, unit,
        mixture.log_weights,
    )  # fmt: skip


@final
class WhitenedKernel(Kernel):
    """Whitens rows once for all components, about the frame's origin, and screens them as spheres.

    Sums are of linear features; quadratic terms are left to the total scatter, as in the feature
    form. But those are about the means as long as they are made, and logits are of rows from which
    means are taken: they keep their digits where products of features lose them.
    """

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        frame: Frame,
        dtype: np.dtype[np.floating],
        origins: Sequence[Doubles] | None = None,
    ) -> None:
        super().__init__(mixtures, frame, dtype, origins)
        self.origins = [np.zeros_like(points) for points in self.origins]
        unmoved = Frame.identity(self.n_features)
        self.spheres = [
            ScreenedKernel([spheres_of(mixture, dtype)], unmoved, dtype) for mixture in mixtures
        ]
        for other in self.spheres[1:]:
            if other.n_components == self.spheres[0].n_components:
                other.share_work(self.spheres[0])
        self.factors = [np.array(mixture.factors, dtype, order="C") for mixture in mixtures]
        self.log_determinants = [
            float(mixture.covariance.log_determinants(mixture.factors, mixture.shape)[0])
            for mixture in mixtures
        ]
        self.slab = self.spheres[0].slab
        self.z = np.empty((self.n_features, self.slab), dtype)
        self.white = np.empty((self.slab, self.n_features), dtype)

    def _add(self, rows: Floats, weights: Doubles | None) -> None:
        for start in range(0, rows.shape[1], self.slab):
            window = slice(start, start + self.slab)
            own = None if weights is None else weights[window]
            for i in range(len(self.mixtures)):
                white = self._whiten(rows[:, window], i)
                squares = np.einsum("nd,nd->n", white, white).astype(np.float64)
                # The likelihood of the feature form lacks the quadratic term of rows.
                self.log_likelihoods[i] += (squares.sum() if own is None else own @ squares) / 2
                self.spheres[i].add(white.T, own)

    def _whiten(self, rows: Floats, i: int) -> Floats:
        n = rows.shape[1]
        z = self.z[:, :n]
        self.frame.standardise(rows, out=z)
        return np.matmul(z.T, self.factors[i], out=self.white[:n])

    def logits(self, rows: Floats) -> Floats:
        """Weighted log-densities (K, n) of at most `slab` rows, whole."""
        found = [
            own.logits(self._whiten(rows, i).T) + self.dtype.type(self.log_determinants[i])
            for i, own in enumerate(self.spheres)
        ]
        return np.concatenate(found)

    def share(self, n_rows: int) -> float:
        whitening = self.n_features**2 / (2 * self.length)
        shares = [own.share(n_rows) + whitening / own.n_components for own in self.spheres]
        return float(np.average(shares, weights=[own.n_components for own in self.spheres]))

    def take(self) -> list[Moments]:
        for i, segment in enumerate(self.segments):
            (found,) = self.spheres[i].take()
            linear, counts = found.sums[1:-1], found.sums[-1]
            whole = linear + counts * found.origins.T
            self.sums[:-1, segment] = solve_triangular(
                self.mixtures[i].factors, whole, trans="T", check_finite=False
            )
            self.sums[-1, segment] = counts
            if found.coarse is not None:
                self.coarse[segment] = found.coarse
            self.log_likelihoods[i] += found.log_likelihood + self.weight * self.log_determinants[i]
        return super().take()


def whitens_once(mixture: Mixture, dtype: np.dtype[np.floating]) -> bool:
    """Whether components share a matrix, and whitening rows once pays and is exact enough."""
    covariance = mixture.covariance
    shared = covariance.has_matrices and covariance.needs_scatter and mixture.noise is None
    if not shared or mixture.n_components < mixture.n_features:
        return False
    if not exact_logits(mixture, dtype, _TOLERANCE[dtype]):
        return False
    spheres = spheres_of(mixture, dtype)
    ours = costs().whitening.of(mixture.n_features, dtype) + row_cost(spheres, dtype)
    return ours < row_cost(mixture, dtype)


def compiled_kernel(mixture: Mixture, dtype: np.dtype[np.floating]) -> type[Kernel]:
    """The compiled kernel for the moments of a mixture.

    The feature form alone where it is exact enough and costs less than bounds, or where it has no
    quadratic terms, so that its sums are not those of other strategies.
    """
    if whitens_once(mixture, dtype):
        return WhitenedKernel
    own = strategy_of(mixture, dtype)
    only = own.by_features and (mixture.covariance.needs_scatter or not own.screened)
    return CompiledKernel if only else ScreenedKernel
