"""Rows written feature by feature, in squares that are turned in registers."""

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_array_equal

from daskgmm.model.kernels.base import SPARE_BYTES
from daskgmm.model.kernels.loops.bounds import BLOCK_ROWS
from daskgmm.model.kernels.loops.registers.lanes import REGISTER_BYTES
from daskgmm.model.kernels.loops.registers.turning import gather, turn
from daskgmm.model.kernels.tiles import MOST_BLOCK_ROWS

BESIDE = 500


def test_work_arrays_have_room_for_what_is_loaded_and_written_at_once():
    assert SPARE_BYTES >= REGISTER_BYTES
    assert MOST_BLOCK_ROWS % BLOCK_ROWS == 0


@njit
def turned(rows, spare, out, stride):
    turn(rows, spare, out, stride)


@njit
def gathered(rows, chosen, out, stride):
    gather(rows, chosen, out, stride)


def between(n_features, stride, dtype):
    """An array for so many features, within one of sevens."""
    whole = np.full(n_features * stride + 2 * BESIDE, 7, dtype)
    return whole, whole[BESIDE:-BESIDE]


def assert_written(whole, rows, stride):
    own = whole[BESIDE:-BESIDE].reshape(rows.shape[1], stride)
    assert_array_equal(own[:, : len(rows)], rows.T.astype(whole.dtype))
    assert (own[:, len(rows) :] == 7).all()
    assert (whole[:BESIDE] == 7).all()
    assert (whole[-BESIDE:] == 7).all()


@pytest.mark.parametrize(("given", "wanted"), [("f4", "f4"), ("f8", "f8"), ("f8", "f4")])
@pytest.mark.parametrize("n_features", [1, 2, 3, 7, 8, 9, 16, 17, 30])
@pytest.mark.parametrize("n", [1, 7, 8, 40, 65])
def test_each_number_is_written_to_its_place_and_none_beside(given, wanted, n_features, n):
    rows = np.random.default_rng(0).normal(size=(n, n_features)).astype(given)
    whole, out = between(n_features, n + 3, wanted)
    turned(rows, 0, out, n + 3)
    assert_written(whole, rows, n + 3)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_features", [1, 3, 8, 17])
@pytest.mark.parametrize("h", [0, 1, 8, 16, 37])
def test_chosen_rows_are_written_in_the_order_of_the_list(dtype, n_features, h):
    rng = np.random.default_rng(0)
    work = rng.normal(size=50 * n_features + 16).astype(dtype)
    rows = work[: 50 * n_features].reshape(50, n_features)
    chosen = rng.choice(50, h).astype(np.int32)
    whole, out = between(n_features, h + 2, dtype)
    gathered(rows, chosen, out, h + 2)
    assert_written(whole, rows[chosen], h + 2)
