"""Only the pairs (row, component) that count: bounds, whitening of those, and their sums.

A few whitened coordinates bound each logit from above. A row's logit under the component with the
largest bound is its lower limit: components whose bounds lie further below than their gap get no
responsibility. For the others, rows are gathered by component, centred at its mean and whitened
by one product; their second moments are one product more.
"""

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.loops.arithmetic import exp, log_likelihood, shares_of
from daskgmm.model.kernels.loops.compiling import TABLE, array, compiled, summed

_STRETCH = 64
"""Rows whose bounds are looked at together, before any one of them."""

_BAND = 32
"""Rows that change their layout together."""

_SHRINK = 2.0**-10
"""Share of a squared distance by which bounds are weakened. By Cauchy and Schwarz, an error s in a
coordinate is then made up for by ``s ** 2 / _SHRINK``; and what single precision rounds off."""

_TILES_UNSEEN = 15
"""Tiles that go whole without bounds, after one in which too many pairs counted."""


@compiled
def _place(z: NDArray[Any], by_row: NDArray[Any]) -> None:
    """Write z (D, n) row by row to by_row (n, D), a few rows at a time that stay in the cache."""
    for first in range(0, z.shape[1], _BAND):
        last = min(first + _BAND, z.shape[1])
        for d in range(len(z)):
            for r in range(first, last):
                by_row[r, d] = z[d, r]


@compiled
def _limits(model: Model, z: NDArray[Any], limits: NDArray[Any]) -> None:
    """Write the largest logit that rounding in the leading product allows to limits (K,)."""
    n_features, n_components = len(z), len(limits)
    m = len(model.offsets) // n_components
    rounding = (n_features + 4) * np.finfo(z.dtype).eps
    reach = np.empty(n_features)
    for d in range(n_features):
        largest = 0.0
        for r in range(z.shape[1]):
            size = np.float64(abs(z[d, r]))
            largest = size if size > largest else largest  # noqa: FURB136
        reach[d] = largest
    for k in range(n_components):
        squares = 0.0
        for i in range(k * m, k * m + m):
            size = np.float64(abs(model.offsets[i]))
            for d in range(model.directions.shape[1]):
                size += abs(model.directions[i, d]) * reach[d]
            squares += (rounding * size) ** 2
        limits[k] = model.normalisers[k] + 0.5 * squares / _SHRINK


