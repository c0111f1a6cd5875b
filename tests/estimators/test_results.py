"""What comes back is of the kind that went in: at once or lazy, with the same chunks."""

from pathlib import Path

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest
from dask.base import get_scheduler
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from daskgmm import GaussianMixture, open_dataset
from daskgmm.errors import ConfigurationError, DaskGMMError, DataError, InputTypeError
from daskgmm.model.covariance import COVARIANCES
from tests.support.clusters import in_threads
from tests.support.rows import separated

NAMES = ["a", "b"]
METHODS = ["predict", "predict_proba", "score_samples"]


@pytest.fixture(scope="module")
def rows():
    return separated()


@pytest.fixture(scope="module")
def model(rows):
    return GaussianMixture(3, random_state=0, refine="none").fit(rows)


@pytest.fixture(scope="module")
def named(rows):
    return GaussianMixture(3, random_state=0, refine="none").fit(pd.DataFrame(rows, columns=NAMES))


def refuse(graph, keys, **options):
    raise AssertionError("something was computed")


@pytest.fixture
def nothing_may_run():
    with dask.config.set(scheduler=refuse):
        assert get_scheduler() is refuse
        yield


# --- kinds


@pytest.mark.parametrize("method", METHODS)
def test_numpy_and_frames_in_numpy_out(model, named, rows, method):
    expected = getattr(model, method)(rows)
    assert type(expected) is np.ndarray
    frames = (pd.DataFrame(rows, columns=NAMES), pl.DataFrame(rows, schema=NAMES))
    for frame in frames:
        found = getattr(named, method)(frame)
        assert type(found) is np.ndarray
        # A frame's columns lie apart in memory, so sums over them are rounded in another order.
        assert_allclose(found, expected, rtol=1e-11)
    assert_array_equal(getattr(model, method)(rows.tolist()), expected)


def test_shapes_and_types(model, rows):
    assert model.predict(rows).dtype == np.int64
    assert model.predict(rows).shape == model.score_samples(rows).shape == (300,)
    assert model.predict_proba(rows).shape == (300, 3)
    assert_allclose(model.predict_proba(rows).sum(axis=1), 1, rtol=1e-14)
    for name in ("score", "aic", "bic", "icl"):
        assert isinstance(getattr(model, name)(rows), float)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("chunks", [(300,), (100, 200), (0, 1, 99, 0, 200, 0)])
