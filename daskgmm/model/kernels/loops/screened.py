"""The loop over pairs (row, component) that count: bounds, whitening of those, and their sums.

A few whitened coordinates bound each logit from above. A row's logit under the component with the
largest bound is its lower limit: components whose bounds lie further below than their gap get no
responsibility. For the others, rows are gathered by component, centred at its mean and whitened
by one product; their second moments are one product more.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from daskgmm.model.kernels.compiled import Form
from daskgmm.model.kernels.compiled import Work as FeatureWork
from daskgmm.model.kernels.ways import Ways
from daskgmm.model.kernels.loops.arithmetic import exp, log_likelihood, normalise, standardise
from daskgmm.model.kernels.loops.compiling import (
    DOUBLES,
    TABLE,
    array,
    compiled,
    ready,
    rows_in_any_layout,
    summed,
)
from daskgmm.model.kernels.loops.features import add_by_features, form_type
from daskgmm.model.kernels.loops.features import work_type as feature_work_type
from daskgmm.model.kernels.loops.whole import add_all_sums, write_all_logits
from daskgmm.model.kernels.screened import Model, Work

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
def _bound(model: Model, z: NDArray[Any], work: Work, upper: NDArray[Any]) -> None:
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
    model: Model, by_row: NDArray[Any], rows: NDArray[Any], k: int, work: Work, out: NDArray[Any]
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
def _guess(model: Model, by_row: NDArray[Any], work: Work, upper: NDArray[Any]) -> None:
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
def _survivors(model: Model, work: Work, upper: NDArray[Any], n_features: int) -> int:
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
def _pair_logits(model: Model, by_row: NDArray[Any], work: Work, n_components: int) -> None:
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
def _share(model: Model, weights: NDArray[Any], work: Work, n: int, n_components: int) -> float:
    """Turn logits into responsibilities, zero beyond the gaps; return the log-likelihood."""
    low, peak, total = work.low[:n], work.peak[:n], work.columns[0, :n]
    none = low.dtype.type(0)
    for r in range(n):
        low[r] -= peak[r]
    for k in range(n_components):  # a guess may have been a poor one
        gap = model.gaps[k]
        for q in range(work.guess_starts[k], work.guess_starts[k + 1]):
            r = work.ordered[q]
            low[r] = -np.inf if low[r] < -gap else low[r]
    lowest = low.dtype.type(-80 if low.itemsize == 4 else -700)
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
    found: float = log_likelihood(peak, total, weights, work.columns[1])
    if len(weights) > 0:
        for r in range(n):
            peak[r] = weights[r] / total[r]
    else:
        for r in range(n):
            peak[r] = 1 / total[r]
    for r in range(n):
        low[r] *= peak[r]
    for q in range(work.pair_starts[n_components]):
        work.pair_logits[q] *= peak[work.pair_rows[q]]
    return found


@compiled
def _gather(work: Work, k: int) -> int:
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
    by_row: NDArray[Any], origin: NDArray[Any], h: int, work: Work, sums: NDArray[Any]
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
    by_row: NDArray[Any], origin: NDArray[Any], h: int, work: Work, sums: NDArray[Any]
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
def _select(model: Model, z: NDArray[Any], by_row: NDArray[Any], work: Work) -> int:
    """Find the pairs of a tile z (D, n) that may count; return their number."""
    n_features, n = z.shape
    n_components = len(model.normalisers)
    upper = work.upper[: n_components * n].reshape(n_components, n)
    _place(z, by_row)
    _bound(model, z, work, upper)
    _guess(model, by_row, work, upper)
    return n + _survivors(model, work, upper, n_features)


@compiled
def _add_pairs(
    model: Model,
    by_row: NDArray[Any],
    weights: NDArray[Any],
    work: Work,
    sums: NDArray[Any],
) -> float:
    """Add the moments of the selected pairs; return the rows' log-likelihood."""
    n, n_components = len(by_row), len(model.normalisers)
    work.peak[:n] = work.low[:n]
    _pair_logits(model, by_row, work, n_components)
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


