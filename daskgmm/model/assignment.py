"""From rows and given responsibilities to a mixture: how starts become parameters."""

import numpy as np

from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles, Floats


def moments_under(
    responsibilities: Doubles, rows: Floats, frame: Frame, covariance: Covariance
) -> Moments:
    """Moments of rows (D, n) in data coordinates under responsibilities (K, n).

    Second moments are taken about the means, so they lose nothing.
    """
    z = np.empty(rows.shape)
    frame.standardise(rows.astype(np.float64, copy=False), out=z)
    counts = responsibilities.sum(axis=1)
    safe = np.where(counts > 0, counts, 1.0)
    origins = (responsibilities @ z.T) / safe[:, np.newaxis]
    length = covariance.quadratic_length(len(z)) + len(z) + 1
    sums = np.zeros((length, len(counts)))
    sums[-1] = counts
    side = len(z) if covariance.needs_scatter else 0
    shared = np.zeros((side, side))
    for k, origin in enumerate(origins):
        centred = z - origin[:, np.newaxis]
        sums[length - 1 - len(z) : -1, k] = centred @ responsibilities[k]
        own = sums[: length - 1 - len(z), k]
        covariance.add_scatter(centred, responsibilities[k], own, shared)
    total = float(counts.sum())
    return Moments(origins, sums, shared, np.nan, total, rows.shape[1])
