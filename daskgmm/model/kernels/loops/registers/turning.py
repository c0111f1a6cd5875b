"""Rows written feature by feature: squares of their numbers are turned in registers.

Of each row of a square as many numbers are loaded as a register holds, also where fewer are left:
those that follow are not written.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from daskgmm.model.kernels.loops.compiling import along_rows
from daskgmm.model.kernels.loops.registers.lanes import (
    REGISTER_BYTES,
    Lanes,
    in_register,
    loaded,
    stored,
)

_INDEX = ir.IntType(64)


@intrinsic
def _from(typing: Any, rows: Any, first: Any) -> Any:
    """Numbers of the rows of a square, from the first on."""
    del typing
    found = types.UniTuple(types.int64, in_register(rows.dtype))

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        numbers = [builder.add(given[1], ir.Constant(_INDEX, i)) for i in range(found.count)]
        return cgutils.pack_array(builder, numbers)

    return found(rows, first), write


@intrinsic
def _listed(typing: Any, rows: Any, chosen: Any, first: Any) -> Any:
    """Likewise, from a list of rows."""
    del typing
    found = types.UniTuple(types.int64, in_register(rows.dtype))

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        listed, numbers = context.make_array(chosen)(context, builder, given[1]).data, []
        for i in range(found.count):
            place = builder.gep(listed, [builder.add(given[2], ir.Constant(_INDEX, i))])
            numbers.append(builder.sext(builder.load(place), _INDEX))
        return cgutils.pack_array(builder, numbers)

    return found(rows, chosen, first), write


@intrinsic
def _square(typing: Any, rows: Any, numbers: Any, feature: Any) -> Any:
    """Lanes of rows (n, D) of these numbers, from a feature on."""
    del typing
    lanes = Lanes(rows.dtype, numbers.count)

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        array = context.make_array(rows)(context, builder, given[0])
        width = builder.extract_value(array.shape, 1)
        square = []
        for i in range(numbers.count):
            row = builder.mul(builder.extract_value(given[1], i), width)
            place = builder.add(row, given[2])
            square.append(loaded(context, builder, rows, [given[0], place], lanes))
        return cgutils.pack_array(builder, square)

    return types.UniTuple(lanes, numbers.count)(rows, numbers, feature), write


@intrinsic
def _turned(typing: Any, square: Any) -> Any:
    """Lanes of features: halves of a square change places, then halves of these."""
    del typing
    count = square.count

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        own = [builder.extract_value(given[0], i) for i in range(count)]
        indices, half = ir.VectorType(ir.IntType(32), count), count // 2
        while half > 0:
            upper = [j if j & half == 0 else count + j - half for j in range(count)]
            lower = [j + half if j & half == 0 else count + j for j in range(count)]
            for i in range(count):
                if i & half == 0:
                    one, other = own[i], own[i + half]
                    own[i], own[i + half] = (
                        builder.shuffle_vector(one, other, ir.Constant(indices, chosen))
                        for chosen in (upper, lower)
                    )
            half //= 2
        return cgutils.pack_array(builder, own)

    return square(square), write


@intrinsic
def _put(typing: Any, out: Any, start: Any, stride: Any, square: Any, count: Any) -> Any:
    """Write the first features of a square to an array, a stride apart, in the array's type."""
    del typing
    lanes = Lanes(out.dtype, square.count)

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        array, place, step, features, last = given
        for i in range(square.count):
            with builder.if_then(builder.icmp_signed("<", ir.Constant(_INDEX, i), last)):
                own = builder.extract_value(features, i)
                if square.dtype.number != lanes.number:  # double precision to single
                    own = builder.fptrunc(own, context.get_value_type(lanes))
                stored(context, builder, out, [array, place], own)
            place = builder.add(place, step)
        return context.get_dummy_value()

    return types.void(out, start, stride, square, count), write


@along_rows
def turn(rows: NDArray[Any], spare: int, out: NDArray[Any], stride: int) -> None:
    """Write rows (n, D) feature by feature to out, a stride apart.

    So many numbers behind the last row may be loaded.
    """
    (n, n_features), side = rows.shape, REGISTER_BYTES // rows.itemsize
    whole = n // side * side
    if whole * n_features + -n_features % side > rows.size + spare:
        whole = max(whole - side, 0)
    for first in range(0, whole, side):
        for d in range(0, n_features, side):
            square = _turned(_square(rows, _from(rows, first), d))
            _put(out, d * stride + first, stride, square, n_features - d)
    for r in range(whole, n):
        for d in range(n_features):
            out[d * stride + r] = rows[r, d]


@along_rows
def gather(by_row: NDArray[Any], rows: NDArray[Any], gathered: NDArray[Any], stride: int) -> None:
    """Write chosen rows of a work array (n, D) feature by feature to gathered, a stride apart."""
    h, n_features, side = len(rows), by_row.shape[1], REGISTER_BYTES // by_row.itemsize
    whole = h // side * side
    for first in range(0, whole, side):
        for d in range(0, n_features, side):
            square = _turned(_square(by_row, _listed(by_row, rows, first), d))
            _put(gathered, d * stride + first, stride, square, n_features - d)
    for q in range(whole, h):
        for d in range(n_features):
            gathered[d * stride + q] = by_row[rows[q], d]
