"""Distances and divergences between the components of two mixtures."""

from collections.abc import Callable

import numpy as np

from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles


def bhattacharyya(one: Mixture, other: Mixture) -> Doubles:
    """Bhattacharyya distances (K, K') between components (nats); weights don't count.

    Both mixtures are in the same coordinates; their covariance types may differ. With S the mean
    of both covariances it is ``d.T @ inv(S) @ d / 8 + log(det(S) / sqrt(det(S1) det(S2))) / 2``
    (Kailath, 1967, eq. 21): 0 for equal components, and the same both ways.
    """
    matrices = one.covariance.has_matrices or other.covariance.has_matrices
    with np.errstate(over="ignore", invalid="ignore"):
        found = _of_matrices(one, other) if matrices else _along_axes(one, other)
    return np.where(np.isnan(found), np.inf, np.maximum(found, 0.0))  # NaN: gaps that overflow


def _along_axes(one: Mixture, other: Mixture) -> Doubles:
    first, second = (np.log(mixture.deviations) for mixture in (one, other))
    found = np.empty((one.n_components, other.n_components))
    for k, (mean, logs) in enumerate(zip(one.means, first, strict=True)):
        # log((v1 + v2) / 2) without overflow, from logarithms of deviations
        middle = np.logaddexp(2 * logs, 2 * second) - np.log(2)
        apart = (other.means - mean) ** 2 * np.exp(-middle)
        found[k] = (apart / 8 + (middle - logs - second) / 2).sum(axis=1)
    return found


def _of_matrices(one: Mixture, other: Mixture) -> Doubles:
    """Distances in coordinates that whiten the other component.

    There S is at least half of the unit matrix, so that it is regular however narrow components
    are: ``2 S = I + B.T @ B``, of which the rows of I and B have the triangular factor.
    """
    factors, others = (
        mixture.covariance.as_matrices(mixture.factors, mixture.shape) for mixture in (one, other)
    )
    roots = np.linalg.inv(factors)
    n_features = one.n_features
    unit = np.broadcast_to(np.eye(n_features), others.shape)
    found = np.empty((one.n_components, other.n_components))
    for k, (mean, root) in enumerate(zip(one.means, roots, strict=True)):
        relative = root @ others  # B, as triangular as both
        both = np.concatenate([unit, relative], axis=1)
        triangle = np.asarray(np.linalg.qr(both, mode="r"))
        gaps = np.einsum("kij,ki->kj", others, other.means - mean)
        whitened = np.linalg.solve(triangle.swapaxes(1, 2), gaps[:, :, np.newaxis])[:, :, 0]
        sizes = np.log(np.abs(np.diagonal(triangle, axis1=1, axis2=2))).sum(axis=1)
        widths = np.log(np.abs(np.diagonal(relative, axis1=1, axis2=2))).sum(axis=1)
        volume = sizes - n_features * np.log(2) / 2 - widths / 2
        found[k] = (whitened**2).sum(axis=1) / 4 + volume
    return found


def kullback_leibler(one: Mixture, other: Mixture) -> Doubles:
    """Divergences KL(one || other) of shape (K, K') between components (nats).

    The mean under the first component of its log-density less that of the second (Kullback and
    Leibler, 1951): 0 for equal components, and not symmetric. Otherwise as `bhattacharyya`.
    """
    matrices = one.covariance.has_matrices or other.covariance.has_matrices
    with np.errstate(over="ignore", invalid="ignore"):
        found = _relative_matrices(one, other) if matrices else _relative_axes(one, other)
    return np.where(np.isnan(found), np.inf, np.maximum(found, 0.0))


def _relative_axes(one: Mixture, other: Mixture) -> Doubles:
    first, second = (np.log(mixture.deviations) for mixture in (one, other))
    found = np.empty((one.n_components, other.n_components))
    for k, (mean, logs) in enumerate(zip(one.means, first, strict=True)):
        gaps = ((other.means - mean) * np.exp(-second)) ** 2
        found[k] = (_excess(2 * (logs - second)) + gaps).sum(axis=1) / 2
    return found


def _relative_matrices(one: Mixture, other: Mixture) -> Doubles:
    """Divergences in coordinates that whiten the other component.

    There the first component's covariance is ``B.T @ B`` of a triangle B, and its trace less its
    log-determinant less D is a sum of terms that are not negative.
    """
    factors, others = (
        mixture.covariance.as_matrices(mixture.factors, mixture.shape) for mixture in (one, other)
    )
    found = np.empty((one.n_components, other.n_components))
    for k, (mean, root) in enumerate(zip(one.means, np.linalg.inv(factors), strict=True)):
        relative = root @ others
        widths = np.diagonal(relative, axis1=1, axis2=2)
        sizes = _excess(2 * np.log(np.abs(widths))).sum(axis=1)
        askew = (np.triu(relative, 1) ** 2).sum(axis=(1, 2))
        gaps = np.einsum("kij,ki->kj", others, other.means - mean)
        found[k] = (sizes + askew + (gaps**2).sum(axis=1)) / 2
    return found


def _excess(logs: Doubles) -> Doubles:
    """``x - 1 - log(x)`` of ratios of variances x, from their logarithms."""
    return np.asarray(np.expm1(logs) - logs)


def jeffreys(one: Mixture, other: Mixture) -> Doubles:
    """Symmetric divergences (K, K'): both directions of `kullback_leibler` (Jeffreys, 1946)."""
    return kullback_leibler(one, other) + kullback_leibler(other, one).T


def hellinger(one: Mixture, other: Mixture) -> Doubles:
    """Hellinger distances (K, K') between components, from 0 to 1 where they don't overlap."""
    return np.asarray(np.sqrt(-np.expm1(-bhattacharyya(one, other))))


DIVERGENCES: dict[str, Callable[[Mixture, Mixture], Doubles]] = {
    "jeffreys": jeffreys,
    "bhattacharyya": bhattacharyya,
    "hellinger": hellinger,
    "kl": kullback_leibler,
}
"""Divergences between components by name."""