def test_dask_arrays_in_lazy_arrays_out_with_the_same_chunks(
    model, rows, method, chunks, nothing_may_run
):
    X = da.from_array(rows, chunks=(chunks, 2))
    lazy = getattr(model, method)(X)
    expected = getattr(model, method)(rows)
    assert isinstance(lazy, da.Array)
    assert lazy.chunks == ((chunks,) if expected.ndim == 1 else (chunks, (3,)))
    assert lazy.dtype == expected.dtype
    with dask.config.set(scheduler="synchronous"):
        assert_allclose(lazy.compute(), expected, rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_unknown_chunk_sizes_stay_unknown(model, rows, method):
    X = da.from_array(rows, chunks=(70, 2))
    X = X[X[:, 0] > 0]
    lazy = getattr(model, method)(X)
    assert all(np.isnan(lazy.chunks[0]))
    assert_allclose(lazy.compute(), getattr(model, method)(rows[rows[:, 0] > 0]), rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_dask_frames_in_lazy_frames_out_with_the_same_divisions(
    named, rows, method, nothing_may_run
):
    frame = pd.DataFrame(rows, columns=NAMES, index=np.arange(300) * 2)
    X = dd.from_pandas(frame, npartitions=4)
    lazy = getattr(named, method)(X)
    assert isinstance(lazy, dd.DataFrame if method == "predict_proba" else dd.Series)
    assert lazy.divisions == X.divisions
    with dask.config.set(scheduler="synchronous"):
        found = lazy.compute()
        meta = lazy._meta
        assert_array_equal(found.index, frame.index)
        expected = getattr(named, method)(frame)
        assert_allclose(found.to_numpy(), expected, rtol=1e-12)
        dtypes = (found.dtypes, meta.dtypes)
        assert list(np.atleast_1d(dtypes[0])) == list(np.atleast_1d(dtypes[1]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_datasets_in_lazy_arrays_out(named, rows, method, kind, tmp_path):
    frame = pd.DataFrame(rows, columns=NAMES)
    for i in range(3):
        piece = frame[100 * i : 100 * i + 100]
        path = tmp_path / f"{i}.{kind}"
        piece.to_parquet(path) if kind == "parquet" else piece.to_csv(path, index=False)
    lazy = getattr(named, method)(open_dataset(tmp_path))
    assert isinstance(lazy, da.Array)
    assert lazy.numblocks[0] == 3
    assert_allclose(lazy.compute(), getattr(named, method)(frame), rtol=1e-12)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_an_empty_file_among_full_ones_is_fine(named, rows, kind, tmp_path):
    frame = pd.DataFrame(rows, columns=NAMES)
    for i, piece in enumerate([frame[:0], frame, frame[:0]]):
        path = tmp_path / f"{i}.{kind}"
        piece.to_parquet(path) if kind == "parquet" else piece.to_csv(path, index=False)
    dataset = open_dataset(tmp_path)
    fitted = GaussianMixture(3, random_state=0).fit(dataset)
    assert fitted.n_rows_ == 300
    assert_allclose(fitted.score(dataset), named.score(frame), rtol=1e-6)
    assert len(fitted.predict(dataset).compute()) == 300


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["array", "unknown", "frame", "dataset", "pandas", "polars"])
def test_every_kind_of_rows_fits_to_the_same(rows, kind, tmp_path):
    frame = pd.DataFrame(rows, columns=NAMES)
    if kind == "dataset":
        frame.to_parquet(tmp_path / "rows.parquet")
    X = {
        "array": lambda: da.from_array(rows, chunks=(70, 2)),
        "unknown": lambda: dd.from_pandas(frame, npartitions=3).to_dask_array(),
        "frame": lambda: dd.from_pandas(frame, npartitions=3),
        "dataset": lambda: open_dataset(tmp_path),
        "pandas": lambda: frame,
        "polars": lambda: pl.DataFrame(rows, schema=NAMES),
    }[kind]()
    expected = GaussianMixture(3, random_state=0).fit(rows)
    found = GaussianMixture(3, random_state=0).fit(X)
    assert_allclose(found.means_, expected.means_, rtol=1e-9)
    assert_allclose(found.covariances_, expected.covariances_, rtol=1e-9)
    assert (found.n_rows_, found.n_features_in_) == (300, 2)
    if kind in ("array", "unknown"):
        assert not hasattr(found, "feature_names_in_")
    else:
        assert found.feature_names_in_.tolist() == NAMES
    for name in ("score", "aic", "bic", "icl"):
        assert_allclose(getattr(found, name)(X), getattr(expected, name)(rows), rtol=1e-9)


def test_integers_and_small_floats_are_numbers_too():
    rows = np.round(10 * separated()).astype(np.int16)
    expected = GaussianMixture(3, random_state=0, refine="none").fit(rows.astype(float))
    for X in (rows, da.from_array(rows, chunks=(70, 2)), pd.DataFrame(rows, columns=NAMES)):
        found = GaussianMixture(3, random_state=0, refine="none").fit(X)
        assert found.means_.dtype == np.float64
        assert_allclose(found.means_, expected.means_, rtol=1e-9)
    frame = dd.from_pandas(pd.DataFrame(rows, columns=NAMES), npartitions=3)
    assert_allclose(
        GaussianMixture(3, random_state=0, refine="none").fit(frame).means_, expected.means_, 1e-9
    )
    half = GaussianMixture(3, random_state=0, refine="none").fit(rows.astype(np.float16))
    assert half.means_.dtype == np.float64


# --- nothing comes to the client


@pytest.mark.slow
def test_no_rows_reach_the_client_while_a_dask_array_is_fitted(monkeypatch):
    from daskgmm.passes.engine import graph

    sizes = []
    plain = graph.compute

    def weighing(tasks, keys, phase, *more):
        found = plain(tasks, keys, phase, *more)
        sizes.append(len(dask.base.tokenize(found)) and len(__import__("pickle").dumps(found)))
        return found

    for module in ("graph", "held"):
        monkeypatch.setattr(f"daskgmm.passes.engine.{module}.compute", weighing)
    X = da.random.default_rng(0).normal(size=(50_000, 4), chunks=(5000, 4))
    with in_threads():
        model = GaussianMixture(2, random_state=0, max_iter=3, tol=1e9).fit(X)
        model.score(X)
    assert len(sizes) >= 3
    assert max(sizes) < 20_000  # of 1.6 MB


def test_predictions_refer_to_the_chunks_and_run_once_for_each(model, rows):
    X = da.from_array(rows, chunks=(100, 2))
    calls = []

    def counted(block):
        calls.append(len(block))
        return block

    X = X.map_blocks(counted, dtype=float, meta=np.empty((0, 2)))
    model.predict(X).compute(scheduler="synchronous")
    assert calls == [100, 100, 100]


# --- pipelines


def test_it_works_behind_dask_mls_scaler_on_a_dask_array():
    from dask_ml.preprocessing import StandardScaler as Lazy

    rows = separated(2000) * [1e3, 1e-3] + [5e4, 0]
    X = da.from_array(rows, chunks=(300, 2))
    pipeline = make_pipeline(Lazy(), GaussianMixture(3, random_state=0, refine="none"))
    labels = pipeline.fit(X).predict(X)
    assert isinstance(labels, da.Array)
    assert labels.chunks == X.chunks[:1]
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    expected = GaussianMixture(3, random_state=0, refine="none").fit(scaled)
    assert_allclose(pipeline[-1].means_, expected.means_, rtol=1e-8, atol=1e-8)
    assert_array_equal(labels.compute(), expected.predict(scaled))


def test_a_dataset_behind_scikit_learns_scaler_is_refused_in_words(rows, tmp_path):
    pd.DataFrame(rows, columns=NAMES).to_parquet(tmp_path / "rows.parquet")
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(2))
    with pytest.raises(InputTypeError, match=r"Dataset is not an array.*without a scaler"):
        pipeline.fit(open_dataset(tmp_path))


# --- wrong input


@pytest.mark.parametrize("path", ["rows.parquet", Path("rows.parquet")])
def test_a_path_is_refused_with_what_opens_it(model, path):
    for do in (GaussianMixture(2).fit, model.predict, model.score):
        with pytest.raises(InputTypeError, match=r"is a path.*open_dataset\('rows.parquet'"):
            do(path)


def test_a_column_may_be_called_source(rows):
    frame = pd.DataFrame(rows, columns=["source", "b"])
    assert GaussianMixture(2).fit(frame).n_features_in_ == 2


def test_a_dask_series_is_refused_in_words(rows):
    series = dd.from_pandas(pd.DataFrame(rows, columns=NAMES), npartitions=2)["a"]
    with pytest.raises(DaskGMMError):
        GaussianMixture(2).fit(series)


def test_other_columns_than_those_fitted_are_refused(model, named, rows, tmp_path):
    wide = np.hstack([rows, rows])
    for X in (
        da.from_array(wide, chunks=(50, 4)),
        dd.from_pandas(pd.DataFrame(wide), npartitions=2),
    ):
        with pytest.raises(DataError, match=r"4 features.*expecting 2"):
            model.predict(X)
    with pytest.raises(ValueError, match=r"4 features.*expecting 2"):
        model.predict(wide)
    swapped = pd.DataFrame(rows, columns=["b", "a"])
    with pytest.raises(ValueError, match="feature names"):
        named.predict(swapped)
    with pytest.raises(DataError, match="feature names"):
        named.predict(dd.from_pandas(swapped, npartitions=2))
    swapped.to_parquet(tmp_path / "swapped.parquet")
    found = named.predict(open_dataset(tmp_path)).compute()  # by name, so order is no matter
    assert_array_equal(found, named.predict(swapped[NAMES]))


def test_what_is_no_table_of_numbers_is_refused(rows):
    text = pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2.0]})
    for X in (text, dd.from_pandas(text, npartitions=1), pl.from_pandas(text)):
        with pytest.raises(InputTypeError, match="'a'"):
            GaussianMixture(1).fit(X)
    with pytest.raises(DataError, match="Expected 2D array, got 1D"):
        GaussianMixture(1).fit(da.from_array(rows[:, 0], chunks=50))
    with pytest.raises(InputTypeError, match="complex"):
        GaussianMixture(1).fit(da.from_array(rows * 1j, chunks=(50, 2)))


