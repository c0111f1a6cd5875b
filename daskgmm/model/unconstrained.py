"""Mixtures as points of an unbounded space, in which steps can be extrapolated."""

from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles

_LEAST_WEIGHT = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Log-weights, means and unbounded factors: any real numbers stand for a proper mixture.

    Parameters
    ----------
    log_weights : ndarray of shape (K,)
        But for a constant, which a mixture made of them doesn't feel.
    means : ndarray of shape (K, D)
    factors : ndarray in the covariance type's natural shape
        See `daskgmm.model.covariance.base.Covariance.unbounded`.
    """

    log_weights: Doubles
    means: Doubles
    factors: Doubles

    @classmethod
    def of(cls, mixture: Mixture) -> "Coordinates":
        """Coordinates of a mixture."""
        return cls(
            np.log(np.maximum(mixture.weights, _LEAST_WEIGHT)),
            mixture.means,
            mixture.covariance.unbounded(mixture.factors),
        )

    @classmethod
    def combine(cls, *terms: "tuple[float, Coordinates]") -> "Coordinates":
        """Linear combination of (coefficient, coordinates)."""
        return cls(
            reduce(add, (factor * one.log_weights for factor, one in terms)),
            reduce(add, (factor * one.means for factor, one in terms)),
            reduce(add, (factor * one.factors for factor, one in terms)),
        )

    def length(self, mixture: Mixture) -> float:
        """Approximate length of a change from `mixture` in the metric of Fisher's information.

        It has no units: a nearly empty component counts for as little as the rows feel of it.
        """
        weights, covariance = mixture.weights, mixture.covariance
        along = covariance.precision_times(mixture.factors, self.means) * self.means
        in_factors = covariance.information(
            self.factors, mixture.factors, weights, mixture.n_features
        )
        in_others = weights @ (self.log_weights**2 + along.sum(axis=1))
        return float(np.sqrt(max(in_others + in_factors, 0.0)))

    def mixture(self, like: Mixture) -> Mixture | None:
        """The mixture at these coordinates, of another's covariance type; None on overflow."""
        weights = np.exp(self.log_weights - self.log_weights.max())
        with np.errstate(all="ignore"):
            factors = like.covariance.bounded(self.factors)
            try:
                covariances = like.covariance.covariances(factors)
            except np.linalg.LinAlgError:  # a factor of zero
                return None
        if not all(np.isfinite(one).all() for one in (weights, self.means, factors, covariances)):
            return None
        weights /= weights.sum()
        return Mixture(like.covariance, weights, self.means, covariances, factors).beside(
            like.noise
        )
