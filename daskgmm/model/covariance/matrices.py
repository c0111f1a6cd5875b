"""Symmetric matrices: functions that full and tied share."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from scipy import linalg

from daskgmm.model.covariance.base import NotPositiveDefiniteError
from daskgmm.model.typing import Doubles, Floats

_BLOCK = 128
"""Columns of a triangular or symmetric matrix that are computed together."""

_INVERTED = 48
"""Columns of a triangular matrix that LAPACK inverts, at the most."""


@contextmanager
def naming(component: int | None) -> Iterator[None]:
    """Turn LAPACK's error into ours, which names the component."""
    try:
        yield
    except (linalg.LinAlgError, ValueError) as error:  # ValueError: NaN or infinity inside
        raise NotPositiveDefiniteError(component) from error


def factors_of_precisions(covariances: Doubles, out: Doubles) -> int | None:
    """Write upper triangular L with ``L @ L.T = inv(covariance)`` of each covariance (K, D, D).

    Return the first one that has none.
    """
    lower = _cholesky(covariances)
    out[:] = 0
    with np.errstate(invalid="ignore", over="ignore"):
        _invert(lower.swapaxes(1, 2), out)
    # What is infinite in a Cholesky factor is zero in its inverse.
    good = np.isfinite(out).all(axis=(1, 2)) & (_diagonals(out) > 0).all(axis=1)
    return None if good.all() else int(np.argmin(good))


def _cholesky(covariances: Doubles) -> Doubles:
    """Lower Cholesky factors of covariances (K, D, D), NaN where there is none."""
    try:
        return np.asarray(np.linalg.cholesky(covariances), np.float64)
    except np.linalg.LinAlgError:
        if len(covariances) == 1:
            return np.full(covariances.shape, np.nan)
        return np.concatenate([_cholesky(one[np.newaxis]) for one in covariances])


def _invert(upper: Doubles, out: Doubles) -> None:
    """Write the inverses of upper triangular matrices (K, D, D) above zeros.

    By halves: products take most of it, which are faster than LAPACK's inversion, and let other
    threads run.
    """
    n_features = upper.shape[-1]
    if n_features <= _INVERTED:
        # SciPy's own functions take many times as long around small matrices.
        for triangle, inverse in zip(upper, out, strict=True):
            inverse[:], singular = linalg.lapack.dtrtri(triangle)
            if singular:
                inverse[:] = np.nan
        return
    half = n_features // 2
    first, last = slice(0, half), slice(half, n_features)
    _invert(upper[:, first, first], out[:, first, first])
    _invert(upper[:, last, last], out[:, last, last])
    beside = out[:, first, first] @ (upper[:, first, last] @ out[:, last, last])
    np.negative(beside, out=out[:, first, last])


def factor_from_precision(precision: Doubles, component: int | None) -> Doubles:
    """Upper triangular L with ``L @ L.T = precision``."""
    with naming(component):
        if not np.allclose(precision, precision.T, rtol=1e-7):
            raise ValueError("not symmetric")
        flipped = np.linalg.cholesky(precision[::-1, ::-1])
        if not np.isfinite(flipped).all():
            raise ValueError("not finite")
    return np.ascontiguousarray(flipped[::-1, ::-1])


def covariance_of_factor(factor: Doubles) -> Doubles:
    """Inverse of ``factor @ factor.T``."""
    inverse = _inverse(factor, lower=False)
    return np.asarray(inverse.T @ inverse)


def _inverse(triangular: Doubles, *, lower: bool) -> Doubles:
    inverse, info = linalg.lapack.dtrtri(triangular, lower=lower)
    if info != 0:
        raise linalg.LinAlgError("singular matrix")
    return np.asarray(inverse)


def log_determinants(factors: Doubles) -> Doubles:
    """Log-determinants (...) of triangular factors (..., D, D)."""
    return np.asarray(np.log(_diagonals(factors)).sum(axis=-1))


def least_shares(factors: Doubles, covariances: Doubles) -> Doubles:
    """Least share (...) of a feature's variance that the features before it leave, from 0 to 1."""
    return np.asarray((1 / (_diagonals(factors) ** 2 * _diagonals(covariances))).min(axis=-1))


def _diagonals(found: Doubles) -> Doubles:
    return np.diagonal(found, axis1=-2, axis2=-1)


def whitened_distances(centred: Floats, factor: Floats) -> Floats:
    """Squared lengths (n,) of ``factor.T @ centred``, for centred rows (D, n)."""
    distances = np.zeros(centred.shape[1], centred.dtype)
    for start in range(0, len(factor), _BLOCK):
        stop = start + _BLOCK  # the factor is upper triangular: below are zeros
        whitened = factor[:stop, start:stop].T @ centred[:stop]
        distances += np.einsum("dn,dn->n", whitened, whitened)
    return distances


def second_moments(centred: Floats, gamma: Floats) -> Iterator[tuple[slice, Floats]]:
    """Sum of ``gamma * x @ x.T`` over rows x (D, n): matrix rows from their block's first column.

    A matrix is symmetric, so what lies left of the blocks on the diagonal is never computed.
    """
    for start in range(0, len(centred), _BLOCK):
        window = slice(start, min(start + _BLOCK, len(centred)))
        yield window, (centred[window] * gamma) @ centred[start:].T


def colour(noise: Doubles, factor: Doubles) -> Doubles:
    """Standard normal rows (n, D) with covariance ``inv(factor @ factor.T)``."""
    return np.asarray(linalg.solve_triangular(factor, noise.T, lower=False, trans="T").T)


def unbounded(factors: Doubles) -> Doubles:
    """Triangular factors (..., D, D) with the logarithms of their diagonals."""
    found = factors.copy()
    axis = np.arange(factors.shape[-1])
    found[..., axis, axis] = np.log(factors[..., axis, axis])
    return found


def bounded(found: Doubles) -> Doubles:
    """Triangular factors from `unbounded` ones."""
    factors = found.copy()
    axis = np.arange(found.shape[-1])
    factors[..., axis, axis] = np.exp(found[..., axis, axis])
    return factors


def information(changes: Doubles, factors: Doubles) -> Doubles:
    """Squared lengths (...) of changes of unbounded factors, off the diagonal relative to it."""
    axis = np.arange(factors.shape[-1])
    relative = changes / factors[..., np.newaxis, axis, axis]
    relative[..., axis, axis] = np.sqrt(2) * changes[..., axis, axis]
    return np.asarray((relative**2).sum(axis=(-2, -1)))
