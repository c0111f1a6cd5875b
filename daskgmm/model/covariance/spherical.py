"""Each component has one variance for all features."""

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance import axes
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.typing import Doubles, Floats


@final
class Spherical(Covariance):
    """One quadratic feature, ``sum(z_i ** 2)``."""

    name: ClassVar[str] = "spherical"
    has_matrices: ClassVar[bool] = False
    in_scikit_learn: ClassVar[bool] = True

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        del n_features
        return (n_components,)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        del n_features
        return n_components

    def quadratic_length(self, n_features: int) -> int:
        del n_features
        return 1

    def quadratic(self, rows: Floats, out: Floats) -> None:
        np.einsum("dn,dn->n", rows, rows, out=out[0])

    def monomials(self, n_features: int) -> NDArray[np.int64]:
        each = np.arange(n_features)
        return np.column_stack([np.zeros_like(each), each, each])

    def quadratic_parameters(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        del shape
        return np.asarray(-0.5 * factors[:, np.newaxis] ** 2)

    def precision_times(self, factors: Doubles, vectors: Doubles) -> Doubles:
        return np.asarray(factors[:, np.newaxis] ** 2 * vectors)

    def absolute_form(self, factors: Doubles, vectors: Doubles) -> Doubles:
        return np.asarray(factors**2 * (vectors**2).sum(axis=1))

    def whitening(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        return np.broadcast_to(factors[:, np.newaxis, np.newaxis], (shape[0], 1, shape[1]))

    def log_determinants(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        return np.asarray(shape[1] * np.log(factors))

    def distances(self, centred: Floats, factors: Floats, component: int) -> Floats:
        return np.asarray(np.einsum("dn,dn->n", centred, centred) * factors[component] ** 2)

    def add_scatter(self, centred: Floats, gamma: Floats, own: Doubles, shared: Doubles) -> None:
        del shared
        own += np.einsum("dn,dn->n", centred, centred) @ gamma

    def estimate(
        self,
        quadratic: Doubles,
        shared: Doubles,
        counts: Doubles,
        offsets: Doubles,
        ridge: Doubles,
    ) -> Doubles:
        del shared
        second = quadratic[0] / counts - (offsets**2).sum(axis=1)
        return np.asarray(second / offsets.shape[1] + ridge.mean())

    def prior_strength(
        self, degrees: float, n_components: int, n_features: int
    ) -> tuple[float, float]:
        """One inverse gamma distribution of each component, which its features share."""
        del n_components
        return (degrees + n_features + 2) / n_features, 1 / n_features

    def factorise(self, covariances: Doubles) -> Doubles:
        return axes.factorise(covariances)

    def factorise_precisions(self, precisions: Doubles) -> Doubles:
        return axes.factorise_precisions(precisions)

    def covariances(self, factors: Doubles) -> Doubles:
        return np.asarray(factors**-2)

    def precisions(self, factors: Doubles) -> Doubles:
        return np.asarray(factors**2)

    def variances(self, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        return np.broadcast_to(covariances[:, np.newaxis], shape).copy()

    def least_variances(self, resolved: Doubles) -> Doubles:
        return np.broadcast_to(resolved.mean(axis=1, keepdims=True), resolved.shape)

    def at_least(self, covariances: Doubles, least: Doubles) -> Doubles:
        return np.maximum(covariances, least[:, 0])

    def least_shares(self, factors: Doubles, covariances: Doubles, n_components: int) -> Doubles:
        del factors, covariances
        return np.ones(n_components)

    def of_components(self, values: Doubles, components: NDArray[np.int64]) -> Doubles:
        return values[components]

    def of_features(self, covariances: Doubles, features: NDArray[np.int64]) -> Doubles:
        del features
        return covariances

    def as_matrices(self, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        return np.asarray(covariances[:, np.newaxis, np.newaxis] * np.eye(shape[1]))

    def traces(self, factors: Doubles, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        return np.asarray(shape[1] * factors**2 * covariances)

    def unbounded(self, factors: Doubles) -> Doubles:
        return np.log(factors)

    def bounded(self, unbounded: Doubles) -> Doubles:
        return np.exp(unbounded)

    def information(
        self, changes: Doubles, factors: Doubles, weights: Doubles, n_features: int
    ) -> float:
        del factors
        return float(2 * n_features * weights @ changes**2)

    def rescale(self, covariances: Doubles, scale: Doubles) -> Doubles:
        return np.asarray(covariances * scale.max() ** 2)

    def compatible_scale(self, scale: Doubles) -> Doubles:
        return np.full_like(scale, scale.max())

    def colour(self, noise: Doubles, factors: Doubles, component: int) -> Doubles:
        return np.asarray(noise / factors[component])
