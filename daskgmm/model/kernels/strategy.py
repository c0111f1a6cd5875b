"""How a mixture's tiles are computed: the cheapest strategy that is exact enough.

Costs are nanoseconds a row on one core of an AMD EPYC of 2017 (Zen 1), measured once and written
down; those of a bound by features and of one whitening for all were a newer EPYC's (Zen 5), those
of a bound by directions a Xeon's (Emerald Rapids), and are in proportion. ``python -m
tests.benchmarks strategy`` prints the others beside what a machine takes. They decide, never a
clock: the same mixture and rows take the same strategy on any machine.
"""

import numpy as np

from daskgmm.model import screening
from daskgmm.model.kernels import neighbours
from daskgmm.model.kernels.arguments import Strategy
from daskgmm.model.mixture import Mixture
from daskgmm.model.mixture_cache import cached_by_mixture
from daskgmm.model.precision import feature_components

_USUAL_PAIRS = 2
"""Pairs a row that bounds leave where components are apart."""

_CLEARLY = 0.8
"""Share of what all pairs cost about the means, up to which the feature form is used: about the
means, pairs that do not count may still be left out."""


def strategy_of(
    mixture: Mixture, dtype: np.dtype[np.floating], *, feature_form: bool = True
) -> Strategy:
    """How the tiles of a mixture are computed, in rows of this type.

    Parameters
    ----------
    mixture : Mixture
    dtype : dtype
    feature_form : bool
        Whether the feature form may be used, where it is exact enough.
    """
    return _choose(mixture, dtype, feature_form=feature_form)[0]


def row_cost(mixture: Mixture, dtype: np.dtype[np.floating]) -> float:
    """A row, where components are apart: by bounds, or by all pairs where those cost less."""
    return _choose(mixture, dtype, feature_form=True)[1]


def _choose(
    mixture: Mixture, dtype: np.dtype[np.floating], *, feature_form: bool
) -> tuple[Strategy, float]:
    """A mixture's strategy, and what it costs a row."""
    n_components, n_features = mixture.shape
    matrices = mixture.covariance.has_matrices
    centred = centred_cost(n_features, dtype, matrices=matrices)
    features = feature_cost(mixture, dtype)
    # By features, a scatter that all components share is summed once, and not in each pass.
    shared = mixture.covariance.needs_scatter
    pays = feature_form and (shared or features <= _CLEARLY * centred)
    by_features = pays and bool(feature_components(mixture, dtype).all())
    all_pairs = features if by_features else centred
    one = pair_cost(n_features, dtype, matrices=matrices)
    every, most, listed = n_components * all_pairs, all_pairs / one, 0.0
    if not by_features:
        logit = logit_cost(n_features, dtype, matrices=matrices)
        listed_one = listed_cost(n_features, dtype, matrices=matrices)
        every = min(every, n_components * logit + _USUAL_PAIRS * listed_one)
        # Of the pairs that bounds leave, about half count.
        most = min(most, logit / (one - listed_one / 2))
        listed = (centred - logit) / listed_one
    a_bound = bound_cost(n_features, matrices=matrices)
    by_product = False
    if screening.has_products(mixture):
        product = product_cost(mixture, dtype)
        by_product = product < a_bound + _left_along_axes(mixture, dtype) * one
        a_bound = product if by_product else a_bound
    bounds = n_components * a_bound + entry_cost(n_features, matrices=matrices)
    few = bounds + _USUAL_PAIRS * one
    # Of many components bounds are computed of neighbours only, where these pay.
    many = matrices and not shared and n_components >= neighbours.FEWEST
    screened = few < every or many
    return Strategy(by_features, screened, most, by_product, listed), min(few, every)


@cached_by_mixture
def _left_along_axes(mixture: Mixture, dtype: np.dtype[np.floating]) -> float:
    del dtype
    return screening.left_along_axes(mixture)


def feature_cost(mixture: Mixture, dtype: np.dtype[np.floating]) -> float:
    """Both products over feature vectors, for a component."""
    length = mixture.covariance.feature_length(mixture.n_features)
    return 4 + _vectors(dtype) * length * (0.29 + 1.5 / mixture.n_components)


def centred_cost(n_features: int, dtype: np.dtype[np.floating], *, matrices: bool) -> float:
    """A component's logit and sums, where all pairs are computed about the means."""
    if not matrices:
        return 5 + _vectors(dtype) * (3 + 1.05 * n_features)
    return 5 + _vectors(dtype) * (1.2 * n_features + 0.13 * n_features**2)


def logit_cost(n_features: int, dtype: np.dtype[np.floating], *, matrices: bool) -> float:
    """A component's logit, with what lists the pairs that count."""
    own = 0.7 * n_features + 0.06 * n_features**2 if matrices else 2.5 + 0.72 * n_features
    return 5 + _vectors(dtype) * own


def listed_cost(n_features: int, dtype: np.dtype[np.floating], *, matrices: bool) -> float:
    """A listed pair's sums."""
    if not matrices:
        return 4 + 1.35 * n_features
    return 7 + 1.4 * n_features + _vectors(dtype) * 0.075 * n_features**2


def pair_cost(n_features: int, dtype: np.dtype[np.floating], *, matrices: bool) -> float:
    """A gathered pair's logit and sums; gathering gains nothing by single precision."""
    if not matrices:
        return 22 + 0.8 * n_features
    return 25 + 2.2 * n_features + _vectors(dtype) * 0.13 * n_features**2


def bound_cost(n_features: int, *, matrices: bool) -> float:
    """A bound on a logit; with matrices, always in single precision."""
    return 3 + 0.2 * n_features if matrices else 4.8


def product_cost(mixture: Mixture, dtype: np.dtype[np.floating]) -> float:
    """A bound on a logit by a product over features."""
    length = mixture.covariance.feature_length(mixture.n_features)
    return 4.8 + _vectors(dtype) * 0.14 * length


def whitening_cost(n_features: int, dtype: np.dtype[np.floating]) -> float:
    """Whitening a row with a matrix that all components share."""
    return 2.2 * n_features + _vectors(dtype) * 0.2 * n_features**2


def entry_cost(n_features: int, *, matrices: bool) -> float:
    """Laying out a row for gathering, and once more for bounds, but not for products."""
    return (1.3 if matrices else 2.5) * n_features


def _vectors(dtype: np.dtype[np.floating]) -> float:
    """Vectors that as many numbers take, in those of double precision."""
    return np.dtype(dtype).itemsize / 8
