"""State of the fits on a cluster, as the scheduler keeps it for the dashboard."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from daskgmm.monitoring.history import FitHistories
from daskgmm.passes.engine.keys import SHOWN

_PHASES = {"gmm-init": "initialisation", "gmm-pass": "pass"}
_PREFIX = len("gmm-pass-")


@dataclass(frozen=True)
class TaskProgress:
    """How many tasks of a pass are done.

    Parameters
    ----------
    phase : str
        ``initialisation`` or ``pass``.
    total : int
    began : float
        When the scheduler received its graph (seconds since 1970).
    done : mapping of str to int
        Finished tasks of each worker, by its address, also of workers that are gone. A task that
        was run twice counts once, and one whose result was lost with its worker not at all.
    """

    phase: str
    total: int
    began: float
    done: Mapping[str, int]

    @property
    def finished(self) -> int:
        """Finished tasks of all workers."""
        return sum(self.done.values())


@dataclass(eq=False)
class _CountedPass:
    """A pass whose tasks are counted; `group` is the name of its task group.

    Each finished task is in `finished` with the worker that ran it.
    """

    group: str
    phase: str
    client: str
    total: int
    began: float
    done: dict[str, int] = field(default_factory=dict)
    finished: dict[Hashable, str] = field(default_factory=dict)


class TaskCounts:
    """Counts of the finished tasks of each fit's latest pass, until `forget` is called for it."""

    def __init__(self) -> None:
        self._passes: dict[str, _CountedPass] = {}
        self._groups: dict[str, _CountedPass] = {}
        self._version = 0

    @property
    def version(self) -> int:
        """Number that grows with each change of a count."""
        return self._version

    def progress_of(self, run_id: str) -> TaskProgress | None:
        """Progress of the latest pass of a run, ``None`` before its first."""
        one = self._passes.get(run_id[:SHOWN])
        return (
            None if one is None else TaskProgress(one.phase, one.total, one.began, dict(one.done))
        )

    def runs_of(self, client: str) -> list[str]:
        """First characters of the ids of a client's runs."""
        return [run for run, one in self._passes.items() if one.client == client]

    def begin_pass(self, client: str, keys: Iterable[Hashable], at: float) -> None:
        """Count the tasks of the passes in a client's graph."""
        totals: dict[str, int] = {}
        for key in keys:
            if type(key) is tuple and _phase(key[0]) is not None:
                totals[key[0]] = totals.get(key[0], 0) + 1
        for group, total in totals.items():
            run, phase = group[_PREFIX : _PREFIX + SHOWN], str(_phase(group))
            self.forget([run])
            self._passes[run] = self._groups[group] = _CountedPass(group, phase, client, total, at)
            self._version += 1

    def add_finished(self, key: Hashable, worker: str) -> None:
        """Count a finished task, if it is one of a pass."""
        if type(key) is tuple and (one := self._groups.get(key[0])) is not None:
            self.take_back(key)
            one.finished[key] = worker
            one.done[worker] = one.done.get(worker, 0) + 1
            self._version += 1

    def take_back(self, key: Hashable) -> None:
        """Count a task no longer: it is run again, as its result was lost with a worker."""
        if type(key) is not tuple or (one := self._groups.get(key[0])) is None:
            return
        worker = one.finished.pop(key, None)
        if worker is not None:
            one.done[worker] -= 1
            if not one.done[worker]:
                del one.done[worker]
            self._version += 1

    def forget(self, run_ids: Iterable[str]) -> None:
        """Drop the counts of these runs."""
        for run_id in run_ids:
            one = self._passes.pop(run_id[:SHOWN], None)
            if one is not None:
                del self._groups[one.group]


def _phase(name: Any) -> str | None:
    """Phase of a fit that a task group belongs to, by its name."""
    if not isinstance(name, str) or len(name) < _PREFIX + SHOWN + 1:
        return None
    inside = name[_PREFIX - 1] == name[_PREFIX + SHOWN] == "-"
    return _PHASES.get(name[: _PREFIX - 1]) if inside else None


@dataclass(frozen=True, eq=False)
class ClusterFits:
    """State of a cluster's fits that the dashboard shows.

    Parameters
    ----------
    histories : FitHistories
    tasks : TaskCounts
    """

    histories: FitHistories = field(default_factory=FitHistories)
    tasks: TaskCounts = field(default_factory=TaskCounts)
