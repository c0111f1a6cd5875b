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
from daskgmm.model.kernels.base import SMALL_PRODUCT
from daskgmm.model.kernels.loops.arithmetic import exp, log_likelihood, shares_of
from daskgmm.model.kernels.loops.compiling import TABLE, array, compiled, summed

_STRETCH = 64
"""Rows whose bounds are looked at together, before any one of them."""

_LEADING_ROWS = 320
"""Rows of a leading product, whose other side is as many directions as BLAS multiplies in place."""

_BAND = 32
"""Rows that change their layout together."""

_MOST = np.float32(3e38)
"""Bounds stay between its negative and itself, which minus infinity, that marks a guess, is not."""

_SHRINK = 2.0**-10
"""Share of a squared distance by which bounds are weakened. By Cauchy and Schwarz, an error s in a
coordinate is then made up for by ``s ** 2 / _SHRINK``; and what single precision rounds off."""

_TILES_UNSEEN = 15
"""Tiles that go whole without bounds, after one in which too many pairs counted."""


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
    for first in range(0, n, _BAND):  # a few rows at a time, that stay in the nearest cache
        last = min(first + _BAND, n)
        for d in range(n_features):
            for r in range(first, last):
                by_row[r, d] = (np.float64(rows[d, r]) - origin[d]) * scale[d]


@compiled
def place(by_row: NDArray[Any], z: NDArray[Any]) -> None:
    """Write by_row (n, D) feature by feature to z (D, n)."""
    for first in range(0, len(by_row), _BAND):
        last = min(first + _BAND, len(by_row))
        for d in range(len(z)):
            for r in range(first, last):
                z[d, r] = by_row[r, d]


@compiled
def _limits(model: Model, by_row: NDArray[Any], limits: NDArray[Any]) -> None:
    """Write the largest logit that rounding in the leading product allows to limits (K,)."""
    n, n_features = by_row.shape
    m = len(model.offsets) // len(limits)
    rounding = (n_features + 4) * np.finfo(by_row.dtype).eps
    reach = np.zeros(n_features, by_row.dtype)
    for r in range(n):
        x = by_row[r]
        for d in range(n_features):
            size = abs(x[d])
            reach[d] = size if size > reach[d] else reach[d]  # noqa: FURB136
    for k in range(len(limits)):
        squares = 0.0
        for i in range(k * m, k * m + m):
            size = np.float64(abs(model.offsets[i]))
            for d in range(n_features):
                size += np.float64(abs(model.directions[i, d])) * reach[d]
            squares += (rounding * size) ** 2
        limits[k] = model.normalisers[k] + 0.5 * squares / _SHRINK


@compiled
def _bound_whitened(
    model: Model, by_row: NDArray[Any], work: PairWork, upper: NDArray[Any]
) -> None:
    """Write an upper bound of each logit to upper (K, n), from products with the directions.

    They are of a size that BLAS multiplies in place.
    """
    n, n_features = by_row.shape
    n_components = len(upper)
    m = len(model.offsets) // n_components
    together = max(SMALL_PRODUCT // (m * n_features * _LEADING_ROWS), 1)
    _limits(model, by_row, work.limits)
    for start in range(0, n, _LEADING_ROWS):
        stop = min(start + _LEADING_ROWS, n)
        width = stop - start
        for first in range(0, n_components, together):
            count = min(together, n_components - first) * m
            leading = work.leading[: count * width].reshape(count, width)
            directions = model.directions[first * m : first * m + count]
            np.dot(directions, by_row[start:stop].T, leading)
            for k in range(first, min(first + together, n_components)):
                squares = work.squares[:width]
                for j in range(m):
                    _add_square(
                        leading[(k - first) * m + j], model.offsets[k * m + j],
                        model.scales[k * m + j], squares, j == 0,
                    )  # fmt: skip
                _bound(
                    k, work.limits[k], squares, upper[k, start:stop], work.best[start:stop],
                    work.guess[start:stop],
                )  # fmt: skip


@compiled
def _bound_along_axes(model: Model, z: NDArray[Any], work: PairWork, upper: NDArray[Any]) -> None:
    """Likewise, from single features of z (D, n): differences round relative to themselves."""
    n_components, n = upper.shape
    m = len(model.offsets) // n_components
    squares = work.squares[:n]
    for k in range(n_components):
        for i in range(k * m, k * m + m):
            own = z[model.axes[i]]
            _add_square(own, model.offsets[i], model.scales[i], squares, i == k * m)
        limit = np.float64(model.normalisers[k])
        _bound(k, limit, squares, upper[k], work.best[:n], work.guess[:n])


@compiled
def _add_square(
    x: NDArray[Any], offset: Any, scale: Any, squares: NDArray[Any], first: bool
) -> None:
    if first:
        for r in range(len(squares)):
            y = (x[r] - offset) * scale
            squares[r] = y * y
    else:
        for r in range(len(squares)):
            y = (x[r] - offset) * scale
            squares[r] += y * y


@compiled
def _bound(
    k: int,
    limit: float,
    squares: NDArray[Any],
    own: NDArray[Any],
    best: NDArray[Any],
    guess: NDArray[Any],
) -> None:
    """Write component k's bounds, and keep each row's largest and whose it is."""
    most, half, component = (
        squares.dtype.type(limit),
        squares.dtype.type(0.5 - _SHRINK),
        np.int32(k),
    )
    if k == 0:
        best[:] = -np.inf
        guess[:] = 0
    for r in range(len(squares)):
        bound = np.float32(most - half * squares[r])
        # What overflows says nothing: such a pair is to be computed, not left out.
        bound = _MOST if bound != bound else bound
        bound = -_MOST if bound < -_MOST else bound  # noqa: FURB136
        own[r] = bound
        better = bound > best[r]
        best[r] = bound if better else best[r]
        guess[r] = component if better else guess[r]


@summed
def _distances(
    by_row: NDArray[Any], rows: NDArray[Any], mean: NDArray[Any], scale: NDArray[Any], out: Any
) -> None:
    """Write squared distances of chosen rows from a mean, in units of each axis, to out (h,)."""
    for q in range(len(rows)):
        r, total = rows[q], by_row.dtype.type(0)
        for d in range(len(mean)):
            y = (by_row[r, d] - mean[d]) * scale[d]
            total += y * y
        out[q] = total


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
    if model.whitens:
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
    else:
        _distances(by_row, rows, mean, factor[0], out)
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
    """Find the pairs of a tile of rows (n, D) that may count; return their number.

    Along the axes z (D, n) serves as well, and is made here.
    """
    n, n_features = by_row.shape
    n_components = len(model.normalisers)
    upper = work.upper[: n_components * n].reshape(n_components, n)
    if model.whitens:
        _bound_whitened(model, by_row, work, upper)
    else:
        place(by_row, z)
        _bound_along_axes(model, z, work, upper)
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
