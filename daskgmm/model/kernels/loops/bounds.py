"""Upper bounds of all logits of a tile, and the component of each row's largest."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.base import LEADING_COMPONENTS, SPARE_BYTES
from daskgmm.model.kernels.loops.blas import multiply
from daskgmm.model.kernels.loops.compiling import along_rows, compiled, summed
from daskgmm.model.kernels.loops.registers.lanes import (
    LANE_BYTES,
    larger,
    load,
    store,
    store_single,
    where_larger,
    within,
)
from daskgmm.model.kernels.loops.registers.turning import turn
from daskgmm.model.screening import MOST_DIRECTIONS, SHRINK

_MOST = np.float32(3e38)
"""Bounds stay between its negative and itself, which minus infinity, that marks a guess, is not."""

BLOCK_ROWS = LANE_BYTES // 4
"""Rows of a block, whose bounds of single precision lie in lanes."""

_HALF = np.float32(0.5 - SHRINK)


@along_rows
def _end_block(
    block: NDArray[Any],
    start: int,
    largest: Any,
    whose: Any,
    best: NDArray[Any],
    guess: NDArray[Any],
) -> None:
    """Write a block's largest bounds and whose they are; what the block held is needed no more."""
    store_single(best, start, largest)
    store(block, 0, whose)
    for r in range(LANE_BYTES // block.itemsize):
        guess[start + r] = np.int32(block[r])


@along_rows
def _bound_block(
    block: NDArray[Any],
    start: int,
    directions: NDArray[Any],
    limits: NDArray[Any],
    active: NDArray[Any],
    upper: NDArray[Any],
    best: NDArray[Any],
    guess: NDArray[Any],
) -> None:
    """Bound the logits of a block of rows, given feature by feature."""
    wide = BLOCK_ROWS
    none = within(load(block, 0) * 0, 0, 0)  # also where single precision overflows
    size = none
    for first in range(0, len(block), wide):
        x = load(block, first)
        size += x * x
    largest, whose = none - _MOST, none
    for a in range(len(active)):
        own, its = directions[active[a]], limits[active[a]]
        one, two, three, i = none, none, none, 0
        for first in range(0, len(block), wide):
            x = load(block, first)
            one += x * own[i]
            two += x * own[i + 1]
            three += x * own[i + 2]
            i += 3
        one, two, three = one - its[0], two - its[1], three - its[2]
        squares = one * one + two * two + three * three
        # What overflows says nothing: such a pair is to be computed, not left out.
        bound = within(size * its[4] + its[3] - squares * _HALF, -_MOST, _MOST)
        store(upper[a], start, bound)
        whose = where_larger(bound, largest, a, whose)
        largest = larger(largest, bound)
    _end_block(block, start, largest, whose, best, guess)


@compiled
def bound_whitened(
    model: Model,
    by_row: NDArray[Any],
    active: NDArray[Any],
    work: PairWork,
    upper: NDArray[Any],
) -> None:
    """Write upper bounds of logits to upper, from products with the directions."""
    n, n_features = by_row.shape
    block = work.block[: n_features * BLOCK_ROWS]
    for start in range(0, n, BLOCK_ROWS):
        rows = by_row[start : start + BLOCK_ROWS]
        if len(rows) < BLOCK_ROWS:
            block[:] = 0
        turn(rows, SPARE_BYTES // by_row.itemsize, block, BLOCK_ROWS)
        _bound_block(
            block, start, model.directions, model.limits, active, upper, work.best, work.guess
        )


@along_rows
def _bound_block_along_axes(
    block: NDArray[Any],
    start: int,
    axes: NDArray[Any],
    offsets: NDArray[Any],
    scales: NDArray[Any],
    normalisers: NDArray[Any],
    active: NDArray[Any],
    upper: NDArray[Any],
    best: NDArray[Any],
    guess: NDArray[Any],
) -> None:
    """Likewise, from one feature more than `MOST_DIRECTIONS`."""
    wide, half = LANE_BYTES // block.itemsize, block.dtype.type(0.5 - SHRINK)
    none = within(load(block, 0) * 0, 0, 0)
    largest, whose = none - _MOST, none
    for a in range(len(active)):
        k = active[a]
        i = k * (MOST_DIRECTIONS + 1)
        one = (load(block, axes[i] * wide) - offsets[i]) * scales[i]
        two = (load(block, axes[i + 1] * wide) - offsets[i + 1]) * scales[i + 1]
        three = (load(block, axes[i + 2] * wide) - offsets[i + 2]) * scales[i + 2]
        four = (load(block, axes[i + 3] * wide) - offsets[i + 3]) * scales[i + 3]
        squares = one * one + two * two + three * three + four * four
        bound = within(normalisers[k] - squares * half, -_MOST, _MOST)
        store_single(upper[a], start, bound)
        whose = where_larger(bound, largest, a, whose)
        largest = larger(largest, bound)
    _end_block(block, start, largest, whose, best, guess)


@compiled
def bound_along_axes(
    model: Model,
    by_row: NDArray[Any],
    active: NDArray[Any],
    work: PairWork,
    upper: NDArray[Any],
) -> None:
    """Likewise, from single features, whose differences round relative to themselves."""
    (n, n_features), wide = by_row.shape, LANE_BYTES // by_row.itemsize
    block = work.gathered[: n_features * wide]
    for start in range(0, n, wide):
        rows = by_row[start : start + wide]
        if len(rows) < wide:
            block[:] = 0
        turn(rows, SPARE_BYTES // by_row.itemsize, block, wide)
        _bound_block_along_axes(
            block, start, model.axes, model.offsets, model.scales, model.normalisers, active,
            upper, work.best, work.guess,
        )  # fmt: skip


@compiled
def bound_by_features(
    model: Model, by_row: NDArray[Any], work: PairWork, upper: NDArray[Any]
) -> None:
    """Likewise for all components, from products over features that allow for their rounding."""
    n, length = len(by_row), model.eta.shape[1]
    n_components = len(upper)
    phi = work.phi[: n * length].reshape(n, length)
    _write_features(model.monomials, by_row, phi)
    _begin(work.best[:n], work.guess[:n])
    for first in range(0, n_components, LEADING_COMPONENTS):
        last = min(first + LEADING_COMPONENTS, n_components)
        leading = work.leading[: (last - first) * n].reshape(last - first, n)
        multiply(model.eta[first:last], phi.T, leading)
        for a in range(first, last):
            own, bounds = leading[a - first], upper[a, :n]
            for r in range(n):
                bounds[r] = own[r]
            _keep(np.int32(a), bounds, work.best[:n], work.guess[:n])


@compiled
def _write_features(monomials: NDArray[Any], by_row: NDArray[Any], phi: NDArray[Any]) -> None:
    """Write features of rows (n, D), and the norms of quadratic and linear ones, to phi."""
    n, n_features = by_row.shape
    n_quadratic = phi.shape[1] - n_features - 3
    for r in range(n):
        x, quadratic, linear = by_row[r], phi[r, :n_quadratic], phi[r, n_quadratic:]
        quadratic[:] = 0
        for m in range(len(monomials)):
            quadratic[monomials[m, 0]] += x[monomials[m, 1]] * x[monomials[m, 2]]
        for d in range(n_features):
            linear[d] = x[d]
        linear[n_features] = 1
        linear[n_features + 1] = _norm(quadratic)
        linear[n_features + 2] = _norm(x)


@summed
def _norm(values: NDArray[Any]) -> Any:
    total = values.dtype.type(0)
    for i in range(len(values)):
        total += values[i] * values[i]
    return np.sqrt(total)


@compiled
def _begin(best: NDArray[Any], guess: NDArray[Any]) -> None:
    best[:] = -np.inf
    guess[:] = 0


@along_rows
def _keep(component: Any, bounds: NDArray[Any], best: NDArray[Any], guess: NDArray[Any]) -> None:
    """Keep each row's largest bound and whose it is."""
    for r in range(len(bounds)):
        bound = bounds[r]
        # What overflows says nothing: such a pair is to be computed, not left out.
        bound = _MOST if bound != bound else bound
        bound = -_MOST if bound < -_MOST else bound  # noqa: FURB136
        bounds[r] = bound
        better = bound > best[r]
        best[r] = bound if better else best[r]
        guess[r] = component if better else guess[r]
