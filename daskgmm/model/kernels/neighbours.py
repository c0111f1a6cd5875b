"""Which components can share a row at all, where there are hundreds that lie apart.

Take rows that are usual for component i: all but one in a few thousand, if they are Gaussian. Their
whitened coordinates are no longer than some r, so in the direction u of another component j, at a
distance d, they reach ``r |C_i.T u|`` at most, where C_i is a factor of the covariance. And their
whitened distance from j is at least the plain one along u, over ``|C_j.T u|``. Where this leaves j
further below than its gap, the two are no neighbours. So a row that is usual for a component is
shared out among the neighbours of that one, and no other is looked at.

Most pairs are ruled out without u: distances are measured in coordinates in which components are
round on the average, and the longest deviation takes the place of that along u. (Elkan, "Using the
triangle inequality to accelerate k-means", ICML 2003, passes over centres of k-means likewise.)

The component that a row is held against first needs no proof: the nearest mean is sought in the few
groups of components whose centres are nearest. A row that is not usual for it is held against all.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.kernels.arguments import Model, NeighbourLists
from daskgmm.model.kernels.overlap import (
    FEWEST_CLOSE,
    MOST_CLOSE,
    WhitenedComponents,
    close_pairs,
    pairs_that_share,
    rounding,
)
from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles, Floats

FEWEST = 512
"""Components, from which on neighbours pay."""

MOST_NEIGHBOURS = 0.02
"""Share of the components that may be neighbours, on the average."""

FEWEST_ROWS, MOST_VALUES = 4096, 2**21
"""Limits of the rows that are sorted together, and of their numbers."""

COPIES = 6
"""Of the rows that are sorted together."""

_ROUNDS = 5
"""Of k-means, which groups the means."""

_PROBED = 3
"""Groups in which a row's nearest mean is sought."""


def stretch_rows(n_components: int, n_features: int) -> int:
    """Rows that are sorted together: several a component, if memory allows."""
    return int(np.clip(8 * n_components, FEWEST_ROWS, max(MOST_VALUES // n_features, FEWEST_ROWS)))


def sorting_values(n_components: int, n_features: int) -> int:
    """Numbers of double precision, at the most, that are held to know neighbours and sort rows.

    These are six copies of the rows that are sorted together; pairs of components; and covariances
    in other coordinates, with their squares and the work on these.
    """
    if n_components < FEWEST:
        return 0
    rows = COPIES * stretch_rows(n_components, n_features) * n_features
    pairs = 9 * max(MOST_CLOSE * n_components**2, FEWEST_CLOSE)
    return int(rows + pairs + 4 * n_components * n_features**2)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Components by their distances from each other.

    Parameters
    ----------
    turn : ndarray of shape (D, D)
        From frame coordinates to those of the distances.
    means : ndarray of shape (K, D)
        In these.
    reach : ndarray of shape (K,)
        Largest squared distance of usual rows from the mean.
    near : NeighbourLists
        What the loop needs.
    groups : tuple of ndarray of int
        Components that lie together.
    centres : ndarray of shape (G, D)
        Of the groups.
    rank : ndarray of int of shape (K,)
        Place of each component in the order of the groups.
    """

    turn: Doubles
    means: Doubles
    reach: Doubles
    near: NeighbourLists
    groups: tuple[NDArray[np.int64], ...]
    centres: Doubles
    rank: NDArray[np.int64]

    @classmethod
    def of(cls, mixture: Mixture, model: Model) -> Self | None:
        """Neighbours in a mixture, or ``None`` where they do not pay.

        Parameters
        ----------
        mixture : Mixture
        model : Model
            Its arrays for the loop.
        """
        own = model.whitens and len(model.factors) == mixture.n_components
        if mixture.n_components < FEWEST or not own:
            return None
        with np.errstate(all="ignore"):  # what is no number rules nothing out
            turn = rounding(np.einsum("k,kde->de", mixture.weights, mixture.covariances))
            whitened = WhitenedComponents.of(turn, mixture, model)
            close = close_pairs(whitened)
            near = None if close is None else pairs_that_share(whitened, close)
        if near is None or near.nnz > MOST_NEIGHBOURS * mixture.n_components**2:
            return None
        labels, centres = _grouped(whitened.means)
        order = np.argsort(labels, kind="stable")
        groups = np.split(order, np.searchsorted(labels[order], np.arange(1, len(centres))))
        starts, neighbours = near.indptr.astype(np.int64), near.indices.astype(np.int64)
        return cls(
            turn,
            whitened.means,
            whitened.reach**2,
            NeighbourLists(starts, neighbours, whitened.least),
            tuple(groups),
            centres,
            np.argsort(order),
        )

    @property
    def stretch(self) -> int:
        """Rows that are sorted together."""
        return stretch_rows(*self.means.shape)

    def sort(
        self, rows: Floats, frame: Frame
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Order rows (D, n) in data coordinates by a component whose mean is near.

        Returns
        -------
        order : ndarray of int of shape (n,)
        nearest : ndarray of int of shape (n,)
            Components, in this order.
        usual : ndarray of bool of shape (n,)
            Whether rows are at a usual distance from their means, in this order.
        """
        z = np.empty(rows.shape)
        with np.errstate(all="ignore"):
            frame.standardise(rows.astype(np.float64, copy=False), out=z)
            own = z.T @ self.turn.T
            nearest = self._nearest(own.astype(np.float32))
            order = np.argsort(self.rank[nearest], kind="stable")
            nearest = nearest[order]
            own = own[order] - self.means[nearest]
            usual = np.einsum("nd,nd->n", own, own) <= self.reach[nearest]
        return order, nearest, usual

    def _nearest(self, own: Floats) -> NDArray[np.int64]:
        nearest, least = np.zeros(len(own), np.int64), np.full(len(own), np.inf, own.dtype)
        means = self.means.astype(own.dtype)
        to_groups, every = _half_squares(own, self.centres.astype(own.dtype)), np.arange(len(own))
        for _ in range(min(_PROBED, len(self.groups))):
            chosen = to_groups.argmin(axis=1)
            to_groups[every, chosen] = np.inf
            order = np.argsort(chosen, kind="stable")
            cuts = np.searchsorted(chosen[order], np.arange(1, len(self.groups)))
            for members, rows in zip(self.groups, np.split(order, cuts), strict=True):
                found = _half_squares(own[rows], means[members])
                best = found.argmin(axis=1)
                squares = found[every[: len(rows)], best]
                better = squares < least[rows]
                least[rows[better]] = squares[better]
                nearest[rows[better]] = members[best[better]]
        return nearest


def _grouped(means: Doubles) -> tuple[NDArray[np.int64], Doubles]:
    """Groups (K,) of means that lie together, by k-means, and their centres (G, D).

    A group that loses all its means, as where some are equal, is left out.
    """
    n_groups = 2 * int(np.sqrt(len(means)))
    centres = means[np.random.default_rng(0).choice(len(means), n_groups, replace=False)]
    for _ in range(_ROUNDS):
        nearest = _half_squares(means, centres).argmin(axis=1)
        _, labels, sizes = np.unique(nearest, return_inverse=True, return_counts=True)
        centres = np.zeros((len(sizes), means.shape[1]))
        np.add.at(centres, labels, means)
        centres /= sizes[:, np.newaxis]
    return labels, centres


def _half_squares(points: Floats, centres: Floats) -> Floats:
    """Half the squared distances (n, G), less half the squares of the points."""
    found = points @ centres.T
    np.subtract(np.einsum("gd,gd->g", centres, centres) / 2, found, out=found)
    return found
