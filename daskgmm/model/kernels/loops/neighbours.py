"""The components that rows may be shared out to, from those that they are usual for."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import Model, NeighbourLists, PairWork
from daskgmm.model.kernels.loops.arithmetic import enter
from daskgmm.model.kernels.loops.compiling import (
    DOUBLES,
    Declared,
    Loop,
    compiled,
    rows_in_any_layout,
)
from daskgmm.model.kernels.loops.screened import write_logits
from daskgmm.model.kernels.loops.signatures import model_type, neighbour_lists_type, pair_work_type


@compiled
def list_all(n_components: int, active: NDArray[Any]) -> int:
    """Write all components to active; return their number."""
    for k in range(n_components):
        active[k] = k
    return n_components


@compiled
def list_neighbours(near: NeighbourLists, nearest: NDArray[Any], work: PairWork) -> int:
    """Write the neighbours of the components that rows are usual for to active; return how many."""
    n_components = len(near.logits)
    work.is_near[:n_components] = 0
    for r in range(len(nearest)):
        k = nearest[r]
        if r == 0 or k != nearest[r - 1]:
            for q in range(near.starts[k], near.starts[k + 1]):
                work.is_near[near.neighbours[q]] = 1
    found = 0
    for k in range(n_components):
        work.active[found] = k
        found += work.is_near[k]
    return found


def _asking(digest: str) -> Callable[..., None]:
    def ask(
        rows: NDArray[Any],
        origin: NDArray[Any],
        scale: NDArray[Any],
        model_fields: tuple[Any, ...],
        near_fields: tuple[Any, ...],
        nearest: NDArray[Any],
        work_fields: tuple[Any, ...],
        usual: NDArray[Any],
    ) -> None:
        digest  # noqa: B018  closed over, and so part of the key of numba's cache
        near = NeighbourLists(*near_fields)
        model, work = Model(*model_fields), PairWork(*work_fields)
        n_features, tile = len(rows), len(work.ordered)
        rounding = 1e-6 + 8 * n_features * np.finfo(work.low.dtype).eps
        for first in range(0, rows.shape[1], tile):
            n = min(tile, rows.shape[1] - first)
            by_row = work.by_row[: n_features * n].reshape(n, n_features)
            enter(rows[:, first : first + n], origin, scale, by_row)
            stop = 0
            while stop < n:
                start, k = stop, nearest[first + stop]
                while stop < n and nearest[first + stop] == k:
                    work.ordered[stop] = stop
                    stop += 1
                logits = work.logits[: stop - start]
                write_logits(model, by_row, work.ordered[start:stop], k, work, logits)
                for q in range(stop - start):
                    least = np.float64(logits[q]) - rounding * abs(logits[q])
                    usual[first + start + q] &= least >= near.logits[k]

    return ask


@Loop
def usual_loop(rows: np.dtype[Any], dtype: np.dtype[Any]) -> Declared:
    """Loop that finds rows, in order of the component, whose logits are usual for it."""
    given = (
        rows_in_any_layout(rows), DOUBLES, DOUBLES, model_type(dtype), neighbour_lists_type(),
        types.Array(types.int64, 1, "C"), pair_work_type(dtype), types.Array(types.boolean, 1, "C"),
    )  # fmt: skip
    return _asking, given
