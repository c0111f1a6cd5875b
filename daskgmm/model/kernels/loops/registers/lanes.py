"""Vectors of numbers that a loop over rows holds in registers, from one addition to the next.

LLVM makes vectors of inner loops over rows; what these add up over features they write to memory
and read again at each of them. Here the rows of a block lie in `Lanes`, and loops run over
features: no more than one number in eight is loaded for what is multiplied.

Within compiled functions ``+``, ``-`` and ``*`` take lanes, and lanes with a number, which stands
in each of them. They may be contracted, as elsewhere.
"""

import operator
from collections.abc import Callable
from typing import Any, final

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, register_model

from daskgmm.model.kernels.loops.compiling import OPTIONS

_REGISTERS = 4
"""Registers of lanes: as many as hide that one addition waits for another."""

REGISTER_BYTES, REGISTERS = (64, 32) if get_host_cpu_features().get("avx512f") else (32, 16)
"""Bytes of a register of the processor, and how many it has."""

LANE_BYTES = _REGISTERS * REGISTER_BYTES
"""Bytes of lanes: a block has so many rows as numbers fit there."""


@final
class Lanes(types.Type):
    """numba's type of so many lanes of one type of number."""

    def __init__(self, number: Any, count: int) -> None:
        self.number, self.count = number, count
        super().__init__(name=f"Lanes({number}, {count})")


