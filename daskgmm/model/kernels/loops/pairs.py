"""From the logits of the pairs that count to responsibilities and sums."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.loops.arithmetic import begin_with_noise, log_likelihood, shares_of
from daskgmm.model.kernels.loops.compiling import along_rows, compiled
from daskgmm.model.kernels.loops.registers.exponential import exp
from daskgmm.model.kernels.loops.row_sums import add_row_sums
from daskgmm.model.kernels.loops.screened import pair_logits


@along_rows
def _densities(model: Model, active: NDArray[Any], work: PairWork, n: int) -> None:
    """Turn logits into densities over the row's largest, zero beyond the gaps; sum them by row."""
    low, peak, total = work.low[:n], work.peak[:n], work.columns[0, :n]
    none, lowest = low.dtype.type(0), low.dtype.type(-80 if low.itemsize == 4 else -700)
    total[:] = 0
    if model.noise > -np.inf:
        begin_with_noise(model.noise, lowest, peak, total)
    for r in range(n):
        low[r] -= peak[r]
    for a in range(len(active)):  # a guess may have been a poor one
        gap = model.gaps[active[a]]
        for q in range(work.guess_starts[a], work.guess_starts[a + 1]):
            r = work.ordered[q]
            low[r] = -np.inf if low[r] < -gap else low[r]
    for r in range(n):
        low[r] = none if low[r] < lowest else exp(low[r])
        total[r] += low[r]
    for a in range(len(active)):
        gap = model.gaps[active[a]]
        for q in range(work.pair_starts[a], work.pair_starts[a + 1]):
            r = work.pair_rows[q]
            below = work.pair_logits[q] - peak[r]
            density = none if below < -gap else exp(below)
            work.pair_logits[q] = density
            total[r] += density


@along_rows
def _share(
    model: Model, weights: NDArray[Any], active: NDArray[Any], work: PairWork, n: int
) -> float:
    """Turn logits into weighted responsibilities; return the log-likelihood."""
    _densities(model, active, work, n)
    low, peak, total = work.low[:n], work.peak[:n], work.columns[0, :n]
    found: float = log_likelihood(peak, total, weights, work.columns[1])
    shares_of(total, weights, peak)  # in place of what is needed no more
    for r in range(n):
        low[r] *= peak[r]
    for q in range(work.pair_starts[len(active)]):
        work.pair_logits[q] *= peak[work.pair_rows[q]]
    return found


@compiled
def _gather(work: PairWork, a: int) -> int:
    """List rows with some responsibility of active component a, and those; return their number."""
    h, chosen, gamma = 0, work.chosen, work.logits
    for q in range(work.guess_starts[a], work.guess_starts[a + 1]):
        r = work.ordered[q]
        chosen[h] = r
        gamma[h] = work.low[r]
        h += work.low[r] > 0
    for q in range(work.pair_starts[a], work.pair_starts[a + 1]):
        chosen[h] = work.pair_rows[q]
        gamma[h] = work.pair_logits[q]
        h += work.pair_logits[q] > 0
    return h


@compiled
def _add_axes(
    by_row: NDArray[Any],
    chosen: NDArray[Any],
    gamma: NDArray[Any],
    origin: NDArray[Any],
    products: NDArray[Any],
    second: NDArray[Any],
    first: NDArray[Any],
) -> None:
    """Add sums of gamma x ** 2 and of gamma (x, 1) over the chosen rows x, less origin.

    In the type of the work array for products.
    """
    n_features, h, number = by_row.shape[1], len(chosen), products.dtype.type
    product = products[: 2 * n_features].reshape(2, n_features)
    product[:] = 0
    count, squares, linear = 0.0, product[0], product[1]
    whole = h // 4 * 4
    for q in range(0, whole, 4):  # four rows at a time: sums are read and written once for them
        w, x = by_row[chosen[q]], by_row[chosen[q + 1]]
        y, z = by_row[chosen[q + 2]], by_row[chosen[q + 3]]
        first_share, second_share = number(gamma[q]), number(gamma[q + 1])
        third_share, last_share = number(gamma[q + 2]), number(gamma[q + 3])
        count += (first_share + second_share) + (third_share + last_share)
        for d in range(n_features):
            centre = number(origin[d])
            a, b = number(w[d]) - centre, number(x[d]) - centre
            c, e = number(y[d]) - centre, number(z[d]) - centre
            i, j, k, m = first_share * a, second_share * b, third_share * c, last_share * e
            linear[d] += (i + j) + (k + m)
            squares[d] += (i * a + j * b) + (k * c + m * e)
    for q in range(whole, h):
        share, x = number(gamma[q]), by_row[chosen[q]]
        count += share
        for d in range(n_features):
            centred = number(x[d]) - number(origin[d])
            weighted = share * centred
            linear[d] += weighted
            squares[d] += weighted * centred
    for d in range(n_features):
        second[0, d] += squares[d]
        first[d] += linear[d]
    first[n_features] += count


@compiled
def _add_gathered(
    model: Model,
    by_row: NDArray[Any],
    k: int,
    h: int,
    work: PairWork,
    second: NDArray[Any],
    first: NDArray[Any],
    coarse: NDArray[Any],
) -> None:
    """Add the sums of component k over the gathered rows."""
    if not model.whitens:
        chosen, gamma, own = work.chosen[:h], work.logits[:h], second[min(k, len(second) - 1)]
        _add_axes(by_row, chosen, gamma, model.origins[k], work.by_feature, own, first[k])
        return
    add_row_sums(model, by_row, k, h, work, second, first, coarse)


@compiled
def add_pairs(
    model: Model,
    by_row: NDArray[Any],
    weights: NDArray[Any],
    active: NDArray[Any],
    work: PairWork,
    second: NDArray[Any],
    first: NDArray[Any],
    coarse: NDArray[Any],
) -> float:
    """Add the moments of the selected pairs; return the rows' log-likelihood.

    Tell in coarse (K,) of which components sums are made in single precision.
    """
    n = len(by_row)
    for r in range(n):
        work.peak[r] = work.low[r]
    pair_logits(model, by_row, active, work)
    found: float = _share(model, weights, active, work, n)
    for a in range(len(active)):
        h = _gather(work, a)
        if h == 0:
            continue
        _add_gathered(model, by_row, active[a], h, work, second, first, coarse)
    return found


@compiled
def write_pairs(
    model: Model,
    by_row: NDArray[Any],
    active: NDArray[Any],
    work: PairWork,
    out: NDArray[Any],
) -> None:
    """Write the logits of the selected pairs to out (K, n), and minus infinity for all others."""
    n = len(by_row)
    for r in range(n):
        work.peak[r] = work.low[r]
    pair_logits(model, by_row, active, work)
    out[:] = -np.inf
    for r in range(n):
        out[active[work.guess[r]], r] = work.low[r]
    for a in range(len(active)):
        for q in range(work.pair_starts[a], work.pair_starts[a + 1]):
            out[active[a], work.pair_rows[q]] = work.pair_logits[q]
