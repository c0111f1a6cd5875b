"""Distances between components before and after, in units of the components."""

import numpy as np

from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles


def shifts(mixture: Mixture, means: Doubles) -> Doubles:
    """Mahalanobis distances (K,) of other means (K, D): the components' own deviations."""
    changes = means - mixture.means
    along = mixture.covariance.precision_times(mixture.factors, changes)
    return np.asarray(np.sqrt(np.maximum((along * changes).sum(axis=1), 0)))


def divergences(one: Mixture, other: Mixture) -> Doubles:
    """Each component's divergence from its like in another mixture (nats), of shape (K,).

    Both Kullback-Leibler divergences added (Jeffreys, 1946), so it is the same both ways and 0
    where means and covariances are equal. Weights don't count.
    """
    covariance, shape = one.covariance, one.shape
    there = covariance.traces(one.factors, other.covariances, shape)
    back = covariance.traces(other.factors, one.covariances, shape)
    apart = shifts(one, other.means) ** 2 + shifts(other, one.means) ** 2
    return np.asarray(np.maximum((there + back + apart) / 2 - shape[1], 0))
