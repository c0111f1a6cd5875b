"""The compiled loop over slabs of rows: features, E-step, sums.

Rows lie along the contiguous axis, so every inner loop runs over them and is vectorised. The
loop holds no interpreter lock: threads of one process run it side by side. Multiplications and
additions may be contracted into one rounding, nothing is reordered: the bits depend on the
processor's instructions only, as those of BLAS do.

Importing this module loads numba and compiles, or takes from numba's cache on disk.
That cache knows of changes in this file only, so what is compiled together stands together.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

from daskgmm.model.kernels.base import SMALL_PRODUCT

_TOGETHER = 8
"""Totals, each between 1 and K, that are multiplied before their logarithm is taken."""

_SMALL_RESULT = 1_152
"""OpenBLAS multiplies in place, at nearly the machine's rate, up to `SMALL_PRODUCT` and, where the
sum runs along both rows, results of so many numbers. Larger ones are packed first, which takes as
long again with few components. Each mixture has products of its own, so its last digits don't
hang on how many others there are."""

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238  # the digits of ln 2 that k * _LN2_HIGH holds exactly
_LN2_LOW = 1.9082149292705877e-10
_SHIFT = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer in the low bits

_LOG2_E_SINGLE = np.float32(1.442695)
_LN2_HIGH_SINGLE = np.float32(0.693359375)
_LN2_LOW_SINGLE = np.float32(-2.1219444e-4)
_SHIFT_SINGLE = np.float32(12582912.0)  # 1.5 * 2**23
_TERMS = tuple(np.float32(1 / n) for n in (1, 1, 2, 6, 24, 120, 720, 5040))

# Division by zero gives infinity as in NumPy: a check of each would keep loops from vectors.
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
_compiled = njit(**_OPTIONS)


def _exp(x: Any) -> Any:
    """Exponential of x <= 0 within an ulp, and NaN of NaN (Cody and Waite, 1980).

    From -700 in float64 and -87 in float32, where vectors hold twice as many.
    """
    raise NotImplementedError  # for numba alone, which takes one of the two below


@overload(_exp, jit_options=_OPTIONS, inline="always")
def _exp_of(x: Any) -> Callable[[Any], Any]:
    return _exp_single if x == types.float32 else _exp_double


def _exp_double(x: Any) -> Any:
    shifted = x * _LOG2_E + _SHIFT
    k = shifted - _SHIFT
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = 1 / 6227020800
    p = p * r + 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 1 / 2
    p = p * r + 1
    p = p * r + 1
    exponent = np.int64((np.float64(shifted).view(np.int64) + np.int64(1023)) << np.int64(52))
    return p * exponent.view(np.float64)


def _exp_single(x: Any) -> Any:
    shifted = x * _LOG2_E_SINGLE + _SHIFT_SINGLE
    k = shifted - _SHIFT_SINGLE
    r = (x - k * _LN2_HIGH_SINGLE) - k * _LN2_LOW_SINGLE
    p = _TERMS[7]
    p = p * r + _TERMS[6]
    p = p * r + _TERMS[5]
    p = p * r + _TERMS[4]
    p = p * r + _TERMS[3]
    p = p * r + _TERMS[2]
    p = p * r + _TERMS[1]
    p = p * r + _TERMS[0]
    exponent = np.int32((np.float32(shifted).view(np.int32) + np.int32(127)) << np.int32(23))
    return p * exponent.view(np.float32)


@_compiled
def _add_to(table: NDArray[Any], other: NDArray[Any]) -> None:
    """Add a table to another; written out, for NumPy's operators make no vector loops here."""
    for i in range(len(table)):
        own, its = table[i], other[i]
        for j in range(len(own)):
            own[j] += its[j]


@_compiled
def _standardise(
    rows: NDArray[Any], origin: NDArray[Any], scale: NDArray[Any], z: NDArray[Any]
) -> None:
    """Write rows (D, n) in frame coordinates to z (D, n)."""
    for d in range(len(z)):
        for r in range(rows.shape[1]):
            z[d, r] = (np.float64(rows[d, r]) - origin[d]) * scale[d]


