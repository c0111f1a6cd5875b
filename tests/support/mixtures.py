"""Random mixtures, and their densities by SciPy."""

import numpy as np
from scipy.stats import multivariate_normal

from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.mixture import Mixture

FULL = COVARIANCES["full"]


def random_mixture(covariance, n_components=4, n_features=3, seed=0, narrow=0.3):
    """A mixture whose matrices have deviations from `narrow` to 1."""
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.normal(size=(n_components, n_features, n_features)))[0]
    halves = axes * np.geomspace(narrow, 1, n_features)
    weights = random.dirichlet(np.full(n_components, 3.0))
    means = random.normal(size=(n_components, n_features))
    matrices = halves @ halves.transpose(0, 2, 1)
    full = Mixture.from_covariances(FULL, weights, means, matrices)
    return full.with_covariance(covariance)


def matrices_of(mixture):
    return mixture.covariance.as_matrices(mixture.covariances, mixture.shape)


def density(mixture, points):
    """Density (n,) of a mixture at points (n, D)."""
    return np.sum(
        [
            weight * multivariate_normal(mean, matrix).pdf(points)
            for weight, mean, matrix in zip(
                mixture.weights, mixture.means, matrices_of(mixture), strict=True
            )
        ],
        axis=0,
    )
