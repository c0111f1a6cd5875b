"""The components that a row can be shared out to: bounds on logits, and the gap beyond which none.

With y the coordinates of a row whitened by a component, its logit is ``c - |y| ** 2 / 2``, and for
any orthonormal V of fewer columns ``c - |V.T y| ** 2 / 2`` bounds it from above. V is chosen so
that rows of the other components lie far out along it.

A pair (row, component) whose logit lies further below the row's largest than the component's gap
gets no responsibility. The gap is such that

- all components together that a row loses are less than 1e-18 of its density;
- a component loses less than 1e-12 of its rows' weight, and no more of their second moments while
  what is lost lies within a thousand deviations: the weight that rows lose is at most the gap's
  exponential of all rows' weight, of which the component has its share. That share is the last
  pass's: a component whose weight falls a millionfold in one pass may lose more, and all of it
  where it had next to nothing; the M-step counts such a component as empty. Where log-weights
  are not the weights' logarithms, priors count as rows too, and a component's share is that of
  both: what it loses is as small beside what its posterior rests on.
"""

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.mixture import Mixture
from daskgmm.model.parallel import each, slices_of_components
from daskgmm.model.typing import Doubles

MOST_DIRECTIONS = 3
"""Whitened coordinates that bound a logit: of 2 to 4, on rows of 4 to 200 features, the fastest."""

SHRINK = 2.0**-10
"""Share of a squared distance by which bounds are weakened. By Cauchy and Schwarz, an error s in a
coordinate is then made up for by ``s ** 2 / SHRINK``; and what single precision rounds off."""

_SHARE_LOST = 1e-12
"""Share of a component's moments that may be dropped."""

_DEVIATIONS = 1e3
"""Distance, in deviations, at which second moments may still be dropped."""

_HELD, _BOUNDING = 32, 256
"""Components at whose means, and against whose bounds, it is seen what these leave."""

_STEPS = 4
"""Of the subspace iteration, from which any orthonormal directions are valid."""


def gaps(mixture: Mixture) -> Doubles:
    """Gaps (K,) in nats, from a row's largest logit down to those that count for nothing."""
    lost = -np.log(_SHARE_LOST) + 2 * np.log(_DEVIATIONS) + np.log(mixture.n_components)
    with np.errstate(divide="ignore"):
        return np.asarray(lost - np.log(mixture.weights))


def directions(mixture: Mixture, factors: Doubles) -> Doubles:
    """For each component, a few rows (K, m, D) that make whitened coordinates of centred rows.

    Parameters
    ----------
    mixture : Mixture
        Whose covariances are matrices.
    factors : ndarray of shape (K, D, D) or (1, D, D)
        Factors of the precisions.
    """
    mixture = mixture.beside(None)
    n_components, n_features = mixture.shape
    centre = mixture.weights @ mixture.means
    away = mixture.means - centre
    covariances = mixture.covariance.as_matrices(mixture.covariances, mixture.shape)
    # einsum() copies no matrix that components share.
    within = np.einsum("k,kde->de", mixture.weights, covariances)
    spread = within + (mixture.weights * away.T) @ away
    m = min(MOST_DIRECTIONS, n_features)
    first = np.random.default_rng(0).normal(size=(n_features, m))

    def found(components: slice) -> Doubles:
        own = factors if len(factors) == 1 else factors[components]
        whitened = np.matmul(away[components, np.newaxis], own)  # (K, 1, D)
        along = np.broadcast_to(first, (len(whitened), n_features, m))
        for _ in range(_STEPS):  # towards the largest eigenvectors of second moments, whitened
            along = np.linalg.qr(along)[0]
            moments = own.swapaxes(1, 2) @ (spread @ (own @ along))
            along = moments + whitened.swapaxes(1, 2) @ (whitened @ along)
        return np.asarray((own @ np.linalg.qr(along)[0]).swapaxes(1, 2))

    return np.concatenate(each(found, slices_of_components(n_components, n_features)))


def limits(mixture: Mixture, rows: Doubles) -> Doubles:
    """What makes bounds of the coordinates of rows that are not centred, in single precision.

    Parameters
    ----------
    mixture : Mixture
    rows : ndarray of shape (K, m, D)
        See `directions`.

    Returns
    -------
    ndarray of shape (K, m + 2)
        What is subtracted from a row's coordinates; the bound where nothing is left of them; and
        by how much a row's squared length raises it: a coordinate rounds by
        ``(D + 4) u (|v| |x| + |v @ mean|)`` at most, where u is half of the type's precision.
    """
    offsets = np.einsum("kmd,kd->km", rows, mixture.means)
    rounding = (mixture.n_features + 4) * np.finfo(np.float32).eps / 2
    # The square of a sum is at most twice the sum of the squares.
    weakened = rounding**2 / SHRINK
    most = mixture.log_normalisers + weakened * (offsets**2).sum(axis=1)
    a_length = weakened * (rows**2).sum(axis=(1, 2))
    return np.column_stack([offsets, most, a_length])