@_compiled
def _quadratic(monomials: NDArray[Any], z: NDArray[Any], out: NDArray[Any]) -> None:
    """Write features of z (D, n) to out, whose first row is that of the first monomial."""
    before = -1
    for m in range(len(monomials)):
        feature, i, j = monomials[m]
        one, other, own = z[i], z[j], out[feature - monomials[0, 0]]
        if feature == before:
            for r in range(len(own)):
                own[r] += one[r] * other[r]
        else:
            for r in range(len(own)):
                own[r] = one[r] * other[r]
        before = feature


@_compiled
def _peaks(logits: NDArray[Any], peak: NDArray[Any]) -> None:
    """Write the largest of logits (K, n) to peak (n,)."""
    for r in range(len(peak)):
        peak[r] = logits[0, r]
    for k in range(1, len(logits)):
        for r in range(len(peak)):
            logit = logits[k, r]
            peak[r] = logit if logit > peak[r] else peak[r]  # noqa: FURB136  max() is slower


@_compiled
def _normalise(
    gamma: NDArray[Any],
    weights: NDArray[Any],
    least: float,
    peak: NDArray[Any],
    columns: NDArray[Any],
) -> float:
    """Turn logits (K, n) into weighted responsibilities; return the log-likelihood.

    What is summed over components or rows is float64.
    """
    n_components, n = gamma.shape
    lowest, none = gamma.dtype.type(np.log(least)), gamma.dtype.type(0)
    total = columns[0, :n]
    _peaks(gamma, peak)
    total[:] = 0
    for k in range(n_components):
        for r in range(n):
            below = gamma[k, r] - peak[r]
            # What no sum can feel would only slow the product, as a denormal number.
            density = none if below < lowest else _exp(below)
            gamma[k, r] = density
            total[r] += density
    log_likelihood: float = _log_likelihood(peak, total, weights, columns[1])
    _shares(total, weights, peak)  # in place of what is needed no more
    for k in range(n_components):
        for r in range(n):
            gamma[k, r] *= peak[r]
    return log_likelihood


@_compiled
def _shares(total: NDArray[Any], weights: NDArray[Any], shares: NDArray[Any]) -> None:
    """Write what each density is multiplied by to shares (n,)."""
    if len(weights) > 0:
        for r in range(len(total)):
            shares[r] = weights[r] / total[r]
        return
    for r in range(len(total)):
        shares[r] = 1 / total[r]


@_compiled
def _log_likelihood(
    peak: NDArray[Any], total: NDArray[Any], weights: NDArray[Any], spare: NDArray[Any]
) -> float:
    """Sum of weights times (peak + log(total)); unweighted, with few logarithms."""
    n, found = len(peak), 0.0
    if len(weights) > 0:
        for r in range(n):
            found += weights[r] * (peak[r] + np.log(total[r]))
        return found
    stretch = n // _TOGETHER
    for r in range(_TOGETHER * stretch, n):
        found += peak[r] + np.log(total[r])
    peaks, product = spare[:stretch], spare[stretch : 2 * stretch]
    peaks[:] = 0
    product[:] = 1
    for i in range(_TOGETHER):
        for r in range(stretch):
            peaks[r] += peak[i * stretch + r]
            product[r] *= total[i * stretch + r]
    for r in range(stretch):
        found += peaks[r] + np.log(product[r])
    return found


