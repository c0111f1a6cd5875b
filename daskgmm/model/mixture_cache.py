"""Values made of a mixture, kept as long as it lives: many tasks of a process share them."""

import os
from collections.abc import Callable
from functools import update_wrapper
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from daskgmm.model.mixture import Mixture

T = TypeVar("T")


class _Made(Generic[T]):
    """What was made of one mixture, by the type of rows, and who may make more of it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.of_dtype: dict[np.dtype[np.floating], T] = {}


class CachedByMixture(Generic[T]):
    """What is made of each mixture, for rows of each type, only once; see `cached_by_mixture`.

    Tasks that begin together wait for the one that makes it. Those of other mixtures do not: a
    search for starts makes it in every step, and several searches share a process.
    """

    def __init__(self, make: Callable[[Mixture, np.dtype[np.floating]], T]) -> None:
        self._make = make
        self._begin()
        if hasattr(os, "register_at_fork"):
            # Threads that held a lock when a child was forked do not let go of it there.
            os.register_at_fork(after_in_child=self._begin)
        update_wrapper(self, make)

    def _begin(self) -> None:
        self._lock = Lock()
        self._made: WeakKeyDictionary[Mixture, _Made[T]] = WeakKeyDictionary()

    def __call__(self, mixture: Mixture, dtype: np.dtype[np.floating]) -> T:
        """What is made of a mixture for rows of a type."""
        with self._lock:
            made = self._made.setdefault(mixture, _Made())
        with made.lock:
            if dtype not in made.of_dtype:
                made.of_dtype[dtype] = self._make(mixture, dtype)
            return made.of_dtype[dtype]

    def forget(self, mixture: Mixture) -> None:
        """Let go of what was made of a mixture that lives on, but is not computed again soon."""
        with self._lock:
            self._made.pop(mixture, None)


def cached_by_mixture(
    make: Callable[[Mixture, np.dtype[np.floating]], T],
) -> CachedByMixture[T]:
    """Make something of each mixture, for rows of each type, only once."""
    return CachedByMixture(make)
