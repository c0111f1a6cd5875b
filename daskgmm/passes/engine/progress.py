"""Progress of passes: parts read so far, counted only while a block of `tracking` is active.

Tasks that take long without reading rows report their progress themselves: `announced_tasks`.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from daskgmm.passes.engine.client import active_client
from daskgmm.passes.engine.work import OnStretch, PartRead, Work

Event: TypeAlias = Mapping[str, Any]
"""What a task reports of its progress: plain JSON values."""

_SECONDS_BETWEEN_LOOKS = 0.5

_NOT_DONE = ("waiting", "no-worker", "queued", "processing")
"""States of Dask's tasks; others have been computed, and perhaps used and forgotten since."""


_MOST_EVENTS = 1000
"""Latest events of a topic among which those of tasks that run are looked for."""


def _unknown() -> None:
    return None


def _no_events() -> Sequence[Event]:
    return ()


@dataclass(frozen=True)
class PassProgress:
    """A pass over rows that is about to be made.

    Its functions may be called from any thread, at any time, and never wait.

    Parameters
    ----------
    name : str
        Prefix of its tasks: ``"gmm-init"``, ``"gmm-pass"``, ``"gmm-predict"``; or `STARTS`, for
        tasks that read no rows.
    parts : int
        Number of parts that it reads, or of those tasks.
    done : callable
        Returns how many parts have been read so far; ``None`` where that is not known.
    workers : callable
        Returns how many workers the cluster has; ``None`` without a cluster or where that is not
        known.
    events : callable
        Returns the latest event of each task that has reported one.
    """

    name: str
    parts: int
    done: Callable[[], int | None]
    workers: Callable[[], int | None] = _unknown
    events: Callable[[], Sequence[Event]] = _no_events


class _Tracker:
    """The function that tracks passes, and when the scheduler was last asked.

    Parameters
    ----------
    report : callable
        Called with each `PassProgress`.
    """

    def __init__(self, report: Callable[[PassProgress], None]) -> None:
        self.report = report
        self.asking = threading.Lock()
        self.next_look = time.monotonic()
        self.workers: int | None = None


_tracker: ContextVar[_Tracker | None] = ContextVar("tracker of passes", default=None)


@contextmanager
def tracking(report: Callable[[PassProgress], None]) -> Iterator[None]:
    """Call `report` with the progress of each pass that the block makes, before it begins."""
    token = _tracker.set(_Tracker(report))
    try:
        yield
    finally:
        _tracker.reset(token)


def announced(prefix: str, suffix: str, parts: int) -> Callable[[int], None] | None:
    """Report a pass that is about to begin to the tracker, if there is one.

    Parameters
    ----------
    prefix, suffix : str
        Start and end of the keys of the pass's tasks.
    parts : int
        Number of parts that it reads.

    Returns
    -------
    callable or None
        To be called with the position of each part that was read, from any thread; ``None``
        without a tracker, or where a cluster makes the pass.
    """
    tracker = _tracker.get()
    if tracker is None:
        return None
    client = active_client()
    if client is None:
        read: set[int] = set()  # a set, as a part may be read twice
        tracker.report(PassProgress(prefix, parts, read.__len__))
        return read.add  # atomic: no thread waits for another
    looks = _Looks(tracker, client, f"{prefix}-{suffix}", parts)
    tracker.report(PassProgress(prefix, parts, looks.done, looks.workers))
    return None


STARTS = "gmm-init-starts"
"""Prefix of the keys of tasks that find starts."""


@dataclass(frozen=True)
class Reports:
    """Where tasks report their progress.

    Parameters
    ----------
    send : callable
        Takes a task's event, from any thread of the process where the task runs.
    client : str or None
        Dask's id of the client of those tasks; ``None`` where they run in this process.
    """

    send: Callable[[Event], None]
    client: str | None


@dataclass(frozen=True)
class Wanted:
    """Events of some tasks among all that a scheduler keeps.

    Parameters
    ----------
    topic : str
    fields : mapping
        Fields with values that only these events have. In a further field ``"candidate"`` they
        have the number of their task.
    is_sound : callable
        Whether an event has the values that it should: anyone may log anything.
    """

    topic: str
    fields: Event
    is_sound: Callable[[Any], bool]


def announced_tasks(prefix: str, suffix: str, tasks: int, wanted: Wanted) -> Reports:
    """Report tasks that are about to run to the tracker; returns where they report to.

    Parameters
    ----------
    prefix, suffix : str
        Start and end of the tasks' keys.
    tasks : int
        Their number.
    wanted : Wanted
        Their events where a cluster runs them: its scheduler keeps them.
    """
    tracker, client = _tracker.get(), active_client()
    if client is None:
        here: dict[int, Event] = {}
        if tracker is not None:
            latest = partial(_in_order, here)
            tracker.report(PassProgress(prefix, tasks, _unknown, events=latest))
        return Reports(partial(_kept, here), None)
    if tracker is not None:
        looks = _Looks(tracker, client, f"{prefix}-{suffix}", tasks, wanted)
        tracker.report(PassProgress(prefix, tasks, looks.done, looks.workers, looks.events))
    return Reports(partial(_logged, wanted.topic), client.id)


