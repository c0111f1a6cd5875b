"""The loop that writes the logits of single rows, for predictions and scores."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.arguments import FeatureWork, Form, Model, PairWork, Strategy
from daskgmm.model.kernels.loops.all_pairs import write_all_logits
from daskgmm.model.kernels.loops.arithmetic import copy, enter, standardise
from daskgmm.model.kernels.loops.compiling import (
    DOUBLES,
    Declared,
    Loop,
    array,
    rows_in_any_layout,
)
from daskgmm.model.kernels.loops.features import write_by_features
from daskgmm.model.kernels.loops.neighbours import list_all
from daskgmm.model.kernels.loops.pairs import write_pairs
from daskgmm.model.kernels.loops.screened import find_pairs
from daskgmm.model.kernels.loops.signatures import (
    feature_work_type,
    form_type,
    model_type,
    pair_work_type,
    strategy_type,
)


def _writing(digest: str) -> Callable[..., None]:
    def write_logits(
        rows: NDArray[Any],
        origin: NDArray[Any],
        scale: NDArray[Any],
        model_fields: tuple[Any, ...],
        strategy_fields: tuple[Any, ...],
        work_fields: tuple[Any, ...],
        form_fields: tuple[Any, ...],
        feature_fields: tuple[Any, ...],
        out: NDArray[Any],
    ) -> None:
        digest  # noqa: B018  closed over, and so part of the key of numba's cache
        strategy = Strategy(*strategy_fields)
        model, work = Model(*model_fields), PairWork(*work_fields)
        if strategy.by_features:
            form, feature_work = Form(*form_fields), FeatureWork(*feature_fields)
            write_by_features(rows, origin, scale, form, feature_work, out)
            return
        n_components, n_features = len(model.normalisers), len(rows)
        tile = len(work.ordered)
        active = work.active[: list_all(n_components, work.active)]
        for start in range(0, rows.shape[1], tile):
            n = min(tile, rows.shape[1] - start)
            own = out[:, start : start + n]
            if strategy.screened:
                by_row = work.by_row[: n_features * n].reshape(n, n_features)
                enter(rows[:, start : start + n], origin, scale, by_row)
                find_pairs(model, by_row, active, work, strategy.by_product)
                write_pairs(model, by_row, active, work, own)
            else:
                z = work.z[: n_features * n].reshape(n_features, n)
                gamma = work.pair_logits[: n_components * n].reshape(n_components, n)
                standardise(rows[:, start : start + n], origin, scale, z)
                write_all_logits(model, z, work, gamma)
                copy(gamma, own)

    return write_logits


@Loop
def density_loop(rows: np.dtype[Any], dtype: np.dtype[Any]) -> Declared:
    """The loop for rows of one type, computed in another, of any memory layout."""
    given = (
        rows_in_any_layout(rows), DOUBLES, DOUBLES, model_type(dtype), strategy_type(),
        pair_work_type(dtype), form_type(dtype), feature_work_type(dtype), array(dtype, 2),
    )  # fmt: skip
    return _writing, given
