"""The arithmetic that loops share: rows in frame coordinates, responsibilities, log-likelihoods.

Rows lie along the contiguous axis, so every inner loop runs over them and is vectorised.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.loops.compiling import along_rows, compiled, summed_along_rows
from daskgmm.model.kernels.loops.registers.exponential import exp
from daskgmm.model.kernels.loops.registers.lanes import (
    LANE_BYTES,
    add_to_doubles,
    larger,
    load,
    store,
    zero_below,
)
from daskgmm.model.kernels.loops.registers.turning import turn

DOUBLE = 8
"""Bytes of a number in double precision."""

_TOGETHER = 16
"""Totals, each between 1 and K, that are multiplied before their logarithm is taken."""

_BAND, _BLOCK = 16, 8
"""Rows that change their layout together, and those that do so feature by feature: loops of a
length that the compiler knows, over what stays in the nearest cache."""


@compiled
def add_to(table: NDArray[Any], other: NDArray[Any]) -> None:
    """Add a table to another; written out, for NumPy's operators make no vector loops here."""
    for i in range(len(table)):
        own, its = table[i], other[i]
        for j in range(len(own)):
            own[j] += its[j]


@compiled
def copy(table: NDArray[Any], out: NDArray[Any]) -> None:
    """Write a table (K, n) to another."""
    for i in range(len(table)):
        own, its = table[i], out[i]
        for j in range(len(own)):
            its[j] = own[j]


@compiled
def standardise(
    rows: NDArray[Any], origin: NDArray[Any], scale: NDArray[Any], z: NDArray[Any]
) -> None:
    """Write rows (D, n) in frame coordinates to z (D, n), along the way they lie."""
    n = rows.shape[1]
    whole = n // _BLOCK * _BLOCK if rows.strides[0] < rows.strides[1] else 0
    for first in range(0, whole, _BLOCK):
        for d in range(len(z)):
            x, own = rows[d, first : first + _BLOCK], z[d, first : first + _BLOCK]
            for r in range(_BLOCK):
                own[r] = (np.float64(x[r]) - origin[d]) * scale[d]
    for d in range(len(z)):
        for r in range(whole, n):
            z[d, r] = (np.float64(rows[d, r]) - origin[d]) * scale[d]


@compiled
def standardise_together(
    rows: NDArray[Any],
    together: NDArray[Any],
    origin: NDArray[Any],
    scale: NDArray[Any],
    z: NDArray[Any],
) -> None:
    """Likewise, from together (n, D), if they are given so and in the type of z."""
    if len(together) == 0 or together.itemsize != z.itemsize:
        standardise(rows, origin, scale, z)
        return
    turn(together, 0, z.reshape(z.size), z.shape[1])
    for d in range(len(z)):
        own = z[d]
        for r in range(len(own)):
            own[r] = (np.float64(own[r]) - origin[d]) * scale[d]


@compiled
def enter(
    rows: NDArray[Any], origin: NDArray[Any], scale: NDArray[Any], by_row: NDArray[Any]
) -> None:
    """Write rows (D, n) in frame coordinates to by_row (n, D), along the way they lie."""
    n, n_features = by_row.shape
    if rows.strides[0] < rows.strides[1]:
        for r in range(n):
            for d in range(n_features):
                by_row[r, d] = (np.float64(rows[d, r]) - origin[d]) * scale[d]
        return
    whole = n // _BAND * _BAND
    for first in range(0, whole, _BAND):
        for d in range(n_features):
            for r in range(first, first + _BAND):
                by_row[r, d] = (np.float64(rows[d, r]) - origin[d]) * scale[d]
    for d in range(n_features):
        for r in range(whole, n):
            by_row[r, d] = (np.float64(rows[d, r]) - origin[d]) * scale[d]


@along_rows
def peaks_of(logits: NDArray[Any], peak: NDArray[Any]) -> None:
    """Write the largest of logits (K, n) to peak (n,)."""
    for r in range(len(peak)):
        peak[r] = logits[0, r]
    for k in range(1, len(logits)):
        for r in range(len(peak)):
            logit = logits[k, r]
            peak[r] = logit if logit > peak[r] else peak[r]  # noqa: FURB136  max() is slower


