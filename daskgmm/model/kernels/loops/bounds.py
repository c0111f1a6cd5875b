"""Upper bounds of all logits of a tile, and the component of each row's largest."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.base import LEADING_ROWS, SMALL_PRODUCT
from daskgmm.model.kernels.loops.compiling import compiled

_MOST = np.float32(3e38)
"""Bounds stay between its negative and itself, which minus infinity, that marks a guess, is not."""

_SHRINK = 2.0**-10
"""Share of a squared distance by which bounds are weakened. By Cauchy and Schwarz, an error s in a
coordinate is then made up for by ``s ** 2 / _SHRINK``; and what single precision rounds off."""


@compiled
def _limits(model: Model, by_row: NDArray[Any], active: NDArray[Any], limits: NDArray[Any]) -> None:
    """Write the largest logits that rounding in the leading product allows to limits (A,)."""
    n, n_features = by_row.shape
    m = len(model.offsets) // len(model.normalisers)
    rounding = (n_features + 4) * np.finfo(by_row.dtype).eps
    reach = np.zeros(n_features, by_row.dtype)
    for r in range(n):
        x = by_row[r]
        for d in range(n_features):
            size = abs(x[d])
            reach[d] = size if size > reach[d] else reach[d]  # noqa: FURB136
    for a in range(len(active)):
        k, squares = active[a], 0.0
        for i in range(k * m, k * m + m):
            size = np.float64(abs(model.offsets[i]))
            for d in range(n_features):
                size += np.float64(abs(model.directions[i, d])) * reach[d]
            squares += (rounding * size) ** 2
        limits[a] = model.normalisers[k] + 0.5 * squares / _SHRINK


@compiled
def bound_whitened(
    model: Model,
    by_row: NDArray[Any],
    active: NDArray[Any],
    work: PairWork,
    upper: NDArray[Any],
) -> None:
    """Write upper bounds of logits to upper (A, n), from products with the directions.

    They are of a size that BLAS multiplies in place.
    """
    n, n_features = by_row.shape
    n_active = len(active)
    m = len(model.offsets) // len(model.normalisers)
    together = max(SMALL_PRODUCT // (m * n_features * LEADING_ROWS), 1)
    _limits(model, by_row, active, work.limits)
    for start in range(0, n, LEADING_ROWS):
        stop = min(start + LEADING_ROWS, n)
        width = stop - start
        for first in range(0, n_active, together):
            last = min(first + together, n_active)
            count = (last - first) * m
            leading = work.leading[: count * width].reshape(count, width)
            directions = work.directions[: count * n_features].reshape(count, n_features)
            for a in range(first, last):
                k = active[a]
                directions[(a - first) * m : (a - first + 1) * m] = model.directions[
                    k * m : k * m + m
                ]
            np.dot(directions, by_row[start:stop].T, leading)
            for a in range(first, last):
                k, squares = active[a], work.squares[:width]
                for j in range(m):
                    _add_square(
                        leading[(a - first) * m + j], model.offsets[k * m + j],
                        model.scales[k * m + j], squares, j == 0,
                    )  # fmt: skip
                _bound(
                    a, work.limits[a], squares, upper[a, start:stop], work.best[start:stop],
                    work.guess[start:stop],
                )  # fmt: skip


@compiled
def bound_along_axes(
    model: Model, z: NDArray[Any], active: NDArray[Any], work: PairWork, upper: NDArray[Any]
) -> None:
    """Likewise, from single features of z (D, n): differences round relative to themselves."""
    n_active, n = upper.shape
    m = len(model.offsets) // len(model.normalisers)
    squares = work.squares[:n]
    for a in range(n_active):
        k = active[a]
        for i in range(k * m, k * m + m):
            own = z[model.axes[i]]
            _add_square(own, model.offsets[i], model.scales[i], squares, i == k * m)
        limit = np.float64(model.normalisers[k])
        _bound(a, limit, squares, upper[a], work.best[:n], work.guess[:n])


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
    a: int,
    limit: float,
    squares: NDArray[Any],
    own: NDArray[Any],
    best: NDArray[Any],
    guess: NDArray[Any],
) -> None:
    """Write the bounds of active component a; keep each row's largest and whose it is."""
    most, half = squares.dtype.type(limit), squares.dtype.type(0.5 - _SHRINK)
    component = np.int32(a)
    if a == 0:
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
