"""Responsibilities to start from. A new method is a function and a line in the registry.

Each function takes rows (n, D) in data units, K, the random state and sample weights (n,) or
None. It returns responsibilities (n, K) or, where each row belongs to one component, the labels
(n,) of these. The random numbers are drawn in scikit-learn's order, so on the same rows and seed
both start alike.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import ConfigurationError
from daskgmm.model.typing import Doubles, Floats
from daskgmm.training.kmeans import cluster, far_rows

Labels: TypeAlias = NDArray[np.int64]

Initialiser: TypeAlias = Callable[
    [Floats, int, np.random.RandomState, "Doubles | None"], "Doubles | Labels"
]

_MOST_ROWS_FOR_WARD = 4000
"""Ward's distance matrix holds n ** 2 / 2 numbers: 64 MB here."""

_DISTANCES = 2**22
"""Distances of rows from centres in memory at a time."""


USUAL_ROUNDS = 20
"""Rounds of k-means until its centres stay, about, on tens of thousands of clustered rows."""


def clustering_cost(n_rows: int, n_components: int, n_features: int) -> float:
    """Multiplications of EM that take about as long as one clustering of rows by k-means.

    A first centre is tried at ``2 + ln K`` places.
    """
    rounds = 2 + math.log(n_components) + USUAL_ROUNDS
    return rounds * n_rows * n_components * n_features


def kmeans(
    rows: Floats, n_components: int, random: np.random.RandomState, weights: Doubles | None
) -> Labels:
    """Clusters of one run of k-means."""
    return cluster(rows, n_components, random, weights)


def kmeans_plus_plus(
    rows: Floats, n_components: int, random: np.random.RandomState, weights: Doubles | None
) -> Doubles:
    """Components at single rows, far from each other (Arthur and Vassilvitskii, 2007)."""
    return _on_rows(far_rows(rows, n_components, random, weights), len(rows))


def random_responsibilities(
    rows: Floats, n_components: int, random: np.random.RandomState, weights: Doubles | None
) -> Doubles:
    """Responsibilities drawn from the uniform distribution."""
    del weights
    drawn = random.uniform(size=(len(rows), n_components))
    return np.asarray(drawn / drawn.sum(axis=1, keepdims=True))


def random_rows(
    rows: Floats, n_components: int, random: np.random.RandomState, weights: Doubles | None
) -> Doubles:
    """Components at single rows, drawn without replacement."""
    odds = None if weights is None else weights / weights.sum()
    chosen = random.choice(len(rows), size=n_components, replace=False, p=odds)
    return _on_rows(chosen, len(rows))


def hierarchical(
    rows: Floats, n_components: int, random: np.random.RandomState, weights: Doubles | None
) -> Labels:
    """Clusters of Ward's method on a few thousand rows; each other row joins the nearest."""
    del weights
    from scipy.cluster.hierarchy import fcluster, linkage

    few = rows
    if len(rows) > _MOST_ROWS_FOR_WARD:
        few = rows[random.choice(len(rows), _MOST_ROWS_FOR_WARD, replace=False)]
    labels = np.zeros(1, dtype=int)
    if len(few) > 1:
        labels = fcluster(linkage(few, method="ward"), n_components, "maxclust") - 1
    centres = np.stack([few[labels == label].mean(axis=0) for label in np.unique(labels)])
    return _nearest(rows, centres)


def adaptive(
    rows: Floats, n_components: int, random: np.random.RandomState, weights: Doubles | None
) -> Labels:
    """Clusters about rows that the clusters before explain badly (Blömer and Bujna, 2013).

    Half of the odds are those of k-means++, with distances in units of each cluster's width, which
    is estimated anew for each draw.
    """
    x = rows.astype(np.float64, copy=False)
    own = np.ones(len(x)) if weights is None else weights
    centres = [x[random.choice(len(x), p=own / own.sum())]]
    labels = np.zeros(len(x), np.int64)
    distances = ((x - centres[0]) ** 2).sum(axis=1)
    for k in range(1, n_components):
        sums = np.bincount(labels, own * distances, minlength=k)
        widths = sums / np.maximum(np.bincount(labels, own, minlength=k), 1e-300)
        widths[widths == 0] = 1.0
        far = own * distances / widths[labels]
        odds = own / own.sum() + (far / far.sum() if far.any() else 0.0)
        centres.append(x[random.choice(len(x), p=odds / odds.sum())])
        new = ((x - centres[k]) ** 2).sum(axis=1)
        labels = np.where(new < distances, k, labels)
        distances = np.minimum(new, distances)
    return _nearest(rows, np.stack(centres))


@dataclass(frozen=True, eq=False)
class Nearest:
    """Clusters about given centres.

    Parameters
    ----------
    centres : ndarray of shape (K, D)
        In data units.
    """

    centres: Doubles

    def __call__(
        self,
        rows: Floats,
        n_components: int,
        random: np.random.RandomState,
        weights: Doubles | None,
    ) -> Labels:
        """Labels of rows; see this module's beginning."""
        del n_components, random, weights
        return _nearest(rows, self.centres)


def near_drawn_rows(draw: Initialiser) -> Initialiser:
    """Clusters about rows that another way draws: single rows make no covariances.

    That way returns responsibilities.
    """

    def clusters(
        rows: Floats, n_components: int, random: np.random.RandomState, weights: Doubles | None
    ) -> Labels:
        chosen = draw(rows, n_components, random, weights).argmax(axis=0)
        return _nearest(rows, rows[chosen])

    return clusters


def _nearest(rows: Floats, centres: Floats) -> Labels:
    from scipy.spatial.distance import cdist

    labels = np.empty(len(rows), np.int64)
    step = max(_DISTANCES // len(centres), 1)
    for start in range(0, len(rows), step):
        window = slice(start, start + step)
        labels[window] = cdist(rows[window], centres).argmin(axis=1)
    return labels


def _on_rows(chosen: np.ndarray[Any, Any], n_rows: int) -> Doubles:
    responsibilities = np.zeros((n_rows, len(chosen)))
    responsibilities[chosen, np.arange(len(chosen))] = 1
    return responsibilities


INITIALISERS: dict[str, Initialiser | None] = {
    "kmeans": kmeans,
    "k-means++": kmeans_plus_plus,
    "random": random_responsibilities,
    "random_from_data": random_rows,
    "hierarchical": hierarchical,
    "k-means||": None,
}
"""By name; ``None`` where centres are found over all rows, and `Nearest` takes them."""


def initialiser_named(name: str) -> Initialiser | None:
    """Look an initialisation up by the name that users give it."""
    if not isinstance(name, str) or name not in INITIALISERS:
        known = ", ".join(INITIALISERS)
        raise ConfigurationError(f"init_params={name!r} is not known.", f"Use one of: {known}.")
    return INITIALISERS[name]
