"""Lanes: numbers of many rows that a compiled loop holds in registers."""

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_array_equal

from daskgmm.model.kernels.loops.compiling import OPTIONS, along_rows
from daskgmm.model.kernels.loops.distances import write_distances
from daskgmm.model.kernels.loops.registers.exponential import exp
from daskgmm.model.kernels.loops.registers.lanes import (
    LANE_BYTES,
    add_to_doubles,
    larger,
    load,
    store,
    zero_below,
)

each_type = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def numbers(dtype, n=None, seed=0):
    wide = LANE_BYTES // np.dtype(dtype).itemsize
    return np.random.default_rng(seed).normal(size=n or wide).astype(dtype)


@each_type
def test_operators_take_lanes_and_numbers_on_either_side(dtype):
    @along_rows
    def work(x, y, number, out):
        one, other = load(x, 0), load(y, 0)
        one += other
        store(out, 0, (one - number) * other + number * (2 - one))

    @njit(**OPTIONS)
    def run(x, y, number, out):
        work(x, y, number, out)

    x, y, out, half = numbers(dtype), numbers(dtype, seed=1), numbers(dtype), dtype(0.5)
    run(x, y, half, out)
    total = x.astype(np.float64) + y
    expected = (total - 0.5) * y + 0.5 * (2 - total)
    np.testing.assert_allclose(out, expected, rtol=1e-5 if dtype == np.float32 else 1e-14)


@each_type
def test_comparisons_keep_what_is_no_number_where_it_is(dtype):
    @along_rows
    def work(x, y, tops, kept):
        store(tops, 0, larger(load(x, 0), load(y, 0)))
        store(kept, 0, zero_below(load(x, 0), 0.25, load(y, 0)))

    @njit(**OPTIONS)
    def run(x, y, tops, kept):
        work(x, y, tops, kept)

    x, y = numbers(dtype), numbers(dtype, seed=1)
    x[0], y[1] = np.nan, np.nan
    tops, kept = np.empty_like(x), np.empty_like(x)
    run(x, y, tops, kept)
    assert np.isnan(tops[0])
    assert tops[1] == x[1]
    assert_array_equal(tops[2:], np.maximum(x, y)[2:])
    assert_array_equal(kept, np.where(x < 0.25, 0, y))


@each_type
def test_sums_in_double_precision_take_lanes_of_either_type(dtype):
    @along_rows
    def work(x, total):
        add_to_doubles(total, 0, load(x, 0))

    @njit(**OPTIONS)
    def run(x, total):
        work(x, total)

    x, total = numbers(dtype), np.full(LANE_BYTES // np.dtype(dtype).itemsize, 1e9)
    run(x, total)
    assert_array_equal(total, 1e9 + x.astype(np.float64))


@each_type
def test_exponentials_of_lanes_have_the_bits_of_those_of_numbers(dtype):
    @along_rows
    def work(x, lanes, alone):
        wide = LANE_BYTES // x.itemsize
        for start in range(0, len(x), wide):
            store(lanes, start, exp(load(x, start)))
        for r in range(len(x)):
            alone[r] = exp(x[r])

    @njit(**OPTIONS)
    def run(x, lanes, alone):
        work(x, lanes, alone)

    x = -80 * np.abs(numbers(dtype, 1024)) / 5
    lanes, alone = np.empty_like(x), np.empty_like(x)
    run(x, lanes, alone)
    assert_array_equal(lanes, alone)


@each_type
@pytest.mark.parametrize("n_features", [1, 2, 3, 8, 31])
def test_a_row_s_distance_has_the_same_bits_whatever_rows_are_beside_it(dtype, n_features):
    @njit(**OPTIONS)
    def run(by_row, rows, mean, factor, spare, out):
        write_distances(by_row, rows, mean, factor, spare, out)

    rng = np.random.default_rng(2)
    by_row = rng.normal(size=(150, n_features)).astype(dtype)
    mean = rng.normal(size=n_features).astype(dtype)
    factor = np.triu(rng.normal(size=(n_features, n_features))).astype(dtype)
    spare, rows = np.empty(n_features * 128, dtype), np.arange(150, dtype=np.int32)[::-1].copy()
    together, alone = np.empty(150, dtype), np.empty(150, dtype)
    run(by_row, rows, mean, factor, spare, together)
    for q in range(150):
        run(by_row, rows[q : q + 1], mean, factor, spare, alone[q : q + 1])
    assert_array_equal(together, alone)
    exact = (((by_row[rows] - mean) @ factor.astype(np.float64)) ** 2).sum(axis=1)
    np.testing.assert_allclose(together, exact, rtol=1e-4 if dtype == np.float32 else 1e-12)
