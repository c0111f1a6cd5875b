"""The run that passes are made for: its name is in their tasks' keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import uuid4

SHOWN = 8
"""Characters of a run's id in keys. Dask's task prefixes end before eight hexadecimal digits."""

_current: ContextVar[str | None] = ContextVar("run that passes are made for", default=None)


@contextmanager
def made_for(run_id: str) -> Iterator[str]:
    """Make the block's passes for a run; within a run's block they stay that run's.

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


def token() -> str:
    """A fresh suffix for task names: two fits on one cluster must not share keys."""
    run_id = _current.get()
    fresh = uuid4().hex
    return fresh if run_id is None else f"{run_id[:SHOWN]}-{fresh}"