@pytest.mark.parametrize("kind", ["numpy", "array", "frame", "dataset"])
@pytest.mark.parametrize("n", [0, 1, 4])
def test_too_few_rows_are_refused_in_words(kind, n, tmp_path):
    rows = separated(n)
    frame = pd.DataFrame(rows, columns=NAMES)
    frame.to_parquet(tmp_path / "rows.parquet")
    X = {
        "numpy": rows,
        "array": da.from_array(rows, chunks=(2, 2)) if n else da.zeros((0, 2)),
        "frame": dd.from_pandas(frame, npartitions=1),
        "dataset": open_dataset(tmp_path),
    }[kind]
    with pytest.raises(ValueError, match=r"minimum of 2|n_components = 5, n_samples = 4"):
        GaussianMixture(5).fit(X)


# --- sample weights


def test_weights_that_are_wrong_are_refused(rows):
    X = da.from_array(rows, chunks=(100, 2))
    ones = np.ones(300)
    for bad in (ones[:-1], ones.reshape(-1, 1).repeat(2, 1), -ones, np.where(ones, np.nan, 0)):
        with pytest.raises(DataError):
            GaussianMixture(2).fit(rows, sample_weight=bad)
    with pytest.raises(DataError, match="weights are zero"):
        GaussianMixture(2).fit(rows, sample_weight=0 * ones)
    with pytest.raises(ConfigurationError, match="ndarray while X is a Dask"):
        GaussianMixture(2).fit(X, sample_weight=ones)
    with pytest.raises(DataError, match="3 partitions but sample_weight has 2"):
        GaussianMixture(2).fit(X, sample_weight=da.ones(300, chunks=150))
    with pytest.raises(DataError, match=r"partition [01] has 100 rows but 1?50"):
        GaussianMixture(2).fit(X, sample_weight=da.ones(300, chunks=((50, 150, 100),)))
    bad = ones.copy()
    bad[150] = -1
    with pytest.raises(DataError, match=r"partition 1, row 50: the sample weight is -1\.0"):
        GaussianMixture(2).fit(X, sample_weight=da.from_array(bad, chunks=100))


