"""Values made of a mixture, kept as long as it lives: many tasks of a process share them."""

import os
from collections.abc import Callable
from functools import update_wrapper
from threading import RLock
from typing import Generic, TypeVar
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


class CachedByMixture(Generic[T]):
    """What is made of each mixture, for rows of each type, only once; see `cached_by_mixture`."""

    def __init__(self, make: Callable[[Mixture, np.dtype[np.floating]], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[Mixture, dict[np.dtype[np.floating], T]] = WeakKeyDictionary()
        update_wrapper(self, make)

    def __call__(self, mixture: Mixture, dtype: np.dtype[np.floating]) -> T:
        """What is made of a mixture for rows of a type."""
        with _making:
            own = self._made.setdefault(mixture, {})
            if dtype not in own:
                own[dtype] = self._make(mixture, dtype)
            return own[dtype]

    def forget(self, mixture: Mixture) -> None:
        """Let go of what was made of a mixture that lives on, but is not computed again soon."""
        with _making:
            self._made.pop(mixture, None)


def cached_by_mixture(
    make: Callable[[Mixture, np.dtype[np.floating]], T],
) -> CachedByMixture[T]:
    """Make something of each mixture, for rows of each type, only once."""
    return CachedByMixture(make)
