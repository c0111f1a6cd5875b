"""Products of gathered rows: with a whitening matrix, and with themselves.

Strip by strip of the rows and block by block of the features: see `daskgmm.model.kernels.blocks`.
A strip's rows lie block after block, those of each together.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.loops.arithmetic import add_to
from daskgmm.model.kernels.loops.blas import multiply
from daskgmm.model.kernels.loops.compiling import compiled


@compiled
def write_distances(
    by_row: NDArray[Any],
    rows: NDArray[Any],
    mean: NDArray[Any],
    factor: NDArray[Any],
    edges: NDArray[Any],
    most: int,
    gathered: NDArray[Any],
    white: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Write squared whitened distances of chosen rows from a mean to out (h,).

    The factor's upper blocks are given: see `daskgmm.model.kernels.blocks.upper_blocks`.
    """
    h = len(rows)
    strips = -(-h // most)
    for s in range(strips):
        first, last = h * s // strips, h * (s + 1) // strips
        _centre(by_row, rows[first:last], mean, edges, gathered)
        _whiten(gathered, factor, edges, white, out[first:last])


@compiled
def _centre(
    by_row: NDArray[Any],
    rows: NDArray[Any],
    mean: NDArray[Any],
    edges: NDArray[Any],
    values: NDArray[Any],
) -> None:
    """Write a strip of rows, less a mean, to values."""
    h, whole = len(rows), len(edges) == 2
    for i in range(len(edges) - 1):
        start, stop = edges[i], edges[i + 1]
        own = values[h * start : h * stop].reshape(h, stop - start)
        point = mean[start:stop]
        for q in range(h):
            x, centred = by_row[rows[q]], own[q]
            if not whole:
                x = x[start:stop]
                for d in range(len(x)):
                    centred[d] = x[d] - point[d]
                continue
            for d in range(len(x)):  # the same without a slice, which few features would feel
                centred[d] = x[d] - point[d]


@compiled
def _whiten(
    values: NDArray[Any],
    factor: NDArray[Any],
    edges: NDArray[Any],
    spare: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Write the squared lengths of a strip of rows, whitened, to out (h,)."""
    h, begin = len(out), 0
    out[:] = 0
    for j in range(len(edges) - 1):
        left, right = edges[j], edges[j + 1]
        width = right - left
        white = spare[: h * width].reshape(width, h)
        for i in range(j + 1):
            start, stop = edges[i], edges[i + 1]
            size = (stop - start) * width
            block = factor[begin : begin + size].reshape(stop - start, width)
            begin += size
            centred = values[h * start : h * stop].reshape(h, stop - start)
            if i == 0:
                multiply(block.T, centred.T, white)
            else:
                partial = spare[h * width : 2 * h * width].reshape(width, h)
                multiply(block.T, centred.T, partial)
                add_to(white, partial)
        for d in range(width):
            own = white[d]
            for q in range(h):
                out[q] += own[q] * own[q]


@compiled
def add_second_moments(
    by_row: NDArray[Any],
    chosen: NDArray[Any],
    gamma: NDArray[Any],
    centre: NDArray[Any],
    origin: NDArray[Any],
    edges: NDArray[Any],
    most: int,
    values: NDArray[Any],
    products: NDArray[Any],
    moves: NDArray[Any],
    second: NDArray[Any],
    first: NDArray[Any],
) -> None:
    """Add sums of gamma x x.T and of gamma (x, 1) over the chosen rows x, less origin.

    In the type of the work arrays for values and products; rounding is relative to sums about the
    centre, from which they are moved in double precision. Of the sums of x x.T, the blocks above
    the diagonal and on it are.
    """
    n_features, h = by_row.shape[1], len(chosen)
    strips = -(-h // most)
    away, linear = moves
    moved = False
    for d in range(n_features):
        away[d] = np.float64(centre[d]) - np.float64(origin[d])
        moved |= away[d] != 0
    for s in range(strips):
        start, stop = h * s // strips, h * (s + 1) // strips
        _weigh(by_row, chosen[start:stop], gamma[start:stop], centre, edges, values)
        _add_strip(stop - start, edges, values, products, away, moved, linear, second, first)


@compiled
def _weigh(
    by_row: NDArray[Any],
    chosen: NDArray[Any],
    gamma: NDArray[Any],
    centre: NDArray[Any],
    edges: NDArray[Any],
    values: NDArray[Any],
) -> None:
    """Write a strip of rows less the centre, and a one, times roots of gamma to values.

    The ones stand at the end of the last block.
    """
    h, number, count = len(chosen), values.dtype.type, len(edges) - 1
    for i in range(count):
        start, stop = edges[i], edges[i + 1]
        last = int(i == count - 1)
        own = values[h * start : h * (stop + last)].reshape(h, stop - start + last)
        point = centre[start:stop]
        for q in range(h):
            root = np.sqrt(number(gamma[q]))
            _weigh_row(by_row[chosen[q]][start:stop], point, root, own[q])
            if last:
                own[q, stop - start] = root


@compiled
def _weigh_row(x: NDArray[Any], point: NDArray[Any], root: Any, weighted: NDArray[Any]) -> None:
    """Write part of a row, less that of a point, times a root; alone, it becomes a vector loop."""
    number = weighted.dtype.type
    for d in range(len(point)):
        weighted[d] = root * (number(x[d]) - number(point[d]))


@compiled
def _add_strip(
    h: int,
    edges: NDArray[Any],
    values: NDArray[Any],
    products: NDArray[Any],
    away: NDArray[Any],
    moved: bool,
    linear: NDArray[Any],
    second: NDArray[Any],
    first: NDArray[Any],
) -> None:
    """Add a strip's sums: the last blocks first, which have the linear ones."""
    n_features, count = len(away), len(edges) - 1
    mass = 0.0
    for j in range(count - 1, -1, -1):
        left, right = edges[j], edges[j + 1]
        last = int(j == count - 1)
        other = values[h * left : h * (right + last)].reshape(h, right - left + last)
        for i in range(j, -1, -1):
            start, stop = edges[i], edges[i + 1]
            more = int(i == count - 1)
            own = values[h * start : h * (stop + more)].reshape(h, stop - start + more)
            height, width = own.shape[1], other.shape[1]
            product = products[: height * width].reshape(height, width)
            multiply(own.T, other, product)
            if last:
                for d in range(stop - start):
                    linear[start + d] = product[d, width - 1]
                if more:
                    mass = np.float64(product[height - 1, width - 1])
            _add_block(product, start, stop, left, right, linear, mass, away, moved, second)
    for d in range(n_features):
        first[d] += linear[d] + mass * away[d]
    first[n_features] += mass


@compiled
def _add_block(
    product: NDArray[Any],
    start: int,
    stop: int,
    left: int,
    right: int,
    linear: NDArray[Any],
    mass: float,
    away: NDArray[Any],
    moved: bool,
    second: NDArray[Any],
) -> None:
    """Add a block's sums about the centre, moved away from there where it is not the origin."""
    sums, width = second[start:stop, left:right], right - left
    if not moved:
        for i in range(len(sums)):
            for j in range(width):
                sums[i, j] += product[i, j]
        return
    total, shift = linear[left:right], away[left:right]
    for i in range(len(sums)):
        step = away[start + i]
        own = linear[start + i] + mass * step
        for j in range(width):
            sums[i, j] += product[i, j] + (step * total[j] + own * shift[j])
