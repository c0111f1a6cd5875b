"""Sums of the pairs (row, component) that count, of a tile whose logits are all known.

Where no bound is cheaper than a logit, or bounds leave too much, all logits are computed. Most
pairs may count for nothing all the same: their exponentials and sums are left out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.loops.all_sums import add_sums
from daskgmm.model.kernels.loops.arithmetic import (
    begin_with_noise,
    log_likelihood,
    peaks_of,
    shares_of,
)
from daskgmm.model.kernels.loops.compiling import along_rows, compiled
from daskgmm.model.kernels.loops.registers.exponential import exp

_LOOKED_AT = 16
"""Of so many rows of a tile one is looked at, to tell how many pairs count."""


@compiled
def share_that_counts(model: Model, gamma: NDArray[Any]) -> float:
    """Share of the pairs that count, by some rows of logits (K, n)."""
    found, n = 0, gamma.shape[1]
    for r in range(0, n, _LOOKED_AT):
        peak = gamma[0, r]
        for k in range(1, len(gamma)):
            peak = max(peak, gamma[k, r])
        for k in range(len(gamma)):
            found += gamma[k, r] >= peak - model.gaps[k]
    share: float = found / (-(-n // _LOOKED_AT) * len(gamma))
    return share


@compiled
def _list_pairs(model: Model, gamma: NDArray[Any], work: PairWork) -> None:
    """List the pairs that count by component, with their logits less the row's largest.

    These lie where all logits (K, n) are, in front of those that are still to be read.
    """
    n_components, n = gamma.shape
    rows, starts, logits, peak = work.pair_rows, work.pair_starts, work.pair_logits, work.peak
    found = 0
    for k in range(n_components):
        starts[k] = found
        own, gap = gamma[k], -model.gaps[k]
        for r in range(n):
            below = own[r] - peak[r]
            rows[found] = r
            logits[found] = below
            found += not below < gap  # NaN stays
    starts[n_components] = found


@along_rows
def _share(weights: NDArray[Any], work: PairWork, total: NDArray[Any], listed: int) -> float:
    """Turn the listed logits into weighted responsibilities; return the log-likelihood.

    The totals (n,) are those of noise.
    """
    rows, shares, peak = work.pair_rows[:listed], work.pair_logits[:listed], work.peak[: len(total)]
    none, lowest = shares.dtype.type(0), shares.dtype.type(-80 if shares.itemsize == 4 else -700)
    for q in range(listed):
        shares[q] = none if shares[q] < lowest else exp(shares[q])
    for q in range(listed):
        total[rows[q]] += shares[q]
    found: float = log_likelihood(peak, total, weights, work.columns[1])
    shares_of(total, weights, peak)  # in place of what is needed no more
    for q in range(listed):
        shares[q] *= peak[rows[q]]
    return found


@compiled
def _gather(z: NDArray[Any], rows: NDArray[Any], gathered: NDArray[Any]) -> None:
    """Write chosen rows of z (D, n) to gathered (D, h)."""
    for d in range(len(z)):
        x, own = z[d], gathered[d]
        for q in range(len(rows)):
            own[q] = x[rows[q]]


@compiled
def add_listed(
    model: Model,
    z: NDArray[Any],
    weights: NDArray[Any],
    work: PairWork,
    gamma: NDArray[Any],
    second: NDArray[Any],
    first: NDArray[Any],
    coarse: NDArray[Any],
) -> float:
    """Add the sums of the pairs that count; return the rows' log-likelihood.

    Of logits (K, n), in whose place the pairs are listed. Tell in coarse (K,) of which components
    sums are made in single precision.
    """
    (n_components, n), n_features = gamma.shape, len(z)
    peak, total = work.peak[:n], work.columns[0, :n]
    peaks_of(gamma, peak)
    total[:] = 0
    if model.noise > -np.inf:
        lowest = peak.dtype.type(-80 if peak.itemsize == 4 else -700)
        begin_with_noise(model.noise, lowest, peak, total)
    _list_pairs(model, gamma, work)
    found: float = _share(weights, work, total, work.pair_starts[n_components])
    most = len(work.gathered) // n_features
    for k in range(n_components):
        begin, h = work.pair_starts[k], work.pair_starts[k + 1] - work.pair_starts[k]
        strips = -(-h // most)
        for s in range(strips):
            start, stop = begin + h * s // strips, begin + h * (s + 1) // strips
            rows = work.gathered[: n_features * (stop - start)].reshape(n_features, stop - start)
            _gather(z, work.pair_rows[start:stop], rows)
            add_sums(model, rows, work, k, work.pair_logits[start:stop], second, first, coarse)
    return found
