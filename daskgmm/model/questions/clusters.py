"""Predictions by cluster, where a mixture's components are joined into clusters."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.prediction import Predictions, Predictor
from daskgmm.model.typing import Floats


@dataclass(frozen=True, eq=False)
class ClusterPredictor(Predictor):
    """A predictor whose labels are clusters, each one or several components.

    Parameters
    ----------
    clusters : ndarray of shape (K,)
        The cluster of each component, numbered from 0.
    """

    clusters: NDArray[np.int64] = field(kw_only=True)

    @property
    def n_labels(self) -> int:
        """Number C of clusters."""
        return int(self.clusters.max()) + 1

    def labels(self, rows: Floats) -> NDArray[np.int64]:
        """Most probable cluster of each row, of shape (n,)."""
        return np.asarray(self.responsibilities(rows).argmax(axis=1), np.int64)

    def responsibilities(self, rows: Floats) -> Floats:
        """Probability of each cluster given each row, of shape (n, C)."""
        return np.ascontiguousarray(self._summed(super().responsibilities(rows).T).T)

    def everything(self, rows: Floats) -> Predictions:
        """Labels, responsibilities (C, n) and log-densities of each row, computed together."""
        _, shares, densities = super().everything(rows)
        found = self._summed(shares)
        return Predictions(found.argmax(axis=0), found, densities)

    def _summed(self, shares: Floats) -> Floats:
        found = np.zeros((self.n_labels, shares.shape[1]), shares.dtype)
        for own, cluster in zip(shares, self.clusters, strict=True):
            found[cluster] += own
        return found
