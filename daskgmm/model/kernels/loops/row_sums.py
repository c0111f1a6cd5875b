"""Sums of products of features over gathered rows, which lie one after another.

Registers hold sums of products of a few features, each in every lane, with registers full of
others: no sum is left to be made over lanes, however few rows there are.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.base import ABOUT_MEANS, FEW_ROWS, MOST_SUMMED_ROWS
from daskgmm.model.kernels.loops.arithmetic import DOUBLE, add_moved, total_of
from daskgmm.model.kernels.loops.compiling import along_rows, compiled
from daskgmm.model.kernels.loops.registers.lanes import (
    REGISTER_BYTES,
    REGISTERS,
    first_lanes,
    load_as,
    store,
)
from daskgmm.model.kernels.loops.registers.products import (
    add_registers,
    features_at,
    no_sums,
    spread_at,
    with_products,
)

_HIGH, _LONG = (6, 4) if REGISTERS == 32 else (4, 3)
"""Features and registers of others, whose products fill the registers."""


def _adding(long: int) -> Callable[..., None]:
    """The function that adds products of a few features with so many registers of others."""
    count = _HIGH * long

    @along_rows
    def add(
        values: NDArray[Any], n: int, wide: int, i: int, j: int, side: int, table: NDArray[Any]
    ) -> None:
        products = no_sums(values, count)
        for q in range(n):
            some = spread_at(values, q * wide + i, _HIGH)
            products = with_products(products, some, features_at(values, q * wide + j, side, long))
        add_registers(table, i, j, products, long)

    adding: Callable[..., None] = add
    return adding


_add_one, _add_two, _add_three = _adding(1), _adding(2), _adding(3)
_add_most = _add_three if _LONG == 3 else _adding(_LONG)


@compiled
def _add_products(values: NDArray[Any], n: int, wide: int, table: NDArray[Any]) -> None:
    """Add sums of the products of all features with each other: all that are above the diagonal.

    Below it and on its way are parts of others, which nobody reads.
    """
    n_features, side = len(table), REGISTER_BYTES // values.itemsize
    registers = wide // side
    panels = -(-registers // _LONG)
    for panel in range(panels):
        start, end = registers * panel // panels * side, registers * (panel + 1) // panels * side
        for i in range(0, min(end, n_features), _HIGH):
            j = max(start, i // side * side)
            number = (end - j) // side
            if number == 1:
                _add_one(values, n, wide, i, j, side, table)
            elif number == 2:
                _add_two(values, n, wide, i, j, side, table)
            elif number == 3:
                _add_three(values, n, wide, i, j, side, table)
            else:
                _add_most(values, n, wide, i, j, side, table)


@compiled
def _write_centre(origin: NDArray[Any], centre: NDArray[Any]) -> None:
    """Write an origin (D,) to a centre (wide,), and zeros behind it."""
    centre[len(origin) :] = 0
    for d in range(len(origin)):
        centre[d] = origin[d]


@along_rows
def _write_rows(
    by_row: NDArray[Any],
    chosen: NDArray[Any],
    roots: NDArray[Any],
    centre: NDArray[Any],
    values: NDArray[Any],
    spare: NDArray[Any],
    linear: NDArray[Any],
) -> None:
    """Write chosen rows less a centre, times the roots of their shares, as whole registers each.

    Add their sums, times the roots once more, to linear (D,).
    """
    n_features, wide = by_row.shape[1], len(centre)
    side = REGISTER_BYTES // values.itemsize
    rows = by_row.reshape(by_row.size)
    for start in range(0, wide, side):
        middle, left = load_as(values, centre, start), n_features - start
        total = middle * 0
        for q in range(len(chosen)):
            x = load_as(values, rows, np.int64(chosen[q]) * n_features + start)
            own = first_lanes(x - middle, left) * roots[q]
            store(values, q * wide + start, own)
            total += own * roots[q]
        store(spare, 0, total)
        for d in range(min(side, left)):
            linear[start + d] += spare[d]


@along_rows
def _write_mean(
    by_row: NDArray[Any],
    chosen: NDArray[Any],
    shares: NDArray[Any],
    total: Any,
    centre: NDArray[Any],
) -> None:
    """Move a centre (wide,) to the mean of the chosen rows, or nearly so."""
    n_features, side = by_row.shape[1], REGISTER_BYTES // centre.itemsize
    rows = by_row.reshape(by_row.size)
    for start in range(0, len(centre), side):
        middle = load_as(centre, centre, start)
        away = middle * 0
        for q in range(len(chosen)):
            x = load_as(centre, rows, np.int64(chosen[q]) * n_features + start)
            away += (x - middle) * shares[q]
        store(centre, start, first_lanes(middle + away * total, n_features - start))


@compiled
def _add_rows(
    by_row: NDArray[Any],
    chosen: NDArray[Any],
    shares: NDArray[Any],
    centre: NDArray[Any],
    values: NDArray[Any],
    table: NDArray[Any],
    linear: NDArray[Any],
) -> None:
    """Add sums of shares x x.T and of shares x over the chosen rows x, less a centre (wide,).

    In the type of the work array for values, for as many rows at once as fit there.
    """
    wide, side = len(centre), REGISTER_BYTES // values.itemsize
    spare, roots = values[:side], values[side : side + MOST_SUMMED_ROWS]
    rows = values[side + MOST_SUMMED_ROWS :]
    most = min((len(rows) - _HIGH) // wide, MOST_SUMMED_ROWS)
    for start in range(0, len(chosen), most):
        own = chosen[start : start + most]
        n = len(own)
        for q in range(n):
            roots[q] = np.sqrt(values.dtype.type(shares[start + q]))
        _write_rows(by_row, own, roots, centre, rows, spare, linear)
        _add_products(rows, n, wide, table)


@compiled
def _add_about_origin(
    by_row: NDArray[Any],
    chosen: NDArray[Any],
    shares: NDArray[Any],
    origin: NDArray[Any],
    values: NDArray[Any],
    table: NDArray[Any],
    linear: NDArray[Any],
) -> None:
    """Add sums of shares x x.T and of shares x over the chosen rows x, less their origin (D,)."""
    n_features, side = by_row.shape[1], REGISTER_BYTES // values.itemsize
    wide = -(-n_features // side) * side
    centre = values[:wide]
    _write_centre(origin, centre)
    _add_rows(by_row, chosen, shares, centre, values[wide:], table, linear)


@compiled
def _add_about_mean(
    by_row: NDArray[Any],
    chosen: NDArray[Any],
    shares: NDArray[Any],
    origin: NDArray[Any],
    total: float,
    work: PairWork,
    table: NDArray[Any],
    first: NDArray[Any],
) -> None:
    """Likewise, made about the rows' own mean and moved in double precision.

    Their shares sum to a total.
    """
    n_features, side = by_row.shape[1], REGISTER_BYTES // by_row.itemsize
    wide = -(-n_features // side) * side
    linear, away = work.by_feature[:n_features], work.by_feature[n_features : 2 * n_features]
    centre = work.centred[:wide]
    _write_centre(origin, centre)
    _write_mean(by_row, chosen, shares, centre.dtype.type(1 / total), centre)
    linear[:] = 0
    for d in range(n_features):
        away[d] = np.float64(centre[d]) - np.float64(origin[d])
    _add_rows(by_row, chosen, shares, centre, work.centred[wide:], table, linear)
    add_moved(linear, away, total, table, first)


@compiled
def add_row_sums(
    model: Model,
    by_row: NDArray[Any],
    k: int,
    h: int,
    work: PairWork,
    second: NDArray[Any],
    first: NDArray[Any],
    coarse: NDArray[Any],
) -> None:
    """Add the sums of component k, which has a matrix, over h chosen rows and their shares.

    Tell in coarse (K,) whether they are made in single precision.
    """
    chosen, shares, n_features = work.chosen[:h], work.logits[:h], by_row.shape[1]
    table, origin = second[min(k, len(second) - 1)], model.origins[k]
    total = np.float64(total_of(shares))
    first[k, n_features] += total
    if by_row.itemsize == DOUBLE:
        _add_about_origin(by_row, chosen, shares, origin, work.centred, table, first[k])
    elif total > FEW_ROWS and not model.fragile[k]:
        _add_about_mean(by_row, chosen, shares, origin, total, work, table, first[k])
        coarse[k] = max(coarse[k], ABOUT_MEANS)
    else:
        values = work.centred.view(np.float64)
        _add_about_origin(by_row, chosen, shares, origin, values, table, first[k])
