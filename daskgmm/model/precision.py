"""Bounds on rounding errors, by which the way of computing is chosen.

The feature form writes ``(z - mu).T @ P @ (z - mu)`` as a sum of products that are each as
large as ``abs(z).T @ abs(P) @ abs(z)``, and rounding is relative to those; a covariance taken
as a second moment less the product of means loses digits in the same measure. Both are bounded
by the form ``v.T @ abs(P) @ v`` at a typical row of the component, times machine epsilon.
"""

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.base import ABOUT_ORIGINS
from daskgmm.model.mixture import Mixture
from daskgmm.model.mixture_cache import cached_by_mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles

TOLERANCE = {np.dtype(np.float32): 1e-3, np.dtype(np.float64): 1e-10}
"""Error of a log-density (nats) that is put up with."""

COVARIANCE_TOLERANCE = {np.dtype(np.float32): 1e-3, np.dtype(np.float64): 1e-8}
"""Relative error of a covariance that is put up with. The likelihood loses its square only, as the
M-step is at a maximum; and steps that end in an optimum move too little to have any."""

SINGLE_ERROR = 1 / 16
"""Error of a log-density (nats), and relative error of a covariance, that the centred form may have
in single precision. Beyond, rounding would decide whether a component collapses."""

_COORDINATE_ERROR = 4
"""Times machine epsilon and the root of the form, what whitened coordinates make a logit off: half
of it by their own product, and half by the digits of rows and means."""

SINGLE_FACTOR = 2.0**40
"""Squares of larger factors times a row's coordinates would leave the range of single precision."""

FEATURES_A_COMPONENT = 32
"""Beyond this D / K making the products of features takes longer than whitening saves."""


def exact_log_densities(mixture: Mixture, dtype: np.dtype[np.floating]) -> NDArray[np.bool_]:
    """Mask (K,) of the components near which the feature form's log-densities are exact enough."""
    return _form_within(mixture, _typical(mixture), TOLERANCE[dtype] / _eps(dtype))


def exact_logits(mixture: Mixture, dtype: np.dtype[np.floating], most: float) -> bool:
    """Whether logits about the means, near each component, are hardly ever off by `most` nats.

    A whitened coordinate rounds by ``eps`` times the root of ``v.T @ abs(P) @ v``, at the distance
    v of a row from the mean or, for the digits that it has, at the row itself. Rounding has either
    sign, so that it grows with neither D nor the whitened coordinates, which are of size 1. The sum
    of their D squares, one after another, rounds by ``eps * D ** 1.5``.
    """
    root = (most / _eps(dtype) - mixture.n_features**1.5) / _COORDINATE_ERROR
    return root >= 0 and bool(_form_within(mixture, _typical(mixture), root**2).all())


def exact_covariances(
    mixture: Mixture, origins: Doubles, dtype: np.dtype[np.floating]
) -> NDArray[np.bool_]:
    """Mask (K,) of the components whose covariances are exact enough from moments about `origins`.

    The relative error is at most eps times the form at the origin's distance from the mean.
    """
    away = np.abs(mixture.means - origins)
    return _form_within(mixture, away, COVARIANCE_TOLERANCE[dtype] / _eps(dtype))


def _eps(dtype: np.dtype[np.floating]) -> float:
    return float(np.finfo(dtype).eps)


def _typical(mixture: Mixture) -> Doubles:
    """A typical row's size (K, D) in each component."""
    return np.abs(mixture.means) + mixture.deviations


def _form_within(mixture: Mixture, vectors: Doubles, most: float) -> NDArray[np.bool_]:
    """Mask (K,) of the components for which ``v.T @ abs(P) @ v`` is at most `most`."""
    with np.errstate(all="ignore"):  # what overflows is beyond all that is put up with
        return mixture.covariance.absolute_form_within(mixture.factors, vectors, most)


@cached_by_mixture
def feature_components(mixture: Mixture, dtype: np.dtype[np.floating]) -> NDArray[np.bool_]:
    """Mask (K,) of the components for which the feature form is exact enough and pays.

    Where components share moments, the worst of them decides for all; and beside noise none is
    left out: its logit can't be compared with logits that lack their quadratic term.
    """
    n_features = mixture.n_features
    crosses = mixture.covariance.quadratic_length(n_features) > n_features
    few = crosses and n_features > FEATURES_A_COMPONENT * mixture.n_components
    exact = exact_log_densities(mixture, dtype)
    beside_noise = mixture.noise is not None
    if few or (mixture.covariance.needs_scatter and (beside_noise or not exact.all())):
        return np.zeros(mixture.n_components, np.bool_)
    return np.asarray(exact)


@cached_by_mixture
def working_dtype(mixture: Mixture, dtype: np.dtype[np.floating]) -> np.dtype[np.floating]:
    """Floating-point type for a mixture: `dtype`, or float64 if that type is not exact enough."""
    double = np.dtype(np.float64)
    if dtype == double or fragile_components(mixture, dtype).any():
        return double
    return logits_dtype(mixture, dtype)


@cached_by_mixture
def logits_dtype(mixture: Mixture, dtype: np.dtype[np.floating]) -> np.dtype[np.floating]:
    """Floating-point type for logits; sums that need it are made in float64 anyway."""
    double = np.dtype(np.float64)
    if dtype == double:
        return dtype
    small = np.abs(mixture.factors).max() <= SINGLE_FACTOR
    return dtype if small and exact_logits(mixture, dtype, SINGLE_ERROR) else double


@cached_by_mixture
def fragile_components(mixture: Mixture, dtype: np.dtype[np.floating]) -> NDArray[np.bool_]:
    """Mask (K,) of the components of whose covariances rounding in sums would leave too little.

    Sums about the means round by ``eps * v.T @ abs(P) @ v`` of the covariance at a row a deviation
    away.
    """
    return ~_form_within(mixture, mixture.deviations, SINGLE_ERROR / _eps(dtype))


def step_suffices(
    before: Mixture, after: Mixture, moments: Moments, dtype: np.dtype[np.floating]
) -> bool:
    """Whether an EM step between two mixtures, by these moments, is exact enough.

    Rows whose logits were computed in single precision have its digits only, also where sums of
    them were made in double. Components that the M-step counts as empty are
    what that makes of them.
    """
    used, coarse = logits_dtype(before, dtype), moments.coarse
    enough = exact_covariances(after, moments.origins, np.dtype(np.float64))
    if coarse is not None and coarse.any():
        of_origins = exact_covariances(after, moments.origins, dtype)
        enough = np.where(coarse == ABOUT_ORIGINS, of_origins, enough)
        enough &= (coarse == 0) | ~fragile_components(after, dtype)
    enough |= moments.empty(_eps(dtype))
    return bool(enough.all()) and logits_dtype(after, used) == used
