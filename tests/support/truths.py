"""Mixtures of known truth, of which rows are drawn: a fit can be held against what made them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SPREAD = {2: 1.5, 5: 0.7, 10: 0.42}
"""Standard deviation of the means along each column, by the number of columns.

Deviations within components go up to 1, so that they overlap: labels by the truth itself have an
adjusted Rand index of about 0.75 on average.
"""

THINNEST = 0.2
"""Least deviation of a component along one of its axes."""

SCALE = 1000.0
"""Factor on the one column in other units."""


@dataclass(frozen=True, eq=False)
class Truth:
    """A mixture of Gaussians with full covariances.

    Parameters
    ----------
    weights : ndarray of shape (K,)
    means : ndarray of shape (K, D)
    roots : ndarray of shape (K, D, D)
        Covariances are ``root @ root.T``.
    """

    weights: np.ndarray
    means: np.ndarray
    roots: np.ndarray

    def draw(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n, D) and the component (n,) of each."""
        rng = np.random.default_rng(seed)
        labels = rng.choice(len(self.weights), size=n, p=self.weights)
        rows = rng.normal(size=(n, self.means.shape[1]))
        for k, (mean, root) in enumerate(zip(self.means, self.roots, strict=True)):
            rows[labels == k] = mean + rows[labels == k] @ root.T
        return rows, labels

    def start(self) -> dict[str, object]:
        """Constructor parameters of a mixture that starts here."""
        inverses = np.linalg.inv(self.roots)
        return {
            "n_components": len(self.weights),
            "weights_init": self.weights,
            "means_init": self.means,
            "precisions_init": inverses.transpose(0, 2, 1) @ inverses,
        }


def truth(
    seed: int,
    n_features: int,
    n_components: int,
    *,
    rare: Sequence[float] = (),
    scaled: bool = False,
    apart: float = 1.0,
    thinnest: float = THINNEST,
) -> Truth:
    """Overlapping components with random axes and unequal weights: the same for the same seed.

    Parameters
    ----------
    seed : int
    n_features : int
        Number D of columns: 2, 5 or 10.
    n_components : int
    rare : sequence of float
        Weights of the first components; the others share the rest.
    scaled : bool
        Whether one column is in other units than the others.
    apart : float
        Factor on the usual distances between means.
    thinnest : float
        Least deviation of a component along one of its axes.
    """
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(n_components, 5.0))
    if rare:
        weights[: len(rare)] = rare
        weights[len(rare) :] *= (1 - sum(rare)) / weights[len(rare) :].sum()
    means = apart * SPREAD[n_features] * rng.normal(size=(n_components, n_features))
    deviations = np.exp(rng.uniform(np.log(thinnest), 0, size=(n_components, 1, n_features)))
    axes = np.linalg.qr(rng.normal(size=(n_components, n_features, n_features)))[0]
    units = np.ones(n_features)
    if scaled:
        units[rng.integers(n_features)] = SCALE
    return Truth(weights, means * units, units[:, np.newaxis] * axes * deviations)


def any_matrices(seed: int, n_features: int, n_components: int, *, spread: float) -> Truth:
    """Components of equal weight with any matrices for roots: some are thin in some direction.

    Parameters
    ----------
    seed, n_features, n_components : int
    spread : float
        Standard deviation of the means along each column; rows have 1.1 about their mean.
    """
    rng = np.random.default_rng(seed)
    means = spread * rng.normal(size=(n_components, n_features))
    roots = rng.normal(size=(n_components, n_features, n_features)) / np.sqrt(n_features)
    roots += np.eye(n_features) / 2
    return Truth(np.full(n_components, 1 / n_components), means, roots)
