"""How loops are compiled, and where numba keeps what it compiled."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, final

import numpy as np
from filelock import BaseFileLock, FileLock, Timeout
from numba import njit, types
from numba.np.numpy_support import from_dtype

from daskgmm.model.kernels.loops.vectors import WideCompiler

OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"contract"},
    # Division by zero gives infinity as in NumPy: a check of each would keep loops from vectors.
    "error_model": "numpy",
    # Nobody counts who holds an array: what loops are given outlives them, and they make none.
    # Each part of an array that a loop takes would be counted by an addition that all cores see.
    "_nrt": False,
}

# Python never calls them: what would take their arguments from it need not be compiled.
_INNER: dict[str, Any] = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

_SUMMED: dict[str, Any] = {**_INNER, "fastmath": {"contract", "reassoc", "nsz"}}

compiled = njit(**_INNER)
"""Decorator of functions that loops call."""

summed = njit(**_SUMMED)
"""Decorator of functions that sum in the lanes of a vector: see `daskgmm.model.kernels.loops`."""

along_rows = njit(**_INNER, pipeline_class=WideCompiler)
"""Decorator of functions whose inner loops run over rows, in wide vectors.

Loops over features are mostly too short for these: more of them would be left over."""

summed_along_rows = njit(**_SUMMED, pipeline_class=WideCompiler)
"""Likewise, of functions that sum in the lanes of a vector."""

Entry = Callable[[str], Callable[..., None]]
"""Makes a loop, given the digest that it holds on to."""

Declared = tuple[Entry, tuple[Any, ...]]
"""A loop's entry and the types of its arguments.

The types are numba's own: one that named a class of ours would break the cache of whoever comes
from a version where that class had another name."""

_LONGEST = 900.0
"""Seconds that a process waits for others to compile a loop; after that it compiles by itself."""

DOUBLES = types.Array(types.float64, 1, "C", readonly=True)
TABLE = types.Array(types.float64, 2, "C")


def array(dtype: np.dtype[Any], ndim: int) -> Any:
    """Type of a contiguous array that a loop writes to."""
    return types.Array(from_dtype(dtype), ndim, "C")


def rows_in_any_layout(dtype: np.dtype[Any]) -> Any:
    """Type of rows (D, n) that a loop reads."""
    return types.Array(from_dtype(dtype), 2, "A", readonly=True)


def rows_together(dtype: np.dtype[Any]) -> Any:
    """Type of the same rows (n, D), if the numbers of each lie together; those make vector loops.

    Of any layout, they would be read number by number.
    """
    return types.Array(from_dtype(dtype), 2, "C", readonly=True)


@cache
def _digest() -> str:
    """Digest of the sources that loops are compiled from.

    Numba's cache on disk asks for changes in a loop's own file only, but also for the values that
    the loop is closed over: with this one, a change in any of these files makes all loops anew.
    The kernels' own files are among them, as loops hold their constants and take their arguments.
    """
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


@final
class Loop:
    """A loop over rows, compiled once a machine for each two types.

    What was compiled stays in numba's cache on disk. Who doesn't find a loop there has a child
    compile it: a compiler leaves 170 MiB behind in its process, which a small worker lacks, and
    holds the interpreter lock for a minute. Other processes wait for it meanwhile.
    """

    def __init__(self, declared: Callable[[np.dtype[Any], np.dtype[Any]], Declared]) -> None:
        self.declared = declared
        self._name = declared.__name__
        self._ready: dict[tuple[np.dtype[Any], np.dtype[Any]], Any] = {}
        self._unlock()
        if hasattr(os, "register_at_fork"):
            # A thread that held the lock when a child was forked does not let go of it there.
            os.register_at_fork(after_in_child=self._unlock)

    def _unlock(self) -> None:
        self._making = Lock()

    def __call__(self, rows: np.dtype[Any], dtype: np.dtype[Any]) -> Callable[..., None]:
        """Return the loop for rows of one type, computed in another."""
        types_given = rows, dtype
        if types_given not in self._ready:
            with self._making:  # once, whichever threads ask for it
                if types_given not in self._ready:
                    self._ready[types_given] = self._made(*types_given)
        ready: Callable[..., None] = self._ready[types_given]
        return ready

    def folder(self) -> str | None:
        """The folder that numba keeps compiled loops in, if any can be written to."""
        double = np.dtype(np.float64)
        path: str | None = self._dispatcher(double, double)[0].stats.cache_path
        return path

    def compile(self, rows: np.dtype[Any], dtype: np.dtype[Any]) -> None:
        """Compile the loop in this process, and keep it on disk."""
        loop, signature = self._dispatcher(rows, dtype)
        loop.compile(signature)

    def lock(self, folder: str, rows: np.dtype[Any], dtype: np.dtype[Any]) -> BaseFileLock:
        """The lock of who compiles the loop for a folder."""
        return FileLock(Path(folder, f"{self._name}-{rows}-{dtype}.lock"), timeout=_LONGEST)

    def _made(self, rows: np.dtype[Any], dtype: np.dtype[Any]) -> Any:
        loop, signature = self._dispatcher(rows, dtype)
        kept, folder = _kept(loop, signature), loop.stats.cache_path
        if kept is None and folder is not None:
            lock = self.lock(folder, rows, dtype)
            with suppress(Timeout, OSError, NotImplementedError), lock:
                kept = _kept(loop, signature)
                if kept is None:
                    self._compile_apart(rows, dtype)
                    kept = _kept(loop, signature)
        if kept is None:
            loop.compile(signature)
        else:
            loop.add_overload(kept)
        loop.disable_compile()
        return loop

    def _compile_apart(self, rows: np.dtype[Any], dtype: np.dtype[Any]) -> None:
        """Have a child compile the loop; where that fails, this process will."""
        given = [self.declared.__module__, self._name, str(rows), str(dtype)]
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(  # noqa: S603  ours
                [sys.executable, "-m", "daskgmm.model.kernels.loops", *given],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_LONGEST,
                check=False,
            )

    def _dispatcher(self, rows: np.dtype[Any], dtype: np.dtype[Any]) -> tuple[Any, Any]:
        """The loop that numba compiles, and its signature."""
        entry, arguments = self.declared(rows, dtype)
        function = entry(_digest())
        try:
            loop = njit(cache=True, **OPTIONS)(function)
        except RuntimeError:  # nowhere to keep what is compiled
            loop = njit(**OPTIONS)(function)
        return loop, types.void(*arguments)


def _kept(loop: Any, signature: Any) -> Any:
    """What numba keeps of a loop on disk, or None."""
    # Nothing public looks for it without compiling where it is missing.
    return loop._cache.load_overload(signature, loop.targetctx)  # noqa: SLF001
