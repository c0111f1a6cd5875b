"""Values made of a mixture, kept as long as it lives: many tasks of a process share them."""

import os
from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from daskgmm.model.mixture import Mixture

T = TypeVar("T")

_making = RLock()
"""Held while something is made, so that tasks that begin together do not all make it."""


def _renew() -> None:
    """Let a child that was forked meanwhile make its own: no thread of it lets go of the lock."""
    global _making  # noqa: PLW0603  the lock itself is global to the process
    _making = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def cached_by_mixture(
    make: Callable[[Mixture, np.dtype[np.floating]], T],
) -> Callable[[Mixture, np.dtype[np.floating]], T]:
    """Make something of each mixture, for rows of each type, only once."""
    made: WeakKeyDictionary[Mixture, dict[np.dtype[np.floating], T]] = WeakKeyDictionary()

    @wraps(make)
    def kept(mixture: Mixture, dtype: np.dtype[np.floating]) -> T:
        with _making:
            own = made.setdefault(mixture, {})
            if dtype not in own:
                own[dtype] = make(mixture, dtype)
            return own[dtype]

    return kept
