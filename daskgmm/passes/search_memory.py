"""Memory of the search for starts on a sample, in bytes."""

from dataclasses import dataclass

import numpy as np

_COPIES = 6
"""Copies of the sample: as it was drawn, in the rows' order, as it is searched, standardised, and
two that a clustering or the moves need."""

_POSITION = 32
"""Bytes of a sampled row's priority, place and weight."""

_OF_A_RUN, _OF_A_STEP = 5, 16
"""Arrays of the moments' size (F, K) for each mixture that waits: its covariances and factors, of
twice that each, and its moments; and further ones for each that EM advances: where it began, where
it goes, and what the loop needs of it and sums."""

_OF_A_PAIR = 3
"""Numbers for each pair of a row and a component by which moves are found."""


@dataclass(frozen=True)
class SearchSizes:
    """Sizes that the memory of a search for starts depends on.

    Parameters
    ----------
    rows : int
        Rows of the sample.
    row_bytes : int
        Bytes of a row's values.
    pairs : int
        Pairs of a row and a component whose responsibilities are in memory at a time.
    runs, together : int
        Mixtures between which the search decides, and those of them that EM advances together.
    at_once : int
        Searches of different candidates, of which each thread makes one at a time.
    """

    rows: int
    row_bytes: int
    pairs: int
    runs: int
    together: int
    at_once: int

    @property
    def sample_bytes(self) -> int:
        """Bytes of all copies of the sample."""
        return _COPIES * self.rows * (self.row_bytes + _POSITION)

    def bytes_with(self, result_bytes: int, kernel_bytes: int) -> int:
        """Bytes of a search for mixtures whose moments and kernels take so many.

        Moves are found from one mixture, while that before all moves waits.
        """
        arrays = _OF_A_RUN * self.runs + _OF_A_STEP * self.together
        em = arrays * result_bytes + kernel_bytes
        pairs = _OF_A_PAIR * self.pairs * np.dtype(np.float64).itemsize
        moves = pairs + (2 * _OF_A_RUN + _OF_A_STEP) * result_bytes
        return self.sample_bytes + max(em, moves)


NO_SEARCH = SearchSizes(0, 0, 0, 0, 0, 0)