@_compiled
def _cuts(edges: NDArray[Any], i: int, widest: int) -> NDArray[Any]:
    """Ends of even stretches, at most `widest` long, of the components of mixture i."""
    count = -(-(edges[i + 1] - edges[i]) // widest)
    cuts: NDArray[Any] = edges[i] + (edges[i + 1] - edges[i]) * np.arange(count + 1) // count
    return cuts


@_compiled
def _logits(eta: NDArray[Any], phi: NDArray[Any], edges: NDArray[Any], out: NDArray[Any]) -> None:
    """Write eta @ phi to out (K, n), few components at a time."""
    for i in range(len(edges) - 1):
        cuts = _cuts(edges, i, max(SMALL_PRODUCT // phi.size, 1))
        for c in range(len(cuts) - 1):
            np.dot(eta[cuts[c] : cuts[c + 1]], phi, out[cuts[c] : cuts[c + 1]])


@_compiled
def _sums(
    phi: NDArray[Any],
    gamma: NDArray[Any],
    edges: NDArray[Any],
    values: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """Add phi @ gamma.T to sums (F, K), few components at a time."""
    for i in range(len(edges) - 1):
        widest = min(_SMALL_RESULT // len(phi), SMALL_PRODUCT // phi.size)
        cuts = _cuts(edges, i, max(widest, 1))
        for c in range(len(cuts) - 1):
            own = gamma[cuts[c] : cuts[c + 1]]
            product = values[: len(phi) * len(own)].reshape(len(phi), len(own))
            np.dot(phi, own.T, product)
            _add_to(sums[:, cuts[c] : cuts[c + 1]], product)


@_compiled
def _stretch_logits(
    rows: NDArray[Any],
    origin: NDArray[Any],
    scale: NDArray[Any],
    monomials: NDArray[Any],
    cuts: NDArray[Any],
    tiles: NDArray[Any],
    eta: NDArray[Any],
    edges: NDArray[Any],
    phi: NDArray[Any],
    gamma: NDArray[Any],
    partial: NDArray[Any],
) -> None:
    """Write the logits of rows (D, n) to gamma (K, n); phi then holds the last tile's features."""
    longest, n_features = len(phi), len(rows)
    _standardise(rows, origin, scale, phi[longest - 1 - n_features : longest - 1])
    for tile in range(len(tiles) - 1):
        own = _tile(monomials, cuts, tiles, tile, phi, n_features)
        own_eta = eta[len(gamma) * tiles[tile] : len(gamma) * tiles[tile + 1]]
        own_eta = own_eta.reshape(len(gamma), -1)
        _logits(own_eta, own, edges, gamma if tile == 0 else partial)
        if tile > 0:
            _add_to(gamma, partial)


@_compiled
def _tile(
    monomials: NDArray[Any],
    cuts: NDArray[Any],
    tiles: NDArray[Any],
    tile: int,
    phi: NDArray[Any],
    n_features: int,
) -> NDArray[Any]:
    """Make a tile's features in phi, whose last rows are the linear ones and the ones.

    Those belong to the last tile and stay in place.
    """
    longest, length = len(phi), tiles[tile + 1] - tiles[tile]
    own = phi[longest - length :] if tile == len(tiles) - 2 else phi[:length]
    z = phi[longest - 1 - n_features : longest - 1]
    _quadratic(monomials[cuts[tile] : cuts[tile + 1]], z, own)
    return own


def _add(
    rows: NDArray[Any],
    origin: NDArray[Any],
    scale: NDArray[Any],
    monomials: NDArray[Any],
    cuts: NDArray[Any],
    tiles: NDArray[Any],
    eta: NDArray[Any],
    edges: NDArray[Any],
    stretch: int,
    phi_values: NDArray[Any],
    gamma_values: NDArray[Any],
    partial_values: NDArray[Any],
    weights: NDArray[Any],
    least: float,
    product_values: NDArray[Any],
    peak: NDArray[Any],
    columns: NDArray[Any],
    sums: NDArray[Any],
    log_likelihoods: NDArray[Any],
) -> None:
    """Add the moments of rows (D, n) under mixtures with natural parameters eta.

    Features that outgrow the cache are made tile by tile, and all but the last tile once more
    for the sums.
    """
    n_components, longest = sums.shape[1], len(phi_values) // stretch
    last = len(tiles) - 2
    for start in range(0, rows.shape[1], stretch):
        n = min(stretch, rows.shape[1] - start)
        phi = phi_values[: longest * n].reshape(longest, n)
        gamma = gamma_values[: n_components * n].reshape(n_components, n)
        partial = partial_values[: n_components * n].reshape(n_components, n)
        phi[longest - 1] = 1
        _stretch_logits(
            rows[:, start : start + n], origin, scale, monomials, cuts, tiles, eta, edges,
            phi, gamma, partial,
        )  # fmt: skip
        for i in range(len(edges) - 1):
            log_likelihoods[i] += _normalise(
                gamma[edges[i] : edges[i + 1]], weights[start : start + n], least,
                peak[:n], columns,
            )  # fmt: skip
        _sums(phi[longest - (tiles[last + 1] - tiles[last]) :], gamma, edges, product_values,
              sums[tiles[last] :])  # fmt: skip
        for tile in range(last - 1, -1, -1):
            own = _tile(monomials, cuts, tiles, tile, phi, len(rows))
            _sums(own, gamma, edges, product_values, sums[tiles[tile] : tiles[tile + 1]])


def _write_logits(
    rows: NDArray[Any],
    origin: NDArray[Any],
    scale: NDArray[Any],
    monomials: NDArray[Any],
    cuts: NDArray[Any],
    tiles: NDArray[Any],
    eta: NDArray[Any],
    edges: NDArray[Any],
    stretch: int,
    phi_values: NDArray[Any],
    gamma_values: NDArray[Any],
    partial_values: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Write the logits of rows (D, n) to out (K, n)."""
    n_components, longest = len(out), len(phi_values) // stretch
    for start in range(0, rows.shape[1], stretch):
        n = min(stretch, rows.shape[1] - start)
        phi = phi_values[: longest * n].reshape(longest, n)
        gamma = gamma_values[: n_components * n].reshape(n_components, n)
        partial = partial_values[: n_components * n].reshape(n_components, n)
        phi[longest - 1] = 1
        _stretch_logits(
            rows[:, start : start + n], origin, scale, monomials, cuts, tiles, eta, edges,
            phi, gamma, partial,
        )  # fmt: skip
        out[:, start : start + n] = gamma


@cache
def loop(rows: np.dtype[Any], dtype: np.dtype[Any]) -> Callable[..., None]:
    """The loop for rows of one type, computed in another; compiled once for any memory layout."""
    vector, table = types.Array(from_dtype(dtype), 1, "C"), types.Array(types.float64, 2, "C")
    doubles = types.Array(types.float64, 1, "C", readonly=True)
    results = (table, table, types.Array(types.float64, 1, "C"))
    return _ready(
        _add, (*_parameters(rows, dtype), doubles, types.float64, vector, vector, *results)
    )


@cache
def density_loop(rows: np.dtype[Any], dtype: np.dtype[Any]) -> Callable[..., None]:
    """Likewise, for the logits of single rows."""
    out = types.Array(from_dtype(dtype), 2, "C")
    return _ready(_write_logits, (*_parameters(rows, dtype), out))


def _parameters(rows: np.dtype[Any], dtype: np.dtype[Any]) -> tuple[Any, ...]:
    vector = types.Array(from_dtype(dtype), 1, "C")
    doubles = types.Array(types.float64, 1, "C", readonly=True)
    integers = types.Array(types.int64, 1, "C", readonly=True)
    return (
        types.Array(from_dtype(rows), 2, "A", readonly=True), doubles, doubles,
        types.Array(types.int64, 2, "C", readonly=True), integers, integers,
        vector, integers, types.int64, vector, vector, vector,
    )  # fmt: skip


def _ready(function: Callable[..., None], arguments: tuple[Any, ...]) -> Callable[..., None]:
    signature = types.void(*arguments)
    compiled: Callable[..., None]
    try:
        compiled = njit(signature, cache=True, **_OPTIONS)(function)
    except RuntimeError:  # nowhere to keep what was compiled
        compiled = njit(signature, **_OPTIONS)(function)
    return compiled
