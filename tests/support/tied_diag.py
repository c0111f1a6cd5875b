"""A covariance type that the package doesn't have: one diagonal matrix for all components.

As a plugin of pytest (``-p tests.support.tied_diag``) it is registered before tests are collected.
"""

from typing import ClassVar, final

import numpy as np
import pytest

from daskgmm.model.covariance import REGISTRY, Entry
from daskgmm.model.covariance.base import Covariance, NotPositiveDefiniteError

LINE = {"tied_diag": Entry(__name__, "TiedDiag", "one diagonal matrix for all")}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests():
    """Before the fixtures of ``tests/conftest.py`` take the registered types."""
    REGISTRY.update(LINE)


def _roots(values):
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise NotPositiveDefiniteError(None)
    return np.sqrt(values)


@final
class TiedDiag(Covariance):
    """Variances of shape (D,); as with tied matrices there are no quadratic features."""

    name: ClassVar[str] = "tied_diag"
    has_matrices: ClassVar[bool] = False
    needs_scatter: ClassVar[bool] = True

    def shape(self, n_components, n_features):
        return (n_features,)

    def n_parameters(self, n_components, n_features):
        return n_features

    def quadratic_length(self, n_features):
        return 0

    def quadratic(self, rows, out):
        pass

    def monomials(self, n_features):
        return np.empty((0, 3), np.int64)

    def quadratic_parameters(self, factors, shape):
        return np.empty((shape[0], 0))

    def precision_times(self, factors, vectors):
        return factors**2 * vectors

    def absolute_form(self, factors, vectors):
        return ((factors * vectors) ** 2).sum(axis=1)

    def whitening(self, factors, shape):
        return np.broadcast_to(factors, (shape[0], 1, shape[1]))

    def log_determinants(self, factors, shape):
        return np.full(shape[0], np.log(factors).sum())

    def distances(self, centred, factors, component):
        return ((centred * factors[:, np.newaxis]) ** 2).sum(axis=0)

    def add_scatter(self, centred, gamma, own, shared):
        shared += (centred * gamma) @ centred.T

    def estimate(self, quadratic, shared, counts, offsets, ridge):
        return (np.diagonal(shared) - counts @ offsets**2) / counts.sum() + ridge

    def prior_strength(self, degrees, n_components, n_features):
        return (degrees + n_components + 2) / n_components, 1 / n_components

    def factorise(self, covariances):
        return 1 / _roots(covariances)

    def factorise_precisions(self, precisions):
        return _roots(precisions)

    def covariances(self, factors):
        return factors**-2

    def precisions(self, factors):
        return factors**2

    def variances(self, covariances, shape):
        return np.broadcast_to(covariances, shape).copy()

    def of_components(self, values, components):
        return values

    def of_features(self, covariances, features):
        return covariances[features]

    def as_matrices(self, covariances, shape):
        return np.broadcast_to(np.diag(covariances), (*shape, shape[1]))

    def least_variances(self, resolved):
        return np.broadcast_to(resolved.min(axis=0), resolved.shape)

    def at_least(self, covariances, least):
        return np.maximum(covariances, least[0])

    def least_shares(self, factors, covariances, n_components):
        return np.ones(n_components)

    def traces(self, factors, covariances, shape):
        return np.full(shape[0], factors**2 @ covariances)

    def unbounded(self, factors):
        return np.log(factors)

    def bounded(self, unbounded):
        return np.exp(unbounded)

    def information(self, changes, factors, weights, n_features):
        return float(2 * weights.sum() * (changes**2).sum())

    def rescale(self, covariances, scale):
        return covariances * scale**2

    def compatible_scale(self, scale):
        return scale

    def colour(self, noise, factors, component):
        return noise / factors

    def completes(self, scatter, factors):
        return scatter, -0.5 * float(factors**2 @ np.diagonal(scatter))
