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


@along_rows
def _write_terms(
    factor: NDArray[Any], j: int, last: int, centred: NDArray[Any], partial: NDArray[Any]
) -> None:
    """Write whitened coordinate j, but for the terms from the last ones on, to partial (n,)."""
    for i in range(0, last, 4):
        a, b, c, d = centred[i], centred[i + 1], centred[i + 2], centred[i + 3]
        e, f, g, h = factor[i, j], factor[i + 1, j], factor[i + 2, j], factor[i + 3, j]
        if i == 0:
            for r in range(len(partial)):
                partial[r] = (a[r] * e + b[r] * f) + (c[r] * g + d[r] * h)
        else:
            for r in range(len(partial)):
                partial[r] += (a[r] * e + b[r] * f) + (c[r] * g + d[r] * h)


@along_rows
def _subtract_square(
    factor: NDArray[Any],
    j: int,
    last: int,
    centred: NDArray[Any],
    partial: NDArray[Any],
    own: NDArray[Any],
) -> None:
    """Subtract half of the square of whitened coordinate j, whose last terms are two or four.

    Those past j are zero, below the factor's diagonal or in the rows that follow the features.
    """
    edge, half = len(factor) - 1, own.dtype.type(0.5)
    a, b, e, f = centred[last], centred[last + 1], factor[last, j], factor[min(last + 1, edge), j]
    c, d = centred[last + 2], centred[last + 3]
    g, h = factor[min(last + 2, edge), j], factor[min(last + 3, edge), j]
    two, alone = j < last + 2, last == 0
    if two and alone:
        for r in range(len(own)):
            white = a[r] * e + b[r] * f
            own[r] -= half * (white * white)
    elif two:
        for r in range(len(own)):
            white = partial[r] + (a[r] * e + b[r] * f)
            own[r] -= half * (white * white)
    elif alone:
        for r in range(len(own)):
            white = (a[r] * e + b[r] * f) + (c[r] * g + d[r] * h)
            own[r] -= half * (white * white)
    else:
        for r in range(len(own)):
            white = partial[r] + ((a[r] * e + b[r] * f) + (c[r] * g + d[r] * h))
            own[r] -= half * (white * white)


@compiled
def _whiten(
    factor: NDArray[Any],
    centred: NDArray[Any],
    partial: NDArray[Any],
    normaliser: Any,
    own: NDArray[Any],
) -> None:
    """Write the logits of centred rows to own (n,).

    A whitened coordinate is a sum over features up to its own. It takes four terms at once, as a
    pass over `partial` costs more than a term, and is squared with the last ones.
    """
    own[:] = normaliser
    for j in range(len(factor)):
        last = j // 4 * 4
        _write_terms(factor, j, last, centred, partial)
        _subtract_square(factor, j, last, centred, partial, own)


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
    for k in range(len(gamma)):
        factor = model.factors[min(k, len(model.factors) - 1)]
        if model.whitens:
            write_centred(z, 0, model.means[k], centred)
            _whiten(factor, centred, work.partial[:n], model.normalisers[k], gamma[k])
        else:
            _stretch(z, model.means[k], factor[0], model.normalisers[k], gamma[k])
