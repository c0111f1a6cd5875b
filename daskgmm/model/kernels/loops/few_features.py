"""Logits and sums of rows of a few features, all of which registers hold at once.

What other loops write down for each component, rows less its mean, is not written here.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from daskgmm.model.kernels.costs import costs
from daskgmm.model.kernels.loops.compiling import along_rows, compiled
from daskgmm.model.kernels.loops.registers.lanes import (
    REGISTER_BYTES,
    load_register,
    spread,
    store,
)
from daskgmm.model.kernels.loops.registers.products import (
    features_at,
    no_sums,
    parts,
    totals,
    weighted,
    with_features,
    with_product,
    with_products,
)

MOST_FEATURES = costs().matrices.few_features
"""Features of rows, at most, of which registers hold all sums, or nearly so."""


@intrinsic
def _less(typing: Any, rows: Any, centre: Any) -> Any:
    """Features less the first numbers of an array."""
    del typing

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        numbers, own = context.make_array(centre)(context, builder, given[1]).data, []
        for i, row in enumerate(parts(builder, given[0], rows)):
            number = builder.load(builder.gep(numbers, [ir.Constant(ir.IntType(64), i)]))
            number = spread(context, builder, number, centre.dtype, rows.dtype)
            own.append(builder.fsub(row, number))
        return cgutils.pack_array(builder, own)

    return rows(rows, centre), write


@intrinsic
def _length(typing: Any, rows: Any, factor: Any) -> Any:
    """Squared lengths of rows that a triangular matrix (D, D) whitens."""
    del typing

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        numbers = context.make_array(factor)(context, builder, given[1]).data
        features, squares = parts(builder, given[0], rows), None
        for j in range(rows.count):
            whitened = None
            for i in range(j + 1):
                place = ir.Constant(ir.IntType(64), i * rows.count + j)
                number = builder.load(builder.gep(numbers, [place]))
                number = spread(context, builder, number, factor.dtype, rows.dtype)
                whitened = with_product(builder, whitened, features[i], number)
            squares = with_product(builder, squares, whitened, whitened)
        return squares

    return rows.dtype(rows, factor), write


def _writing(n_features: int) -> Callable[..., None]:
    """The function that writes logits of rows of so many features."""

    @along_rows
    def write(
        z: NDArray[Any],
        stride: int,
        stop: int,
        mean: NDArray[Any],
        factor: NDArray[Any],
        normaliser: Any,
        own: NDArray[Any],
    ) -> None:
        half = z.dtype.type(0.5)
        for r in range(0, stop, REGISTER_BYTES // z.itemsize):
            rows = _less(features_at(z, r, stride, n_features), mean)
            store(own, r, normaliser - _length(rows, factor) * half)

    writing: Callable[..., None] = write
    return writing


_write_one, _write_two, _write_three = _writing(1), _writing(2), _writing(3)
_write_four, _write_five, _write_six = _writing(4), _writing(5), _writing(6)


@compiled
def write_few(
    z: NDArray[Any],
    stride: int,
    stop: int,
    mean: NDArray[Any],
    factor: NDArray[Any],
    normaliser: Any,
    own: NDArray[Any],
) -> None:
    """Write the logits under a component of whole registers of rows up to one, to own (n,).

    Rows lie feature by feature in z (D stride,).
    """
    n_features = len(mean)
    if n_features == 1:
        _write_one(z, stride, stop, mean, factor, normaliser, own)
    elif n_features == 2:
        _write_two(z, stride, stop, mean, factor, normaliser, own)
    elif n_features == 3:
        _write_three(z, stride, stop, mean, factor, normaliser, own)
    elif n_features == 4:
        _write_four(z, stride, stop, mean, factor, normaliser, own)
    elif n_features == 5:
        _write_five(z, stride, stop, mean, factor, normaliser, own)
    else:
        _write_six(z, stride, stop, mean, factor, normaliser, own)


def _adding(n_features: int) -> Callable[..., None]:
    """The function that adds the sums of rows of so many features, and of their products."""
    count = n_features * (n_features + 1) // 2

    @along_rows
    def add(
        z: NDArray[Any],
        stride: int,
        start: int,
        stop: int,
        origin: NDArray[Any],
        shares: NDArray[Any],
        own: NDArray[Any],
        first: NDArray[Any],
    ) -> None:
        linear, products = no_sums(z, n_features), no_sums(z, count)
        for r in range(start, stop, REGISTER_BYTES // z.itemsize):
            rows = _less(features_at(z, r, stride, n_features), origin)
            shared = weighted(rows, load_register(shares, r))
            linear = with_features(linear, shared)
            products = with_products(products, shared, rows)
        found, both, at = totals(linear), totals(products), 0
        for t in range(n_features):
            for u in range(t, n_features):
                own[t, u] += both[at]
                at += 1
            first[t] += found[t]

    adding: Callable[..., None] = add
    return adding


_add_one, _add_two, _add_three = _adding(1), _adding(2), _adding(3)
_add_four, _add_five, _add_six = _adding(4), _adding(5), _adding(6)


@compiled
def add_few(
    z: NDArray[Any],
    stride: int,
    start: int,
    stop: int,
    origin: NDArray[Any],
    shares: NDArray[Any],
    own: NDArray[Any],
    first: NDArray[Any],
) -> None:
    """Add sums over whole registers of rows, less an origin, and over their products.

    Rows lie feature by feature in z (D stride,); sums are those of shares (n,) from start to stop.
    """
    n_features = len(own)
    if n_features == 1:
        _add_one(z, stride, start, stop, origin, shares, own, first)
    elif n_features == 2:
        _add_two(z, stride, start, stop, origin, shares, own, first)
    elif n_features == 3:
        _add_three(z, stride, start, stop, origin, shares, own, first)
    elif n_features == 4:
        _add_four(z, stride, start, stop, origin, shares, own, first)
    elif n_features == 5:
        _add_five(z, stride, start, stop, origin, shares, own, first)
    else:
        _add_six(z, stride, start, stop, origin, shares, own, first)