def _kept(events: dict[int, Event], event: Event) -> None:
    events[event["candidate"]] = event


def _in_order(events: dict[int, Event]) -> Sequence[Event]:
    return [event for _, event in sorted(events.copy().items())]


def _logged(topic: str, event: Event) -> None:
    """Log an event from a task, by the connection that its worker has to the scheduler."""
    from distributed import get_worker

    get_worker().log_event(topic, event)


def tracked(work: Work, prefix: str, suffix: str, parts: int) -> Work:
    """Announce a pass, and return its work, which counts the parts read if a tracker needs that."""
    note = announced(prefix, suffix, parts)
    return work if note is None else replace(work, begin=partial(_noting, note, work.begin))


def _noting(
    note: Callable[[int], None], begin: Callable[[Any], OnStretch], argument: Any
) -> OnStretch:
    inner = begin(argument)

    def noted(parts: Iterator[PartRead]) -> Iterator[PartRead]:
        for part in parts:
            yield part
            note(part[0])

    def on_stretch(parts: Iterator[PartRead]) -> Any:
        return inner(noted(parts))

    return on_stretch


class _Looks:
    """Progress of a pass on a cluster; the scheduler is asked in the background on demand.

    Parameters
    ----------
    tracker : _Tracker
        Limits how often the scheduler is asked.
    client : distributed.Client
    group : str
        Dask's name of the group of the pass's tasks.
    parts : int
        Number of parts that they read.
    wanted : Wanted or None
        The tasks' events.
    """

    def __init__(
        self,
        tracker: _Tracker,
        client: Any,
        group: str,
        parts: int,
        wanted: Wanted | None = None,
    ) -> None:
        self._tracker, self._client = tracker, client
        self._group, self._parts, self._wanted = group, parts, wanted
        self._share: float | None = 0.0
        self._events: dict[int, Event] = {}

    def done(self) -> int | None:
        """Number of parts read so far; ``None`` where it is unknown."""
        self._look_soon()
        share = self._share
        return None if share is None else int(share * self._parts)

    def workers(self) -> int | None:
        """Number of the cluster's workers; ``None`` where it is unknown."""
        self._look_soon()
        return self._tracker.workers

    def events(self) -> Sequence[Event]:
        """Latest event of each task that has reported one."""
        self._look_soon()
        return _in_order(self._events)

    def _look_soon(self) -> None:
        tracker = self._tracker
        if time.monotonic() >= tracker.next_look and tracker.asking.acquire(blocking=False):
            with suppress(RuntimeError):  # no thread can be started: progress stays unknown
                threading.Thread(target=self._look, name="daskgmm-look", daemon=True).start()

    def _look(self) -> None:
        tracker = self._tracker
        try:
            wanted = self._wanted
            asked = None if wanted is None else (wanted.topic, wanted.fields)
            finished, tasks, workers, events = self._client.run_on_scheduler(
                _progress, self._group, asked
            )
        except Exception:  # noqa: BLE001  a cluster may refuse in any way; a fit goes on without
            self._share = tracker.workers = None
            return  # the lock stays taken, so that the scheduler is not asked again
        if tasks:
            self._share = finished / tasks
        elif self._share:  # the tasks were there, and Dask has released them
            self._share = 1.0
        if wanted is not None:
            sound = {number: event for number, event in events.items() if wanted.is_sound(event)}
            self._events.update(sound)
        tracker.workers = workers
        tracker.next_look = time.monotonic() + _SECONDS_BETWEEN_LOOKS
        tracker.asking.release()


def _progress(
    group: str, wanted: tuple[str, Event] | None, dask_scheduler: Any
) -> tuple[int, int, int, dict[int, Event]]:
    """Numbers of a group's finished tasks, of all its tasks and of workers; its latest events."""
    tasks_of_group = dask_scheduler.task_groups.get(group)
    states = {} if tasks_of_group is None else tasks_of_group.states
    tasks = sum(states.values())
    left = sum(states.get(state, 0) for state in _NOT_DONE)
    events = {} if wanted is None else _latest(dask_scheduler, *wanted)
    return tasks - left, tasks, len(dask_scheduler.workers), events


def _latest(scheduler: Any, topic: str, fields: Event) -> dict[int, Event]:
    """The latest event of each task, by its number, among the events that a scheduler keeps."""
    found: dict[int, Event] = {}
    for _, event in scheduler.get_events(topic)[-_MOST_EVENTS:]:
        if isinstance(event, dict) and all(event.get(key) == fields[key] for key in fields):
            found[event.get("candidate", 0)] = event
    return found
