"""Distances of gathered rows from a component's mean, in its own units."""

from typing import Any

from numpy.typing import NDArray

from daskgmm.model.kernels.loops.all_pairs import whitened_lengths
from daskgmm.model.kernels.loops.compiling import along_rows, compiled, summed
from daskgmm.model.kernels.loops.registers.lanes import LANE_BYTES, load, store
from daskgmm.model.kernels.loops.registers.turning import gather

_FEW = 2
"""So many rows, at most, take less time one by one than a block, of which they fill little."""


@along_rows
def _write_block(
    by_row: NDArray[Any],
    rows: NDArray[Any],
    mean: NDArray[Any],
    factor: NDArray[Any],
    centred: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Write squared whitened distances of a block of chosen rows from a mean to out (h,)."""
    h, wide, n_features = len(rows), LANE_BYTES // by_row.itemsize, len(mean)
    block = centred[: n_features * wide].reshape(n_features, wide)
    gather(by_row, rows, centred, wide)
    for d in range(n_features):
        for q in range(h, wide):
            block[d, q] = mean[d]
        store(block[d], 0, load(block[d], 0) - mean[d])
    found = whitened_lengths(factor, centred, wide)
    if h == wide:
        store(out, 0, found)
        return
    store(centred, 0, found)
    for q in range(h):
        out[q] = centred[q]


@compiled
def _distance_of_row(
    x: NDArray[Any], mean: NDArray[Any], factor: NDArray[Any], spare: NDArray[Any]
) -> Any:
    """Squared whitened distance of one row from a mean, to the bit as in a block."""
    white, found = spare[: len(mean)], x.dtype.type(0)
    white[:] = 0
    for i in range(len(mean)):
        centred, own, its = x[i] - mean[i], white[i:], factor[i, i:]
        for j in range(len(own)):
            own[j] += centred * its[j]
        found += white[i] * white[i]
    return found


@compiled
def write_distances(
    by_row: NDArray[Any],
    rows: NDArray[Any],
    mean: NDArray[Any],
    factor: NDArray[Any],
    centred: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Write squared whitened distances of chosen rows from a mean to out (h,)."""
    h, wide = len(rows), LANE_BYTES // by_row.itemsize
    few = h % wide if h % wide <= _FEW else 0
    for first in range(0, h - few, wide):
        own = rows[first : first + wide]
        _write_block(by_row, own, mean, factor, centred, out[first : first + wide])
    for q in range(h - few, h):
        out[q] = _distance_of_row(by_row[rows[q]], mean, factor, centred)


@summed
def write_distances_along_axes(
    by_row: NDArray[Any], rows: NDArray[Any], mean: NDArray[Any], scale: NDArray[Any], out: Any
) -> None:
    """Write squared distances of chosen rows from a mean, in units of each axis, to out (h,)."""
    for q in range(len(rows)):
        r, total = rows[q], by_row.dtype.type(0)
        for d in range(len(mean)):
            y = (by_row[r, d] - mean[d]) * scale[d]
            total += y * y
        out[q] = total
