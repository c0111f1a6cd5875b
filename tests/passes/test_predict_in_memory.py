"""Predictions for rows in memory: in stretches, by threads of this process."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture
from daskgmm.errors import DataError
from daskgmm.model.frame import Frame
from daskgmm.model.prediction import Predictor
from daskgmm.passes import prediction
from tests.support import reference
from tests.support.rows import correlated


@pytest.fixture
def few_together(monkeypatch):
    monkeypatch.setattr(prediction, "_ROWS_TOGETHER", 100)


def predicted(rows, method, threads, monkeypatch):
    """Results on so many threads, and how many were used."""
    used = set()

    def noted(predictor, rows):
        used.add(threading.get_ident())
        return method(predictor, rows)

    predictor = Predictor(reference.random_mixture("full", 4, 3), Frame.identity(3))
    monkeypatch.setattr("daskgmm.passes.engine.threads.threads_here", lambda: threads)
    return prediction.predict_in_memory(rows, predictor, noted, None), len(used)


@pytest.mark.parametrize(
    "method", [Predictor.labels, Predictor.responsibilities, Predictor.log_densities]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_they_are_the_same_bits_on_any_number_of_threads(method, dtype, few_together, monkeypatch):
    rows = np.random.default_rng(0).normal(size=(20_050, 3)).astype(dtype)
    alone, one = predicted(rows, method, 1, monkeypatch)
    shared, several = predicted(rows, method, 4, monkeypatch)
    assert (one, alone.dtype) == (1, shared.dtype)
    assert several > 1
    assert_array_equal(alone, shared)
    predictor = Predictor(reference.random_mixture("full", 4, 3), Frame.identity(3))
    tolerance = 1e-9 if dtype == np.float64 else 1e-4
    assert_allclose(alone, method(predictor, rows), rtol=tolerance, atol=tolerance)


def test_the_first_value_that_is_not_finite_is_named(few_together):
    rows, _ = correlated(3000, 3, 2, spread=3, apart=2.0)
    model = GaussianMixture(2, random_state=0).fit(rows)
    rows[[2700, 1234], [0, 2]] = np.nan
    with pytest.raises(DataError, match=r"row 1234\b"):
        model.predict_proba(rows)


def test_no_rows_have_no_results():
    predictor = Predictor(reference.random_mixture("full", 4, 3), Frame.identity(3))
    found = prediction.predict_in_memory(
        np.empty((0, 3)), predictor, Predictor.responsibilities, None
    )
    assert found.shape == (0, 4)
