"""Clusters of a fitted mixture's components, as a model file holds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.questions.clusters import ClusterPredictor
from daskgmm.model.questions.merging import MergePath

FORM = {"criterion": str, "n_clusters": int}
"""Form of the facts in a model file's metadata."""


@dataclass(frozen=True, eq=False)
class Merging:
    """How the components of a mixture were joined into clusters.

    Parameters
    ----------
    clusters : ndarray of shape (K,)
        The cluster of each component.
    path : MergePath
    criterion : str
        ``"entropy"`` or ``"overlap"``.
    """

    clusters: NDArray[np.int64]
    path: MergePath
    criterion: str

    @property
    def tensors(self) -> dict[str, NDArray[Any]]:
        """Arrays for a model file, by name."""
        return {
            "clusters": self.clusters,
            "merging.pairs": self.path.pairs,
            "merging.values": np.array(self.path.values),
        }

    @property
    def facts(self) -> dict[str, Any]:
        """Plain values for a model file's metadata, of the form `FORM`."""
        return {"criterion": self.criterion, "n_clusters": self.path.n_clusters}

    @classmethod
    def of_file(
        cls,
        tensors: Mapping[str, NDArray[Any]],
        facts: Mapping[str, Any],
        predictor: ClusterPredictor,
    ) -> Self:
        """Read back what `tensors` and `facts` gave.

        Raises
        ------
        KeyError, ValueError
            They are damaged.
        """
        pairs, values = (tensors[f"merging.{name}"] for name in ("pairs", "values"))
        path = MergePath.of_pairs(pairs, values, facts["n_clusters"])
        if not np.array_equal(path.clusters(predictor.n_labels), predictor.clusters):
            raise ValueError("its clusters are not those of its joins")
        return cls(predictor.clusters, path, facts["criterion"])


def clusters_in(tensors: Mapping[str, NDArray[Any]], n_components: int) -> NDArray[np.int64]:
    """The clusters (K,) in a model file's arrays; ValueError or KeyError if damaged."""
    clusters = tensors["clusters"]
    if clusters.dtype != np.int64 or clusters.shape != (n_components,):
        raise ValueError(f"its clusters have the shape {clusters.shape}")
    if not np.array_equal(np.unique(clusters), np.arange(clusters.max() + 1)):
        raise ValueError("its clusters are not numbered from 0")
    return clusters