def in_register(number: Any) -> int:
    """Numbers of a type that fill a register."""
    return int(8 * REGISTER_BYTES // number.bitwidth)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        number = ir.DoubleType() if lanes.number == types.float64 else ir.FloatType()
        super().__init__(manager, lanes, ir.VectorType(number, lanes.count))


@intrinsic
def load(typing: Any, array: Any, start: Any) -> Any:
    """Lanes of an array (n,), from one of its numbers on."""
    del typing
    lanes = Lanes(array.dtype, _REGISTERS * in_register(array.dtype))

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        return loaded(context, builder, array, given, lanes)

    return lanes(array, start), write


@intrinsic
def load_register(typing: Any, array: Any, start: Any) -> Any:
    """Likewise, as many as one register holds."""
    del typing
    lanes = Lanes(array.dtype, in_register(array.dtype))

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        return loaded(context, builder, array, given, lanes)

    return lanes(array, start), write


@intrinsic
def load_as(typing: Any, values: Any, array: Any, start: Any) -> Any:
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
def first_lanes(typing: Any, lanes: Any, count: Any) -> Any:
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


@intrinsic
def store(typing: Any, array: Any, start: Any, lanes: Any) -> Any:
    """Write lanes to an array (n,), from one of its numbers on."""
    del typing

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        stored(context, builder, array, given[:2], given[2])
        return context.get_dummy_value()

    return types.void(array, start, lanes), write


@intrinsic
def store_single(typing: Any, array: Any, start: Any, lanes: Any) -> Any:
    """Likewise, to an array of single precision."""
    del typing
    singles = ir.VectorType(ir.FloatType(), lanes.count)

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        own = given[2]
        if lanes.number == types.float64:
            own = builder.fptrunc(own, singles)
        stored(context, builder, array, given[:2], own)
        return context.get_dummy_value()

    return types.void(array, start, lanes), write


@intrinsic
def add_to_doubles(typing: Any, array: Any, start: Any, lanes: Any) -> Any:
    """Add lanes to as many numbers of an array (n,) in double precision."""
    del typing

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        wide = ir.VectorType(ir.DoubleType(), lanes.count)
        place = _place(context, builder, signature.args[0], given)
        place, added = builder.bitcast(place, wide.as_pointer()), given[2]
        if lanes.number == types.float32:
            added = builder.fpext(added, wide)
        before = builder.load(place, align=_bytes(types.float64))
        builder.store(builder.fadd(before, added), place, align=_bytes(types.float64))
        return context.get_dummy_value()

    return types.void(array, start, lanes), write


@intrinsic
def larger(typing: Any, one: Any, other: Any) -> Any:
    """The larger of each two lanes, and the first of what does not compare."""
    del typing

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        return builder.select(builder.fcmp_ordered("<", *given), given[1], given[0])

    return one(one, other), write


@intrinsic
def within(typing: Any, lanes: Any, least: Any, most: Any) -> Any:
    """Lanes, but the least or the most number in place of what is beyond; the most for NaN."""
    del typing

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        low, high = (spread(context, builder, given[i], signature.args[i], lanes) for i in (1, 2))
        found = builder.select(builder.fcmp_ordered("<", given[0], high), given[0], high)
        return builder.select(builder.fcmp_ordered("<", found, low), low, found)

    return lanes(lanes, least, most), write


@intrinsic
def where_larger(typing: Any, one: Any, other: Any, number: Any, found: Any) -> Any:
    """A number where one lane is larger than the other, and what was found in all others."""
    del typing

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        chosen = spread(context, builder, given[2], signature.args[2], found)
        larger = builder.fcmp_ordered(">", given[0], given[1])
        return builder.select(larger, chosen, given[3])

    return found(one, other, number, found), write


@intrinsic
def zero_below(typing: Any, lanes: Any, least: Any, found: Any) -> Any:
    """What was found in each lane, and zero in those less than a number."""
    del typing

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        least_lanes = spread(context, builder, given[1], signature.args[1], lanes)
        below = builder.fcmp_ordered("<", given[0], least_lanes)
        return builder.select(below, ir.Constant(given[2].type, None), given[2])

    return found(lanes, least, found), write


def _take_lanes(operation: Callable[..., Any], instruction: str) -> None:
    """Let an operator take lanes, and lanes with a number."""

    @intrinsic
    def carry_out(typing: Any, one: Any, other: Any) -> Any:
        del typing
        lanes = one if isinstance(one, Lanes) else other

        def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            both = [
                spread(context, builder, value, own, lanes)
                for value, own in zip(given, signature.args, strict=True)
            ]
            return getattr(builder, instruction)(*both, flags=("contract",))

        return lanes(one, other), write

    @overload(operation, jit_options=OPTIONS, inline="always", strict=False)
    def choose(one: Any, other: Any) -> Callable[..., Any] | None:
        if isinstance(one, Lanes) or isinstance(other, Lanes):
            return lambda one, other: carry_out(one, other)  # noqa: PLW0108  numba asks for one
        return None


for _operation in (operator.add, operator.iadd):
    _take_lanes(_operation, "fadd")
_take_lanes(operator.sub, "fsub")
_take_lanes(operator.mul, "fmul")


def spread(context: Any, builder: Any, value: Any, kind: Any, lanes: Lanes) -> Any:
    """Lanes as they are, and a number in each lane."""
    if isinstance(kind, Lanes):
        return value
    vector, indices = context.get_value_type(lanes), ir.VectorType(ir.IntType(32), lanes.count)
    number = context.cast(builder, value, kind, lanes.number)
    none = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(none, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, none, ir.Constant(indices, None))


def loaded(context: Any, builder: Any, array: Any, given: Any, lanes: Lanes) -> Any:
    """Code that loads lanes of an array of some type, given itself and where they begin."""
    place = _place(context, builder, array, given)
    pointer = builder.bitcast(place, context.get_value_type(lanes).as_pointer())
    return builder.load(pointer, align=_bytes(array.dtype))


def stored(context: Any, builder: Any, array: Any, given: Any, lanes: Any) -> None:
    """Write code that stores lanes in an array of some type, given itself and where they begin."""
    place = _place(context, builder, array, given)
    builder.store(lanes, builder.bitcast(place, lanes.type.as_pointer()), align=_bytes(array.dtype))


def _place(context: Any, builder: Any, kind: Any, given: Any) -> Any:
    """Address of a number of an array."""
    return builder.gep(context.make_array(kind)(context, builder, given[0]).data, [given[1]])


def _bytes(number: Any) -> int:
    """Bytes of a number: lanes need not begin with a cache line."""
    return int(number.bitwidth) // 8
