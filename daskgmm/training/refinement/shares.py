"""Responsibilities of rows under a mixture, for the pairs of rows and components that count."""

from dataclasses import dataclass
from itertools import pairwise, starmap
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.kernels.base import Kernel
from daskgmm.model.mixture import Mixture
from daskgmm.model.parallel import each, parts_of_rows
from daskgmm.model.prediction import density_kernel
from daskgmm.model.responsibilities import normalise
from daskgmm.model.screening import directions, upper_bounds
from daskgmm.model.typing import Doubles, Floats

_LEAST = -40.0
"""Logarithm of a responsibility that rounding does not leave of 1, about: below, pairs may be
left out."""

PAIRS_TOGETHER = 2**20
"""Pairs whose logits, or bounds on them, a thread has in memory at a time, at the most."""

_ROWS_NORMALISED = 1024
"""Rows whose densities are copied to be summed."""


class Pairs(NamedTuple):
    """Pairs of components and rows, component by component.

    Parameters
    ----------
    starts : ndarray of int of shape (K + 1,)
        Where the pairs of each component begin, and the end.
    rows : ndarray of int of shape (m,)
        In increasing order for each component.
    logs : ndarray of shape (m,)
        Weighted log-densities, or logarithms of responsibilities.
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    logs: Doubles

    def of(self, component: int) -> tuple[NDArray[np.int32], Doubles]:
        """Rows of a component, and their logarithms."""
        own = slice(self.starts[component], self.starts[component + 1])
        return self.rows[own], self.logs[own]


@dataclass(frozen=True, eq=False)
class Shares:
    """Responsibilities of rows, but for those that are nothing beside the others.

    Parameters
    ----------
    parts : sequence of Pairs
        Of stretches of the rows one after another, with logarithms of responsibilities.
    log_densities : ndarray of shape (n,)
        Of the rows (nats).
    """

    parts: list[Pairs]
    log_densities: Doubles

    def of(self, component: int) -> tuple[NDArray[np.int32], Doubles]:
        """Rows that have something of a component, and the logarithms of their responsibilities."""
        rows, logs = zip(*(part.of(component) for part in self.parts), strict=True)
        return np.concatenate(rows), np.concatenate(logs)

    def at(self, component: int, rows: NDArray[np.int32]) -> Doubles:
        """Logarithms of responsibilities for some rows; minus infinity where they are left out."""
        own, logs = self.of(component)
        if not len(own):
            return np.full(len(rows), -np.inf)
        place = np.minimum(np.searchsorted(own, rows), len(own) - 1)
        return np.where(own[place] == rows, logs[place], -np.inf)


def shares_of_all(
    mixture: Mixture, rows: Floats, frame: Frame, dtype: np.dtype[np.floating]
) -> Shares:
    """Responsibilities of rows (D, n) in data units, from the logits of all pairs.

    Parameters
    ----------
    mixture : Mixture
    rows : ndarray of shape (D, n)
    frame : Frame
    dtype : dtype
        What rows are computed in.
    """
    n_rows = rows.shape[1]
    densities = np.empty(n_rows)

    def found(part: slice) -> Pairs:
        kernel: Kernel = density_kernel(mixture, dtype, compiled=False)([mixture], frame, dtype)
        logits = np.empty((mixture.n_components, part.stop - part.start))
        for start in range(0, logits.shape[1], kernel.slab):
            window = slice(start, start + kernel.slab)
            logits[:, window] = kernel.logits(rows[:, part][:, window])
        for start in range(0, logits.shape[1], _ROWS_NORMALISED):
            own = logits[:, start : start + _ROWS_NORMALISED]
            density = normalise(own.copy(), mixture.noise_logit)
            own -= density
            densities[part][start : start + _ROWS_NORMALISED] = density
        kept = logits > _LEAST
        return Pairs(*_places(kept, part.start), logits[kept])

    length = mixture.covariance.feature_length(mixture.n_features)
    return Shares(each(found, _stretches(n_rows, mixture.n_components, 2.0 * length)), densities)


def shares_within_bounds(mixture: Mixture, z: Doubles) -> Shares:
    """Responsibilities of rows z (D, n) in frame coordinates, from the logits that bounds leave.

    Parameters
    ----------
    mixture : Mixture
        Whose components have matrices of their own.
    z : ndarray of shape (D, n)
    """
    along = directions(mixture, mixture.factors)
    n_rows = z.shape[1]
    densities = np.empty(n_rows)

    def found(part: slice) -> Pairs:
        own = z[:, part]
        upper = upper_bounds(mixture, along, own)
        likeliest = upper.argmax(axis=0)
        order = np.argsort(likeliest, kind="stable")
        starts = _edges(np.bincount(likeliest, minlength=mixture.n_components))
        lower = np.empty(len(order))
        lower[order] = _logits(mixture, own, starts, order)
        starts, rows = _places(upper >= lower + _LEAST, 0)
        del upper
        logs = _logits(mixture, own, starts, rows)
        peak = np.full(len(order), mixture.noise_logit)
        np.maximum.at(peak, rows, logs)
        total = np.bincount(rows, np.exp(logs - peak[rows]), len(order))
        total += np.exp(mixture.noise_logit - peak)
        densities[part] = np.log(total) + peak
        logs -= densities[part][rows]
        rows += part.start
        return Pairs(starts, rows, logs)

    a_pair = along[0].size
    return Shares(each(found, _stretches(n_rows, mixture.n_components, a_pair)), densities)


def _stretches(n_rows: int, n_components: int, a_pair: float) -> list[slice]:
    """Stretches of the rows, for so many multiplications of a pair."""
    pairs = n_rows * n_components
    count = max(len(parts_of_rows(n_rows, pairs * a_pair)), -(-pairs // PAIRS_TOGETHER))
    edges = [n_rows * number // count for number in range(count + 1)]
    return list(starmap(slice, pairwise(edges)))


def _places(pairs: NDArray[np.bool_], first: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Where the pairs of each component begin, and their rows, of which the first has a number."""
    starts = _edges(np.count_nonzero(pairs, axis=1))
    rows = np.empty(starts[-1], np.int32)
    for own, (begin, stop) in zip(pairs, pairwise(starts.tolist()), strict=True):
        rows[begin:stop] = np.flatnonzero(own)
    rows += first
    return starts, rows


def _logits(
    mixture: Mixture, z: Doubles, starts: NDArray[np.int64], rows: NDArray[np.integer[Any]]
) -> Doubles:
    """Weighted log-densities (m,) of rows under components, component by component."""
    found = np.empty(len(rows))
    for k, (first, stop) in enumerate(pairwise(starts.tolist())):
        if stop > first:
            found[first:stop] = log_densities_under(mixture, k, z[:, rows[first:stop]])
    return found


def log_densities_under(mixture: Mixture, component: int, z: Doubles) -> Doubles:
    """Weighted log-densities (n,) of rows z (D, n), which are overwritten, under a component."""
    z -= mixture.means[component][:, np.newaxis]
    distances = mixture.covariance.distances(z, mixture.factors, component)
    return np.asarray(mixture.log_normalisers[component] - 0.5 * distances)


def _edges(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where stretches of so many begin and end."""
    return np.concatenate([[0], np.cumsum(counts)])
