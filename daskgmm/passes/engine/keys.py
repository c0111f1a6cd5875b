"""Keys of the tasks of passes, and the spans that Dask counts them to."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from enum import Enum
from itertools import accumulate
from uuid import uuid4

import dask

SHOWN = 8
"""Characters of a run's id in keys. Dask's task prefixes end before eight hexadecimal digits."""

_ROOT = "daskgmm"

_current: ContextVar[str | None] = ContextVar("run that passes are made for", default=None)


class Phase(Enum):
    """The purpose of a pass; the value is the last part of its span's name."""

    INITIALISATION = "initialisation"
    PASS = "pass"  # noqa: S105  of rows, no password
    PREDICTION = "prediction"

    @property
    def prefix(self) -> str:
        """Prefix of the keys of the pass's tasks."""
        return _PREFIXES[self]


_PREFIXES = {
    Phase.INITIALISATION: "gmm-init",
    Phase.PASS: "gmm-pass",
    Phase.PREDICTION: "gmm-predict",
}


@contextmanager
def made_for(run_id: str) -> Iterator[str]:
    """Name the block's passes for a run, unless the block lies within another run's block.

    Parameters
    ----------
    run_id : str
        Hexadecimal digits, eight or more.
    """
    outer = _current.get()
    token = _current.set(outer or run_id)
    try:
        yield outer or run_id
    finally:
        _current.reset(token)


@contextmanager
def apart() -> Iterator[None]:
    """Name the block's passes for no run: passes of a user's callback are not the fit's."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def current_run() -> str | None:
    """Id of the run that passes are made for in this context."""
    return _current.get()


def token() -> str:
    """A fresh suffix for task names: two fits on one cluster must not share keys."""
    run_id = _current.get()
    fresh = uuid4().hex
    return fresh if run_id is None else f"{run_id[:SHOWN]}-{fresh}"


def shared_key(prefix: str, suffix: str) -> str:
    """Key of what all tasks with a prefix share.

    Its own prefix must be another: Dask reckons with a prefix's mean time, which what is only held
    would make next to nothing, and would give all tasks to one worker. It would take a word of
    eight letters that begins with one of a to f for a part of a hash.
    """
    return f"{prefix}-parameters-{suffix}"


def counted(phase: Phase) -> AbstractContextManager[None]:
    """Have Dask count the block's computations to one span for the run and its phase.

    The span has the same identity in each pass, because schedulers never forget a span. Passes
    of no run share one span for each phase. The user's own spans stay around it.
    """
    run_id = _current.get()
    runs = () if run_id is None else (run_id,)
    marks = (_ROOT, *runs, phase.value)
    names = (_ROOT, *(one[:SHOWN] for one in runs), phase.value)
    outer = dask.get_annotations().get("span") or {"name": (), "ids": ()}
    ids = accumulate((*outer["ids"][-1:], *marks), "{}/{}".format)  # of the same parents only
    span = {"name": (*outer["name"], *names), "ids": (*outer["ids"][:-1], *ids)}
    annotated: AbstractContextManager[None] = dask.annotate(span=span)
    return annotated
