"""Logits of every pair (row, component), whitened about its mean: for few features.

There no product is worth a call, and no bound is cheaper than the logit.
"""

from typing import Any

from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.base import padded
from daskgmm.model.kernels.loops.compiling import along_rows, compiled

height_of = compiled(padded)
"""For loops."""


@along_rows
def write_centred(z: NDArray[Any], start: int, point: NDArray[Any], centred: NDArray[Any]) -> None:
    """Write rows z (D, n) from start on, less a point, to centred, and zeros below."""
    n, number = centred.shape[1], centred.dtype.type
    for d in range(len(z)):
        x, own, centre = z[d, start : start + n], centred[d], number(point[d])
        for r in range(n):
            own[r] = number(x[r]) - centre
    centred[len(z) :] = 0


@compiled
def _entry(factor: NDArray[Any], i: int, j: int) -> Any:
    """A factor's entry, zero below its diagonal and past its last column."""
    edge = len(factor) - 1
    return factor[min(i, edge), min(j, edge)] if i <= j <= edge else factor.dtype.type(0)


@along_rows
def _write_terms(
    factor: NDArray[Any], j: int, last: int, centred: NDArray[Any], partial: NDArray[Any]
) -> None:
    """Write whitened coordinates j and j + 1, but for the last terms, to partial (2, n)."""
    one, two = partial[0], partial[1]
    for i in range(0, last, 4):
        a, b, c, d = centred[i], centred[i + 1], centred[i + 2], centred[i + 3]
        e, f, g, h = factor[i, j], factor[i + 1, j], factor[i + 2, j], factor[i + 3, j]
        p, q = _entry(factor, i, j + 1), _entry(factor, i + 1, j + 1)
        s, t = _entry(factor, i + 2, j + 1), _entry(factor, i + 3, j + 1)
        if i == 0:
            for r in range(len(one)):
                one[r] = (a[r] * e + b[r] * f) + (c[r] * g + d[r] * h)
                two[r] = (a[r] * p + b[r] * q) + (c[r] * s + d[r] * t)
        else:
            for r in range(len(one)):
                one[r] += (a[r] * e + b[r] * f) + (c[r] * g + d[r] * h)
                two[r] += (a[r] * p + b[r] * q) + (c[r] * s + d[r] * t)


@along_rows
def _subtract_squares(
    factor: NDArray[Any],
    j: int,
    last: int,
    centred: NDArray[Any],
    partial: NDArray[Any],
    own: NDArray[Any],
) -> None:
    """Subtract half of the squares of whitened coordinates j and j + 1, with their last terms.

    Those of the first are one or three, of the second two or four.
    """
    half, alone, one, two = own.dtype.type(0.5), last == 0, partial[0], partial[1]
    a, b, e = centred[last], centred[last + 1], _entry(factor, last, j)
    p, q = _entry(factor, last, j + 1), _entry(factor, last + 1, j + 1)
    if j == last and alone:
        for r in range(len(own)):
            white, other = a[r] * e, a[r] * p + b[r] * q
            own[r] -= half * (white * white + other * other)
        return
    if j == last:
        for r in range(len(own)):
            white, other = one[r] + a[r] * e, two[r] + (a[r] * p + b[r] * q)
            own[r] -= half * (white * white + other * other)
        return
    c, d, f = centred[last + 2], centred[last + 3], _entry(factor, last + 1, j)
    g, s = _entry(factor, last + 2, j), _entry(factor, last + 2, j + 1)
    t = _entry(factor, last + 3, j + 1)
    if alone:
        for r in range(len(own)):
            white = (a[r] * e + b[r] * f) + c[r] * g
            other = (a[r] * p + b[r] * q) + (c[r] * s + d[r] * t)
            own[r] -= half * (white * white + other * other)
    else:
        for r in range(len(own)):
            white = one[r] + ((a[r] * e + b[r] * f) + c[r] * g)
            other = two[r] + ((a[r] * p + b[r] * q) + (c[r] * s + d[r] * t))
            own[r] -= half * (white * white + other * other)


@compiled
def _whiten(
    factor: NDArray[Any],
    centred: NDArray[Any],
    partial: NDArray[Any],
    normaliser: Any,
    own: NDArray[Any],
) -> None:
    """Write the logits of centred rows to own (n,).

    A whitened coordinate is a sum over features up to its own. Two are made at once, four terms
    each: what is loaded serves twice, and a pass over `partial` costs more than a term.
    """
    own[:] = normaliser
    for j in range(0, len(factor), 2):
        last = j // 4 * 4
        _write_terms(factor, j, last, centred, partial)
        _subtract_squares(factor, j, last, centred, partial, own)


@along_rows
def _stretch(
    z: NDArray[Any],
    mean: NDArray[Any],
    scales: NDArray[Any],
    normaliser: Any,
    own: NDArray[Any],
) -> None:
    """Write the logits of rows z (D, n), scaled along the axes, to own (n,)."""
    n_features, n, half = len(z), len(own), own.dtype.type(0.5)
    for r in range(n):
        own[r] = normaliser
    for d in range(0, n_features - 1, 2):
        x, y, p, q, a, b = z[d], z[d + 1], mean[d], mean[d + 1], scales[d], scales[d + 1]
        for r in range(n):
            one, other = (x[r] - p) * a, (y[r] - q) * b
            own[r] -= half * (one * one + other * other)
    if n_features % 2 == 1:
        x, p, a = z[n_features - 1], mean[n_features - 1], scales[n_features - 1]
        for r in range(n):
            one = (x[r] - p) * a
            own[r] -= half * (one * one)


@compiled
def write_all_logits(model: Model, z: NDArray[Any], work: PairWork, gamma: NDArray[Any]) -> None:
    """Write the logits of z (D, n) to gamma (K, n)."""
    n_features, n = z.shape
    height = height_of(n_features)
    centred = work.by_row[: height * n].reshape(height, n)
    partial = work.partial[: 2 * n].reshape(2, n)
    for k in range(len(gamma)):
        factor = model.factors[min(k, len(model.factors) - 1)]
        if model.whitens:
            write_centred(z, 0, model.means[k], centred)
            _whiten(factor, centred, partial, model.normalisers[k], gamma[k])
        else:
            _stretch(z, model.means[k], factor[0], model.normalisers[k], gamma[k])