def upper_bounds(mixture: Mixture, rows: Doubles, z: Doubles) -> Doubles:
    """Upper bounds (K, n) on logits.

    Parameters
    ----------
    mixture : Mixture
    rows : ndarray of shape (K, m, D)
        See `directions`.
    z : ndarray of shape (D, n)
        In frame coordinates.
    """
    *offsets, most, a_length = limits(mixture, rows).T[..., np.newaxis]
    found: Doubles = a_length * (z**2).sum(axis=0)
    found += most
    for number, offset in enumerate(offsets):
        coordinates = rows[:, number] @ z
        coordinates -= offset
        coordinates *= coordinates
        coordinates *= 0.5 - SHRINK
        found -= coordinates
    return found


def axes(
    mixture: Mixture, scales: Doubles, components: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """For each component, the few features (K, m) along which rows lie furthest out.

    Parameters
    ----------
    mixture : Mixture
        Whose covariances are variances along the axes.
    scales : ndarray of shape (K, D)
        Roots of the precisions.
    components : ndarray of int or None
        For which of them; ``None`` for all.
    """
    mixture = mixture.beside(None)
    away = mixture.means - mixture.weights @ mixture.means
    variances = mixture.covariance.variances(mixture.covariances, mixture.shape)
    spread = mixture.weights @ (variances + away**2)
    own = slice(None) if components is None else components
    moments = (spread + away[own] ** 2) * scales[own] ** 2
    m = min(MOST_DIRECTIONS + 1, mixture.n_features)  # these need no product
    largest = np.argpartition(-moments, m - 1, axis=1)[:, :m]
    order = np.argsort(-np.take_along_axis(moments, largest, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(largest, order, axis=1))


def left_along_axes(mixture: Mixture) -> float:
    """About the share of pairs that bounds along the axes leave, by rows as components have them.

    These are at the means of a few components, with the logits of their usual rows, and the bounds
    are those of some more.
    """
    held, bounding = (_spread_out(mixture.n_components, most) for most in (_HELD, _BOUNDING))
    scales = mixture.covariance.whitening(mixture.factors, mixture.shape)[:, 0]
    along, normalisers = axes(mixture, scales, bounding), mixture.log_normalisers
    away = mixture.means[held][:, along]
    away -= np.take_along_axis(mixture.means[bounding], along, axis=1)
    away *= np.take_along_axis(scales[bounding], along, axis=1)
    upper = (normalisers + gaps(mixture))[bounding] - 0.5 * (away**2).sum(axis=2)
    usual = normalisers[held] - 0.5 * mixture.n_features
    return float((upper > usual[:, np.newaxis]).mean())


def _spread_out(n_components: int, most: int) -> NDArray[np.int64]:
    """Some components, at the most, out of all."""
    return np.linspace(0, n_components - 1, min(n_components, most)).astype(np.int64)


def has_products(mixture: Mixture) -> bool:
    """Whether products over feature vectors bound logits, and cost no more than whitening.

    Not where they leave the quadratic term out.
    """
    covariance = mixture.covariance
    return not (covariance.has_matrices or covariance.needs_scatter)


def bounding_parameters(mixture: Mixture, dtype: np.dtype[np.floating]) -> Doubles:
    """Natural parameters (K, F + 2) whose products with features are at least the logits.

    A product of rows of this type is off by ``eps sum |eta_i| |phi_i|`` times their number at most,
    and so is less than the norms of the quadratic and of the linear features allow, multiplied by
    those of their parameters. Rows have these two norms as their last features.
    """
    if not has_products(mixture):
        return np.empty((0, 0))
    eta = mixture.natural_parameters
    n_quadratic = mixture.covariance.quadratic_length(mixture.n_features)
    # Twice the bound on a product's rounding, and on that of a feature's own sum.
    rounding = (eta.shape[1] + mixture.n_features + 8) * np.finfo(dtype).eps
    sizes = [
        np.linalg.norm(part, axis=1, keepdims=True)
        for part in (eta[:, :n_quadratic], eta[:, n_quadratic:-1])
    ]
    eta = np.hstack([eta, *(rounding * size for size in sizes)])
    eta[:, -3] += rounding * np.abs(eta[:, -3])
    return np.ascontiguousarray(eta)
