"""The missing features given the known ones, in each component."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles

_LOG_ROOT = float(np.log(2 * np.pi) / 2)


class Regression(NamedTuple):
    """Missing features given the known ones, for P patterns that each lack M features.

    With whitened rows ``w = F.T @ (x - mean)``, where missing values count as at the mean, the
    missing ones are expected at ``-backs @ bases.T @ w`` from their means, and what lies outside of
    the span of the bases is the distance of the known ones.

    Parameters
    ----------
    bases : ndarray of shape (P, H, D, M)
        Orthonormal, for each component or once where all share a covariance: H is K or 1.
    backs : ndarray of shape (P, H, M, M)
        Roots of the covariances that are left, ``backs @ backs.T``.
    log_peaks : ndarray of shape (P, H)
        Log-density of the missing features at their conditional mean (nats).
    """

    bases: Doubles
    backs: Doubles
    log_peaks: Doubles

    @classmethod
    def of(cls, factors: Doubles, missing: NDArray[np.int64]) -> "Regression":
        """From factors of the precisions (H, D, D), for the missing features (P, M)."""
        own = factors[:, missing].transpose(1, 0, 3, 2)  # (P, H, D, M)
        bases, triangles = np.linalg.qr(own)
        widths = np.abs(np.diagonal(triangles, axis1=2, axis2=3))
        log_peaks = (np.log(widths) - _LOG_ROOT).sum(axis=2)
        return cls(bases, np.linalg.inv(triangles), log_peaks)

    @property
    def covariances(self) -> Doubles:
        """Conditional covariances (P, H, M, M) of the missing features."""
        return np.asarray(self.backs @ self.backs.swapaxes(2, 3))


def log_peaks_along_axes(scales: Doubles) -> Doubles:
    """Log-densities (K, D) at the means, where features are independent in each component.

    `scales` (K, D) are the roots of the precisions.
    """
    return np.asarray(np.log(scales) - _LOG_ROOT)


def add_second(mixture: Mixture, second: Doubles, sums: Doubles, shared: Doubles) -> None:
    """Add second moments to sums of features, as the covariance type takes them.

    Parameters
    ----------
    mixture : Mixture
    second : ndarray of shape (K, D, D), (1, D, D) or (K, D)
        Of each component, or summed over them where they share a covariance; only the diagonals
        where covariances are variances along the axes.
    sums : ndarray of shape (F, K)
    shared : ndarray of shape (D, D) or empty
    """
    covariance = mixture.covariance
    if covariance.needs_scatter:
        shared += second.sum(axis=0)
        return
    _, i, j = covariance.monomials(mixture.n_features).T
    values = second[:, i, j] if second.ndim == 3 else second[:, i]
    found = covariance.features_of(values, mixture.n_features).T
    sums[: len(found)] += found
