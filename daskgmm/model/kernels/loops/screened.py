"""Which pairs (row, component) of a tile count, and their logits.

A few whitened coordinates bound each logit from above. A row's logit under the component with the
largest bound is its lower limit: components whose bounds lie further below than their gap get no
responsibility. For the others, rows are gathered by component, centred at its mean and whitened.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.loops.bounds import (
    BLOCK_ROWS,
    bound_along_axes,
    bound_by_features,
    bound_whitened,
)
from daskgmm.model.kernels.loops.compiling import along_rows, compiled
from daskgmm.model.kernels.loops.distances import (
    write_distances,
    write_distances_along_axes,
)

_STRETCH = 64
"""Rows whose bounds are looked at together, before any one of them."""


@compiled
def write_logits(
    model: Model,
    by_row: NDArray[Any],
    rows: NDArray[Any],
    k: int,
    work: PairWork,
    out: NDArray[Any],
) -> None:
    """Write the logits of chosen rows under component k to out (h,)."""
    h, mean = len(rows), model.means[k]
    normaliser, half = model.normalisers[k], by_row.dtype.type(0.5)
    own = min(k, len(model.factors) - 1)
    if model.whitens:
        write_distances(by_row, rows, mean, model.factors[own], work.centred, out)
    else:
        write_distances_along_axes(by_row, rows, mean, model.factors[own, 0], out)
    for q in range(h):
        out[q] = normaliser - half * out[q]


@compiled
def _guess(
    model: Model,
    by_row: NDArray[Any],
    active: NDArray[Any],
    work: PairWork,
    upper: NDArray[Any],
) -> None:
    """Order rows by the component of their largest bound, and compute those logits."""
    n_active, n = len(active), len(by_row)
    starts, ordered, guess, low = work.guess_starts, work.ordered[:n], work.guess[:n], work.low
    starts[: n_active + 1] = 0
    for r in range(n):
        starts[guess[r] + 1] += 1
    for a in range(n_active):
        starts[a + 1] += starts[a]
    for r in range(n):
        a = guess[r]
        ordered[starts[a]] = r
        starts[a] += 1
        upper[a, r] = -np.inf
    for a in range(n_active, 0, -1):
        starts[a] = starts[a - 1]
    starts[0] = 0
    for a in range(n_active):
        if starts[a + 1] > starts[a]:
            rows = ordered[starts[a] : starts[a + 1]]
            found = work.logits[: len(rows)]
            write_logits(model, by_row, rows, active[a], work, found)
            for q in range(len(rows)):
                low[rows[q]] = found[q]


@along_rows
def _survivors(
    model: Model, by_row: NDArray[Any], active: NDArray[Any], work: PairWork, upper: NDArray[Any]
) -> int:
    """List the other pairs whose bounds come within their gap; return their number."""
    n_active, (n, n_features) = len(active), by_row.shape
    low, least, rows, starts = work.low, work.best[:n], work.pair_rows, work.pair_starts
    rounding = np.float32(1e-6 + 8 * n_features * np.finfo(low.dtype).eps)
    for r in range(n):
        own = np.float32(low[r])
        least[r] = own - rounding * abs(own)
    if model.noise > -np.inf:
        own = np.float32(model.noise)
        own -= rounding * abs(own)
        for r in range(n):
            least[r] = own if own > least[r] else least[r]  # noqa: FURB136  NaN stays
    found = 0
    for a in range(n_active):
        starts[a] = found
        bounds, gap = upper[a], np.float32(model.gaps[active[a]] + 1)
        whole = n // _STRETCH * _STRETCH
        for first in range(0, whole, _STRETCH):
            own, limits = bounds[first : first + _STRETCH], least[first : first + _STRETCH]
            near = False
            for r in range(_STRETCH):  # a loop of a length that the compiler knows
                near |= own[r] + gap > limits[r]
            if near:
                for r in range(_STRETCH):
                    rows[found] = first + r
                    found += own[r] + gap > limits[r]
        for r in range(whole, n):
            rows[found] = r
            found += bounds[r] + gap > least[r]
    starts[n_active] = found
    return found


@compiled
def pair_logits(model: Model, by_row: NDArray[Any], active: NDArray[Any], work: PairWork) -> None:
    """Compute the logits of the listed pairs, and each row's largest with that of its guess."""
    peak = work.peak
    for a in range(len(active)):
        first, last = work.pair_starts[a], work.pair_starts[a + 1]
        if first == last:
            continue
        rows, logits = work.pair_rows[first:last], work.pair_logits[first:last]
        write_logits(model, by_row, rows, active[a], work, logits)
        for q in range(len(rows)):
            r, logit = rows[q], logits[q]
            peak[r] = logit if logit > peak[r] else peak[r]  # noqa: FURB136


@compiled
def find_pairs(
    model: Model,
    by_row: NDArray[Any],
    active: NDArray[Any],
    work: PairWork,
    by_product: bool,
) -> int:
    """Find the pairs of a tile of rows (n, D) with active components that may count.

    Return their number. Directions or axes bound logits, or products over features do.
    """
    n = len(by_row)
    height, blocks = len(active), -(-n // BLOCK_ROWS)
    upper = work.upper[: height * blocks * BLOCK_ROWS].reshape(height, blocks * BLOCK_ROWS)
    if model.whitens:
        bound_whitened(model, by_row, active, work, upper)
    elif by_product:
        bound_by_features(model, by_row, work, upper)
    else:
        bound_along_axes(model, by_row, active, work, upper)
    _guess(model, by_row, active, work, upper)
    found: int = n + _survivors(model, by_row, active, work, upper)
    return found
