"""From the logits of the pairs that count to responsibilities and sums."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.loops.arithmetic import begin_with_noise, exp, log_likelihood, shares_of
from daskgmm.model.kernels.loops.compiling import compiled
from daskgmm.model.kernels.loops.screened import pair_logits


@compiled
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


@compiled
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
def _add_matrix(
    by_row: NDArray[Any],
    origin: NDArray[Any],
    h: int,
    work: PairWork,
    second: NDArray[Any],
    first: NDArray[Any],
) -> None:
    """Add sums of gamma x x.T and of gamma (x, 1) over the gathered rows x, less origin."""
    n_features = by_row.shape[1]
    side = n_features + 1
    gathered = work.gathered[: h * side].reshape(h, side)
    for q in range(h):
        root = np.sqrt(work.logits[q])
        x, own = by_row[work.chosen[q]], gathered[q]
        for d in range(n_features):
            own[d] = root * (x[d] - origin[d])
        own[n_features] = root
    product = work.product[: side * side].reshape(side, side)
    np.dot(gathered.T, gathered, product)
    for i in range(n_features):
        for j in range(n_features):
            second[i, j] += product[i, j]
    for i in range(side):
        first[i] += product[n_features, i]


@compiled
def _add_axes(
    by_row: NDArray[Any],
    origin: NDArray[Any],
    h: int,
    work: PairWork,
    second: NDArray[Any],
    first: NDArray[Any],
) -> None:
    """Add sums of gamma x ** 2 and of gamma (x, 1) over the gathered rows x, less origin."""
    n_features = by_row.shape[1]
    product = work.product[: 2 * n_features].reshape(2, n_features)
    product[:] = 0
    count, squares, linear = 0.0, product[0], product[1]
    for q in range(h):
        gamma, x = work.logits[q], by_row[work.chosen[q]]
        count += gamma
        for d in range(n_features):
            centred = x[d] - origin[d]
            weighted = gamma * centred
            linear[d] += weighted
            squares[d] += weighted * centred
    for d in range(n_features):
        second[0, d] += squares[d]
        first[d] += linear[d]
    first[n_features] += count


@compiled
def add_pairs(
    model: Model,
    by_row: NDArray[Any],
    weights: NDArray[Any],
    active: NDArray[Any],
    work: PairWork,
    second: NDArray[Any],
    first: NDArray[Any],
) -> float:
    """Add the moments of the selected pairs; return the rows' log-likelihood."""
    n = len(by_row)
    work.peak[:n] = work.low[:n]
    pair_logits(model, by_row, active, work)
    found: float = _share(model, weights, active, work, n)
    for a in range(len(active)):
        h = _gather(work, a)
        if h == 0:
            continue
        k = active[a]
        own = second[min(k, len(second) - 1)]
        if model.whitens:
            _add_matrix(by_row, model.origins[k], h, work, own, first[k])
        else:
            _add_axes(by_row, model.origins[k], h, work, own, first[k])
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
    work.peak[:n] = work.low[:n]
    pair_logits(model, by_row, active, work)
    out[:] = -np.inf
    for r in range(n):
        out[active[work.guess[r]], r] = work.low[r]
    for a in range(len(active)):
        for q in range(work.pair_starts[a], work.pair_starts[a + 1]):
            out[active[a], work.pair_rows[q]] = work.pair_logits[q]
