"""The progress of a search for a start: how far it is, and what it needs to go on elsewhere.

A search is a function of its rows, its random numbers and the results of its long steps. With
`SearchRecorder.most` it ends early with `Paused` once it has made so many multiplications, and
begins again with the results so far in place of the steps themselves. Where it is cut follows from
counts alone, and the search ends in the same bits wherever that is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np

PHASES = CLUSTERING, EM, FOUND = "clustering", "em", "found"
"""Phases of a search: first mixtures are found, then EM and moves make the best of them, and then
the starts are found."""

T = TypeVar("T")


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


@dataclass(frozen=True, eq=False)
class Step:
    """The result of a step of a search, and the state in which the step left all that changes.

    Parameters
    ----------
    result : object
    progress : SearchProgress
    states : tuple
        Of each `Changing` that the search follows, in plain values.
    """

    result: Any
    progress: SearchProgress
    states: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps of a search so far, as far as it needs them to go on.

    Parameters
    ----------
    place : Step or None
        The latest step before which nothing needs to be known.
    steps : tuple of (Step or None)
        The steps since then, in order; ``None`` for one that raised an error.
    """

    place: Step | None = None
    steps: tuple[Step | None, ...] = ()


class Paused(Exception):  # noqa: N818  no error: the search has done its share
    """A search has made as many multiplications as it may at a time."""


class Changing(Protocol):
    """State that changes as a search goes on, besides the results of its steps."""

    def state(self) -> Any:
        """The state in plain values."""

    def restore(self, state: Any) -> None:
        """Take a state on again."""


class Numbers:
    """Random numbers that a search draws.

    Parameters
    ----------
    random : RandomState
    """

    def __init__(self, random: "np.random.RandomState") -> None:
        self._random = random

    def state(self) -> Any:
        """The state in plain values."""
        return _listed(self._random.get_state(legacy=False))

    def restore(self, state: Any) -> None:
        """Draw on from a state."""
        self._random.set_state(state)


class Count:
    """A number that grows as a search goes on."""

    def __init__(self) -> None:
        self.value = 0

    def state(self) -> Any:
        """The number."""
        return self.value

    def restore(self, state: Any) -> None:
        """Count on from a state."""
        self.value = state


def _listed(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _listed(value) for key, value in state.items()}
    return state.tolist() if hasattr(state, "tolist") else state


def _unheard(_: SearchProgress) -> None:
    """Report nothing."""


class SearchRecorder:
    """Reports a search's progress, and keeps the results of its steps.

    Parameters
    ----------
    report : callable
        Takes each `SearchProgress`; it must be quick, and may not raise.
    earlier : Steps or None
        Steps that the search has made before; ``None`` where none are kept.
    most : float
        Multiplications after which the search is paused, at the end of a step.
    """

    def __init__(
        self,
        report: Callable[[SearchProgress], None] = _unheard,
        earlier: Steps | None = None,
        most: float = math.inf,
    ) -> None:
        self._report, self._keeps, self._left = report, earlier is not None, most
        self.progress = SearchProgress()
        earlier = earlier or Steps()
        self._place, self._steps = earlier.place, list(earlier.steps)
        self._position, self._known = 0, len(self._steps)
        self._changing: tuple[Changing, ...] = ()

    @property
    def steps(self) -> Steps:
        """All that is kept of the search so far."""
        return Steps(self._place, tuple(self._steps))

    def note(self, **changed: Any) -> None:
        """Report the values of a `SearchProgress` that have changed."""
        self.progress = replace(self.progress, **changed)
        if self._position >= self._known:  # the steps before were reported when they were made
            self._report(self.progress)

    def one_more(self) -> None:
        """Report one more first mixture; there may be more of them than were foreseen."""
        done = self.progress.done + 1
        self.note(done=done, of=max(done, self.progress.of))

    def follow(self, *changing: Changing) -> None:
        """Keep the states of these with each step; called before the first one."""
        self._changing = changing

    def begin(self, value: Any) -> Any:
        """Begin a step; returns the result that it had before, or a value to begin with."""
        known = None
        if self._position < self._known:
            known = self._steps[self._position]
        elif self._keeps:
            self._steps.append(None)
        self._position += 1
        return value if known is None else self._recalled(known)

    def keep(self, result: Any, multiplications: float) -> None:
        """Keep the result so far of the step that was begun last, which took so many more.

        Raises
        ------
        Paused
            The search has made as many as it may.
        """
        if not self._keeps:
            return
        self._steps[self._position - 1] = self._now(result)
        self._left -= multiplications
        if self._left <= 0:
            raise Paused

    def step(self, make: Callable[[], T], multiplications: float) -> T:
        """Make a whole step, unless its result is known."""
        known: T | None = self.begin(None)
        if known is not None:
            return known
        result = make()
        self.keep(result, multiplications)
        return result

    def resumed(self) -> Any:
        """The latest value that `reach` was given before, and all as it was then; else ``None``."""
        return None if self._place is None else self._recalled(self._place)

    def reach(self, value: Any) -> None:
        """Take note that nothing before is needed any more: `resumed` gives this value."""
        if self._keeps and self._position >= self._known:
            self._place, self._steps = self._now(value), []
            self._position = self._known = 0

    def _now(self, result: Any) -> Step:
        return Step(result, self.progress, tuple(one.state() for one in self._changing))

    def _recalled(self, step: Step) -> Any:
        self.progress = step.progress
        for one, state in zip(self._changing, step.states, strict=True):
            one.restore(state)
        return step.result
