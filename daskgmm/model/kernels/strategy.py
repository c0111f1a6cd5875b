"""How a mixture's tiles are computed: the cheapest strategy that is exact enough.

Costs are nanoseconds a row on one core of an AMD EPYC (Zen 5, AVX-512), measured once and written
down; for features they lie between those and what an Intel Xeon (Sapphire Rapids) takes, where
making them costs twice as much beside the other strategies. For all pairs they are what such loops
took once, less what working on several features at a time has saved since, on an EPYC of 2017
(Zen 1): a fifth to a quarter of what is beside the exponentials.
``python -m tests.benchmarks strategy`` prints them beside what a machine takes. They decide, never
a clock: the same mixture and rows take the same strategy on any machine.
"""

import numpy as np

from daskgmm.model import screening
from daskgmm.model.kernels.arguments import Strategy
from daskgmm.model.kernels.blocks import block_share
from daskgmm.model.mixture import Mixture
from daskgmm.model.mixture_cache import cached_by_mixture
from daskgmm.model.precision import feature_components

_USUAL_PAIRS = 1.5
"""Pairs a row that count where components are apart."""


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
    exact = feature_form and bool(feature_components(mixture, dtype).all())
    centred = centred_cost(n_features, dtype, matrices=matrices)
    features = feature_cost(mixture, dtype)
    # By features, a scatter that all components share is summed once, and not in each pass.
    by_features = exact and (mixture.covariance.needs_scatter or features <= centred)
    all_pairs = features if by_features else centred
    one = pair_cost(n_features, dtype, matrices=matrices)
    a_bound = bound_cost(n_features, dtype, matrices=matrices)
    by_product = False
    if screening.has_products(mixture):
        product = product_cost(mixture, dtype)
        by_product = product < a_bound + _left_along_axes(mixture, dtype) * one
        a_bound = product if by_product else a_bound
    bounds = n_components * a_bound + entry_cost(n_features, matrices=matrices)
    few, every = bounds + _USUAL_PAIRS * one, n_components * all_pairs
    return Strategy(by_features, few < every, all_pairs / one, by_product), min(few, every)


@cached_by_mixture
def _left_along_axes(mixture: Mixture, dtype: np.dtype[np.floating]) -> float:
    del dtype
    return screening.left_along_axes(mixture)


def feature_cost(mixture: Mixture, dtype: np.dtype[np.floating]) -> float:
    """Both products over feature vectors, for a component."""
    length = mixture.covariance.feature_length(mixture.n_features)
    return _vectors(dtype) * (1.2 + 0.057 * length + 0.3 * length / mixture.n_components)


def centred_cost(n_features: int, dtype: np.dtype[np.floating], *, matrices: bool) -> float:
    """A component's logit and sums, where all pairs are computed about the means."""
    own = 0.5 * n_features + 0.034 * n_features**2 if matrices else 0.22 * n_features
    return _vectors(dtype) * (1 + own)


def pair_cost(n_features: int, dtype: np.dtype[np.floating], *, matrices: bool) -> float:
    """A gathered pair's logit and sums; gathering gains nothing by single precision."""
    if not matrices:
        return 8 + 0.32 * n_features
    products = 0.045 * block_share(n_features) * n_features**2
    return 8 + n_features + _vectors(dtype) * products


def bound_cost(n_features: int, dtype: np.dtype[np.floating], *, matrices: bool) -> float:
    """A bound on a logit."""
    return 1 + (0.05 * _vectors(dtype) * n_features if matrices else 0)


def product_cost(mixture: Mixture, dtype: np.dtype[np.floating]) -> float:
    """A bound on a logit by a product over features."""
    length = mixture.covariance.feature_length(mixture.n_features)
    return 1 + _vectors(dtype) * 0.03 * length


def whitening_cost(n_features: int, dtype: np.dtype[np.floating]) -> float:
    """Whitening a row with a matrix that all components share."""
    return n_features + _vectors(dtype) * 0.06 * n_features**2


def entry_cost(n_features: int, *, matrices: bool) -> float:
    """Laying out a row for bounds and gathering: along the axes once more than for products."""
    return (0.5 if matrices else 1.3) * n_features


def _vectors(dtype: np.dtype[np.floating]) -> float:
    """Vectors that as many numbers take, in those of double precision."""
    return np.dtype(dtype).itemsize / 8
