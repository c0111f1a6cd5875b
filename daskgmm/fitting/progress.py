"""How far a fit has come: all that it needs to go on from there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

from daskgmm.passes.survey import Survey
from daskgmm.training.states import FitState

Entry: TypeAlias = Mapping[str, Any]
"""What a history tells of a pass: plain JSON values."""


@dataclass(frozen=True, eq=False)
class FitProgress:
    """A fit after its survey and any number of passes.

    Parameters
    ----------
    survey : Survey
        Without its sample.
    counts : tuple of int
        Starts of each candidate.
    state : FitState
        The latest.
    passes : int
        Over all rows, those before EM included.
    histories : tuple of tuple of dict
        See `daskgmm.fitting.fit.Fit`.
    """

    survey: Survey
    counts: tuple[int, ...]
    state: FitState
    passes: int
    histories: tuple[tuple[Entry, ...], ...]

    def after(self, state: FitState, passes: int, entries: Sequence[Entry | None]) -> Self:
        """The progress after one more pass, of which each history gets its entry or none."""
        pairs = zip(self.histories, entries, strict=True)
        histories = tuple(told if one is None else (*told, one) for told, one in pairs)
        return replace(self, state=state, passes=passes, histories=histories)
