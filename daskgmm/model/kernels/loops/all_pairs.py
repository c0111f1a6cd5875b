"""Logits of every pair (row, component), whitened about its mean.

For few features, where no bound is cheaper than the logit, and where bounds leave too much.
"""

from typing import Any

from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.loops.compiling import along_rows, compiled
from daskgmm.model.kernels.loops.few_features import MOST_FEATURES, write_few
from daskgmm.model.kernels.loops.registers.lanes import LANE_BYTES, REGISTERS, load, store

_MANY = 32
"""Registers, of which four sums in lanes leave enough."""


@compiled
def _pad(z: NDArray[Any], start: int, point: NDArray[Any], block: NDArray[Any]) -> None:
    """Write the last rows of z (D, n) to a block (D, wide), and a point where there are none."""
    count = z.shape[1] - start
    for d in range(len(z)):
        for r in range(block.shape[1]):
            block[d, r] = z[d, start + r] if r < count else point[d]


@along_rows
def whitened_lengths(factor: NDArray[Any], centred: NDArray[Any], wide: int) -> Any:
    """Squared lengths of a block's centred rows (D wide,), whitened, in lanes.

    A whitened coordinate is a sum over features up to its own. Four are made at once, or two where
    there are fewer registers: what is loaded serves for all of them.
    """
    n_features, found = len(factor), load(centred, 0) * 0
    in_fours = n_features // 4 * 4 if REGISTERS == _MANY else 0
    for j in range(0, in_fours, 4):
        x = load(centred, 0)
        one, two = x * factor[0, j], x * factor[0, j + 1]
        three, four = x * factor[0, j + 2], x * factor[0, j + 3]
        for i in range(1, j + 1):
            x = load(centred, i * wide)
            one += x * factor[i, j]
            two += x * factor[i, j + 1]
            three += x * factor[i, j + 2]
            four += x * factor[i, j + 3]
        x = load(centred, (j + 1) * wide)
        two += x * factor[j + 1, j + 1]
        three += x * factor[j + 1, j + 2]
        four += x * factor[j + 1, j + 3]
        x = load(centred, (j + 2) * wide)
        three += x * factor[j + 2, j + 2]
        four += x * factor[j + 2, j + 3]
        four += load(centred, (j + 3) * wide) * factor[j + 3, j + 3]
        found += one * one
        found += two * two
        found += three * three
        found += four * four
    for j in range(in_fours, n_features - 1, 2):
        x = load(centred, 0)
        one, two = x * factor[0, j], x * factor[0, j + 1]
        for i in range(1, j + 1):
            x = load(centred, i * wide)
            one += x * factor[i, j]
            two += x * factor[i, j + 1]
        two += load(centred, (j + 1) * wide) * factor[j + 1, j + 1]
        found += one * one
        found += two * two
    if n_features % 2 == 1:
        last = n_features - 1
        one = load(centred, 0) * factor[0, last]
        for i in range(1, n_features):
            one += load(centred, i * wide) * factor[i, last]
        found += one * one
    return found


@along_rows
def _scaled_lengths(
    rows: NDArray[Any], first: int, mean: NDArray[Any], scales: NDArray[Any]
) -> Any:
    """Squared lengths of a block of rows (D, n), from one on, less a mean and scaled, in lanes."""
    found = load(rows[0], first) * 0
    for d in range(len(scales)):
        one = (load(rows[d], first) - mean[d]) * scales[d]
        found += one * one
    return found


@along_rows
def _lengths(
    whitens: bool,
    rows: NDArray[Any],
    first: int,
    mean: NDArray[Any],
    factor: NDArray[Any],
    centred: NDArray[Any],
) -> Any:
    """Squared lengths of a block of rows (D, n), from one on, in a component's units, in lanes."""
    if not whitens:
        return _scaled_lengths(rows, first, mean, factor[0])
    wide = LANE_BYTES // rows.itemsize
    for d in range(len(rows)):
        store(centred, d * wide, load(rows[d], first) - mean[d])
    return whitened_lengths(factor, centred, wide)


@along_rows
def _write_logits(
    whitens: bool,
    z: NDArray[Any],
    mean: NDArray[Any],
    factor: NDArray[Any],
    normaliser: Any,
    centred: NDArray[Any],
    spare: NDArray[Any],
    own: NDArray[Any],
) -> None:
    """Write the logits of rows z (D, n) under a component to own (n,).

    It takes no tuples of arrays: those would be written to memory for each block.
    """
    n, wide, half = z.shape[1], LANE_BYTES // z.itemsize, z.dtype.type(0.5)
    whole = n // wide * wide
    if whitens and len(z) <= MOST_FEATURES:
        write_few(z.reshape(z.size), n, whole, mean, factor, normaliser, own)
    else:
        for start in range(0, whole, wide):
            lengths = _lengths(whitens, z, start, mean, factor, centred)
            store(own, start, normaliser - lengths * half)
    if whole < n:
        last = spare[: len(z) * wide].reshape(len(z), wide)
        _pad(z, whole, mean, last)
        lengths = _lengths(whitens, last, 0, mean, factor, centred)
        store(centred, 0, normaliser - lengths * half)
        for r in range(whole, n):
            own[r] = centred[r - whole]


@compiled
def write_all_logits(model: Model, z: NDArray[Any], work: PairWork, gamma: NDArray[Any]) -> None:
    """Write the logits of z (D, n) to gamma (K, n)."""
    for k in range(len(gamma)):
        factor = model.factors[min(k, len(model.factors) - 1)]
        _write_logits(
            model.whitens, z, model.means[k], factor, model.normalisers[k], work.centred,
            work.gathered, gamma[k],
        )  # fmt: skip
