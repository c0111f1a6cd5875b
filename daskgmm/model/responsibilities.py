"""From weighted log-densities to responsibilities, for several mixtures at once."""

from collections.abc import Sequence

import numpy as np

from daskgmm.model.typing import Floats


def segments_of(sizes: Sequence[int]) -> list[slice]:
    """Slices that cut an axis into stretches of these sizes."""
    stops = np.cumsum(sizes)
    return [slice(int(stop - size), int(stop)) for size, stop in zip(sizes, stops, strict=True)]


LEAST_LOG = {np.dtype(np.float32): -60.0, np.dtype(np.float64): -200.0}
"""Log-responsibilities that no sum can feel, and whose products are still normal numbers."""


def normalise(logits: Floats, *, for_sums: bool = False) -> Floats:
    """Turn weighted log-densities (K, n) into responsibilities in place.

    Parameters
    ----------
    logits : ndarray of shape (K, n)
    for_sums : bool
        Raise what is too small to matter in sums to `LEAST_LOG`: denormal numbers would slow
        matrix products down ten times and more.

    Returns
    -------
    ndarray of shape (n,)
        The mixture's log-density at each row (nats).
    """
    peak = logits.max(axis=0)
    logits -= peak
    if for_sums:
        np.maximum(logits, logits.dtype.type(LEAST_LOG[logits.dtype]), out=logits)
    np.exp(logits, out=logits)
    total = logits.sum(axis=0)
    logits /= total
    return np.asarray(np.log(total, out=total) + peak)
