"""The compiled loop over slabs of rows: features, E-step, sums.

Rows lie along the contiguous axis, so every inner loop runs over them and is vectorised. The
loop holds no interpreter lock: threads of one process run it side by side. Multiplications and
additions may be contracted into one rounding, nothing is reordered: the bits depend on the
processor's instructions only, as those of BLAS do.

Importing this module loads numba and compiles, or takes from numba's cache on disk.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit, types
from numba.np.numpy_support import from_dtype

_TOGETHER = 8
"""Totals, each between 1 and K, that are multiplied before their logarithm is taken."""

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238  # the digits of ln 2 that k * _LN2_HIGH holds exactly
_LN2_LOW = 1.9082149292705877e-10
_SHIFT = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer in the low bits

# Division by zero gives infinity as in NumPy: a check of each would keep loops from vectors.
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
_inline = njit(inline="always", **_OPTIONS)
_compiled = njit(**_OPTIONS)


@_inline
def _exp(x: float) -> float:
    """Exponential of x in [-700, 0] within an ulp, and NaN of NaN (Cody and Waite, 1980)."""
    shifted = x * _LOG2_E + _SHIFT
    k = shifted - _SHIFT
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = 1 / 479001600
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


@_compiled
def _features(rows, origin, scale, monomials, phi):
    """Write phi (F, n) of rows (D, n), all but the ones: quadratic features, standardised rows."""
    n_features, n = rows.shape
    first = len(phi) - 1 - n_features
    for d in range(n_features):
        for r in range(n):
            phi[first + d, r] = (np.float64(rows[d, r]) - origin[d]) * scale[d]
    before = -1
    for m in range(len(monomials)):
        feature, i, j = monomials[m]
        one, other, out = phi[first + i], phi[first + j], phi[feature]
        if feature == before:
            for r in range(n):
                out[r] += one[r] * other[r]
        else:
            for r in range(n):
                out[r] = one[r] * other[r]
        before = feature


@_compiled
def _normalise(gamma, weights, least, peak, total):
    """Turn logits (K, n) into weighted responsibilities; return the log-likelihood."""
    n_components, n = gamma.shape
    lowest = np.log(least)
    for r in range(n):
        peak[r] = gamma[0, r]
        total[r] = 0
    for k in range(1, n_components):
        for r in range(n):
            logit = np.float64(gamma[k, r])
            peak[r] = peak[r] if peak[r] > logit else logit
    for k in range(n_components):
        for r in range(n):
            below = np.float64(gamma[k, r]) - peak[r]
            # What no sum can feel would only slow the product, as a denormal number.
            density = 0.0 if below < lowest else _exp(below)
            gamma[k, r] = density
            total[r] += density
    log_likelihood = _log_likelihood(peak, total, weights)
    for r in range(n):
        total[r] = 1 / total[r]
    if len(weights) > 0:
        for r in range(n):
            total[r] *= weights[r]
    for k in range(n_components):
        for r in range(n):
            gamma[k, r] *= total[r]
    return log_likelihood


@_compiled
def _log_likelihood(peak, total, weights):
    """Sum of weights times (peak + log(total)); unweighted, few logarithms, and peak is lost."""
    n, found = len(peak), 0.0
    if len(weights) > 0:
        for r in range(n):
            found += weights[r] * (peak[r] + np.log(total[r]))
        return found
    stretch = n // _TOGETHER
    tail = range(_TOGETHER * stretch, n)
    for r in tail:
        found += peak[r] + np.log(total[r])
    peaks, product = peak[:stretch], peak[stretch : 2 * stretch]
    for i in range(1, _TOGETHER):
        for r in range(stretch):
            peaks[r] += peak[i * stretch + r]
    product[:] = 1
    for i in range(_TOGETHER):
        for r in range(stretch):
            product[r] *= total[i * stretch + r]
    for r in range(stretch):
        found += peaks[r] + np.log(product[r])
    return found


def _add(
    rows, weights, origin, scale, monomials, eta, edges, joint_rows, least, slab,
    phi_values, gamma_values, product_values, columns, sums, log_likelihoods,
):  # fmt: skip
    """Add the moments of rows (D, n) under mixtures with natural parameters eta (K, F)."""
    length, n_components = sums.shape
    everything = np.array([0, n_components])
    n_before = 0
    for start in range(0, rows.shape[1], slab):
        stop = min(start + slab, rows.shape[1])
        n = stop - start
        phi = phi_values[: length * n].reshape(length, n)
        gamma = gamma_values[: n_components * n].reshape(n_components, n)
        slab_weights = weights[start:stop]
        if n != n_before:
            phi[-1] = 1
            n_before = n
        _features(rows[:, start:stop], origin, scale, monomials, phi)
        products = everything if n >= joint_rows else edges
        for i in range(len(products) - 1):
            np.dot(eta[products[i] : products[i + 1]], phi, gamma[products[i] : products[i + 1]])
        for i in range(len(edges) - 1):
            own = gamma[edges[i] : edges[i + 1]]
            log_likelihoods[i] += _normalise(
                own, slab_weights, least, columns[0, :n], columns[1, :n]
            )
        for i in range(len(products) - 1):
            own = gamma[products[i] : products[i + 1]]
            product = product_values[: length * len(own)].reshape(length, len(own))
            np.dot(phi, own.T, product)
            sums[:, products[i] : products[i + 1]] += product


@cache
def loop(rows: np.dtype[Any], dtype: np.dtype[Any]) -> Callable[..., None]:
    """The loop for rows of one type, computed in another; compiled once for any memory layout."""
    values = from_dtype(dtype)
    vector, matrix = types.Array(values, 1, "C"), types.Array(values, 2, "C")
    doubles = types.Array(types.float64, 1, "C", readonly=True)
    table = types.Array(types.float64, 2, "C")
    arguments = (
        types.Array(from_dtype(rows), 2, "A", readonly=True),
        doubles, doubles, doubles,
        types.Array(types.int64, 2, "C", readonly=True),
        matrix,
        types.Array(types.int64, 1, "C", readonly=True),
        types.int64, types.float64, types.int64,
        vector, vector, vector, table, table, types.Array(types.float64, 1, "C"),
    )  # fmt: skip
    signature = types.void(*arguments)
    try:
        return njit(signature, cache=True, **_OPTIONS)(_add)
    except RuntimeError:  # nowhere to keep what was compiled
        return njit(signature, **_OPTIONS)(_add)
