"""How far the pass that a fit is making has come, counted on the scheduler.

What a scheduler knows of the fits on its cluster.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from daskgmm.monitoring.history import History
from daskgmm.passes.engine.keys import SHOWN

_PHASES = {"gmm-init": "initialisation", "gmm-pass": "pass"}
_PREFIX = len("gmm-pass-")


@dataclass(frozen=True)
class TaskProgress:
    """The tasks of a pass.

    Parameters
    ----------
    phase : str
        ``initialisation`` or ``pass``.
    total : int
    began : float
        When the scheduler got it (seconds since 1970).
    done : mapping of str to int
        How many each worker has finished, by the worker's address.
    """

    phase: str
    total: int
    began: float
    done: Mapping[str, int]

    @property
    def finished(self) -> int:
        """By all workers; those lost with their worker and made again count once."""
        return min(sum(self.done.values()), self.total)


@dataclass(eq=False)
class _Counted:
    group: str
    phase: str
    client: str
    total: int
    began: float
    done: dict[str, int] = field(default_factory=dict)


class Tally:
    """Counts the finished tasks of each run's latest pass.

    It holds one pass a run, and the runs that `forget` has not been told to leave.
    """

    def __init__(self) -> None:
        self._passes: dict[str, _Counted] = {}
        self._groups: dict[str, _Counted] = {}
        self._version = 0

    @property
    def version(self) -> int:
        """Grows with all that is counted."""
        return self._version

    def of(self, run_id: str) -> TaskProgress | None:
        """The latest pass of a run, if one has been seen."""
        one = self._passes.get(run_id[:SHOWN])
        return (
            None if one is None else TaskProgress(one.phase, one.total, one.began, dict(one.done))
        )

    def runs_of(self, client: str) -> list[str]:
        """The first characters of the ids of the runs that a client made the latest pass of."""
        return [run for run, one in self._passes.items() if one.client == client]

    def begin(self, client: str, keys: Iterable[Hashable], at: float) -> None:
        """A client's graph has come."""
        totals: dict[str, int] = {}
        for key in keys:
            if type(key) is tuple and _phase(key[0]) is not None:
                totals[key[0]] = totals.get(key[0], 0) + 1
        for group, total in totals.items():
            run, phase = group[_PREFIX : _PREFIX + SHOWN], str(_phase(group))
            self.forget([run])
            self._passes[run] = self._groups[group] = _Counted(group, phase, client, total, at)
            self._version += 1

    def finish(self, key: Hashable, worker: str) -> None:
        """A task has been finished."""
        if type(key) is tuple and (one := self._groups.get(key[0])) is not None:
            one.done[worker] = one.done.get(worker, 0) + 1
            self._version += 1

    def forget(self, run_ids: Iterable[str]) -> None:
        """Leave these runs."""
        for run_id in run_ids:
            one = self._passes.pop(run_id[:SHOWN], None)
            if one is not None:
                del self._groups[one.group]


def _phase(name: Any) -> str | None:
    """What a task group's name says that it is, where a run made it."""
    if not isinstance(name, str) or len(name) < _PREFIX + SHOWN + 1:
        return None
    inside = name[_PREFIX - 1] == name[_PREFIX + SHOWN] == "-"
    return _PHASES.get(name[: _PREFIX - 1]) if inside else None


@dataclass(frozen=True, eq=False)
class Board:
    """All that the parts of the dashboard show.

    Parameters
    ----------
    history : History
    tally : Tally
    """

    history: History = field(default_factory=History)
    tally: Tally = field(default_factory=Tally)
