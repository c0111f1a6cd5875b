"""Components joined into clusters, pair after pair, until all are one."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance import covariance_named
from daskgmm.model.mixture import Mixture
from daskgmm.model.questions.distances import bhattacharyya
from daskgmm.model.typing import Doubles, Floats

Cluster = tuple[int, ...]
"""Components of a cluster, in ascending order."""

_NEGLIGIBLE = 1e-13
"""Responsibility below which a row says nothing about a cluster: it adds less than 1e-11 nats."""

_LEAST_OVERLAP = 0.1
"""Bhattacharyya coefficient down to which clusters are one (Hennig, 2010, sec. 4.2)."""


@dataclass(frozen=True)
class MergePath:
    """The order in which K components are joined.

    Parameters
    ----------
    joined : tuple of (Cluster, Cluster)
        The K - 1 pairs of clusters that are joined, in order.
    values : tuple of float
        For each number of clusters from K down to 1 its entropy (nats a row), or the Bhattacharyya
        distance (nats) of the pair that was joined last, NaN for K.
    n_clusters : int
        The number of clusters that the values suggest.
    """

    joined: tuple[tuple[Cluster, Cluster], ...]
    values: tuple[float, ...]
    n_clusters: int

    @property
    def n_components(self) -> int:
        """Number K of components."""
        return len(self.values)

    @property
    def pairs(self) -> NDArray[np.int64]:
        """The pairs (K - 1, 2) of clusters, each by its first component."""
        found = [(first[0], second[0]) for first, second in self.joined]
        return np.array(found, np.int64).reshape(-1, 2)

    @classmethod
    def of_pairs(cls, pairs: NDArray[np.int64], values: Doubles, n_clusters: int) -> Self:
        """Make a path from its `pairs`.

        Raises
        ------
        KeyError, ValueError
            They are not those of a path.
        """
        clusters: dict[int, Cluster] = {k: (k,) for k in range(len(values))}
        joined = []
        for one, other in pairs.tolist():
            pair = clusters.pop(one), clusters.pop(other)
            joined.append(pair)
            clusters[min(one, other)] = tuple(sorted(pair[0] + pair[1]))
        if len(clusters) != 1 or not 1 <= n_clusters <= len(values):
            raise ValueError("its clusters do not end in one")
        return cls(tuple(joined), tuple(values.tolist()), n_clusters)

    def clusters(self, n_clusters: int) -> NDArray[np.int64]:
        """The cluster (K,) of each component; numbers go by the clusters' first components."""
        found = np.arange(self.n_components)
        for first, second in self.joined[: self.n_components - n_clusters]:
            found[[*first, *second]] = min(*first, *second)
        return np.unique(found, return_inverse=True)[1].astype(np.int64)


def by_entropy(shares: Floats, weights: Doubles | None = None) -> MergePath:
    """Join the pair that lowers the entropy of the clusters most, again and again.

    The entropy is ``-sum(t log t)`` of the rows' probabilities t of their clusters, and a joined
    cluster's are the sums of its components' (Baudry, Raftery, Celeux, Lo and Gottardo, 2010,
    sec. 3). The number of clusters is where two lines fit the entropies best (sec. 4).

    Parameters
    ----------
    shares : ndarray of shape (n, K)
        Probability of each component given each row.
    weights : ndarray of shape (n,), optional
        Sample weights.
    """
    t = np.array(shares, np.float64, order="F")
    weights = np.ones(len(t)) if weights is None else weights
    n_components = t.shape[1]
    clusters: dict[int, Cluster] = {k: (k,) for k in range(n_components)}
    gains = np.full((n_components, n_components), -np.inf)
    for k in range(n_components):
        gains[k, k + 1 :] = _gains(t, weights, k, np.arange(k + 1, n_components))
    logs = np.log(t, out=np.zeros_like(t), where=t > 0)
    values = [-float(weights @ (t * logs).sum(axis=1))]
    joined = []
    for _ in range(n_components - 1):
        first, second = (int(at) for at in np.unravel_index(gains.argmax(), gains.shape))
        joined.append((clusters[first], clusters[second]))
        values.append(values[-1] - float(gains[first, second]))
        clusters[first] = tuple(sorted(clusters[first] + clusters.pop(second)))
        t[:, first] += t[:, second]
        t[:, second] = 0
        gains[second], gains[:, second] = -np.inf, -np.inf
        others = np.array([k for k in clusters if k != first], np.int64)
        found = _gains(t, weights, first, others)
        gains[np.minimum(others, first), np.maximum(others, first)] = found
    values[-1] = 0.0  # all in one cluster
    total = weights.sum()
    entropies = tuple(max(value / total, 0.0) for value in values)
    return MergePath(tuple(joined), entropies, elbow(entropies))