def test_weights_come_as_dask_series_or_as_a_column_of_files(rows, tmp_path):
    weights = np.random.default_rng(0).uniform(0, 2, 300)
    frame = pd.DataFrame(rows, columns=NAMES).assign(w=weights)
    expected = GaussianMixture(3, random_state=0, refine="none").fit(rows, sample_weight=weights)
    parts = dd.from_pandas(frame, npartitions=3)
    found = GaussianMixture(3, random_state=0, refine="none").fit(
        parts[NAMES], sample_weight=parts["w"]
    )
    assert_allclose(found.means_, expected.means_, rtol=1e-9)
    frame.to_parquet(tmp_path / "rows.parquet")
    dataset = open_dataset(tmp_path, sample_weight="w")
    found = GaussianMixture(3, random_state=0, refine="none").fit(dataset)
    assert_allclose(found.means_, expected.means_, rtol=1e-9)
    mean = np.average(expected.score_samples(rows), weights=weights)
    assert_allclose(found.score(dataset), mean, rtol=1e-9)
    with pytest.raises(ConfigurationError, match="sample_weight='column'"):
        GaussianMixture(3).fit(dataset, sample_weight=weights)


# --- rows that don't count, and rows far out


@pytest.mark.parametrize("fill", [1e20, 1e200])
def test_a_row_of_no_weight_may_hold_any_number(fill):
    rows = np.random.default_rng(0).normal(size=(400, 2)) + np.repeat([[0.0], [6.0]], 200, axis=0)
    expected = GaussianMixture(2, random_state=0, refine="none").fit(
        rows, sample_weight=np.ones(400)
    )
    filled = np.vstack([rows, np.full((1, 2), fill)])
    weights = np.append(np.ones(400), 0.0)
    found = GaussianMixture(2, random_state=0, refine="none").fit(filled, sample_weight=weights)
    assert_allclose(found.means_, expected.means_, rtol=1e-10)
    assert_allclose(found.lower_bound_, expected.lower_bound_, rtol=1e-12)
    assert found.n_rows_ == 401


@pytest.mark.slow
def test_the_sample_is_drawn_from_rows_that_count():
    random = np.random.default_rng(0)
    centres = np.repeat([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0], [20.0, 20.0]], 25_000, axis=0)
    rows = random.normal(size=(100_000, 2)) + centres
    weights = (random.random(100_000) < 1e-3).astype(float)
    found = GaussianMixture(4, random_state=0).fit(rows, sample_weight=weights)
    expected = GaussianMixture(4, random_state=0, n_init=5).fit(rows[weights > 0])
    assert found.lower_bound_ > expected.lower_bound_ - 1e-3
    with pytest.raises(DataError, match="Only 2 rows have a positive sample weight"):
        GaussianMixture(3).fit(rows, sample_weight=np.arange(100_000) < 2)


@pytest.mark.parametrize("kind", list(COVARIANCES))
def test_rows_too_far_for_a_density_have_none_instead_of_nan(kind):
    rows = np.random.default_rng(0).normal(size=(100, 2))
    model = GaussianMixture(2, covariance_type=kind, random_state=0, refine="none").fit(rows)
    far = np.array([[1e200, 0.0], [0.0, 0.0]])
    assert model.score_samples(far)[0] == -np.inf
    assert np.isfinite(model.score_samples(far)[1])
    assert_allclose(model.predict_proba(far).sum(axis=1), 1)


def test_repeated_column_names_masks_and_other_dask_collections_are_refused():
    rows = np.random.default_rng(0).normal(size=(10, 2))
    import dask.bag

    for wrong in (
        pd.DataFrame(rows, columns=["x", "x"]),
        np.ma.masked_greater(rows, 1.0),
        dask.bag.from_sequence([1, 2]),
        dask.delayed(rows),
    ):
        with pytest.raises(DataError):
            GaussianMixture(2).fit(wrong)
