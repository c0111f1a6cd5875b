"""Upper bounds of all logits of a tile, and the component of each row's largest."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.base import LEADING_COMPONENTS, LEADING_ROWS
from daskgmm.model.kernels.loops.blas import multiply
from daskgmm.model.kernels.loops.compiling import along_rows, compiled, summed
from daskgmm.model.kernels.tiles import bounded_together
from daskgmm.model.screening import MOST_DIRECTIONS

_together = compiled(bounded_together)
"""For loops."""

_MOST = np.float32(3e38)
"""Bounds stay between its negative and itself, which minus infinity, that marks a guess, is not."""

_SHRINK = 2.0**-10
"""Share of a squared distance by which bounds are weakened. By Cauchy and Schwarz, an error s in a
coordinate is then made up for by ``s ** 2 / _SHRINK``; and what single precision rounds off."""


@compiled
def _limits(
    model: Model,
    by_row: NDArray[Any],
    active: NDArray[Any],
    reach: NDArray[Any],
    limits: NDArray[Any],
) -> None:
    """Write the largest logits that rounding in the leading product allows to limits (A,).

    With a work array for the largest size of each feature.
    """
    n, n_features = by_row.shape
    m = MOST_DIRECTIONS
    rounding = (n_features + 4) * np.finfo(by_row.dtype).eps
    reach[:] = 0
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
    n_active, m = len(active), MOST_DIRECTIONS
    together = _together(n_features)
    groups, strips = -(-n_active // together), -(-n // LEADING_ROWS)
    _limits(model, by_row, active, work.row, work.limits)
    _begin(work.best[:n], work.guess[:n])
    for g in range(groups):
        first, last = n_active * g // groups, n_active * (g + 1) // groups
        count = (last - first) * m
        directions = work.directions[: count * n_features].reshape(n_features, count)
        for i in range(count):
            own = model.directions[active[first + i // m] * m + i % m]
            for d in range(n_features):
                directions[d, i] = own[d]
        for s in range(strips):
            start, stop = n * s // strips, n * (s + 1) // strips
            leading = work.leading[: count * (stop - start)].reshape(count, stop - start)
            # Both transposed: BLAS multiplies in place that way, and not if only one is.
            multiply(directions.T, by_row[start:stop].T, leading)
            best, guess = work.best[start:stop], work.guess[start:stop]
            for a in range(first, last):
                k, own = active[a], upper[a, start:stop]
                i = (a - first) * m
                _write_whitened(
                    leading[i : i + m], model.offsets[k * m : k * m + m], work.limits[a], own
                )
                _keep(np.int32(a), own, best, guess)


@along_rows
def _write_whitened(
    leading: NDArray[Any], offsets: NDArray[Any], limit: float, bounds: NDArray[Any]
) -> None:
    """Write bounds (n,) from leading coordinates, as many as `MOST_DIRECTIONS`."""
    one, two, three = leading[0], leading[1], leading[2]
    first, second, third = offsets[0], offsets[1], offsets[2]
    most, half = one.dtype.type(limit), one.dtype.type(0.5 - _SHRINK)
    for r in range(len(bounds)):
        x, y, z = one[r] - first, two[r] - second, three[r] - third
        bounds[r] = most - half * (x * x + y * y + z * z)


@compiled
def bound_along_axes(
    model: Model, z: NDArray[Any], active: NDArray[Any], work: PairWork, upper: NDArray[Any]
) -> None:
    """Likewise, from single features of z (D, n): differences round relative to themselves."""
    n_active, n = upper.shape
    m = MOST_DIRECTIONS + 1
    _begin(work.best[:n], work.guess[:n])
    for a in range(n_active):
        k = active[a]
        own = slice(k * m, k * m + m)
        _write_along_axes(
            z, model.axes[own], model.offsets[own], model.scales[own], model.normalisers[k],
            upper[a],
        )  # fmt: skip
        _keep(np.int32(a), upper[a], work.best[:n], work.guess[:n])


@along_rows
def _write_along_axes(
    z: NDArray[Any],
    axes: NDArray[Any],
    offsets: NDArray[Any],
    scales: NDArray[Any],
    most: Any,
    bounds: NDArray[Any],
) -> None:
    """Write bounds (n,) from one feature more than `MOST_DIRECTIONS`."""
    one, two, three, four = z[axes[0]], z[axes[1]], z[axes[2]], z[axes[3]]
    first, second, third, fourth = offsets[0], offsets[1], offsets[2], offsets[3]
    unit, other, another, last = scales[0], scales[1], scales[2], scales[3]
    half = one.dtype.type(0.5 - _SHRINK)
    for r in range(len(bounds)):
        w, x = (one[r] - first) * unit, (two[r] - second) * other
        y, v = (three[r] - third) * another, (four[r] - fourth) * last
        bounds[r] = most - half * (w * w + x * x + y * y + v * v)


@compiled
def bound_by_features(
    model: Model, by_row: NDArray[Any], work: PairWork, upper: NDArray[Any]
) -> None:
    """Likewise for all components, from products over features that allow for their rounding."""
    n, length = len(by_row), model.eta.shape[1]
    n_components = len(upper)
    phi = work.phi[: n * length].reshape(n, length)
    _write_features(model.monomials, by_row, phi)
    _begin(work.best[:n], work.guess[:n])
    for first in range(0, n_components, LEADING_COMPONENTS):
        last = min(first + LEADING_COMPONENTS, n_components)
        leading = work.leading[: (last - first) * n].reshape(last - first, n)
        multiply(model.eta[first:last], phi.T, leading)
        for a in range(first, last):
            own, bounds = leading[a - first], upper[a]
            for r in range(n):
                bounds[r] = own[r]
            _keep(np.int32(a), bounds, work.best[:n], work.guess[:n])


@compiled
def _write_features(monomials: NDArray[Any], by_row: NDArray[Any], phi: NDArray[Any]) -> None:
    """Write features of rows (n, D), and the norms of quadratic and linear ones, to phi."""
    n, n_features = by_row.shape
    n_quadratic = phi.shape[1] - n_features - 3
    for r in range(n):
        x, quadratic, linear = by_row[r], phi[r, :n_quadratic], phi[r, n_quadratic:]
        quadratic[:] = 0
        for m in range(len(monomials)):
            quadratic[monomials[m, 0]] += x[monomials[m, 1]] * x[monomials[m, 2]]
        for d in range(n_features):
            linear[d] = x[d]
        linear[n_features] = 1
        linear[n_features + 1] = _norm(quadratic)
        linear[n_features + 2] = _norm(x)


@summed
def _norm(values: NDArray[Any]) -> Any:
    total = values.dtype.type(0)
    for i in range(len(values)):
        total += values[i] * values[i]
    return np.sqrt(total)


@compiled
def _begin(best: NDArray[Any], guess: NDArray[Any]) -> None:
    best[:] = -np.inf
    guess[:] = 0


@along_rows
def _keep(component: Any, bounds: NDArray[Any], best: NDArray[Any], guess: NDArray[Any]) -> None:
    """Keep each row's largest bound and whose it is."""
    for r in range(len(bounds)):
        bound = bounds[r]
        # What overflows says nothing: such a pair is to be computed, not left out.
        bound = _MOST if bound != bound else bound
        bound = -_MOST if bound < -_MOST else bound  # noqa: FURB136
        bounds[r] = bound
        better = bound > best[r]
        best[r] = bound if better else best[r]
        guess[r] = component if better else guess[r]
