"""Small blocks of rows, joined for kernels that work on many rows at once."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np

from daskgmm.model.typing import Floats

_Rows: TypeAlias = tuple[Floats, Floats | None]


class Joining:
    """Joins blocks that follow each other, in memory that it keeps.

    Parameters
    ----------
    wanted : int
        Rows to join, at the most. A block of more than half as many is not copied for others.
    """

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._rows: Floats | None = None
        self._weights: Floats | None = None

    def __call__(self, blocks: Iterable[_Rows]) -> Iterator[_Rows]:
        """Yield all rows in their order, each array until the next one is asked for.

        Parameters
        ----------
        blocks : iterable of (rows, weights)
            Rows of shape (D, n), and weights of shape (n,) or None. Those of different types, and
            with and without weights, are not joined.
        """
        filled, weighted, kind = 0, False, None
        for rows, weights in blocks:
            n = rows.shape[1]
            before, kind = kind, (rows.dtype.char, "" if weights is None else weights.dtype.char)
            if filled and (filled + n > self._wanted or kind != before):
                yield self._first(filled, weighted)
                filled = 0
            if not filled and 2 * n > self._wanted:
                yield rows, weights
                continue
            window, weighted = slice(filled, filled + n), weights is not None
            self._rows = self._room(self._rows, rows)
            self._rows[:, window] = rows
            if weights is not None:
                self._weights = self._room(self._weights, weights)
                self._weights[window] = weights
            filled += n
        if filled:
            yield self._first(filled, weighted)

    def _room(self, kept: Floats | None, like: Floats) -> Floats:
        if kept is not None and kept.dtype == like.dtype:
            return kept
        return np.empty((*like.shape[:-1], self._wanted), like.dtype)

    def _first(self, n_rows: int, weighted: bool) -> _Rows:
        assert self._rows is not None  # noqa: S101  they were put there
        weights = self._weights[:n_rows] if weighted and self._weights is not None else None
        return self._rows[:, :n_rows], weights
