"""From weighted log-densities to responsibilities, for several mixtures at once."""

from collections.abc import Sequence

import numpy as np

from daskgmm.model.typing import Floats


def segments_of(sizes: Sequence[int]) -> list[slice]:
    """Slices of consecutive stretches of these sizes."""
    stops = np.cumsum(sizes)
    return [slice(int(stop - size), int(stop)) for size, stop in zip(sizes, stops, strict=True)]


LEAST = {np.dtype(np.float32): 1e-26, np.dtype(np.float64): 1e-87}
"""Responsibilities below are too small for any sum to feel, and count as none at all."""


def normalise(logits: Floats, noise: float | Floats = -np.inf, *, for_sums: bool = False) -> Floats:
    """Turn weighted log-densities (K, n) into responsibilities in place.

    Parameters
    ----------
    logits : ndarray of shape (K, n)
    noise : float or ndarray of shape (n,)
        Weighted log-density of noise; minus infinity where there is none.
    for_sums : bool
        Make what is below `LEAST` zero: denormal numbers would slow matrix products down ten
        times and more, and a component that one row holds must be seen to collapse.

    Returns
    -------
    ndarray of shape (n,)
        The mixture's log-density at each row (nats).
    """
    peak = logits.max(axis=0)
    with_noise = np.any(noise > -np.inf)
    if with_noise:
        noise = np.asarray(noise, logits.dtype)
        np.maximum(peak, noise, out=peak)
    if not np.isfinite(peak).all():
        return _normalise_far(logits, peak, noise)
    logits -= peak
    least = LEAST[logits.dtype]
    some_far = for_sums and logits.min() < np.log(least)
    if some_far:  # exponentials that are denormal or zero take three times as long as others
        np.maximum(logits, logits.dtype.type(np.log(least) - 1), out=logits)
    np.exp(logits, out=logits)
    if some_far:
        logits -= logits.dtype.type(least)
        np.maximum(logits, 0, out=logits)
    total = logits.sum(axis=0)
    if with_noise:
        total += np.exp(noise - peak)
    logits /= total
    return np.asarray(np.log(total, out=total) + peak)


def _normalise_far(logits: Floats, peak: Floats, noise: float | Floats) -> Floats:
    """`normalise` for rows so far away that the densities of all components overflow.

    Those have density zero, and no component is more probable than another.
    """
    far = ~np.isfinite(peak)
    logits[:, far] = 0
    densities = normalise(logits, noise)
    densities[far] = -np.inf
    return densities
