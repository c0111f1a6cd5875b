"""The loop that adds the moments of rows, tile by tile, each the way that costs least."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import (
    FeatureWork,
    Form,
    Model,
    NeighbourLists,
    PairWork,
    Strategy,
)
from daskgmm.model.kernels.compiled import LINE
from daskgmm.model.kernels.loops.all_pairs import write_all_logits
from daskgmm.model.kernels.loops.all_sums import add_all_sums
from daskgmm.model.kernels.loops.arithmetic import enter, normalise, standardise_together
from daskgmm.model.kernels.loops.compiling import (
    DOUBLES,
    TABLE,
    Declared,
    Loop,
    compiled,
    rows_in_any_layout,
    rows_together,
)
from daskgmm.model.kernels.loops.features import add_by_features
from daskgmm.model.kernels.loops.listed import add_listed, share_that_counts
from daskgmm.model.kernels.loops.neighbours import list_all, list_neighbours
from daskgmm.model.kernels.loops.pairs import add_pairs
from daskgmm.model.kernels.loops.screened import find_pairs
from daskgmm.model.kernels.loops.signatures import (
    feature_work_type,
    form_type,
    model_type,
    neighbour_lists_type,
    pair_work_type,
    strategy_type,
)

_TILES_UNSEEN = 15
"""Tiles that go whole without bounds, after one in which too many pairs counted."""

_PROBE = 192
"""Rows of a tile, at most, that a product over all features bounds for a first look."""


@compiled
def in_lines(n: int) -> int:
    """So many rows or a few more: an odd multiple of `LINE`."""
    return (-(-n // LINE) | 1) * LINE


def _adding(digest: str) -> Callable[..., None]:
    def add(
        rows: NDArray[Any],
        together: NDArray[Any],
        origin: NDArray[Any],
        scale: NDArray[Any],
        model_fields: tuple[Any, ...],
        strategy_fields: tuple[Any, ...],
        weights: NDArray[Any],
        near_fields: tuple[Any, ...],
        nearest: NDArray[Any],
        least: float,
        work_fields: tuple[Any, ...],
        second: NDArray[Any],
        first: NDArray[Any],
        log_likelihoods: NDArray[Any],
        coarse: NDArray[Any],
        counted: NDArray[Any],
        form_fields: tuple[Any, ...],
        feature_fields: tuple[Any, ...],
        feature_sums: NDArray[Any],
    ) -> None:
        digest  # noqa: B018  closed over, and so part of the key of numba's cache
        strategy = Strategy(*strategy_fields)
        model, work = Model(*model_fields), PairWork(*work_fields)
        near = NeighbourLists(*near_fields)
        form, feature_work = Form(*form_fields), FeatureWork(*feature_fields)
        n_components, n_features = len(model.normalisers), len(rows)
        tile, unseen, start, few = len(work.ordered), 0, 0, False
        while start < rows.shape[1]:
            left = rows.shape[1] - start
            # Tiles are about even, as the last one would be left with few, and of whole lines.
            n = min(in_lines(-(-left // -(-left // tile))), left)
            if strategy.by_product and unseen == 0 and not few:
                n = min(n, _PROBE)
            own, own_weights = rows[:, start : start + n], weights[start : start + n]
            few = strategy.screened and unseen == 0
            height = 0 if strategy.by_features and not few else n_features  # of rows as they serve
            z = work.z[: height * n].reshape(height, n)
            by_row = work.by_row[: height * n].reshape(n, height)
            if few:
                if len(together) > 0:
                    enter(together[start : start + n].T, origin, scale, by_row)
                else:
                    enter(own, origin, scale, by_row)
                if len(nearest) > 0:
                    listed = list_neighbours(near, nearest[start : start + n], work)
                else:
                    listed = list_all(n_components, work.active)
                active = work.active[:listed]
                counted[4 if strategy.by_product else 3] += n * len(active)
                pairs = find_pairs(model, by_row, active, work, strategy.by_product)
                few = pairs <= strategy.most * n * n_components
                unseen = 0 if few else _TILES_UNSEEN
            else:
                unseen -= 1
            if few:
                counted[0] += pairs
                log_likelihoods[0] += add_pairs(model, by_row, own_weights, active, work,
                                                second, first, coarse)  # fmt: skip
            elif strategy.by_features:
                counted[1] += n
                add_by_features(own, origin, scale, form, own_weights, least, feature_work,
                                feature_sums, log_likelihoods)  # fmt: skip
            else:
                gamma = work.pair_logits[: n_components * n].reshape(n_components, n)
                standardise_together(own, together[start : start + n], origin, scale, z)
                write_all_logits(model, z, work, gamma)
                if strategy.listed > 0 and share_that_counts(model, gamma) <= strategy.listed:
                    log_likelihoods[0] += add_listed(model, z, own_weights, work, gamma,
                                                     second, first, coarse)  # fmt: skip
                    counted[5] += n
                    counted[6] += work.pair_starts[n_components]
                else:
                    counted[2] += n
                    log_likelihoods[0] += normalise(gamma, own_weights, least, work.peak[:n],
                                                    work.columns, model.noise)  # fmt: skip
                    add_all_sums(model, z, work, gamma, second, first, coarse)
            start += n

    return add


@Loop
def loop(rows: np.dtype[Any], dtype: np.dtype[Any]) -> Declared:
    """Loop that adds moments, for rows of one type, computed in another, of any memory layout."""
    doubles, integers = types.Array(types.float64, 1, "C"), types.Array(types.int64, 1, "C")
    return _adding, (
        rows_in_any_layout(rows), rows_together(rows), DOUBLES, DOUBLES, model_type(dtype),
        strategy_type(), DOUBLES, neighbour_lists_type(), types.Array(types.int64, 1, "C"),
        types.float64, pair_work_type(dtype), types.Array(types.float64, 3, "C"), TABLE,
        doubles, types.Array(types.uint8, 1, "C"), integers, form_type(dtype),
        feature_work_type(dtype), TABLE,
    )  # fmt: skip