@along_rows
def _exponentiate(
    gamma: NDArray[Any], lowest: Any, noise: Any, peak: NDArray[Any], total: NDArray[Any]
) -> None:
    """Turn logits (K, n) into densities over the row's largest; write that, and their totals.

    What no sum can feel would only slow the products, as a denormal number. Noise, of this logit
    at each row, is among what is summed; it costs nothing where there is none.
    """
    n, wide = len(peak), LANE_BYTES // gamma.itemsize
    noisy, whole = noise > -np.inf, n // wide * wide
    total[:] = 0
    for start in range(0, whole, wide):
        top = load(gamma[0], start)
        for k in range(1, len(gamma)):
            top = larger(top, load(gamma[k], start))
        if noisy:
            top = larger(top, top * 0 + noise)
            below = noise - top
            add_to_doubles(total, start, zero_below(below, lowest, exp(below)))
        store(peak, start, top)
        for k in range(len(gamma)):
            below = load(gamma[k], start) - top
            density = zero_below(below, lowest, exp(below))
            store(gamma[k], start, density)
            add_to_doubles(total, start, density)
    if whole < n:
        _exponentiate_last(gamma[:, whole:], lowest, noise, peak[whole:], total[whole:])


@along_rows
def _exponentiate_last(
    gamma: NDArray[Any], lowest: Any, noise: Any, peak: NDArray[Any], total: NDArray[Any]
) -> None:
    """The same, row by row: of those that fill no lanes."""
    peaks_of(gamma, peak)
    if noise > -np.inf:
        begin_with_noise(noise, lowest, peak, total)
    none = gamma.dtype.type(0)
    for k in range(len(gamma)):
        for r in range(len(peak)):
            below = gamma[k, r] - peak[r]
            density = none if below < lowest else exp(below)
            gamma[k, r] = density
            total[r] += density


@along_rows
def normalise(
    gamma: NDArray[Any],
    weights: NDArray[Any],
    least: float,
    peak: NDArray[Any],
    columns: NDArray[Any],
    noise: float,
) -> float:
    """Turn logits (K, n) into weighted responsibilities; return the log-likelihood.

    What is summed over components or rows is float64. Noise takes its share of the rows.
    """
    n_components, n = gamma.shape
    number, total = gamma.dtype.type, columns[0, :n]
    _exponentiate(gamma, number(np.log(least)), number(noise), peak, total)
    found: float = log_likelihood(peak, total, weights, columns[1])
    shares_of(total, weights, peak)  # in place of what is needed no more
    for k in range(n_components):
        for r in range(n):
            gamma[k, r] *= peak[r]
    return found


@along_rows
def begin_with_noise(noise: float, lowest: Any, peak: NDArray[Any], total: NDArray[Any]) -> None:
    """Raise each row's largest logit to that of noise, and write the density of noise to total."""
    logit, none = peak.dtype.type(noise), peak.dtype.type(0)
    for r in range(len(peak)):
        peak[r] = logit if logit > peak[r] else peak[r]  # noqa: FURB136  NaN stays
        below = logit - peak[r]
        total[r] = none if below < lowest else exp(below)


@along_rows
def shares_of(total: NDArray[Any], weights: NDArray[Any], shares: NDArray[Any]) -> None:
    """Write what each density is multiplied by to shares (n,)."""
    if len(weights) > 0:
        for r in range(len(total)):
            shares[r] = weights[r] / total[r]
        return
    for r in range(len(total)):
        shares[r] = 1 / total[r]


@along_rows
def log_likelihood(
    peak: NDArray[Any], total: NDArray[Any], weights: NDArray[Any], spare: NDArray[Any]
) -> float:
    """Sum of weights times (peak + log(total)); unweighted, with few logarithms."""
    n, found = len(peak), 0.0
    if len(weights) > 0:
        for r in range(n):
            found += weights[r] * (peak[r] + np.log(total[r]))
        return found
    stretch = n // _TOGETHER
    for r in range(_TOGETHER * stretch, n):
        found += peak[r] + np.log(total[r])
    peaks, product = spare[:stretch], spare[stretch : 2 * stretch]
    peaks[:] = 0
    product[:] = 1
    for i in range(_TOGETHER):
        for r in range(stretch):
            peaks[r] += peak[i * stretch + r]
            product[r] *= total[i * stretch + r]
    for r in range(stretch):
        found += peaks[r] + np.log(product[r])
    return found


@summed_along_rows
def total_of(gamma: NDArray[Any]) -> Any:
    """Sum of responsibilities (n,), in their type."""
    total = gamma[0]
    for r in range(1, len(gamma)):
        total += gamma[r]
    return total


@along_rows
def _add_line(
    linear: NDArray[Any], away: NDArray[Any], own_away: float, moved: float, line: NDArray[Any]
) -> None:
    for j in range(len(line)):
        line[j] += own_away * linear[j] + moved * away[j]


@compiled
def add_moved(
    linear: NDArray[Any], away: NDArray[Any], total: float, own: NDArray[Any], first: NDArray[Any]
) -> None:
    """Add to sums about an origin (D, D) and (D,) what those about a point away from it lack."""
    for i in range(len(linear)):
        moved = linear[i] + total * away[i]
        _add_line(linear[i:], away[i:], away[i], moved, own[i, i:])
        first[i] += moved
