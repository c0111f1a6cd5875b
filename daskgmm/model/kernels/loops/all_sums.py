"""Sums of every pair (row, component), about its mean: for few features, as their logits are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.base import ABOUT_MEANS, FEW_ROWS
from daskgmm.model.kernels.loops.all_pairs import height_of, write_centred
from daskgmm.model.kernels.loops.compiling import compiled, summed_along_rows

_DOUBLE = 8
"""Bytes of a number in double precision."""


@summed_along_rows
def _total(gamma: NDArray[Any]) -> Any:
    total = gamma[0]
    for r in range(1, len(gamma)):
        total += gamma[r]
    return total


@summed_along_rows
def _dot(shares: NDArray[Any], x: NDArray[Any], centre: Any) -> Any:
    total = shares[0] * (x[0] - centre)
    for r in range(1, len(x)):
        total += shares[r] * (x[r] - centre)
    return total


@summed_along_rows
def _linear(
    shares: NDArray[Any], a: NDArray[Any], b: NDArray[Any], c: NDArray[Any], d: NDArray[Any]
) -> Any:
    """Sums over four features."""
    number = a.dtype.type
    one, two, three, four = number(0), number(0), number(0), number(0)
    for r in range(len(a)):
        share = number(shares[r])
        one += share * a[r]
        two += share * b[r]
        three += share * c[r]
        four += share * d[r]
    return one, two, three, four


@summed_along_rows
def _products(
    shares: NDArray[Any], x: NDArray[Any], y: NDArray[Any], a: NDArray[Any], b: NDArray[Any]
) -> Any:
    """Sums of the products of two features with two: what is loaded serves twice."""
    number = x.dtype.type
    one, two, three, four = number(0), number(0), number(0), number(0)
    for r in range(len(x)):
        share = number(shares[r])
        own, other = share * x[r], share * y[r]
        one += own * a[r]
        two += own * b[r]
        three += other * a[r]
        four += other * b[r]
    return one, two, three, four


@summed_along_rows
def _squares(shares: NDArray[Any], x: NDArray[Any]) -> Any:
    """Sums over a feature and over its square."""
    number = x.dtype.type
    linear, second = number(0), number(0)
    for r in range(len(x)):
        own = number(shares[r]) * x[r]
        linear += own
        second += own * x[r]
    return linear, second


@compiled
def _add_products(
    shares: NDArray[Any], centred: NDArray[Any], own: NDArray[Any], first: NDArray[Any]
) -> None:
    """Add sums over centred rows, and of their products: those above the diagonal and on it."""
    n_features = len(own)
    for i in range(0, n_features, 4):
        sums = _linear(shares, centred[i], centred[i + 1], centred[i + 2], centred[i + 3])
        for t in range(min(4, n_features - i)):
            first[i + t] += sums[t]
    for i in range(0, n_features, 2):
        for j in range(i, n_features, 2):
            sums = _products(shares, centred[i], centred[i + 1], centred[j], centred[j + 1])
            for s in range(min(2, n_features - i)):
                for t in range(min(2, n_features - j)):
                    own[i + s, j + t] += sums[2 * s + t]


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
    n_features, height = len(z), height_of(len(z))
    most = len(values) // height
    for start in range(0, z.shape[1], most):
        gamma = shares[start : start + most]
        centred = values[: height * len(gamma)].reshape(height, len(gamma))
        write_centred(z, start, origin, centred)
        if whitens:
            _add_products(gamma, centred, own, first)
            continue
        for d in range(n_features):
            linear, second = _squares(gamma, centred[d])
            first[d] += linear
            own[0, d] += second


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
    n_features = len(z)
    total, centre = _total(shares), work.row
    height = n_features if whitens else 1
    second = work.few[: height * n_features].reshape(height, n_features)
    linear = work.few[height * n_features : (height + 1) * n_features]
    second[:] = 0
    linear[:] = 0
    for d in range(n_features):
        centre[d] = origin[d] + _dot(shares, z[d], origin[d]) / total
    _add_own(whitens, z, centre, shares, work.by_row, second, linear)
    for i in range(n_features):
        away = np.float64(centre[i]) - np.float64(origin[i])
        moved = linear[i] + total * away
        if whitens:
            for j in range(i, n_features):
                other = np.float64(centre[j]) - np.float64(origin[j])
                own[i, j] += second[i, j] + (away * linear[j] + moved * other)
        else:
            own[0, i] += second[0, i] + (away * linear[i] + moved * away)
        first[i] += moved


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
    """Add each component's sums; tell in coarse (K,) which are made in single precision."""
    n_features = len(z)
    for k in range(len(gamma)):
        own, origin, shares = second[min(k, len(second) - 1)], model.origins[k], gamma[k]
        total = np.float64(_total(shares))
        first[k, n_features] += total
        if z.itemsize == _DOUBLE:
            _add_own(model.whitens, z, origin, shares, work.by_row, own, first[k])
        elif total > FEW_ROWS and not model.fragile[k]:
            _add_about_mean(model.whitens, z, origin, shares, work, own, first[k])
            coarse[k] = max(coarse[k], ABOUT_MEANS)
        else:
            _add_own(model.whitens, z, origin, shares, work.by_row.view(np.float64), own, first[k])
