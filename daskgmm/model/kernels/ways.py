"""Which kernel computes a mixture, and by which way a tile: the cheapest that is exact enough.

Costs are nanoseconds a row on one core of an AMD EPYC (Zen 5) at two to four hundred thousand rows,
measured once by ``python -m tests.benchmarks ways`` and written down. They decide, never a clock:
the same mixture and rows go the same way on any machine.
"""

import numpy as np

from daskgmm.model.kernels.arguments import Ways
from daskgmm.model.mixture import Mixture
from daskgmm.model.precision import feature_components

_USUAL_PAIRS = 1.5
"""Pairs a row that count where components are apart."""


def ways_of(mixture: Mixture, dtype: np.dtype[np.floating]) -> Ways:
    """How the tiles of a mixture are computed, in rows of this type."""
    n_components, n_features = mixture.shape
    matrices = mixture.covariance.has_matrices
    exact = bool(feature_components(mixture, dtype).all())
    vectors = np.dtype(dtype).itemsize / 8  # of single precision, twice as many numbers go in one
    centred = vectors * _centred_cost(n_features, matrices=matrices)
    all_pairs = vectors * _feature_cost(mixture) if exact else centred
    one = _pair_cost(n_features, vectors, matrices=matrices)
    bound = _bound_cost(n_features, vectors, matrices=matrices)
    screened = n_components * bound + _USUAL_PAIRS * one < n_components * all_pairs
    return Ways(exact, screened, all_pairs / one)


def _feature_cost(mixture: Mixture) -> float:
    """Both products over feature vectors, for a component."""
    length = mixture.covariance.feature_length(mixture.n_features)
    return 1.2 + 0.057 * length + 0.1 * length / mixture.n_components


def _centred_cost(n_features: int, *, matrices: bool) -> float:
    """A component's logit and sums, where all pairs are computed about the means."""
    return 1 + 0.5 * n_features + (0.055 * n_features**2 if matrices else 0)


def _pair_cost(n_features: int, vectors: float, *, matrices: bool) -> float:
    """A gathered pair's logit and sums; gathering gains nothing by single precision."""
    return 8 + n_features + (0.045 * vectors * n_features**2 if matrices else 0)


def _bound_cost(n_features: int, vectors: float, *, matrices: bool) -> float:
    """A bound on a logit."""
    return 1 + (0.05 * vectors * n_features if matrices else 0)
