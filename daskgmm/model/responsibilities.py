"""From weighted log-densities to responsibilities, for several mixtures at once."""

from collections.abc import Sequence

import numpy as np

from daskgmm.model.typing import Floats


def segments_of(sizes: Sequence[int]) -> list[slice]:
    """Slices that cut an axis into stretches of these sizes."""
    stops = np.cumsum(sizes)
    return [slice(int(stop - size), int(stop)) for size, stop in zip(sizes, stops, strict=True)]


def normalise(logits: Floats) -> Floats:
    """Turn weighted log-densities (K, n) into responsibilities in place.

    Returns
    -------
    ndarray of shape (n,)
        The mixture's log-density at each row (nats).
    """
    peak = logits.max(axis=0)
    logits -= peak
    np.exp(logits, out=logits)
    total = logits.sum(axis=0)
    logits /= total
    return np.asarray(np.log(total, out=total) + peak)
