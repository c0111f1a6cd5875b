"""Sums of a component's rows, feature by feature, about its mean."""

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
def _of_two(shares: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> Any:
    """Sums over two features and over their products with each other."""
    number = x.dtype.type
    first, second = number(0), number(0)
    one, two, three = number(0), number(0), number(0)
    for r in range(len(x)):
        share = number(shares[r])
        own, other = share * x[r], share * y[r]
        first += own
        second += other
        one += own * x[r]
        two += own * y[r]
        three += other * y[r]
    return first, second, one, two, three


@summed_along_rows
def _products(
    shares: NDArray[Any], x: NDArray[Any], y: NDArray[Any], a: NDArray[Any], b: NDArray[Any]
) -> Any:
    """Sums of the products of two features with two others: what is loaded serves twice."""
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
def _more_products(
    shares: NDArray[Any],
    x: NDArray[Any],
    y: NDArray[Any],
    a: NDArray[Any],
    b: NDArray[Any],
    c: NDArray[Any],
    d: NDArray[Any],
) -> Any:
    """Sums of the products of two features with four others, those of the first feature first."""
    number = x.dtype.type
    one, two, three, four = number(0), number(0), number(0), number(0)
    five, six, seven, eight = number(0), number(0), number(0), number(0)
    for r in range(len(x)):
        share = number(shares[r])
        own, other = share * x[r], share * y[r]
        one += own * a[r]
        two += own * b[r]
        three += own * c[r]
        four += own * d[r]
        five += other * a[r]
        six += other * b[r]
        seven += other * c[r]
        eight += other * d[r]
    return one, two, three, four, five, six, seven, eight


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


@compiled
def _add_products(
    shares: NDArray[Any], centred: NDArray[Any], own: NDArray[Any], first: NDArray[Any]
) -> None:
    """Add sums over centred rows, and of their products: those above the diagonal and on it.

    Rows of zeros follow the features.
    """
    n_features = len(own)
    for i in range(0, n_features, 2):
        x, y, both = centred[i], centred[i + 1], i + 1 < n_features
        sums = _of_two(shares, x, y)
        first[i] += sums[0]
        own[i, i] += sums[2]
        if both:
            first[i + 1] += sums[1]
            own[i, i + 1] += sums[3]
            own[i + 1, i + 1] += sums[4]
        j = i + 2
        while j + 2 < n_features:
            products = _more_products(
                shares, x, y, centred[j], centred[j + 1], centred[j + 2], centred[j + 3]
            )
            for t in range(min(4, n_features - j)):
                own[i, j + t] += products[t]
                own[i + 1, j + t] += products[4 + t]
            j += 4
        if j < n_features:
            few = _products(shares, x, y, centred[j], centred[j + 1])
            for t in range(min(2, n_features - j)):
                own[i, j + t] += few[t]
                own[i + 1, j + t] += few[2 + t]


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
    height = height_of(len(z))
    most = len(values) // height
    for start in range(0, z.shape[1], most):
        gamma = shares[start : start + most]
        centred = values[: height * len(gamma)].reshape(height, len(gamma))
        write_centred(z, start, origin, centred)
        _add_products(gamma, centred, own, first)


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
    _add_own(whitens, z, centre, shares, work.centred, second, linear)
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
        np.float64(_total(shares)),
    )
    first[k, len(z)] += total
    if z.itemsize == _DOUBLE:
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