@compiled
def _bound(model: Model, z: NDArray[Any], work: PairWork, upper: NDArray[Any]) -> None:
    """Write an upper bound of each logit to upper (K, n), and each row's largest to the work."""
    n_components, n = upper.shape
    m, whitens = len(model.offsets) // n_components, model.directions.shape[1] > 0
    together = max(len(work.leading) // (m * n), 1)
    best, guess, squares = work.best[:n], work.guess[:n], work.squares[:n]
    limits = work.limits
    _limits(model, z, limits)
    best[:] = -np.inf
    guess[:] = 0
    leading = work.leading[:0].reshape(0, n)
    for k in range(n_components):
        within = k % together
        if whitens and within == 0:
            count = min(together, n_components - k) * m
            leading = work.leading[: count * n].reshape(count, n)
            np.dot(model.directions[k * m : k * m + count], z, leading)
        for j in range(m):
            i = k * m + j
            x = leading[within * m + j] if whitens else z[model.axes[i]]
            offset, scale = model.offsets[i], model.scales[i]
            if j == 0:
                for r in range(n):
                    y = (x[r] - offset) * scale
                    squares[r] = y * y
            else:
                for r in range(n):
                    y = (x[r] - offset) * scale
                    squares[r] += y * y
        limit, half, own = z.dtype.type(limits[k]), z.dtype.type(0.5 - _SHRINK), upper[k]
        component = np.int32(k)
        for r in range(n):
            bound = np.float32(limit - half * squares[r])
            own[r] = bound
            better = bound > best[r]
            best[r] = bound if better else best[r]
            guess[r] = component if better else guess[r]


@summed
def _scaled_length(x: NDArray[Any], point: NDArray[Any], scale: NDArray[Any]) -> Any:
    """Squared length of a row less a point, in units of its own along each axis."""
    total = (x[0] - point[0]) * scale[0] * ((x[0] - point[0]) * scale[0])
    for d in range(1, len(x)):
        y = (x[d] - point[d]) * scale[d]
        total += y * y
    return total


@compiled
def _write_logits(
    model: Model,
    by_row: NDArray[Any],
    rows: NDArray[Any],
    k: int,
    work: PairWork,
    out: NDArray[Any],
) -> None:
    """Write the logits of chosen rows under component k to out (h,)."""
    n_features, h, mean = by_row.shape[1], len(rows), model.means[k]
    normaliser, half = model.normalisers[k], by_row.dtype.type(0.5)
    factor = model.factors[min(k, len(model.factors) - 1)]
    if not model.whitens:
        for q in range(h):
            out[q] = normaliser - half * _scaled_length(by_row[rows[q]], mean, factor[0])
        return
    centred = work.gathered[: h * n_features].reshape(h, n_features)
    for q in range(h):
        x, own = by_row[rows[q]], centred[q]
        for d in range(n_features):
            own[d] = x[d] - mean[d]
    white = work.white[: h * n_features].reshape(n_features, h)
    np.dot(factor.T, centred.T, white)
    out[:] = 0
    for d in range(n_features):
        own = white[d]
        for q in range(h):
            out[q] += own[q] * own[q]
    for q in range(h):
        out[q] = normaliser - half * out[q]


@compiled
def _guess(model: Model, by_row: NDArray[Any], work: PairWork, upper: NDArray[Any]) -> None:
    """Order rows by the component of their largest bound, and compute those logits."""
    n_components, n = upper.shape
    starts, ordered, guess, low = work.guess_starts, work.ordered[:n], work.guess[:n], work.low
    starts[:] = 0
    for r in range(n):
        starts[guess[r] + 1] += 1
    for k in range(n_components):
        starts[k + 1] += starts[k]
    for r in range(n):
        k = guess[r]
        ordered[starts[k]] = r
        starts[k] += 1
        upper[k, r] = -np.inf
    for k in range(n_components, 0, -1):
        starts[k] = starts[k - 1]
    starts[0] = 0
    for k in range(n_components):
        if starts[k + 1] > starts[k]:
            rows = ordered[starts[k] : starts[k + 1]]
            found = work.logits[: len(rows)]
            _write_logits(model, by_row, rows, k, work, found)
            for q in range(len(rows)):
                low[rows[q]] = found[q]


@compiled
def _survivors(model: Model, work: PairWork, upper: NDArray[Any], n_features: int) -> int:
    """List the other pairs whose bounds come within their gap; return their number."""
    n_components, n = upper.shape
    low, least, rows, starts = work.low, work.best[:n], work.pair_rows, work.pair_starts
    rounding = np.float32(1e-6 + 8 * n_features * np.finfo(low.dtype).eps)
    for r in range(n):
        own = np.float32(low[r])
        least[r] = own - rounding * abs(own)
    found = 0
    for k in range(n_components):
        starts[k] = found
        bounds, gap = upper[k], np.float32(model.gaps[k] + 1)
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
    starts[n_components] = found
    return found


@compiled
def pair_logits(model: Model, by_row: NDArray[Any], work: PairWork, n_components: int) -> None:
    """Compute the logits of the listed pairs, and each row's largest with that of its guess."""
    peak = work.peak
    for k in range(n_components):
        first, last = work.pair_starts[k], work.pair_starts[k + 1]
        rows, logits = work.pair_rows[first:last], work.pair_logits[first:last]
        _write_logits(model, by_row, rows, k, work, logits)
        for q in range(len(rows)):
            r, logit = rows[q], logits[q]
            peak[r] = logit if logit > peak[r] else peak[r]  # noqa: FURB136


@compiled
def _densities(model: Model, work: PairWork, n: int, n_components: int) -> None:
    """Turn logits into densities over the row's largest, zero beyond the gaps; sum them by row."""
    low, peak, total = work.low[:n], work.peak[:n], work.columns[0, :n]
    none, lowest = low.dtype.type(0), low.dtype.type(-80 if low.itemsize == 4 else -700)
    for r in range(n):
        low[r] -= peak[r]
    for k in range(n_components):  # a guess may have been a poor one
        gap = model.gaps[k]
        for q in range(work.guess_starts[k], work.guess_starts[k + 1]):
            r = work.ordered[q]
            low[r] = -np.inf if low[r] < -gap else low[r]
    for r in range(n):
        low[r] = none if low[r] < lowest else exp(low[r])
        total[r] = low[r]
    for k in range(n_components):
        gap = model.gaps[k]
        for q in range(work.pair_starts[k], work.pair_starts[k + 1]):
            r = work.pair_rows[q]
            below = work.pair_logits[q] - peak[r]
            density = none if below < -gap else exp(below)
            work.pair_logits[q] = density
            total[r] += density


@compiled
def _share(model: Model, weights: NDArray[Any], work: PairWork, n: int, n_components: int) -> float:
    """Turn logits into weighted responsibilities; return the log-likelihood."""
    _densities(model, work, n, n_components)
    low, peak, total = work.low[:n], work.peak[:n], work.columns[0, :n]
    found: float = log_likelihood(peak, total, weights, work.columns[1])
    shares_of(total, weights, peak)  # in place of what is needed no more
    for r in range(n):
        low[r] *= peak[r]
    for q in range(work.pair_starts[n_components]):
        work.pair_logits[q] *= peak[work.pair_rows[q]]
    return found


@compiled
def _gather(work: PairWork, k: int) -> int:
    """List component k's rows with some responsibility, and those; return their number."""
    h, chosen, gamma = 0, work.chosen, work.logits
    for q in range(work.guess_starts[k], work.guess_starts[k + 1]):
        r = work.ordered[q]
        chosen[h] = r
        gamma[h] = work.low[r]
        h += work.low[r] > 0
    for q in range(work.pair_starts[k], work.pair_starts[k + 1]):
        chosen[h] = work.pair_rows[q]
        gamma[h] = work.pair_logits[q]
        h += work.pair_logits[q] > 0
    return h


@compiled
def _add_matrix(
    by_row: NDArray[Any], origin: NDArray[Any], h: int, work: PairWork, sums: NDArray[Any]
) -> None:
    """Add sums of gamma (x, 1) (x, 1).T over the gathered rows x, less origin, to sums."""
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
    for i in range(side):
        for j in range(side):
            sums[i, j] += product[i, j]


@compiled
def _add_axes(
    by_row: NDArray[Any], origin: NDArray[Any], h: int, work: PairWork, sums: NDArray[Any]
) -> None:
    """Add sums of gamma times (x ** 2, x, 1) over the gathered rows x, less origin, to sums."""
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
        sums[0, d] += squares[d]
        sums[1, d] += linear[d]
    sums[2, 0] += count


@compiled
def select(model: Model, z: NDArray[Any], by_row: NDArray[Any], work: PairWork) -> int:
    """Find the pairs of a tile z (D, n) that may count; return their number."""
    n_features, n = z.shape
    n_components = len(model.normalisers)
    upper = work.upper[: n_components * n].reshape(n_components, n)
    _place(z, by_row)
    _bound(model, z, work, upper)
    _guess(model, by_row, work, upper)
    found: int = n + _survivors(model, work, upper, n_features)
    return found


@compiled
def add_pairs(
    model: Model,
    by_row: NDArray[Any],
    weights: NDArray[Any],
    work: PairWork,
    sums: NDArray[Any],
) -> float:
    """Add the moments of the selected pairs; return the rows' log-likelihood."""
    n, n_components = len(by_row), len(model.normalisers)
    work.peak[:n] = work.low[:n]
    pair_logits(model, by_row, work, n_components)
    found: float = _share(model, weights, work, n, n_components)
    for k in range(n_components):
        h = _gather(work, k)
        if h == 0:
            continue
        if model.whitens:
            _add_matrix(by_row, model.origins[k], h, work, sums[k])
        else:
            _add_axes(by_row, model.origins[k], h, work, sums[k])
    return found


@compiled
def write_pairs(model: Model, by_row: NDArray[Any], work: PairWork, out: NDArray[Any]) -> None:
    """Write the logits of the selected pairs to out (K, n), and minus infinity for all others."""
    n, n_components = len(by_row), len(model.normalisers)
    work.peak[:n] = work.low[:n]
    pair_logits(model, by_row, work, n_components)
    out[:] = -np.inf
    for r in range(n):
        out[work.guess[r], r] = work.low[r]
    for k in range(n_components):
        for q in range(work.pair_starts[k], work.pair_starts[k + 1]):
            out[k, work.pair_rows[q]] = work.pair_logits[q]


def model_type(dtype: np.dtype[Any]) -> Any:
    """Compiled type of the fields of `Model`."""
    vector, table = array(dtype, 1), array(dtype, 2)
    integers = types.Array(types.int64, 1, "C")
    fields = (
        table, table, array(dtype, 3), types.boolean, vector, vector,
        table, integers, vector, vector,
    )  # fmt: skip
    return types.Tuple(fields)


def work_type(dtype: np.dtype[Any]) -> Any:
    """Compiled type of the fields of `PairWork`."""
    vector = array(dtype, 1)
    integers, shorts = types.Array(types.int64, 1, "C"), types.Array(types.int32, 1, "C")
    singles, doubles = types.Array(types.float32, 1, "C"), types.Array(types.float64, 1, "C")
    fields = (
        vector, vector, vector, vector, singles, doubles, singles, shorts, integers, integers,
        vector, vector, integers, integers, vector, integers, vector, vector, vector, vector, TABLE,
    )  # fmt: skip
    return types.Tuple(fields)
