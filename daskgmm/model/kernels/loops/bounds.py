"""Upper bounds of all logits of a tile, and the component of each row's largest."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.base import SMALL_PRODUCT
from daskgmm.model.kernels.loops.compiling import compiled

_LEADING_ROWS = 320
"""Rows of a leading product, whose other side is as many directions as BLAS multiplies in place."""

_MOST = np.float32(3e38)
"""Bounds stay between its negative and itself, which minus infinity, that marks a guess, is not."""

_SHRINK = 2.0**-10
"""Share of a squared distance by which bounds are weakened. By Cauchy and Schwarz, an error s in a
coordinate is then made up for by ``s ** 2 / _SHRINK``; and what single precision rounds off."""


@compiled
def _limits(model: Model, by_row: NDArray[Any], limits: NDArray[Any]) -> None:
    """Write the largest logit that rounding in the leading product allows to limits (K,)."""
    n, n_features = by_row.shape
    m = len(model.offsets) // len(limits)
    rounding = (n_features + 4) * np.finfo(by_row.dtype).eps
    reach = np.zeros(n_features, by_row.dtype)
    for r in range(n):
        x = by_row[r]
        for d in range(n_features):
            size = abs(x[d])
            reach[d] = size if size > reach[d] else reach[d]  # noqa: FURB136
    for k in range(len(limits)):
        squares = 0.0
        for i in range(k * m, k * m + m):
            size = np.float64(abs(model.offsets[i]))
            for d in range(n_features):
                size += np.float64(abs(model.directions[i, d])) * reach[d]
            squares += (rounding * size) ** 2
        limits[k] = model.normalisers[k] + 0.5 * squares / _SHRINK


@compiled
def bound_whitened(model: Model, by_row: NDArray[Any], work: PairWork, upper: NDArray[Any]) -> None:
    """Write an upper bound of each logit to upper (K, n), from products with the directions.

    They are of a size that BLAS multiplies in place.
    """
    n, n_features = by_row.shape
    n_components = len(upper)
    m = len(model.offsets) // n_components
    together = max(SMALL_PRODUCT // (m * n_features * _LEADING_ROWS), 1)
    _limits(model, by_row, work.limits)
    for start in range(0, n, _LEADING_ROWS):
        stop = min(start + _LEADING_ROWS, n)
        width = stop - start
        for first in range(0, n_components, together):
            count = min(together, n_components - first) * m
            leading = work.leading[: count * width].reshape(count, width)
            directions = model.directions[first * m : first * m + count]
            np.dot(directions, by_row[start:stop].T, leading)
            for k in range(first, min(first + together, n_components)):
                squares = work.squares[:width]
                for j in range(m):
                    _add_square(
                        leading[(k - first) * m + j], model.offsets[k * m + j],
                        model.scales[k * m + j], squares, j == 0,
                    )  # fmt: skip
                _bound(
                    k, work.limits[k], squares, upper[k, start:stop], work.best[start:stop],
                    work.guess[start:stop],
                )  # fmt: skip


@compiled
def bound_along_axes(model: Model, z: NDArray[Any], work: PairWork, upper: NDArray[Any]) -> None:
    """Likewise, from single features of z (D, n): differences round relative to themselves."""
    n_components, n = upper.shape
    m = len(model.offsets) // n_components
    squares = work.squares[:n]
    for k in range(n_components):
        for i in range(k * m, k * m + m):
            own = z[model.axes[i]]
            _add_square(own, model.offsets[i], model.scales[i], squares, i == k * m)
        limit = np.float64(model.normalisers[k])
        _bound(k, limit, squares, upper[k], work.best[:n], work.guess[:n])


@compiled
def _add_square(
    x: NDArray[Any], offset: Any, scale: Any, squares: NDArray[Any], first: bool
) -> None:
    if first:
        for r in range(len(squares)):
            y = (x[r] - offset) * scale
            squares[r] = y * y
    else:
        for r in range(len(squares)):
            y = (x[r] - offset) * scale
            squares[r] += y * y


@compiled
def _bound(
    k: int,
    limit: float,
    squares: NDArray[Any],
    own: NDArray[Any],
    best: NDArray[Any],
    guess: NDArray[Any],
) -> None:
    """Write component k's bounds, and keep each row's largest and whose it is."""
    most, half = squares.dtype.type(limit), squares.dtype.type(0.5 - _SHRINK)
    component = np.int32(k)
    if k == 0:
        best[:] = -np.inf
        guess[:] = 0
    for r in range(len(squares)):
        bound = np.float32(most - half * squares[r])
        # What overflows says nothing: such a pair is to be computed, not left out.
        bound = _MOST if bound != bound else bound
        bound = -_MOST if bound < -_MOST else bound  # noqa: FURB136
        own[r] = bound
        better = bound > best[r]
        best[r] = bound if better else best[r]
        guess[r] = component if better else guess[r]
