"""Compiled types of what loops are given, in the order of `daskgmm.model.kernels.arguments`."""

from typing import Any

import numpy as np
from numba import types

from daskgmm.model.kernels.loops.compiling import TABLE, array

_DOUBLES = types.Array(types.float64, 1, "C")


def strategy_type() -> Any:
    """Compiled type of the fields of `Strategy`."""
    return types.Tuple((types.boolean, types.boolean, types.float64, types.boolean, types.float64))


def form_type(dtype: np.dtype[Any]) -> Any:
    """Compiled type of the fields of `Form`."""
    integers, table = types.Array(types.int64, 1, "C"), types.Array(types.int64, 2, "C")
    fields = (table, integers, integers, array(dtype, 1), integers, types.int64, _DOUBLES)
    return types.Tuple(fields)


def feature_work_type(dtype: np.dtype[Any]) -> Any:
    """Compiled type of the fields of `FeatureWork`."""
    return types.Tuple((array(dtype, 1),) * 5 + (TABLE,))


def model_type(dtype: np.dtype[Any]) -> Any:
    """Compiled type of the fields of `Model`."""
    vector, table = array(dtype, 1), array(dtype, 2)
    integers, monomials = types.Array(types.int64, 1, "C"), types.Array(types.int64, 2, "C")
    single_table = types.Array(types.float32, 2, "C")
    fields = (
        table, table, array(dtype, 3), types.boolean, vector, vector, single_table, single_table,
        integers, vector, vector, monomials, table, types.float64,
        types.Array(types.boolean, 1, "C"),
    )  # fmt: skip
    return types.Tuple(fields)


def neighbour_lists_type() -> Any:
    """Compiled type of the fields of `NeighbourLists`."""
    integers, doubles = types.Array(types.int64, 1, "C"), types.Array(types.float64, 1, "C")
    return types.Tuple((integers, integers, doubles))


def pair_work_type(dtype: np.dtype[Any]) -> Any:
    """Compiled type of the fields of `PairWork`."""
    vector = array(dtype, 1)
    integers, shorts = types.Array(types.int64, 1, "C"), types.Array(types.int32, 1, "C")
    singles, doubles = types.Array(types.float32, 1, "C"), types.Array(types.float64, 1, "C")
    fields = (
        integers, types.Array(types.uint8, 1, "C"), vector, vector, vector, vector, singles,
        singles, singles, shorts, integers, shorts, vector, vector, shorts, integers, vector,
        shorts, vector, vector, vector, doubles, TABLE, vector,
    )  # fmt: skip
    return types.Tuple(fields)
