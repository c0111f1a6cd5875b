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
from daskgmm.model.typing import Doubles

MOST_DIRECTIONS = 3
"""Whitened coordinates that bound a logit: of 2 to 4, on rows of 4 to 200 features, the fastest."""

_SHARE_LOST = 1e-12
"""Share of a component's moments that may be dropped."""

_DEVIATIONS = 1e3
"""Distance, in deviations, at which second moments may still be dropped."""

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
    whitened = np.matmul(away[:, np.newaxis], factors)  # (K, 1, D)
    m = min(MOST_DIRECTIONS, n_features)
    found = np.broadcast_to(
        np.random.default_rng(0).normal(size=(n_features, m)), (n_components, n_features, m)
    )
    for _ in range(_STEPS):  # towards the largest eigenvectors of rows' second moments, whitened
        found = np.linalg.qr(found)[0]
        moments = factors.swapaxes(1, 2) @ (spread @ (factors @ found))
        found = moments + whitened.swapaxes(1, 2) @ (whitened @ found)
    return np.asarray((factors @ np.linalg.qr(found)[0]).swapaxes(1, 2))


def axes(mixture: Mixture, scales: Doubles) -> NDArray[np.int64]:
    """For each component, the few features (K, m) along which rows lie furthest out.

    Parameters
    ----------
    mixture : Mixture
        Whose covariances are variances along the axes.
    scales : ndarray of shape (K, D)
        Roots of the precisions.
    """
    mixture = mixture.beside(None)
    away = mixture.means - mixture.weights @ mixture.means
    variances = mixture.covariance.variances(mixture.covariances, mixture.shape)
    spread = mixture.weights @ (variances + away**2)
    moments = (spread + away**2) * scales**2
    m = min(MOST_DIRECTIONS + 1, mixture.n_features)  # these need no product
    return np.asarray(np.argsort(-moments, axis=1, kind="stable")[:, :m])
