"""Moments of rows under given responsibilities or labels, by which starts become mixtures.

Second moments are taken about the components' means, so there is no cancellation.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.moments import Moments
from daskgmm.model.parallel import each, slices_of_components
from daskgmm.model.typing import Doubles, Floats


def moments_under(
    responsibilities: Doubles, rows: Floats, frame: Frame, covariance: Covariance
) -> Moments:
    """Moments of rows (D, n) in data coordinates under responsibilities (K, n)."""
    z = _standardised(rows, frame)
    counts = responsibilities.sum(axis=1)
    safe = np.where(counts > 0, counts, 1.0)
    origins = (responsibilities @ z.T) / safe[:, np.newaxis]

    def centred(k: int) -> tuple[Floats, Doubles]:
        gamma = responsibilities[k]
        near = gamma > 0  # of single rows, each belongs to one
        own, gamma = (z, gamma) if near.all() else (z[:, near], gamma[near])
        return own - origins[k, :, np.newaxis], gamma

    return _moments(origins, counts, centred, rows.shape[1], covariance)


def moments_of_clusters(
    labels: NDArray[np.int64],
    n_components: int,
    rows: Floats,
    weights: Doubles | None,
    frame: Frame,
    covariance: Covariance,
) -> Moments:
    """Moments of rows (D, n) in data coordinates that belong to one component each.

    It takes about ``n D^2`` multiplications, however many components there are.

    Parameters
    ----------
    labels : ndarray of int of shape (n,)
        Component of each row.
    n_components : int
    rows : ndarray of shape (D, n)
    weights : ndarray of shape (n,) or None
    frame : Frame
    covariance : Covariance
    """
    own = np.ones(len(labels)) if weights is None else weights
    counts = np.bincount(labels, own, minlength=n_components).astype(np.float64, copy=False)
    order = np.argsort(labels, kind="stable")
    edges = np.searchsorted(labels[order], np.arange(n_components + 1))
    origins = np.zeros((n_components, len(rows)))

    def centred(k: int) -> tuple[Floats, Doubles]:
        chosen = order[edges[k] : edges[k + 1]]
        z, gamma = _standardised(rows[:, chosen], frame), own[chosen]
        if counts[k] > 0:
            origins[k] = z @ gamma / counts[k]
        return z - origins[k, :, np.newaxis], gamma

    return _moments(origins, counts, centred, rows.shape[1], covariance)


def _standardised(rows: Floats, frame: Frame) -> Doubles:
    z = np.empty(rows.shape)
    frame.standardise(rows.astype(np.float64, copy=False), out=z)
    return z


def _moments(
    origins: Doubles,
    counts: Doubles,
    centred: Callable[[int], tuple[Floats, Doubles]],
    n_rows: int,
    covariance: Covariance,
) -> Moments:
    """Moments of each component's rows about its origin, and their responsibilities."""
    n_components, n_features = origins.shape
    first = covariance.quadratic_length(n_features)
    sums = np.zeros((first + n_features + 1, len(counts)))
    sums[-1] = counts
    side = n_features if covariance.needs_scatter else 0
    shared = np.zeros((side, side))

    def add(components: slice) -> None:
        for k in range(n_components)[components]:
            own, gamma = centred(k)
            sums[first:-1, k] = own @ gamma
            covariance.add_scatter(own, gamma, sums[:first, k], shared)

    # What components share is summed from the first to the last.
    alone = [slice(None)] if shared.size else slices_of_components(n_components, n_features)
    each(add, alone)
    return Moments(origins, sums, shared, np.nan, float(counts.sum()), n_rows)
