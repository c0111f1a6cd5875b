"""Sums of a component's rows, feature by feature, about its mean."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.base import ABOUT_MEANS, FEW_ROWS, padded
from daskgmm.model.kernels.loops.arithmetic import DOUBLE, add_moved, total_of
from daskgmm.model.kernels.loops.compiling import along_rows, compiled, summed_along_rows
from daskgmm.model.kernels.loops.few_features import MOST_FEATURES, add_few
from daskgmm.model.kernels.loops.registers.lanes import REGISTER_BYTES, REGISTERS, load_register
from daskgmm.model.kernels.loops.registers.products import (
    add_rectangle,
    features_at,
    no_sums,
    totals,
    weighted,
    with_features,
    with_products,
)

_SUMMED_BYTES = 5632
"""Bytes of a feature whose rows are summed at once: a few of them stay in the nearest cache."""

height_of = compiled(padded)
"""For loops."""


@summed_along_rows
def _dot(shares: NDArray[Any], x: NDArray[Any], centre: Any) -> Any:
    total = shares[0] * (x[0] - centre)
    for r in range(1, len(x)):
        total += shares[r] * (x[r] - centre)
    return total


@summed_along_rows
def _squares(shares: NDArray[Any], x: NDArray[Any], y: NDArray[Any], p: Any, q: Any) -> Any:
    """Sums over two features, less p and q, and over their squares, in the type of p."""
    number = type(p)
    first, second = number(0), number(0)
    one, two = number(0), number(0)
    for r in range(len(x)):
        share, left, right = number(shares[r]), number(x[r]) - p, number(y[r]) - q
        own, other = share * left, share * right
        first += own
        second += other
        one += own * left
        two += other * right
    return first, second, one, two


def _adding_triangle(high: int) -> Callable[..., None]:
    """The function that adds sums of so many features and of their products with each other."""
    count = high * (high + 1) // 2

    @along_rows
    def add(
        values: NDArray[Any], wide: int, i: int, own: NDArray[Any], first: NDArray[Any]
    ) -> None:
        linear, products = no_sums(values, high), no_sums(values, count)
        shares, n_features = len(values) - wide, len(own)
        for r in range(0, wide, REGISTER_BYTES // values.itemsize):
            rows = features_at(values, i * wide + r, wide, high)
            shared = weighted(rows, load_register(values, shares + r))
            linear = with_features(linear, shared)
            products = with_products(products, shared, rows)
        found, at, both = totals(linear), 0, totals(products)
        for t in range(high):
            for u in range(t, high):
                if i + u < n_features:
                    own[i + t, i + u] += both[at]
                at += 1
            if i + t < n_features:
                first[i + t] += found[t]

    adding: Callable[..., None] = add
    return adding


def _adding_rectangle(high: int, long: int) -> Callable[..., None]:
    """The function that adds sums of the products of so many features with so many others."""
    count = high * long

    @along_rows
    def add(values: NDArray[Any], wide: int, i: int, j: int, own: NDArray[Any]) -> None:
        products = no_sums(values, count)
        shares, n_features = len(values) - wide, len(own)
        for r in range(0, wide, REGISTER_BYTES // values.itemsize):
            rows = features_at(values, i * wide + r, wide, high)
            shared = weighted(rows, load_register(values, shares + r))
            products = with_products(
                products, shared, features_at(values, j * wide + r, wide, long)
            )
        if j + long <= n_features:
            add_rectangle(own, i, j, products, long)
            return
        both = totals(products)
        for t in range(high):
            for u in range(n_features - j):
                own[i + t, j + u] += both[long * t + u]

    adding: Callable[..., None] = add
    return adding


_HIGH = 4 if REGISTERS == 32 else 2
"""Features whose products with four others fit the registers."""

_add_triangle, _add_last_triangle = _adding_triangle(_HIGH), _adding_triangle(2)
_add_rectangle, _add_narrow_rectangle = _adding_rectangle(_HIGH, 4), _adding_rectangle(_HIGH, 2)


@compiled
def _add_products(values: NDArray[Any], wide: int, own: NDArray[Any], first: NDArray[Any]) -> None:
    """Add sums over centred features, and of their products: those above the diagonal and on it.

    A feature of zeros makes their number even, and the last of values are the rows' shares.
    """
    n_features = len(own)
    for i in range(0, n_features, _HIGH):
        if i + 2 < n_features or _HIGH == 2:
            _add_triangle(values, wide, i, own, first)
        else:
            _add_last_triangle(values, wide, i, own, first)
        for j in range(i + _HIGH, n_features, 4):
            if j + 2 < n_features:
                _add_rectangle(values, wide, i, j, own)
            else:
                _add_narrow_rectangle(values, wide, i, j, own)


@along_rows
def _write_centred(
    z: NDArray[Any],
    start: int,
    origin: NDArray[Any],
    shares: NDArray[Any],
    values: NDArray[Any],
    wide: int,
) -> None:
    """Write rows z (D, n) from start on, less an origin, and their shares, feature by feature.

    Zeros stand between these and behind them.
    """
    n, number = len(shares), values.dtype.type
    for d in range(len(z)):
        x, own, centre = z[d, start : start + n], values[d * wide : d * wide + n], number(origin[d])
        for r in range(n):
            own[r] = number(x[r]) - centre
        values[d * wide + n : (d + 1) * wide] = 0
    last = len(values) - wide
    values[len(z) * wide : last] = 0
    own = values[last : last + n]
    for r in range(n):
        own[r] = number(shares[r])
    values[last + n :] = 0


@compiled
def _add_squares(
    shares: NDArray[Any],
    z: NDArray[Any],
    origin: NDArray[Any],
    number: Any,
    own: NDArray[Any],
    first: NDArray[Any],
) -> None:
    """Add sums over rows z (D, n), less an origin, and over their squares."""
    for d in range(0, len(z), 2):
        after = min(d + 1, len(z) - 1)
        sums = _squares(shares, z[d], z[after], number(origin[d]), number(origin[after]))
        for t in range(1 + after - d):
            first[d + t] += sums[t]
            own[d + t] += sums[2 + t]


@compiled
def _add_own(
    whitens: bool,
    z: NDArray[Any],
    origin: NDArray[Any],
    shares: NDArray[Any],
    values: NDArray[Any],
    own: NDArray[Any],
    first: NDArray[Any],
) -> None:
    """Add a component's sums of gamma x x.T and of gamma (x, 1), x less its origin.

    In the type of the work array, for as many rows at once as fit there.
    """
    if not whitens:
        _add_squares(shares, z, origin, values.dtype.type, own[0], first)
        return
    height, step = height_of(len(z)), REGISTER_BYTES // values.itemsize
    most = min(len(values) // height, _SUMMED_BYTES // values.itemsize) // step * step
    n, whole = z.shape[1], 0
    if len(z) <= MOST_FEATURES and z.itemsize == values.itemsize:
        whole = n // step * step
        for start in range(0, whole, most):
            stop = min(start + most, whole)
            add_few(z.reshape(z.size), n, start, stop, origin, shares, own, first)
    for start in range(whole, n, most):
        gamma = shares[start : start + most]
        wide = -(-len(gamma) // step) * step
        centred = values[: height * wide]
        _write_centred(z, start, origin, gamma, centred, wide)
        _add_products(centred, wide, own, first)


@compiled
def _add_about_mean(
    whitens: bool,
    z: NDArray[Any],
    origin: NDArray[Any],
    shares: NDArray[Any],
    work: PairWork,
    own: NDArray[Any],
    first: NDArray[Any],
) -> None:
    """Add a component's sums, which are made about its mean and moved in double precision."""
    n_features, total, centre = len(z), total_of(shares), work.row
    linear, away = work.by_feature[:n_features], work.by_feature[n_features : 2 * n_features]
    linear[:] = 0
    for d in range(n_features):
        centre[d] = origin[d] + _dot(shares, z[d], origin[d]) / total
        away[d] = np.float64(centre[d]) - np.float64(origin[d])
    _add_own(whitens, z, centre, shares, work.centred, own, linear)
    if whitens:
        add_moved(linear, away, total, own, first)
        return
    for i in range(n_features):
        moved = linear[i] + total * away[i]
        own[0, i] += away[i] * linear[i] + moved * away[i]
        first[i] += moved


