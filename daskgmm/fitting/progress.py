"""Progress of a fit: all that is needed to resume it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

from daskgmm.passes.survey import Survey
from daskgmm.training.refinement.search import Refinement
from daskgmm.training.search_progress import Steps
from daskgmm.training.states import FitState

Progress: TypeAlias = "FitProgress | StartsProgress"
"""What a checkpoint keeps."""

Entry: TypeAlias = Mapping[str, Any]
"""Entry of a pass in a history: plain JSON values."""


@dataclass(frozen=True, eq=False)
class StartsProgress:
    """State of a fit before its starts are found.

    Parameters
    ----------
    survey : str
        Digest of the first pass's result, which the searches depend on.
    searches : tuple of Steps
        Steps of each candidate's search for starts.
    version : str
        Version of the library that made them; another one may make other steps.
    """

    survey: str
    searches: tuple[Steps, ...]
    version: str


@dataclass(frozen=True, eq=False)
class FitProgress:
    """State of a fit after its survey and any number of passes.

    Parameters
    ----------
    survey : Survey
        Result of the first pass, without its sample.
    counts : tuple of int
        Number of starts of each candidate.
    state : FitState
        Latest state.
    passes : int
        Number of passes over all rows, with those before EM.
    histories : tuple of tuple of dict
        Entries of the passes, for each trace that `daskgmm.fitting.fit.Fit` follows.
    refinements : tuple of (Refinement or None)
        What the search for each candidate's start did.
    """

    survey: Survey
    counts: tuple[int, ...]
    state: FitState
    passes: int
    histories: tuple[tuple[Entry, ...], ...]
    refinements: tuple[Refinement | None, ...] = ()

    def after(self, state: FitState, passes: int, entries: Sequence[Entry | None]) -> Self:
        """Add a pass: its state, the number of passes, and an entry or none for each history."""
        pairs = zip(self.histories, entries, strict=True)
        histories = tuple(old if entry is None else (*old, entry) for old, entry in pairs)
        return replace(self, state=state, passes=passes, histories=histories)
