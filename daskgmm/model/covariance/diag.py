"""Each component has a variance for each feature."""

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance import axes
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.typing import Doubles, Floats


@final
class Diag(Covariance):
    """Quadratic features ``z_i ** 2``."""

    name: ClassVar[str] = "diag"
    has_matrices: ClassVar[bool] = False
    in_scikit_learn: ClassVar[bool] = True

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_components, n_features

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features

    def quadratic_length(self, n_features: int) -> int:
        return n_features

    def quadratic(self, rows: Floats, out: Floats) -> None:
        np.multiply(rows, rows, out=out)

    def monomials(self, n_features: int) -> NDArray[np.int64]:
        return np.repeat(np.arange(n_features), 3).reshape(n_features, 3)

    def quadratic_parameters(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        del shape
        return np.asarray(-0.5 * factors**2)

    def precision_times(self, factors: Doubles, vectors: Doubles) -> Doubles:
        return np.asarray(factors**2 * vectors)

    def absolute_form(self, factors: Doubles, vectors: Doubles) -> Doubles:
        return np.asarray(((factors * vectors) ** 2).sum(axis=1))

    def whitening(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        del shape
        return factors[:, np.newaxis]

    def log_determinants(self, factors: Doubles, shape: tuple[int, int]) -> Doubles:
        del shape
        return np.asarray(np.log(factors).sum(axis=1))

    def distances(self, centred: Floats, factors: Floats, component: int) -> Floats:
        scaled = centred * factors[component][:, np.newaxis]
        return np.asarray(np.einsum("dn,dn->n", scaled, scaled))

    def add_scatter(self, centred: Floats, gamma: Floats, own: Doubles, shared: Doubles) -> None:
        del shared
        own += np.square(centred, out=centred) @ gamma

    def estimate(
        self,
        quadratic: Doubles,
        shared: Doubles,
        counts: Doubles,
        offsets: Doubles,
        ridge: Doubles,
    ) -> Doubles:
        del shared
        return np.asarray((quadratic / counts).T - offsets**2 + ridge)

    def prior_strength(
        self, degrees: float, n_components: int, n_features: int
    ) -> tuple[float, float]:
        """An inverse gamma distribution of each variance."""
        del n_components, n_features
        return degrees + 3, 1.0

    def factorise(self, covariances: Doubles) -> Doubles:
        return axes.factorise(covariances)

    def factorise_precisions(self, precisions: Doubles) -> Doubles:
        return axes.factorise_precisions(precisions)

    def covariances(self, factors: Doubles) -> Doubles:
        return np.asarray(factors**-2)

    def precisions(self, factors: Doubles) -> Doubles:
        return np.asarray(factors**2)

    def variances(self, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        del shape
        return covariances

    def least_variances(self, resolved: Doubles) -> Doubles:
        return resolved

    def at_least(self, covariances: Doubles, least: Doubles) -> Doubles:
        return np.maximum(covariances, least)

    def least_shares(self, factors: Doubles, covariances: Doubles, n_components: int) -> Doubles:
        del factors, covariances
        return np.ones(n_components)

    def of_components(self, values: Doubles, components: NDArray[np.int64]) -> Doubles:
        return values[components]

    def of_features(self, covariances: Doubles, features: NDArray[np.int64]) -> Doubles:
        return covariances[:, features]

    def as_matrices(self, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        return np.asarray(covariances[:, :, np.newaxis] * np.eye(shape[1]))

    def traces(self, factors: Doubles, covariances: Doubles, shape: tuple[int, int]) -> Doubles:
        del shape
        return np.asarray((factors**2 * covariances).sum(axis=1))

    def unbounded(self, factors: Doubles) -> Doubles:
        return np.log(factors)

    def bounded(self, unbounded: Doubles) -> Doubles:
        return np.exp(unbounded)

    def information(
        self, changes: Doubles, factors: Doubles, weights: Doubles, n_features: int
    ) -> float:
        del factors, n_features
        return float(2 * weights @ (changes**2).sum(axis=1))

    def rescale(self, covariances: Doubles, scale: Doubles) -> Doubles:
        return np.asarray(covariances * scale**2)

    def compatible_scale(self, scale: Doubles) -> Doubles:
        return scale

    def colour(self, noise: Doubles, factors: Doubles, component: int) -> Doubles:
        return np.asarray(noise / factors[component])
