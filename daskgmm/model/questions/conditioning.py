"""The distribution of some features of a mixture given values of the others: a mixture again."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.mixture import Mixture
from daskgmm.model.responsibilities import normalise
from daskgmm.model.typing import Doubles


@dataclass(frozen=True, eq=False)
class Conditional:
    """The rest of the features given some: in each component a regression with Gaussian errors.

    Given z, component k has the density of z as its weight, the mean ``mu + (z - nu) @ slope`` of
    its means mu and nu of both, and the same covariance for all z: the Schur complement. All come
    from the Cholesky factor of the covariance with the given features first, so nothing is
    subtracted from covariances (Bishop, 2006, eq. 2.81 and 2.82).

    Parameters
    ----------
    given : Mixture
        Distribution of the G given features.
    rest : Mixture
        The other R features where the given ones are at each component's mean.
    slopes : ndarray of shape (K, G, R) or (1, G, R), or None
        Coefficients of the regression; ``None`` where features are independent in each component.
    """

    given: Mixture
    rest: Mixture
    slopes: Doubles | None

    @classmethod
    def of(cls, mixture: Mixture, given: NDArray[np.int64]) -> Self:
        """Split a mixture by the positions of the given features; the others keep their order."""
        others = np.setdiff1d(np.arange(mixture.n_features), given)
        covariance = mixture.covariance
        if not covariance.has_matrices:  # features are independent in each component
            factors = [covariance.of_features(mixture.factors, own) for own in (given, others)]
            own = covariance.of_features(mixture.covariances, others)
            return cls(*_parts(mixture, (given, others), factors, own), None)
        triangles = _triangles(mixture, np.concatenate([given, others]))
        size = len(given)
        first, last = triangles[:, :size, :size], triangles[:, size:, size:]
        slopes = np.asarray(np.linalg.solve(first, triangles[:, :size, size:]), np.float64)
        factors = [np.triu(np.linalg.inv(part)) for part in (first, last)]
        own = last.swapaxes(1, 2) @ last
        return cls(*_parts(mixture, (given, others), factors, own), slopes)

    def at(self, values: Doubles) -> Mixture:
        """The mixture of the other features at values (G,) of the given ones.

        Raises
        ------
        FloatingPointError
            The values are so far from all components that none has a density.
        """
        given, rest, weights = self.given, self.rest, self._logits(values)[:, np.newaxis]
        density = normalise(weights, given.noise_logit)
        if np.isneginf(density).any():
            raise FloatingPointError("no component has a density there")
        means = rest.means
        if self.slopes is not None:
            moved = (values - given.means)[:, np.newaxis] @ self.slopes
            means = means + moved[:, 0]
        noise = rest.noise
        if noise is not None:
            noise = replace(noise, weight=float(np.exp(given.noise_logit - density[0])))
        return replace(rest, weights=weights[:, 0], means=means, noise=noise)

    def _logits(self, values: Doubles) -> Doubles:
        """Weighted log-densities (K,) of the given features at values (G,)."""
        given = self.given
        factors = given.covariance.whitening(given.factors, given.shape)
        centred = (values - given.means)[:, np.newaxis]
        with np.errstate(over="ignore", invalid="ignore"):
            white = centred @ factors if given.covariance.has_matrices else centred * factors
            found = given.log_normalisers - (white[:, 0] ** 2).sum(axis=1) / 2
        return np.where(np.isnan(found), -np.inf, found)  # distances that overflow


def _triangles(mixture: Mixture, order: NDArray[np.int64]) -> Doubles:
    """Upper factors (K, D, D) or (1, D, D) with ``R.T @ R`` the covariance in another order."""
    factors = mixture.covariance.whitening(mixture.factors, mixture.shape)
    roots = np.linalg.inv(factors)[:, :, order]  # inv(L) has the covariance inv(L).T @ inv(L)
    triangles = np.asarray(np.linalg.qr(roots, mode="r"))
    signs = np.sign(np.diagonal(triangles, axis1=1, axis2=2))
    return np.asarray(triangles * signs[:, :, np.newaxis])


def _parts(
    mixture: Mixture,
    features: tuple[NDArray[np.int64], NDArray[np.int64]],
    factors: list[Doubles],
    conditional: Doubles,
) -> tuple[Mixture, Mixture]:
    """Mixtures of the given and of the other features, the latter with their own covariances."""
    covariance = mixture.covariance
    covariances = (covariance.of_features(mixture.covariances, features[0]), conditional)
    given, rest = (
        Mixture(
            covariance,
            mixture.weights,
            mixture.means[:, own],
            values.reshape(covariance.shape(mixture.n_components, len(own))),
            roots.reshape(covariance.shape(mixture.n_components, len(own))),
            noise=None if mixture.noise is None else mixture.noise.of_features(own),
        )
        for own, values, roots in zip(features, covariances, factors, strict=True)
    )
    return given, rest
