"""Sums of products of features over rows, of several at once, in registers.

Tuples of lanes hold one feature each, or one sum. Each of a few features is multiplied with each of
some others: the more that are held, the fewer numbers are loaded for what is multiplied.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from daskgmm.model.kernels.loops.registers.lanes import Lanes, in_register, loaded, spread


def parts(builder: Any, value: Any, kind: Any) -> list[Any]:
    """The lanes of a tuple."""
    return [builder.extract_value(value, i) for i in range(kind.count)]


def _product(builder: Any, one: Any, other: Any) -> Any:
    return builder.fmul(one, other, flags=("contract",))


def _sum(builder: Any, one: Any, other: Any) -> Any:
    return builder.fadd(one, other, flags=("contract",))


def with_product(builder: Any, found: Any, one: Any, other: Any) -> Any:
    """Lanes to which a product is added, or that alone."""
    own = _product(builder, one, other)
    return own if found is None else _sum(builder, found, own)


@intrinsic(prefer_literal=True)
def no_sums(typing: Any, values: Any, count: Any) -> Any:
    """So many lanes of zeros, of the type of an array."""
    del typing
    found = types.UniTuple(Lanes(values.dtype, in_register(values.dtype)), count.literal_value)

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        del builder, signature, given
        return ir.Constant(context.get_value_type(found), None)

    return found(values, count), write


@intrinsic(prefer_literal=True)
def features_at(typing: Any, values: Any, start: Any, stride: Any, count: Any) -> Any:
    """Lanes of so many features, of an array (n,) that holds them one after another."""
    del typing
    lanes = Lanes(values.dtype, in_register(values.dtype))
    found = types.UniTuple(lanes, count.literal_value)

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        place, rows = given[1], []
        for _ in range(found.count):
            rows.append(loaded(context, builder, values, [given[0], place], lanes))
            place = builder.add(place, given[2])
        return cgutils.pack_array(builder, rows)

    return found(values, start, stride, count), write


@intrinsic(prefer_literal=True)
def spread_at(typing: Any, values: Any, start: Any, count: Any) -> Any:
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


@intrinsic
def weighted(typing: Any, rows: Any, share: Any) -> Any:
    """Features multiplied by lanes of shares."""
    del typing

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        own = [_product(builder, row, given[1]) for row in parts(builder, given[0], rows)]
        return cgutils.pack_array(builder, own)

    return rows(rows, share), write


@intrinsic
def with_features(typing: Any, sums: Any, rows: Any) -> Any:
    """Sums to which features are added."""
    del typing

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        pairs = zip(parts(builder, given[0], sums), parts(builder, given[1], rows), strict=True)
        return cgutils.pack_array(builder, [_sum(builder, one, other) for one, other in pairs])

    return sums(sums, rows), write


@intrinsic
def with_products(typing: Any, sums: Any, rows: Any, others: Any) -> Any:
    """Sums to which the products of features with others are added, those of the first one first.

    If there are fewer sums than products, then those with an other feature before it are left out.
    """
    del typing
    triangle = sums.count < rows.count * others.count

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        own, its = parts(builder, given[1], rows), parts(builder, given[2], others)
        pairs = [(one, i) for j, one in enumerate(own) for i in its[j if triangle else 0 :]]
        found = [
            with_product(builder, before, *pair)
            for before, pair in zip(parts(builder, given[0], sums), pairs, strict=True)
        ]
        return cgutils.pack_array(builder, found)

    return sums(sums, rows, others), write


def _in_lanes(builder: Any, sums: list[Any]) -> list[Any]:
    """Vectors with the total of each tuple member in a lane, added up by halves as by `totals`.

    Halves of two members go into one vector, then halves of these: it takes fewer instructions than
    each by itself.
    """
    kind, width = sums[0].type, sums[0].type.count
    own = sums + [ir.Constant(kind, None)] * (-len(sums) % width)
    indices = ir.VectorType(ir.IntType(32), width)
    while width > 1:
        lower = [i for i in range(2 * kind.count) if i % width < width // 2]
        chosen = [ir.Constant(indices, [i + away for i in lower]) for away in (0, width // 2)]
        own = [
            builder.fadd(*(builder.shuffle_vector(one, other, half) for half in chosen))
            for one, other in zip(own[::2], own[1::2], strict=True)
        ]
        width //= 2
    return own


@intrinsic(prefer_literal=True)
def add_rectangle(typing: Any, table: Any, row: Any, column: Any, sums: Any, long: Any) -> Any:
    """Add the sums' totals to a table of doubles from a place on, so many to a row."""
    del typing
    count, lanes = long.literal_value, sums.dtype

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        del signature
        array = context.make_array(table)(context, builder, given[0])
        width = builder.extract_value(array.shape, 1)
        place = builder.add(builder.mul(given[1], width), given[2])
        found = _in_lanes(builder, parts(builder, given[3], sums))
        doubles = ir.VectorType(ir.DoubleType(), count)
        for first in range(0, sums.count, count):
            vector = found[first // lanes.count]
            chosen = [(first + i) % lanes.count for i in range(count)]
            mask = ir.Constant(ir.VectorType(ir.IntType(32), count), chosen)
            added = builder.shuffle_vector(vector, vector, mask)
            if lanes.number == types.float32:
                added = builder.fpext(added, doubles)
            address = builder.bitcast(builder.gep(array.data, [place]), doubles.as_pointer())
            before = builder.load(address, align=8)
            builder.store(builder.fadd(before, added), address, align=8)
            place = builder.add(place, width)
        return context.get_dummy_value()

    return types.void(table, row, column, sums, long), write


@intrinsic(prefer_literal=True)
def add_registers(typing: Any, table: Any, row: Any, column: Any, sums: Any, long: Any) -> Any:
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


@intrinsic
def totals(typing: Any, sums: Any) -> Any:
    """Each tuple member's lanes, added up by halves."""
    del typing
    number = sums.dtype.number
    found = types.UniTuple(number, sums.count)

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        index = ir.IntType(32)
        numbers = []
        for lanes in parts(builder, given[0], sums):
            width, own = sums.dtype.count, lanes
            while width > 1:
                width //= 2
                halves = [
                    builder.shuffle_vector(
                        own,
                        ir.Constant(own.type, ir.Undefined),
                        ir.Constant(ir.VectorType(index, width), list(range(first, first + width))),
                    )
                    for first in (0, width)
                ]
                own = builder.fadd(*halves)
            numbers.append(builder.extract_element(own, ir.Constant(index, 0)))
        return cgutils.pack_array(builder, numbers)

    return found(sums), write
