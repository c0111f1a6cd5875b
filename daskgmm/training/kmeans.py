"""k-means on rows in memory, with the random numbers and the stopping rule of scikit-learn's.

On the same rows and seed both find the same clusters, but for rounding. scikit-learn's own would
bring 120 MiB of libraries into each worker that searches for starts, and two seconds to load them.

Sources: Lloyd, 1982; Arthur and Vassilvitskii, 2007, who draw centres far apart, each as the best
of a few tries.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from daskgmm.model.parallel import Turns, each, parts_of_rows
from daskgmm.model.typing import Doubles, Floats

_DISTANCES = 2**18
"""Distances of rows from centres in memory at a time: 2 MB, which the processor's cache holds."""

_A_DISTANCE = 400
"""Multiplications that take as long as what else is done for a row's distance from a tried one."""

_MOST_ROUNDS = 300
_TOLERANCE = 1e-4
"""Centres stay where their squared shifts sum to at most this share of the columns' variance."""


def cluster(
    rows: Floats, n_clusters: int, random: np.random.RandomState, weights: Doubles | None
) -> NDArray[np.int64]:
    """Cluster rows by one run of k-means from centres far apart.

    Parameters
    ----------
    rows : ndarray of shape (n, D)
    n_clusters : int
        K.
    random : RandomState
    weights : ndarray of shape (n,), or None
        Weights of the rows; ``None`` if all are 1.

    Returns
    -------
    ndarray of shape (n,)
        Cluster of each row, 0 to K - 1. Clusters may be empty where rows coincide.
    """
    x, own = centred(rows), given_weights(weights, len(rows))
    return lloyd(x, x[_far_rows(x, n_clusters, random, own)], own)[0]


def lloyd(
    x: Doubles, centres: Doubles, weights: Doubles, rounds: int = _MOST_ROUNDS
) -> tuple[NDArray[np.int64], Doubles]:
    """Move centres (K, D) to the means of the centred rows (n, D) that are nearest to each.

    Until they stay, or for so many rounds.

    Returns
    -------
    labels : ndarray of shape (n,)
        Each row's nearest centre.
    centres : ndarray of shape (K, D)
    """
    tolerance = _TOLERANCE * x.var(axis=0).mean()
    labels, before = np.empty(len(x), np.int64), np.full(len(x), -1)
    for _ in range(rounds):
        assign(x, centres, labels)
        if np.array_equal(labels, before):
            return labels, centres
        moved = means(x, weights, labels, centres)
        shift = ((moved - centres) ** 2).sum()
        centres, before[:] = moved, labels
        if shift <= tolerance:
            break
    assign(x, centres, labels)
    return labels, centres


def far_rows(
    rows: Floats, n_rows: int, random: np.random.RandomState, weights: Doubles | None
) -> NDArray[np.int64]:
    """Draw rows that are far from each other, by k-means++.

    Parameters
    ----------
    rows : ndarray of shape (n, D)
    n_rows : int
        How many are drawn.
    random : RandomState
    weights : ndarray of shape (n,), or None
        Weights of the rows; ``None`` if all are 1.

    Returns
    -------
    ndarray of shape (n_rows,)
        Their numbers.
    """
    return _far_rows(centred(rows), n_rows, random, given_weights(weights, len(rows)))


def _far_rows(
    x: Doubles, n_rows: int, random: np.random.RandomState, weights: Doubles
) -> NDArray[np.int64]:
    """Draw rows with odds of their squared distance from those before, the best of a few tries."""
    tries, squares = n_tries(n_rows), squared_lengths(x)
    chosen = np.empty(n_rows, np.int64)
    chosen[0] = random.choice(len(x), p=weights / weights.sum())
    work = np.empty((tries, len(x)))
    nearest = _distances(x, squares, chosen[:1], slice(None), work[:1])[0].copy()
    total = nearest @ weights
    for number in range(1, n_rows):
        drawn = random.uniform(size=tries) * total
        chosen[number], nearest, total = farther(x, squares, weights, nearest, drawn, work)
    return chosen


def n_tries(n_rows: int) -> int:
    """Number of tries for each of so many rows that are drawn far from each other."""
    return 2 + int(math.log(n_rows))


