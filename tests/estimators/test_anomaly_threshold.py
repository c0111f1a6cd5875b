"""The threshold of anomalies is the quantile of log-densities, to the last digit."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from daskgmm import GaussianMixture, GaussianMixtureSelector, open_dataset
from daskgmm.errors import ConfigurationError, DataError

SHARES = (0.0, 0.01, 0.1, 0.5, 1.0)


@pytest.fixture(scope="module")
def X():  # noqa: N802  the field's name
    rng = np.random.default_rng(0)
    return rng.normal(size=(200_000, 2)) + rng.integers(0, 3, (200_000, 1)) * 5


@pytest.fixture(scope="module")
def model(X):
    return GaussianMixture(3, random_state=0).fit(X)


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
def test_it_is_numpys_quantile_for_every_kind_of_rows(X, model, tmp_path, share):
    pd.DataFrame(X, columns=["a", "b"]).to_parquet(tmp_path / "rows.parquet", row_group_size=30_000)
    expected = np.quantile(model.score_samples(X), share)
    kinds = [
        X,
        da.from_array(X, chunks=(70_000, 2)),
        dd.from_pandas(pd.DataFrame(X), npartitions=3),
        open_dataset(tmp_path / "rows.parquet"),
    ]
    found = [model.anomaly_threshold(rows, share) for rows in kinds]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.slow
def test_the_share_of_rows_below_it_is_the_quantile(X, model):
    threshold = model.anomaly_threshold(da.from_array(X, chunks=(9_000, 2)), 0.02)
    assert (model.score_samples(X) < threshold).sum() == 0.02 * len(X)


def test_rows_without_density_are_the_least_likely_for_every_kind_of_rows(model):
    rows = np.array([[1e200, 0], [0, -1e200], [0, 0], [5, 5], [9, 9]])
    for share, expected in ((0.0, -np.inf), (0.1, -np.inf), (0.4, -np.inf)):
        assert model.anomaly_threshold(rows, share) == expected
        assert model.anomaly_threshold(da.from_array(rows, chunks=(2, 2)), share) == expected
    likeliest = model.score_samples(rows).max()
    assert model.anomaly_threshold(rows, 1.0) == likeliest


def test_chunks_change_no_bit_of_it(X, model):
    # A log-density hangs on its neighbours in its last bit only where blocks are cut otherwise.
    rows = da.from_array(X, chunks=(65_536, 2))
    once, again = (model.anomaly_threshold(rows, 0.3) for _ in range(2))
    assert once == again


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The best number of components")
def test_a_selector_asks_its_best_model(X):
    chosen = GaussianMixtureSelector([1, 2], random_state=0).fit(X[:2000])
    assert chosen.anomaly_threshold(X, 0.1) == chosen.best_estimator_.anomaly_threshold(X, 0.1)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_what_is_no_share_is_refused(X, model, share):
    with pytest.raises(ConfigurationError, match="quantile="):
        model.anomaly_threshold(X, share)


def test_of_no_rows_there_is_none(model, tmp_path):
    pd.DataFrame({"a": [], "b": []}, dtype=float).to_parquet(tmp_path / "none.parquet")
    with pytest.raises(DataError, match="no rows"):
        model.anomaly_threshold(open_dataset(tmp_path / "none.parquet"), 0.1)


def test_a_value_that_is_missing_is_told_with_its_place(X, model):
    rows = X[:1000].copy()
    rows[700, 1] = np.nan
    with pytest.raises(DataError, match="row"):
        model.anomaly_threshold(da.from_array(rows, chunks=(100, 2)), 0.1)
