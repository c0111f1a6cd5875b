"""Every pair (row, component), whitened about its mean: for few features.

There no product is worth a call, and no bound is cheaper than the logit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.base import ABOUT_MEANS, FEW_ROWS
from daskgmm.model.kernels.loops.compiling import along_rows, compiled, summed_along_rows

_DOUBLE = 8
"""Bytes of a number in double precision."""


@along_rows
def write_all_logits(model: Model, z: NDArray[Any], work: PairWork, gamma: NDArray[Any]) -> None:
    """Write the logits of z (D, n) to gamma (K, n)."""
    n_features, n = z.shape
    white = work.squares[:n]
    half = z.dtype.type(0.5)
    for k in range(len(gamma)):
        own, mean, factor = gamma[k], model.means[k], model.factors[min(k, len(model.factors) - 1)]
        own[:] = 0
        for j in range(n_features):
            x, centre = z[j], mean[j]
            scale = factor[j, j] if model.whitens else factor[0, j]
            for r in range(n):
                white[r] = (x[r] - centre) * scale
            for i in range(j if model.whitens else 0):
                x, centre, scale = z[i], mean[i], factor[i, j]
                for r in range(n):
                    white[r] += (x[r] - centre) * scale
            for r in range(n):
                own[r] += white[r] * white[r]
        normaliser = model.normalisers[k]
        for r in range(n):
            own[r] = normaliser - half * own[r]


@summed_along_rows
def _total(gamma: NDArray[Any]) -> Any:
    total = gamma[0]
    for r in range(1, len(gamma)):
        total += gamma[r]
    return total


@summed_along_rows
def _dot(weighted: NDArray[Any], x: NDArray[Any], centre: Any) -> Any:
    number = weighted.dtype.type
    total = weighted[0] * (number(x[0]) - centre)
    for r in range(1, len(x)):
        total += weighted[r] * (number(x[r]) - centre)
    return total


@along_rows
def _add_own(
    whitens: bool,
    z: NDArray[Any],
    origin: NDArray[Any],
    shares: NDArray[Any],
    weighted: NDArray[Any],
    own: NDArray[Any],
    first: NDArray[Any],
) -> None:
    """Add a component's sums of gamma x x.T and of gamma (x, 1), x less its origin.

    In the type of the work array for what is weighted.
    """
    n_features, n, number = z.shape[0], z.shape[1], weighted.dtype.type
    for i in range(n_features):
        x, centre = z[i], number(origin[i])
        for r in range(n):
            weighted[r] = number(shares[r]) * (number(x[r]) - centre)
        first[i] += _total(weighted)
        if not whitens:
            own[0, i] += _dot(weighted, x, centre)
            continue
        for j in range(i, n_features):
            own[i, j] += _dot(weighted, z[j], number(origin[j]))


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
    n_features, n = z.shape
    total, centre = _total(shares), work.row
    height = n_features if whitens else 1
    second = work.few[: height * n_features].reshape(height, n_features)
    linear = work.few[height * n_features : (height + 1) * n_features]
    second[:] = 0
    linear[:] = 0
    for d in range(n_features):
        centre[d] = origin[d] + _dot(shares, z[d], origin[d]) / total
    _add_own(whitens, z, centre, shares, work.squares[:n], second, linear)
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
    n_features, n = z.shape
    for k in range(len(gamma)):
        own, origin, shares = second[min(k, len(second) - 1)], model.origins[k], gamma[k]
        total = np.float64(_total(shares))
        first[k, n_features] += total
        if z.itemsize == _DOUBLE:
            _add_own(model.whitens, z, origin, shares, work.squares[:n], own, first[k])
        elif total > FEW_ROWS and not model.fragile[k]:
            _add_about_mean(model.whitens, z, origin, shares, work, own, first[k])
            coarse[k] = max(coarse[k], ABOUT_MEANS)
        else:
            _add_own(model.whitens, z, origin, shares, work.columns[1, :n], own, first[k])
