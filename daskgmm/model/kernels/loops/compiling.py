"""How loops are compiled, and where numba keeps what it compiled."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit, types
from numba.np.numpy_support import from_dtype

from daskgmm.model.kernels.loops.vectors import WideCompiler

# Division by zero gives infinity as in NumPy: a check of each would keep loops from vectors.
OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}

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


def ready(entry: Entry, arguments: tuple[Any, ...]) -> Callable[..., None]:
    """Compile a loop for these types of arguments, or take it from numba's cache on disk.

    The types are numba's own: one that named a class of ours would break the cache of whoever
    comes from a version where that class had another name.
    """
    signature, function = types.void(*arguments), entry(_digest())
    made: Callable[..., None]
    try:
        made = njit(signature, cache=True, **OPTIONS)(function)
    except RuntimeError:  # nowhere to keep what was compiled
        made = njit(signature, **OPTIONS)(function)
    return made
