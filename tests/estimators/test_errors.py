"""Whatever estimators refuse, they refuse with an error of our tree that tells what to do."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import sklearn.mixture
from sklearn.exceptions import NotFittedError

from daskgmm import GaussianMixture, GaussianMixtureSelector, load, open_dataset
from daskgmm.errors import ConfigurationError, DaskGMMError, DataError, InputTypeError

ROWS = np.random.default_rng(0).normal(size=(60, 2))
FRAME = pd.DataFrame(ROWS, columns=[f"x{i}" for i in range(ROWS.shape[1])])
NO_TABLES = {
    "one dimension": ROWS[:, 0],
    "three dimensions": ROWS[None],
    "no rows": ROWS[:0],
    "one row": ROWS[:1],
    "no columns": np.empty((5, 0)),
    "text": np.array([["a", "b"]] * 5),
    "objects": np.array([[1, "a"]] * 5, dtype=object),
    "complex numbers": ROWS + 0j,
    "a number": 3,
    "nothing": None,
    "a path": "rows.csv",
    "a series": FRAME.x0,
    "a series of Polars": pl.Series([1.0, 2.0]),
    "lists of different lengths": [[1.0, 2.0], [3.0]],
    "names of several types": FRAME.set_axis([0, *FRAME.columns[1:]], axis=1),
}
NO_NUMBERS = {"a sparse matrix": scipy.sparse.csr_matrix(ROWS), "a dict": {"a": [1.0, 2.0]}}


@pytest.fixture(scope="module")
def model():
    return GaussianMixture(2, random_state=0).fit(FRAME)


def refused(kind, call, *arguments, **keywords):
    with pytest.raises(kind) as told:
        call(*arguments, **keywords)
    assert isinstance(told.value, DaskGMMError)
    assert told.value.cause
    assert told.value.remedy
    return told.value


@pytest.mark.parametrize("X", NO_TABLES.values(), ids=NO_TABLES)
@pytest.mark.parametrize("estimator", [GaussianMixture(2), GaussianMixtureSelector(2)])
def test_what_is_no_table_is_a_data_error(X, estimator):
    refused(DataError, estimator.fit, X)


@pytest.mark.parametrize("X", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_another_kind_of_object_is_a_type_error_as_well(X):
    error = refused(TypeError, GaussianMixture().fit, X)
    assert isinstance(error, InputTypeError)


HOLE = FRAME.assign(x1=FRAME.x1.where(FRAME.index != 41))
HOLES = {
    "frame": HOLE,
    "Polars": pl.from_pandas(HOLE),
    "array": HOLE.to_numpy(),
    "Dask's frame": dd.from_pandas(HOLE, npartitions=3),
    "Dask's array": da.from_array(HOLE.to_numpy(), chunks=(20, 2)),
}


@pytest.mark.parametrize("kind", HOLES)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_a_hole_is_told_by_the_name_of_its_column(model, kind):
    for method in ("predict", "predict_proba", "score_samples", "score", "bic", "partial_fit"):
        call = getattr(model, method)
        error = refused(DataError, lambda call=call: dask.compute(call(HOLES[kind])))
        assert "column 'x1' is NaN" in error.cause, method
    error = refused(DataError, model.anomaly_threshold, HOLES[kind], 0.1)
    assert "column 'x1' is NaN" in error.cause


@pytest.mark.parametrize("method", ["predict", "score_samples", "score", "bic", "partial_fit"])
@pytest.mark.parametrize(
    "X",
    [FRAME.iloc[:, ::-1], FRAME[["x0"]], FRAME.assign(more=1.0), ROWS[:, :1], ROWS[:0], ROWS[0]],
    ids=["other order", "fewer", "more", "fewer of an array", "no rows", "one dimension"],
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_other_columns_than_those_fitted_are_a_data_error(model, method, X):
    refused(DataError, getattr(model, method), X)


def test_before_a_fit_every_result_is_refused_as_scikit_learn_does_and_as_our_own():
    model, chooser = GaussianMixture(), GaussianMixtureSelector()
    calls = [
        lambda: model.predict(ROWS),
        lambda: model.score(ROWS),
        lambda: model.icl(ROWS),
        lambda: model.anomaly_threshold(ROWS, 0.1),
        lambda: model.means_,
        lambda: model.save("nowhere"),
        lambda: chooser.predict(ROWS),
        model.sample,
        model.to_sklearn,
        lambda: GaussianMixture.from_sklearn(sklearn.mixture.GaussianMixture()),
    ]
    for call in calls:
        error = refused(NotFittedError, call)
        assert isinstance(error, ConfigurationError)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights_init", "ab"),
        ("weights_init", [0.5]),
        ("weights_init", [0.5, 0.6]),
        ("weights_init", [-0.5, 1.5]),
        ("means_init", "ab"),
        ("means_init", [[1.0, 2.0], [3.0]]),
        ("means_init", np.full((2, ROWS.shape[1]), np.nan)),
        ("precisions_init", np.zeros((2, ROWS.shape[1], ROWS.shape[1]))),
        ("subsample", np.array([10, 20])),
        ("warm_start", "yes"),
    ],
)
def test_a_parameter_without_meaning_is_a_configuration_error(name, value):
    refused(ConfigurationError, GaussianMixture(2, **{name: value}).fit, ROWS)


@pytest.mark.parametrize("share", ["a", None, [0.1, 0.2]])
def test_a_share_that_is_no_number_is_a_configuration_error(model, share):
    refused(ConfigurationError, model.anomaly_threshold, FRAME, share)


@pytest.mark.slow
@pytest.mark.parametrize("share", [np.float32(0.5), np.int64(1)])
def test_a_share_may_be_a_number_of_numpys(share):
    model = GaussianMixture(2, random_state=0).fit(ROWS)
    model.partial_fit(ROWS, forgetting=share)
    assert model.n_rows_ == 2 * len(ROWS)


@pytest.mark.parametrize("other", [3, None, sklearn.mixture.BayesianGaussianMixture()])
def test_only_a_gaussian_mixture_is_taken_from_scikit_learn(other):
    error = refused(TypeError, GaussianMixture.from_sklearn, other)
    assert type(other).__name__ in error.cause


@pytest.mark.parametrize("path", [3, None, "", "nosuch://model"])
def test_what_is_no_path_is_a_configuration_error(model, path):
    refused(ConfigurationError, model.save, path)
    refused(ConfigurationError, load, path)
    refused(ConfigurationError, open_dataset, path)


@pytest.mark.parametrize("paths", [[3], [None], [""]])
def test_a_list_of_what_is_no_path_is_a_configuration_error(paths):
    refused(ConfigurationError, open_dataset, paths)


def unread(rows, n_features):
    """Rows that nobody may read."""

    def read(block_info=None):
        raise AssertionError("a row was read")

    chunks = ((rows // 4,) * 4, (n_features,))
    return da.map_blocks(read, chunks=chunks, dtype=np.float64, meta=np.empty((0, 0)))


@pytest.mark.parametrize(
    ("rows", "n_features", "options", "told"),
    [
        (400, 3, {"n_components": 401}, "n_components = 401, n_samples = 400"),
        (
            4_000_000,
            100,
            {"n_components": 4096},
            r"take 160.97 MiB a task, needs .* GiB of memory; free here are 256.00 MiB.*fewer comp",
        ),
        (
            40_000_000,
            4,
            {"n_components": 2, "subsample": 10**7},
            r"10,000,000 rows of 305.18 MiB.*256.00 MiB.*smaller number for subsample",
        ),
    ],
    ids=["rows", "moments", "sample"],
)
def test_what_cannot_fit_is_refused_before_a_row_is_read(
    rows, n_features, options, told, monkeypatch
):
    monkeypatch.setattr("daskgmm.passes.memory_limits.available_memory", lambda: 2**28)
    with pytest.raises(DaskGMMError, match=told):
        GaussianMixture(**options).fit(unread(rows, n_features))