def farther(
    x: Doubles,
    squares: Doubles,
    weights: Doubles,
    nearest: Doubles,
    drawn: Doubles,
    work: Doubles,
) -> tuple[int, Doubles, float]:
    """One more row far from those before: the best of a few tries.

    Parameters
    ----------
    x : ndarray of shape (n, D)
    squares, weights : ndarray of shape (n,)
        Squared lengths of the rows, and their weights.
    nearest : ndarray of shape (n,)
        Squared distance of each row from the nearest of those before.
    drawn : ndarray of shape (tries,)
        Uniform random numbers from 0 to the sum of the weighted distances.
    work : ndarray of shape (tries, n)
        A work array.

    Returns
    -------
    row : int
    nearest : ndarray of shape (n,)
        Squared distances beside that row.
    total : float
        Sum of the weighted distances.
    """
    tried = np.cumsum(weights * nearest).searchsorted(drawn).clip(max=len(x) - 1)

    def beside(own: slice) -> tuple[Doubles, Doubles]:
        distances = _distances(x, squares, tried, own, work[:, own])
        np.minimum(nearest[own], distances, out=distances)
        return distances, distances @ weights[own]

    parts = parts_of_rows(len(x), (x.shape[1] + _A_DISTANCE) * float(nearest.size * len(tried)))
    distances, sums = zip(*each(beside, parts), strict=True)
    totals = sum(sums[1:], start=sums[0])
    best = totals.argmin()
    found = np.concatenate([part[best] for part in distances])
    return int(tried[best]), found, float(totals[best])


def centred(rows: Floats) -> Doubles:
    """Rows about their mean, so that products keep the digits of distances."""
    return np.asarray(rows - rows.mean(axis=0, dtype=np.float64))


def given_weights(weights: Doubles | None, n_rows: int) -> Doubles:
    """Weights (n,) of rows that have none, or their own."""
    return np.ones(n_rows) if weights is None else weights


def squared_lengths(x: Doubles) -> Doubles:
    """Squared lengths (n,) of rows (n, D)."""
    return np.asarray(np.einsum("nd,nd->n", x, x))


def _distances(
    x: Doubles, squares: Doubles, chosen: NDArray[np.int64], own: slice, out: Doubles
) -> Doubles:
    """Write squared distances (m, n) of a stretch of rows from chosen ones to out."""
    found = np.matmul(x[chosen], x[own].T, out=out)
    found *= -2
    found += squares[chosen, np.newaxis]
    found += squares[own]
    return np.maximum(found, 0, out=found)


def assign(x: Doubles, centres: Doubles, labels: NDArray[np.int64]) -> None:
    """Write each row's nearest centre, the first of equal ones."""

    def write(window: slice, distances: Doubles) -> None:
        distances.argmin(axis=1, out=labels[window])

    _compare(x, centres, write)


def approach(x: Doubles, squares: Doubles, chosen: NDArray[np.int64], nearest: Doubles) -> None:
    """Write the least of each row's squared distance so far and those from chosen rows.

    Parameters
    ----------
    x : ndarray of shape (n, D)
    squares : ndarray of shape (n,)
        Squared lengths of the rows.
    chosen : ndarray of int
        Numbers of rows.
    nearest : ndarray of shape (n,)
    """

    def write(window: slice, distances: Doubles) -> None:
        least = distances.min(axis=1)
        least += squares[window]
        np.minimum(nearest[window], np.maximum(least, 0, out=least), out=nearest[window])

    _compare(x, x[chosen], write)
    nearest[chosen] = 0


def _compare(x: Doubles, centres: Doubles, write: Callable[[slice, Doubles], None]) -> None:
    """Call write with stretches of rows and their squared distances from centres.

    These are less the rows' own squared lengths.
    """
    scaled, squares = -2 * centres.T, squared_lengths(centres)
    step = max(_DISTANCES // len(centres), 1)
    arrays, new = Turns[Doubles](), partial(np.empty, (min(step, len(x)), len(centres)))

    def compare(window: slice) -> None:
        own = x[window]
        with arrays.one(new) as array:
            distances = np.matmul(own, scaled, out=array[: len(own)])
            distances += squares
            write(window, distances)

    each(compare, [slice(start, start + step) for start in range(0, len(x), step)])


def means(x: Doubles, weights: Doubles, labels: NDArray[np.int64], centres: Doubles) -> Doubles:
    """Means (K, D) of the clusters; one without rows gets a row far from its centre."""
    k = len(centres)
    sums = csc_array((weights, labels, np.arange(len(x) + 1)), shape=(k, len(x))) @ x
    masses = np.bincount(labels, weights, minlength=k)
    empty = np.flatnonzero(masses == 0)
    if len(empty):
        distances = ((x - centres[labels]) ** 2).sum(axis=1)
        if distances.any():
            far = np.argpartition(distances, -len(empty))[: -len(empty) - 1 : -1]
            for label, row in zip(empty, far, strict=True):
                taken = weights[row] * x[row]
                sums[labels[row]] -= taken
                masses[labels[row]] -= weights[row]
                sums[label], masses[label] = taken, weights[row]
    held = masses > 0
    found = centres.copy()
    found[held] = sums[held] / masses[held, np.newaxis]
    return found