def _adding(digest: str) -> Callable[..., None]:
    def add(
        rows: NDArray[Any],
        origin: NDArray[Any],
        scale: NDArray[Any],
        model_fields: tuple[Any, ...],
        ways_fields: tuple[Any, ...],
        weights: NDArray[Any],
        least: float,
        work_fields: tuple[Any, ...],
        sums: NDArray[Any],
        log_likelihoods: NDArray[Any],
        counted: NDArray[Any],
        form_fields: tuple[Any, ...],
        feature_fields: tuple[Any, ...],
        feature_sums: NDArray[Any],
    ) -> None:
        digest  # noqa: B018  closed over, and so part of the key of numba's cache
        model, ways, work = Model(*model_fields), Ways(*ways_fields), Work(*work_fields)
        form, feature_work = Form(*form_fields), FeatureWork(*feature_fields)
        n_components, n_features = len(model.normalisers), len(rows)
        tile, unseen = len(work.ordered), 0
        for start in range(0, rows.shape[1], tile):
            n = min(tile, rows.shape[1] - start)
            own, own_weights = rows[:, start : start + n], weights[start : start + n]
            z = work.z[: n_features * n].reshape(n_features, n)
            by_row = work.by_row[: n_features * n].reshape(n, n_features)
            few = ways.screened and unseen == 0
            if few or not ways.by_features:
                standardise(own, origin, scale, z)
            if few:
                pairs = _select(model, z, by_row, work)
                few = pairs <= ways.most * n * n_components
                unseen = 0 if few else _TILES_UNSEEN
            else:
                unseen -= 1
            if few:
                counted[0] += pairs
                log_likelihoods[0] += _add_pairs(model, by_row, own_weights, work, sums)
            elif ways.by_features:
                counted[1] += n
                add_by_features(own, origin, scale, form, own_weights, least, feature_work,
                                feature_sums, log_likelihoods)  # fmt: skip
            else:
                counted[2] += n
                gamma = work.pair_logits[: n_components * n].reshape(n_components, n)
                write_all_logits(model, z, work, gamma)
                log_likelihoods[0] += normalise(gamma, own_weights, least, work.peak[:n],
                                                work.columns)  # fmt: skip
                add_all_sums(model, z, work, gamma, sums)

    return add


def _density_writing(digest: str) -> Callable[..., None]:
    def write_logits(
        rows: NDArray[Any],
        origin: NDArray[Any],
        scale: NDArray[Any],
        model_fields: tuple[Any, ...],
        screened: bool,
        work_fields: tuple[Any, ...],
        out: NDArray[Any],
    ) -> None:
        digest  # noqa: B018
        model, work = Model(*model_fields), Work(*work_fields)
        n_components, n_features = len(model.normalisers), len(rows)
        tile = len(work.ordered)
        for start in range(0, rows.shape[1], tile):
            n = min(tile, rows.shape[1] - start)
            own = out[:, start : start + n]
            z = work.z[: n_features * n].reshape(n_features, n)
            by_row = work.by_row[: n_features * n].reshape(n, n_features)
            standardise(rows[:, start : start + n], origin, scale, z)
            if not screened:
                gamma = work.pair_logits[: n_components * n].reshape(n_components, n)
                write_all_logits(model, z, work, gamma)
                own[:] = gamma
                continue
            _select(model, z, by_row, work)
            work.peak[:n] = work.low[:n]
            _pair_logits(model, by_row, work, n_components)
            own[:] = -np.inf
            for r in range(n):
                own[work.guess[r], r] = work.low[r]
            for k in range(n_components):
                for q in range(work.pair_starts[k], work.pair_starts[k + 1]):
                    own[k, work.pair_rows[q]] = work.pair_logits[q]

    return write_logits


def model_type(dtype: np.dtype[Any]) -> Any:
    vector, table = array(dtype, 1), array(dtype, 2)
    integers = types.Array(types.int64, 1, "C")
    fields = (
        table, table, array(dtype, 3), types.boolean, vector, vector,
        table, integers, vector, vector,
    )  # fmt: skip
    return types.Tuple(fields)


def work_type(dtype: np.dtype[Any]) -> Any:
    vector = array(dtype, 1)
    integers, shorts = types.Array(types.int64, 1, "C"), types.Array(types.int32, 1, "C")
    singles, doubles = types.Array(types.float32, 1, "C"), types.Array(types.float64, 1, "C")
    fields = (
        vector, vector, vector, vector, singles, doubles, singles, shorts, integers, integers,
        vector, vector, integers, integers, vector, integers, vector, vector, vector, vector, TABLE,
    )  # fmt: skip
    return types.Tuple(fields)


@cache
def loop(rows: np.dtype[Any], dtype: np.dtype[Any]) -> Callable[..., None]:
    """Loop that adds moments, for rows of one type, computed in another, of any memory layout."""
    doubles, integers = types.Array(types.float64, 1, "C"), types.Array(types.int64, 1, "C")
    ways = types.Tuple((types.boolean, types.boolean, types.float64))
    return ready(
        _adding,
        (
            rows_in_any_layout(rows), DOUBLES, DOUBLES, model_type(dtype), ways, DOUBLES,
            types.float64, work_type(dtype), types.Array(types.float64, 3, "C"), doubles, integers,
            form_type(dtype), feature_work_type(dtype), TABLE,
        ),
    )  # fmt: skip


@cache
def density_loop(rows: np.dtype[Any], dtype: np.dtype[Any]) -> Callable[..., None]:
    """Loop that writes the logits of single rows, likewise."""
    return ready(
        _density_writing,
        (
            rows_in_any_layout(rows), DOUBLES, DOUBLES, model_type(dtype), types.boolean,
            work_type(dtype), array(dtype, 2),
        ),
    )  # fmt: skip
