"""How far a pass is, for whoever wants to know: nothing is counted where nobody does."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from daskgmm.data.source import Block, Part
from daskgmm.passes.engine.client import active_client
from daskgmm.passes.engine.work import OnPart, Work

_SECONDS_BETWEEN_LOOKS = 0.5

_NOT_DONE = ("waiting", "no-worker", "queued", "processing")
"""States of Dask's tasks; others have been computed, and perhaps used and forgotten since."""


def _nobody_knows() -> None:
    return None


@dataclass(frozen=True)
class PassProgress:
    """A pass over rows that is about to be made.

    Its functions may be called from any thread, at any time, and never wait.

    Parameters
    ----------
    name : str
        What its tasks are called: ``"gmm-init"``, ``"gmm-pass"``, ``"gmm-predict"``.
    parts : int
        That it reads.
    done : callable
        Tells how many of them have been read so far; ``None`` where nobody knows.
    workers : callable
        Tells how many workers the cluster has; ``None`` where there is none, or nobody knows.
    """

    name: str
    parts: int
    done: Callable[[], int | None]
    workers: Callable[[], int | None] = _nobody_knows


class _Tracker:
    """Who tracks, and what a scheduler was asked for that.

    Parameters
    ----------
    tell : callable
    """

    def __init__(self, tell: Callable[[PassProgress], None]) -> None:
        self.tell = tell
        self.asking = threading.Lock()
        self.next_look = time.monotonic()
        self.workers: int | None = None


_tracker: ContextVar[_Tracker | None] = ContextVar("who tracks", default=None)


@contextmanager
def tracking(tell: Callable[[PassProgress], None]) -> Iterator[None]:
    """Tell of each pass that the block makes, before it is made."""
    token = _tracker.set(_Tracker(tell))
    try:
        yield
    finally:
        _tracker.reset(token)


def announced(prefix: str, suffix: str, parts: int) -> Callable[[int], None] | None:
    """Tell whoever tracks of a pass that is about to be made.

    Parameters
    ----------
    prefix, suffix : str
        Of the names of its tasks.
    parts : int

    Returns
    -------
    callable or None
        To be given the position of each part that was read, from any thread, if the pass is made
        in this process and anybody tracks.
    """
    tracker = _tracker.get()
    if tracker is None:
        return None
    client = active_client()
    if client is None:
        read: set[int] = set()  # a task that is tried again reads some parts again
        tracker.tell(PassProgress(prefix, parts, read.__len__))
        return read.add  # atomic: no thread waits for another
    looks = _Looks(tracker, client, f"{prefix}-{suffix}", parts)
    tracker.tell(PassProgress(prefix, parts, looks.done, looks.workers))
    return None


def tracked(work: Work, prefix: str, suffix: str, parts: int) -> Work:
    """Announce a pass, and return its work, which then says what it has read if need be."""
    note = announced(prefix, suffix, parts)
    return work if note is None else replace(work, begin=partial(_noting, note, work.begin))


def _noting(note: Callable[[int], None], begin: Callable[[Any], OnPart], argument: Any) -> OnPart:
    inner = begin(argument)

    def on_part(position: int, part: Part, blocks: Iterator[Block]) -> Any:
        found = inner(position, part, blocks)
        note(position)
        return found

    return on_part


class _Looks:
    """What a scheduler says of a pass, asked in the background when somebody wants to know.

    Parameters
    ----------
    tracker : _Tracker
        Asks for one pass at a time, and not too often.
    client : distributed.Client
    group : str
        Dask's name of the group of the pass's tasks.
    parts : int
        That they read.
    """

    def __init__(self, tracker: _Tracker, client: Any, group: str, parts: int) -> None:
        self._tracker, self._client = tracker, client
        self._group, self._parts = group, parts
        self._share: float | None = 0.0

    def done(self) -> int | None:
        """See `PassProgress`."""
        self._look_soon()
        share = self._share
        return None if share is None else int(share * self._parts)

    def workers(self) -> int | None:
        """See `PassProgress`."""
        self._look_soon()
        return self._tracker.workers

    def _look_soon(self) -> None:
        tracker = self._tracker
        if time.monotonic() >= tracker.next_look and tracker.asking.acquire(blocking=False):
            with suppress(RuntimeError):  # there are no threads left: nobody will know
                threading.Thread(target=self._look, name="daskgmm-look", daemon=True).start()

    def _look(self) -> None:
        tracker = self._tracker
        try:
            finished, tasks, workers = self._client.run_on_scheduler(_progress, self._group)
        except Exception:  # noqa: BLE001  whatever a cluster may refuse: a fit goes on without
            self._share = tracker.workers = None
            return  # and keeps the lock: what is refused once isn't asked for again
        if tasks:
            self._share = finished / tasks
        elif self._share:  # they were there and are forgotten
            self._share = 1.0
        tracker.workers = workers
        tracker.next_look = time.monotonic() + _SECONDS_BETWEEN_LOOKS
        tracker.asking.release()


def _progress(group: str, dask_scheduler: Any) -> tuple[int, int, int]:
    """Tasks of a group that are finished, all of them, and the cluster's workers."""
    found = dask_scheduler.task_groups.get(group)
    states = {} if found is None else found.states
    tasks = sum(states.values())
    left = sum(states.get(state, 0) for state in _NOT_DONE)
    return tasks - left, tasks, len(dask_scheduler.workers)
