"""How a mixture's tiles are computed: the cheapest strategy that is exact enough."""

import numpy as np

from daskgmm.model import screening
from daskgmm.model.kernels import neighbours
from daskgmm.model.kernels.arguments import Strategy
from daskgmm.model.kernels.costs import costs
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
    """A mixture's strategy, and what it costs a row in nanoseconds."""
    n_components, n_features = mixture.shape
    covariance, parts = mixture.covariance, costs().of(mixture)
    length = covariance.feature_length(n_features)
    centred, logit = parts.all_pairs(n_features, dtype)
    one = parts.pair.of(n_features, dtype)
    features = parts.features.of(length, n_components, dtype)
    # By features, a scatter that all components share is summed once, and not in each pass.
    shared = covariance.needs_scatter
    pays = feature_form and (shared or features <= _CLEARLY * centred)
    by_features = pays and bool(feature_components(mixture, dtype).all())
    all_pairs = features if by_features else centred
    every, most, listed = n_components * all_pairs, all_pairs / one, 0.0
    if not by_features:
        listed_one = parts.listed.of(n_features, dtype)
        every = min(every, n_components * logit + _USUAL_PAIRS * listed_one)
        # Of the pairs that bounds leave, about half count.
        most = min(most, logit / (one - listed_one / 2))
        listed = (centred - logit) / listed_one
    a_bound = parts.bound.of(n_features, dtype)
    by_product = False
    if screening.has_products(mixture):
        product = costs().product.of(length, n_components, dtype)
        by_product = product < a_bound + _left_along_axes(mixture, dtype) * one
        a_bound = product if by_product else a_bound
    bounds = n_components * a_bound + parts.entry.of(n_features, dtype)
    few = bounds + _USUAL_PAIRS * one
    # Of many components bounds are computed of neighbours only, where these pay.
    many = covariance.has_matrices and not shared and n_components >= neighbours.FEWEST
    screened = few < every or many
    return Strategy(by_features, screened, most, by_product, listed), min(few, every)


@cached_by_mixture
def _left_along_axes(mixture: Mixture, dtype: np.dtype[np.floating]) -> float:
    del dtype
    return screening.left_along_axes(mixture)