def _gains(t: Doubles, weights: Doubles, k: int, with_: NDArray[np.int64]) -> Doubles:
    """Entropy that joining cluster k with each of these takes away."""
    rows = np.flatnonzero(t[:, k] > _NEGLIGIBLE)
    own, others = t[rows, k][:, np.newaxis], t[np.ix_(rows, with_)]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        gain = own * np.log1p(others / own) + others * np.log1p(own / others)
    gain[others <= _NEGLIGIBLE] = 0
    return np.asarray(weights[rows] @ gain)


def elbow(values: tuple[float, ...]) -> int:
    """The number of clusters at which two lines through it fit best; `values` are for K to 1.

    The last of its left line and first of its right one is the same point, and the sum of squares
    is the least. Fewer than three values have no elbow: all clusters are kept.
    """
    y = np.array(values[::-1])
    x = np.arange(1.0, len(y) + 1)
    if len(y) < 3:
        return len(y)
    sums = [
        _off_line(x[: at + 1], y[: at + 1]) + _off_line(x[at:], y[at:])
        for at in range(1, len(y) - 1)
    ]
    return int(np.argmin(sums)) + 2


def _off_line(x: Doubles, y: Doubles) -> float:
    """Sum of squares about the least-squares line."""
    x, y = x - x.mean(), y - y.mean()
    return float(((y - x * (x @ y) / (x @ x)) ** 2).sum())


def by_overlap(mixture: Mixture) -> MergePath:
    """Join the pair of clusters of least Bhattacharyya distance, again and again.

    A cluster counts as the Gaussian with its mean and covariance (Hennig, 2010, sec. 4.2). The
    number of clusters is what remains once no pair overlaps by a coefficient of 0.1.
    """
    n_components = mixture.n_components
    full = covariance_named("full")
    arrays = (
        np.array(mixture.covariance.as_matrices(values, mixture.shape))
        for values in (mixture.covariances, mixture.factors)
    )
    state = Mixture(full, mixture.weights, mixture.means, *arrays)
    clusters: list[Cluster] = [(k,) for k in range(n_components)]
    distances = bhattacharyya(state, state)
    np.fill_diagonal(distances, np.inf)
    joined, values = [], [np.nan]
    for _ in range(n_components - 1):
        first, second = sorted(
            int(at) for at in np.unravel_index(distances.argmin(), distances.shape)
        )
        if np.isinf(distances[first, second]):  # none is near: by their numbers
            first, second = 0, 1
        values.append(float(distances[first, second]))
        joined.append((clusters[first], clusters[second]))
        clusters[first] = tuple(sorted(clusters[first] + clusters.pop(second)))
        state = _joined(state, first, second)
        distances = np.delete(np.delete(distances, second, 0), second, 1)
        own = bhattacharyya(state.of_components(np.array([first])), state)[0]
        own[first] = np.inf
        distances[first], distances[:, first] = own, own
    near = np.array(values[1:]) <= -np.log(_LEAST_OVERLAP)
    steps = len(near) if near.all() else int(np.argmin(near))
    return MergePath(tuple(joined), tuple(values), n_components - steps)


def _joined(state: Mixture, first: int, second: int) -> Mixture:
    """The mixture with one component in place of two, of their mean and covariance."""
    pair = [first, second]
    weights = state.weights[pair]
    total = weights.sum()
    shares = weights / total if total > 0 else np.full(2, 0.5)
    gap = state.means[first] - state.means[second]
    # Of a triangle, as the sum itself may be as good as singular: narrow clusters far apart. The
    # gap's row comes first, because small rows keep their digits below large ones.
    halves = np.sqrt(shares)[:, np.newaxis, np.newaxis] * np.linalg.inv(state.factors[pair])
    stacked = np.concatenate([np.sqrt(shares.prod()) * gap[np.newaxis], *halves])
    triangle = np.asarray(np.linalg.qr(stacked, mode="r"))
    triangle *= np.sign(np.diagonal(triangle))[:, np.newaxis]
    found = (
        total,
        shares @ state.means[pair],
        triangle.T @ triangle,
        np.triu(np.linalg.inv(triangle)),
    )
    arrays = [state.weights, state.means, state.covariances, state.factors]
    for at, value in enumerate(found):
        arrays[at] = np.delete(arrays[at], second, axis=0)
        arrays[at][first] = value
    return Mixture(state.covariance, *arrays)
