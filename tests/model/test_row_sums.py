"""Sums of chosen rows, in registers of features: those of NumPy, and nothing beside their table."""

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose

from daskgmm.model.kernels.arguments import Model, PairWork, no_model
from daskgmm.model.kernels.base import (
    ABOUT_MEANS,
    FEW_ROWS,
    MOST_SUMMED_ROWS,
    SPARE_BYTES,
    summed_values,
    work_array,
)
from daskgmm.model.kernels.loops.compiling import OPTIONS
from daskgmm.model.kernels.loops.row_sums import add_row_sums
from daskgmm.model.kernels.tiles import strip_rows, tile_rows, works_for

K = 2
"""The second component's sums are made; its table lies between the first and the end."""


@njit(**OPTIONS)
def summed(model_fields, work_fields, by_row, h, second, first, coarse):
    model, work = Model(*model_fields), PairWork(*work_fields)
    add_row_sums(model, by_row, 1, h, work, second, first, coarse)


def case(rng, n_features, h, dtype, *, fragile):
    """Rows before others that are NaN, whose work arrays are NaN too, and h that are chosen."""
    n = h + 20
    memory = work_array(n * n_features + SPARE_BYTES // dtype.itemsize, dtype)
    memory[:] = np.nan
    by_row = memory[: n * n_features].reshape(n, n_features)
    units = 10.0 ** rng.uniform(-3, 3, n_features)
    offset = units * rng.normal(scale=30, size=n_features)
    by_row[:] = rng.normal(size=(n, n_features)) @ rng.normal(size=(n_features,) * 2) * units
    by_row[:] += offset
    by_row[:, n_features // 2] = offset[n_features // 2]  # a constant column
    none, _ = no_model(dtype, 0)
    origins = (offset + units * rng.normal(size=(K, n_features))).astype(dtype)
    model = none._replace(
        means=origins,
        origins=origins,
        factors=np.zeros((K, n_features, n_features), dtype),
        whitens=True,
        eta=np.empty((0, 0), dtype),
        fragile=np.full(K, fragile),
    )
    (work,) = works_for([model], dtype)
    for values in (work.centred, work.by_feature, work.row):
        values[:] = np.nan
    work.chosen[:h] = rng.permutation(n)[:h]
    work.logits[:h] = np.where(rng.random(h) < 0.5, 1, rng.random(h) + 1e-6)
    return model, work, by_row


@pytest.mark.slow
@pytest.mark.parametrize("fragile", [False, True])
@pytest.mark.parametrize("dtype", [np.dtype(np.float64), np.dtype(np.float32)], ids=str)
@pytest.mark.parametrize("h", [1, 5, FEW_ROWS + 30, MOST_SUMMED_ROWS, MOST_SUMMED_ROWS + 1])
def test_they_are_numpys_and_nothing_is_written_beside_them(dtype, h, fragile):
    rng = np.random.default_rng(h)
    for n_features in (1, 2, 7, 8, 9, 15, 16, 17, 31, 50, 65, 130, 501):
        model, work, by_row = case(rng, n_features, h, dtype, fragile=fragile)
        whole = np.zeros((K + 2, n_features, n_features))
        first, coarse = np.zeros((K, n_features + 1)), np.zeros(K, np.uint8)
        summed(tuple(model), tuple(work), by_row, h, whole[:K], first, coarse)

        x = by_row[work.chosen[:h]].astype(float) - model.origins[1].astype(float)
        shares = work.logits[:h].astype(float)
        single = dtype == np.float32 and shares.sum() > FEW_ROWS and not fragile
        rtol = 1e-6 if single else 1e-13
        expected = (x.T * shares) @ x
        size = np.sqrt(np.diag(expected))  # each column has a unit of its own
        errors = np.triu(whole[1] - expected) / np.outer(size, size)
        assert np.abs(errors).max() <= rtol
        assert (np.abs(first[1, :-1] - shares @ x) <= rtol * (shares @ np.abs(x))).all()
        assert_allclose(first[1, -1], shares.sum(), rtol=1e-6 if dtype == np.float32 else 1e-13)
        assert not whole[0].any()
        assert not whole[2:].any()
        assert not first[0].any()
        assert list(coarse) == [0, ABOUT_MEANS if single else 0]


def test_work_arrays_of_single_precision_hold_whole_doubles():
    for n_features in range(1, 1100):
        assert summed_values(n_features) % 2 == strip_rows(n_features) % 2 == 0
        for n_components in (1, 8, 100, 4000, 8000):
            for matrices in (True, False):
                assert tile_rows(n_components, n_features, matrices=matrices) % 2 == 0
