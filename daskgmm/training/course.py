"""The course of a search for a start: how far it is, for those who follow it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

PHASES = CLUSTERING, EM, FOUND = "clustering", "em", "found"
"""Phases of a search: first mixtures are found, then EM and moves make the best of them, and then
the starts are found."""


@dataclass(frozen=True)
class SearchProgress:
    """How far a search for a start is.

    Parameters
    ----------
    phase : str
        One of `PHASES`.
    done, of : int
        Starts whose first mixture is found, and all starts.
    rows : int
        Rows that EM or the clustering reads.
    spent, most : float
        Multiplications of EM so far, and those that it may take.
    tried, taken : int
        Number of split-and-merge moves.
    """

    phase: str = CLUSTERING
    done: int = 0
    of: int = 1
    rows: int = 0
    spent: float = 0.0
    most: float = 1.0
    tried: int = 0
    taken: int = 0

    @property
    def share(self) -> float:
        """Share of the multiplications that EM may take which it has taken."""
        return min(self.spent / self.most, 1.0)


def _unheard(_: SearchProgress) -> None:
    """Report to nobody."""


class Course:
    """Reports the progress of a search as it changes.

    Parameters
    ----------
    report : callable
        Takes each `SearchProgress`; it must be quick, and may not raise.
    """

    def __init__(self, report: Callable[[SearchProgress], None] = _unheard) -> None:
        self._report = report
        self.progress = SearchProgress()

    def note(self, **changed: Any) -> None:
        """Report the values of a `SearchProgress` that have changed."""
        self.progress = replace(self.progress, **changed)
        self._report(self.progress)

    def one_more(self) -> None:
        """Report one more first mixture; there may be more of them than were foreseen."""
        done = self.progress.done + 1
        self.note(done=done, of=max(done, self.progress.of))
