"""Rows grouped by the features that are missing in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.typing import Floats

_LEAST_SORTED = 3
"""Features whose patterns are so few that looking for each costs less than sorting."""

_FEW_FEATURES = 16
"""Features whose patterns are sorted by radix, which takes a few nanoseconds a row."""


class Missing(Enum):
    """Treatment of rows with a missing value, by the names that users give."""

    ERROR = "error"
    """They are refused before, so nothing looks for them."""
    DROP = "drop"
    """They count as absent."""
    MARGINALIZE = "marginalize"
    """They count by what is known of them."""


@dataclass(frozen=True, eq=False)
class PatternGroup:
    """Rows of one pattern, among rows that are sorted by pattern.

    Parameters
    ----------
    missing : ndarray of bool of shape (D,)
        Which features are missing.
    start, stop : int
        The first row, and the one after the last.
    """

    missing: NDArray[np.bool_]
    start: int
    stop: int

    @property
    def window(self) -> slice:
        """Where the rows are."""
        return slice(self.start, self.stop)


class Sorted(NamedTuple):
    """Rows sorted by pattern.

    Parameters
    ----------
    order : ndarray of int of shape (n,)
        Positions of the rows among all: complete ones first, then pattern by pattern.
    groups : list of PatternGroup
        The patterns but for complete rows, which come before.
    """

    order: NDArray[np.int64]
    groups: list[PatternGroup]

    @property
    def n_complete(self) -> int:
        """Number of complete rows."""
        return self.groups[0].start if self.groups else len(self.order)

    @property
    def alone(self) -> PatternGroup | None:
        """The group that all rows belong to, if there is one."""
        return self.groups[0] if len(self.groups) == 1 and self.n_complete == 0 else None

    def stretches(self, size: int) -> Iterator["Sorted"]:
        """So many rows at a time; a group goes on in the next stretch."""
        at = 0
        for start in range(0, len(self.order), size):
            order, own = self.order[start : start + size], []
            while at < len(self.groups) and self.groups[at].start < start + len(order):
                group = self.groups[at]
                stop = min(group.stop - start, len(order))
                own.append(PatternGroup(group.missing, max(group.start - start, 0), stop))
                if group.stop > start + len(order):
                    break
                at += 1
            yield Sorted(order, own)


def any_missing(rows: Floats) -> bool:
    """Whether rows (D, n) of finite values may have some missing ones (NaN)."""
    return bool(rows.size) and bool(np.isnan(rows.min()))


def complete_rows(rows: Floats) -> NDArray[np.bool_]:
    """Mask (n,) of the rows (D, n) without a missing value."""
    if not any_missing(rows):
        return np.ones(rows.shape[1], np.bool_)
    return np.asarray(~np.isnan(rows).any(axis=0))


def complete(rows: Floats, weights: NDArray[Any] | None) -> tuple[Floats, NDArray[Any] | None]:
    """The rows (D, n) without a missing value, and their weights."""
    mask = complete_rows(rows)
    if mask.all():
        return rows, weights
    return rows[:, mask], None if weights is None else weights[mask]


def by_pattern(rows: Floats) -> Sorted:
    """Sort rows (D, n) by the features that are missing; those of a pattern keep their order."""
    if rows.size == 0:
        return Sorted(np.arange(rows.shape[1]), [])
    columns = np.flatnonzero(np.isnan(rows.min(axis=1)))  # NaN if one is, and quick
    if len(columns) == 0:
        return Sorted(np.arange(rows.shape[1]), [])
    if len(columns) <= _LEAST_SORTED:
        places = _places(np.isnan(rows[columns]))
        order, ends = np.concatenate(places), np.cumsum([len(own) for own in places])
    else:
        codes = _codes(rows, columns)
        order = np.argsort(codes, kind="stable")
        ordered = codes[order]
        ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, len(order))
    starts = np.concatenate([[0], ends[:-1]])
    groups = [
        PatternGroup(np.isnan(rows[:, order[start]]), int(start), int(stop))
        for start, stop in zip(starts, ends, strict=True)
        if stop > start
    ]
    return Sorted(order, [group for group in groups if group.missing.any()])


@final
class Gathering:
    """Gathers rows into an array that the next call overwrites: a new one costs as much again."""

    def __init__(self) -> None:
        self.values: Floats = np.empty(0)

    def __call__(
        self, rows: Floats, order: NDArray[np.int64], features: NDArray[np.int64] | None = None
    ) -> Floats:
        """The rows (D, n) at these positions, in some features or all.

        Feature by feature where the values of each lie together.
        """
        if rows.T.flags.c_contiguous:
            found = self._room(rows.dtype, len(order), len(rows))
            np.take(rows.T, order, axis=0, out=found, mode="clip")
            return found.T if features is None else found.T[features]
        chosen = range(len(rows)) if features is None else features.tolist()
        found = self._room(rows.dtype, len(chosen), len(order))
        for feature, out in zip(chosen, found, strict=True):
            np.take(rows[feature], order, out=out, mode="clip")  # without a mode it copies first
        return found

    def _room(self, dtype: np.dtype[Any], height: int, width: int) -> Floats:
        size = height * width
        if self.values.dtype != dtype or self.values.size < size:
            self.values = np.empty(size, dtype)
        return self.values[:size].reshape(height, width)


def _places(missing: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Positions of the rows of each pattern of a few features, complete rows first."""
    places = [np.flatnonzero(~missing[0]), np.flatnonzero(missing[0])]
    for column in missing[1:]:
        parts = []
        for own in places:
            lacks = column[own]
            parts += [own[~lacks], own[lacks]]
        places = parts
    return places


def _codes(rows: Floats, columns: NDArray[np.int64]) -> NDArray[Any]:
    """A number for the pattern of each row (n,), from the features that may be missing.

    That of complete rows is the least.
    """
    if len(columns) <= _FEW_FEATURES:
        codes = np.zeros(rows.shape[1], np.uint16)
        for bit, column in enumerate(columns):
            codes |= np.isnan(rows[column]).astype(np.uint16) << np.uint16(bit)
        return codes
    missing = np.zeros((-(-len(columns) // 64) * 64, rows.shape[1]), np.bool_)
    for bit, column in enumerate(columns):
        np.isnan(rows[column], out=missing[bit])
    words = np.ascontiguousarray(np.packbits(missing, axis=0).T).view(np.uint64)
    if words.shape[1] == 1:
        return words[:, 0]
    return np.unique(words, axis=0, return_inverse=True)[1].ravel()
