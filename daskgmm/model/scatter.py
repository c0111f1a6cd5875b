"""The rows' total second moments, which tied covariances need beside the feature form."""

import numpy as np

from daskgmm.model.frame import Frame
from daskgmm.model.typing import Doubles, Floats

_SLAB_VALUES = 2**19


def scatter(rows: Floats, weights: Floats | None, frame: Frame) -> Doubles:
    """Second moments (D, D) of rows (D, n) about the frame's origin, in its units.

    Parameters
    ----------
    rows : ndarray of shape (D, n)
        In data coordinates.
    weights : ndarray of shape (n,) or None
    frame : Frame
    """
    n_features, n = rows.shape
    size = max(_SLAB_VALUES // max(n_features, 1), 1)
    total, z = np.zeros((n_features, n_features)), np.empty((n_features, min(size, n)))
    for start in range(0, n, size):
        slab = rows[:, start : start + size].astype(np.float64, copy=False)
        own = z[:, : slab.shape[1]]
        frame.standardise(slab, out=own)
        total += (own if weights is None else own * weights[start : start + size]) @ own.T
    return total
