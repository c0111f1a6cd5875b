"""Sums of products of features over gathered rows, which lie one after another.

Registers hold sums of products of a few features, each in every lane, with registers full of
others: no sum is left to be made over lanes, however few rows there are.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.base import ABOUT_MEANS, FEW_ROWS, MOST_SUMMED_ROWS
from daskgmm.model.kernels.loops.all_sums import DOUBLE, add_moved, total_of
from daskgmm.model.kernels.loops.compiling import along_rows, compiled
from daskgmm.model.kernels.loops.lanes import (
    REGISTER_BYTES,
    REGISTERS,
    Lanes,
    in_register,
    loaded,
    spread,
    store,
)
from daskgmm.model.kernels.loops.products import features_at, no_sums, parts, with_products

_HIGH, _LONG = (6, 4) if REGISTERS == 32 else (4, 3)
"""Features and registers of others, whose products fill the registers."""


@intrinsic
def _load_as(typing: Any, values: Any, array: Any, start: Any) -> Any:
    """As many numbers of an array (n,) as a register of values holds, in their type."""
    del typing
    lanes = Lanes(values.dtype, in_register(values.dtype))

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        own = Lanes(array.dtype, lanes.count)
        found = loaded(context, builder, array, given[1:], own)
        if array.dtype == lanes.number:
            return found
        return builder.fpext(found, context.get_value_type(lanes))

    return lanes(values, array, start), write


@intrinsic
def _first(typing: Any, lanes: Any, count: Any) -> Any:
    """The first so many lanes, and zeros in the others."""
    del typing

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        index = ir.VectorType(ir.IntType(64), lanes.count)
        numbers = ir.Constant(index, list(range(lanes.count)))
        none = ir.Constant(index, ir.Undefined)
        limit = builder.insert_element(none, given[1], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes.count), None)
        limit = builder.shuffle_vector(limit, none, zeros)
        kept = builder.icmp_signed("<", numbers, limit)
        return builder.select(kept, given[0], ir.Constant(given[0].type, None))

    return lanes(lanes, count), write


@intrinsic(prefer_literal=True)
def _spread_at(typing: Any, values: Any, start: Any, count: Any) -> Any:
    """Lanes of so many numbers of an array (n,) that follow each other, each in every lane."""
    del typing
    lanes = Lanes(values.dtype, in_register(values.dtype))
    found = types.UniTuple(lanes, count.literal_value)

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        numbers = context.make_array(values)(context, builder, given[0]).data
        own = []
        for i in range(found.count):
            place = builder.add(given[1], ir.Constant(ir.IntType(64), i))
            number = builder.load(builder.gep(numbers, [place]))
            own.append(spread(context, builder, number, values.dtype, lanes))
        return cgutils.pack_array(builder, own)

    return found(values, start, count), write


@intrinsic(prefer_literal=True)
def _add_registers(typing: Any, table: Any, row: Any, column: Any, sums: Any, long: Any) -> Any:
    """Add registers to a square table of doubles from a place on, so many to a row.

    What lies outside of the table is left out.
    """
    del typing
    count, lanes = long.literal_value, sums.dtype
    index = ir.IntType(64)

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        del signature
        array = context.make_array(table)(context, builder, given[0])
        width, own = builder.extract_value(array.shape, 1), parts(builder, given[3], sums)
        doubles = ir.VectorType(ir.DoubleType(), lanes.count)

        def add(place: Any, added: Any) -> None:
            address = builder.bitcast(builder.gep(array.data, [place]), added.type.as_pointer())
            before = builder.load(address, align=8)
            builder.store(builder.fadd(before, added), address, align=8)

        for t in range(sums.count // count):
            line = builder.add(given[1], ir.Constant(index, t))
            with builder.if_then(builder.icmp_signed("<", line, width)):
                for v in range(count):
                    start = builder.add(given[2], ir.Constant(index, v * lanes.count))
                    place = builder.add(builder.mul(line, width), start)
                    added = own[t * count + v]
                    if lanes.number == types.float32:
                        added = builder.fpext(added, doubles)
                    if v < count - 1:
                        add(place, added)
                        continue
                    left = builder.sub(width, start)
                    whole = builder.icmp_signed(">=", left, ir.Constant(index, lanes.count))
                    with builder.if_else(whole) as (then, otherwise):
                        with then:
                            add(place, added)
                        with otherwise, cgutils.for_range(builder, left) as loop:
                            one = builder.extract_element(added, loop.index)
                            add(builder.add(place, loop.index), one)
        return context.get_dummy_value()

    return types.void(table, row, column, sums, long), write


def _adding(long: int) -> Callable[..., None]:
    """The function that adds products of a few features with so many registers of others."""
    count = _HIGH * long

    @along_rows
    def add(
        values: NDArray[Any], n: int, wide: int, i: int, j: int, side: int, table: NDArray[Any]
    ) -> None:
        products = no_sums(values, count)
        for q in range(n):
            some = _spread_at(values, q * wide + i, _HIGH)
            products = with_products(products, some, features_at(values, q * wide + j, side, long))
        _add_registers(table, i, j, products, long)

    adding: Callable[..., None] = add
    return adding


_add_one, _add_two, _add_three, _add_four = (_adding(long) for long in (1, 2, 3, 4))


@compiled
def _add_products(values: NDArray[Any], n: int, wide: int, table: NDArray[Any]) -> None:
    """Add sums of the products of all features with each other, and with others behind them."""
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
                _add_four(values, n, wide, i, j, side, table)


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
        middle, left = _load_as(values, centre, start), n_features - start
        total = middle * 0
        for q in range(len(chosen)):
            x = _load_as(values, rows, np.int64(chosen[q]) * n_features + start)
            own = _first(x - middle, left) * roots[q]
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
        middle = _load_as(centre, centre, start)
        away = middle * 0
        for q in range(len(chosen)):
            x = _load_as(centre, rows, np.int64(chosen[q]) * n_features + start)
            away += (x - middle) * shares[q]
        store(centre, start, _first(middle + away * total, n_features - start))


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
    centre[n_features:] = 0
    for d in range(n_features):
        centre[d] = origin[d]
    _add_rows(by_row, chosen, shares, centre, values[wide:], table, linear)


@compiled
def _add_about_mean(
    by_row: NDArray[Any],
    chosen: NDArray[Any],
    shares: NDArray[Any],
    origin: NDArray[Any],
    work: PairWork,
    table: NDArray[Any],
    first: NDArray[Any],
) -> None:
    """Likewise, made about the rows' own mean and moved in double precision."""
    n_features, side = by_row.shape[1], REGISTER_BYTES // by_row.itemsize
    wide = -(-n_features // side) * side
    linear, away = work.by_feature[:n_features], work.by_feature[n_features : 2 * n_features]
    centre, total = work.centred[:wide], np.float64(total_of(shares))
    centre[n_features:] = 0
    for d in range(n_features):
        centre[d] = origin[d]
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
        _add_about_mean(by_row, chosen, shares, origin, work, table, first[k])
        coarse[k] = max(coarse[k], ABOUT_MEANS)
    else:
        values = work.centred.view(np.float64)
        _add_about_origin(by_row, chosen, shares, origin, values, table, first[k])