@compiled
def add_sums(
    model: Model,
    z: NDArray[Any],
    work: PairWork,
    k: int,
    shares: NDArray[Any],
    second: NDArray[Any],
    first: NDArray[Any],
    coarse: NDArray[Any],
) -> None:
    """Add the sums of component k over rows z (D, n) of which it has shares (n,).

    Tell in coarse (K,) whether they are made in single precision.
    """
    own, origin, total = (
        second[min(k, len(second) - 1)],
        model.origins[k],
        np.float64(total_of(shares)),
    )
    first[k, len(z)] += total
    if z.itemsize == DOUBLE:
        _add_own(model.whitens, z, origin, shares, work.centred, own, first[k])
    elif total > FEW_ROWS and not model.fragile[k]:
        _add_about_mean(model.whitens, z, origin, shares, work, own, first[k])
        coarse[k] = max(coarse[k], ABOUT_MEANS)
    else:
        _add_own(model.whitens, z, origin, shares, work.centred.view(np.float64), own, first[k])


@compiled
def add_all_sums(
    model: Model,
    z: NDArray[Any],
    work: PairWork,
    gamma: NDArray[Any],
    second: NDArray[Any],
    first: NDArray[Any],
    coarse: NDArray[Any],
) -> None:
    """Add each component's sums over rows z (D, n) with responsibilities gamma (K, n)."""
    for k in range(len(gamma)):
        add_sums(model, z, work, k, gamma[k], second, first, coarse)
