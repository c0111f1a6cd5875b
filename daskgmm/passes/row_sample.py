"""A uniform sample of rows, taken before their number is known."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from daskgmm.model.typing import Doubles, Floats

_NUMBERS_A_STEP = 4
"""Random numbers for each step of Philox's counter."""


@dataclass(frozen=True, eq=False)
class Sample:
    """The rows with the smallest of independent random priorities.

    Priorities depend on the seed and the rows' numbers only (see `priorities`), and merging keeps
    the smallest, so the sample is the same in any order of merging.

    Parameters
    ----------
    priorities : ndarray of shape (m,)
        Uniform on [0, 1).
    positions : ndarray of shape (m, 2)
        Part and row within the part.
    rows : ndarray of shape (m, D)
    weights : ndarray of shape (m,) or None
    """

    priorities: Doubles
    positions: np.ndarray
    rows: Floats
    weights: Doubles | None

    def merge(self, other: Self, capacity: int) -> "Sample":
        """The `capacity` rows of smallest priority in two samples."""
        joined = Sample(
            np.concatenate([self.priorities, other.priorities]),
            np.concatenate([self.positions, other.positions]),
            np.concatenate([self.rows, other.rows]),
            _join(self.weights, other.weights),
        )
        return joined.smallest(capacity)

    def smallest(self, capacity: int) -> "Sample":
        """The rows of the `capacity` smallest priorities, or all rows if there are fewer."""
        if len(self.priorities) <= capacity:
            return self
        return self.take(np.argpartition(self.priorities, capacity)[:capacity])

    def take(self, chosen: np.ndarray) -> "Sample":
        """The sample reduced to some of its rows."""
        weights = None if self.weights is None else self.weights[chosen]
        return Sample(self.priorities[chosen], self.positions[chosen], self.rows[chosen], weights)

    def ordered(self) -> "Sample":
        """The sample with its rows in the order of the data."""
        return self.take(np.lexsort(self.positions.T[::-1]))


def _join(left: Doubles | None, right: Doubles | None) -> Doubles | None:
    if left is None or right is None:
        return left if right is None else right
    return np.concatenate([left, right])


def priorities(seed: int, part: int, first_row: int | None) -> np.random.Generator:
    """The random stream of one part's priorities.

    If it is known how many rows precede the part, it continues the stream of all rows there, so
    that a sample does not depend on how rows are cut into parts; else each part has its own.
    """
    if first_row is None:
        return np.random.Generator(np.random.Philox(key=[seed, part]))
    philox = np.random.Philox(key=[seed, 0])
    philox.advance(first_row // _NUMBERS_A_STEP)
    stream = np.random.Generator(philox)
    stream.random(first_row % _NUMBERS_A_STEP)
    return stream
