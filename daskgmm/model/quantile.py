"""Quantiles of more values than memory holds, exact, by counting.

A float64 read as an integer, with its bits turned so that integers have the order of the
numbers, falls into a cell by its leading bits. How many values each cell holds adds up over
blocks, in whole numbers, so in any order and on any number of workers. The cell of a rank is
known from the counts; its values are then counted again with more bits, until all bits count.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.typing import Floats

ALL_BITS = 64
COARSE_BITS = 26
"""Sign, exponent and fourteen digits: sixteen thousand cells from any power of two to the next."""

MOST_CELLS = 2**17
"""Counts of no more cells than this keep all bits: one pass is then enough."""

_BITS_A_STEP = 16
_FEW_VALUES = 2**21

Cells: TypeAlias = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Question:
    """Range and fineness of a count of values.

    Parameters
    ----------
    bits : int
        That tell cells apart.
    within : tuple of int or None
        Cells of `within_bits` that a value must lie in; ``None`` for any.
    within_bits : int
    """

    bits: int = ALL_BITS
    within: tuple[int, ...] | None = None
    within_bits: int = COARSE_BITS

    def count(self, values: Floats) -> "Counts":
        """Count values of shape (n,)."""
        cells = _ordered(values)
        if self.within is not None:
            wanted = np.asarray(self.within, np.uint64)
            cells = cells[np.isin(_leading(cells, self.within_bits), wanted)]
        return self._compact(Counts.of(_leading(cells, self.bits), self.bits))

    def add(self, left: "Counts", right: "Counts") -> "Counts":
        """Sum of two counts, for a tree of sums."""
        return self._compact(left + right)

    def _compact(self, counts: "Counts") -> "Counts":
        """Make counts coarser until few enough; the number of values is not known beforehand."""
        too_many = self.within is None and len(counts.cells) > MOST_CELLS
        return counts.coarse(min(counts.bits, COARSE_BITS)) if too_many else counts

    def count_none(self) -> "Counts":
        """The counts of no values."""
        return self.count(np.empty(0))


@dataclass(frozen=True, eq=False)
class Counts:
    """Number of values in each non-empty cell.

    Parameters
    ----------
    cells : ndarray of shape (m,)
        Increasing.
    numbers : ndarray of shape (m,)
    bits : int
        That tell cells apart.
    """

    cells: Cells
    numbers: NDArray[np.int64]
    bits: int

    @classmethod
    def of(cls, cells: Cells, bits: int) -> Self:
        """Count cells of shape (n,)."""
        found, numbers = np.unique(cells, return_counts=True)
        return cls(found, numbers.astype(np.int64), bits)

    @property
    def total(self) -> int:
        """Number of values."""
        return int(self.numbers.sum())

    def __add__(self, other: "Counts") -> "Counts":
        bits = min(self.bits, other.bits)
        both = [self.coarse(bits), other.coarse(bits)]
        cells = np.concatenate([own.cells for own in both])
        numbers = np.concatenate([own.numbers for own in both])
        order = np.argsort(cells, kind="stable")  # which only merges what is in order
        return Counts(*_summed(cells[order], numbers[order]), bits)

    def coarse(self, bits: int) -> "Counts":
        """The same counts in larger cells, of fewer bits."""
        if bits == self.bits:
            return self
        cells = _shortened(self.cells, self.bits, bits)
        return Counts(*_summed(cells, self.numbers), bits)

    def cell_of(self, rank: int) -> int:
        """Position of the cell with the value of a rank, counted from 0."""
        return int(np.searchsorted(np.cumsum(self.numbers), rank, side="right"))


def quantile(count: Callable[[Question], Counts], share: float) -> float:
    """The value below which a share of all values lies, as in `numpy.quantile`.

    Parameters
    ----------
    count : callable
        Answers a question about all values: a pass.
    share : float
        From 0 to 1.

    Returns
    -------
    float
        NaN without values.
    """
    found = count(Question())
    if found.total == 0:
        return math.nan
    position = share * (found.total - 1)
    low = math.floor(position)
    ranks = (low, min(low + 1, found.total - 1))
    while found.bits < ALL_BITS:
        places = [found.cell_of(rank) for rank in ranks]
        before = int(found.numbers[: places[0]].sum())
        few = found.numbers[places].max() <= _FEW_VALUES
        bits = ALL_BITS if few else min(found.bits + _BITS_A_STEP, ALL_BITS)
        within = tuple(sorted({int(found.cells[place]) for place in places}))
        found = count(Question(bits, within, found.bits))
        ranks = (ranks[0] - before, ranks[1] - before)
    values = _values(found.cells[[found.cell_of(rank) for rank in ranks]])
    if values[0] == values[1] or np.isinf(values).any():  # numpy has no line between those
        return float(values[0])
    return float(np.quantile(values, position - low))


def _summed(cells: Cells, numbers: NDArray[np.int64]) -> tuple[Cells, NDArray[np.int64]]:
    """Cells in order, each once, with the sums of their numbers."""
    if len(cells) == 0:
        return cells, numbers
    starts = np.flatnonzero(np.append(True, cells[1:] != cells[:-1]))
    return cells[starts], np.add.reduceat(numbers, starts)


def _ordered(values: Floats) -> Cells:
    """Integers of the numbers' order."""
    bits: Cells = np.ascontiguousarray(values, np.float64).view(np.uint64)
    negative = bits >> np.uint64(63) != 0
    turned: Cells = np.where(negative, ~bits, bits | np.uint64(1 << 63))
    return turned


def _values(ordered: Cells) -> NDArray[Any]:
    """The numbers of such integers."""
    positive = ordered >> np.uint64(63) != 0
    return np.where(positive, ordered ^ np.uint64(1 << 63), ~ordered).view(np.float64)


def _leading(cells: Cells, bits: int) -> Cells:
    return _shortened(cells, ALL_BITS, bits)


def _shortened(cells: Cells, bits: int, fewer: int) -> Cells:
    shortened: Cells = cells >> np.uint64(bits - fewer)
    return shortened
