"""All components share one covariance matrix."""

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance import matrices
from daskgmm.model.covariance.base import Covariance, NotPositiveDefiniteError
from daskgmm.model.typing import Doubles, Floats


@final
class Tied(Covariance):
    """No quadratic features: the quadratic term is the same for all components.

    ``z.T @ P @ z`` is the same for all components, so it leaves the responsibilities; its sum
    over the rows needs only their total scatter, which no iteration changes.
    """

    name: ClassVar[str] = "tied"
    has_matrices: ClassVar[bool] = True
    in_scikit_learn: ClassVar[bool] = True
    needs_scatter: ClassVar[bool] = True

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        del n_components
        return n_features, n_features

    def n_parameters(self, n_components: int, n_features: int) -> int:
        del n_components
        return n_features * (n_features + 1) // 2

    def quadratic_length(self, n_features: int) -> int:
        del n_features
        return 0

    def quadratic(self, rows: Floats, out: Floats) -> None:
        """Write nothing: there are no quadratic features."""

    def monomials(self, n_features: int) -> NDArray[np.int64]:
        del n_features
        return np.empty((0, 3), np.int64)

    def quadratic_parameters(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        del factors
        return np.empty((shape[0], 0))

    def precision_times(self, factors: Doubles, vectors: Doubles) -> Doubles:
        return np.asarray(vectors @ self.precisions(factors))

    def absolute_form(self, factors: Doubles, vectors: Doubles) -> Doubles:
        sizes = np.abs(self.precisions(factors))
        return np.asarray(((vectors @ sizes) * vectors).sum(axis=1))

    def whitening(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        del shape
        return factors[np.newaxis]

    def log_determinants(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        return np.full(shape[0], matrices.log_determinants(factors))

    def distances(self, centred: Floats, factors: Floats, component: int) -> Floats:
        del component
        return matrices.whitened_distances(centred, factors)

    def add_scatter(self, centred: Floats, gamma: Floats, own: Doubles, shared: Doubles) -> None:
        del own
        for window, moments in matrices.second_moments(centred, gamma):
            shared[window, window.start :] += moments
            height = len(moments)
            shared[window.stop :, window] += moments[:, height:].T

    def estimate(
        self,
        quadratic: Doubles,
        shared: Doubles,
        counts: Doubles,
        offsets: Doubles,
        ridge: Doubles,
    ) -> Doubles:
        del quadratic
        covariance = (shared - (counts * offsets.T) @ offsets) / counts.sum()
        return np.asarray((covariance + covariance.T) / 2 + np.diag(ridge))

    def prior_strength(
        self, degrees: float, n_components: int, n_features: int
    ) -> tuple[float, float]:
        """One inverse Wishart distribution, which the components share."""
        return (degrees + n_features + n_components + 1) / n_components, 1 / n_components

    def factorise(self, covariances: Doubles) -> Doubles:
        factors = np.empty((1, *covariances.shape))
        if matrices.factors_of_precisions(covariances[np.newaxis], factors) is not None:
            raise NotPositiveDefiniteError(None)
        return np.asarray(factors[0])

    def factorise_precisions(self, precisions: Doubles) -> Doubles:
        return matrices.factor_from_precision(precisions, None)

    def covariances(self, factors: Doubles) -> Doubles:
        return matrices.covariance_of_factor(factors)

    def precisions(self, factors: Doubles) -> Doubles:
        return np.asarray(factors @ factors.T)

    def variances(self, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        return np.broadcast_to(np.diagonal(covariances), shape).copy()

    def least_variances(self, resolved: Doubles) -> Doubles:
        return np.broadcast_to(resolved.min(axis=0), resolved.shape)

    def at_least(self, covariances: Doubles, least: Doubles) -> Doubles:
        del least
        return covariances

    def least_shares(self, factors: Doubles, covariances: Doubles, n_components: int) -> Doubles:
        return np.full(n_components, matrices.least_shares(factors, covariances))

    def of_components(self, values: Doubles, components: NDArray[np.int64]) -> Doubles:
        del components
        return values

    def of_features(self, covariances: Doubles, features: NDArray[np.int64]) -> Doubles:
        return covariances[np.ix_(features, features)]

    def as_matrices(self, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        return np.broadcast_to(covariances, (*shape, shape[1]))

    def traces(self, factors: Doubles, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        return np.full(shape[0], np.vdot(self.precisions(factors), covariances))

    def unbounded(self, factors: Doubles) -> Doubles:
        return matrices.unbounded(factors)

    def bounded(self, unbounded: Doubles) -> Doubles:
        return matrices.bounded(unbounded)

    def information(
        self, changes: Doubles, factors: Doubles, weights: Doubles, n_features: int
    ) -> float:
        del n_features
        return float(weights.sum() * matrices.information(changes, factors))

    def rescale(self, covariances: Doubles, scale: Doubles) -> Doubles:
        return np.asarray(covariances * np.outer(scale, scale))

    def compatible_scale(self, scale: Doubles) -> Doubles:
        return scale

    def colour(self, noise: Doubles, factors: Doubles, component: int) -> Doubles:
        del component
        return matrices.colour(noise, factors)

    def completes(self, scatter: Doubles | None, factors: Doubles) -> tuple[Doubles | None, float]:
        if scatter is None:
            raise ValueError(f"{self.name} covariances need the rows' total scatter")
        return scatter, -0.5 * float(np.vdot(self.precisions(factors), scatter))
