"""Dask collections whose chunks are not what was declared, or lose something as floats."""

import datetime as dt

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture, GaussianMixtureSelector
from daskgmm.errors import ConfigurationError, DaskGMMError, DataError, InputTypeError

ROWS = np.random.default_rng(0).normal([0, 50], 1, size=(200, 2))
FRAME = pd.DataFrame(ROWS, columns=["a", "b"])
PER_PART, ODD = 50, 2

CALLS = {
    "fit": lambda _, X: GaussianMixture(1).fit(X),
    "select": lambda _, X: GaussianMixtureSelector([1, 2]).fit(X),
    "partial_fit": lambda model, X: model.partial_fit(X),
    "predict": lambda model, X: model.predict(X).compute(),
    "predict_proba": lambda model, X: model.predict_proba(X).compute(),
    "score_samples": lambda model, X: model.score_samples(X).compute(),
    "score": lambda model, X: model.score(X),
    "anomaly_threshold": lambda model, X: model.anomaly_threshold(X, 0.1),
}


def in_partitions(change):
    """A frame of four partitions, of which one is changed without being declared so."""

    def partition(number):
        piece = FRAME[number * PER_PART : (number + 1) * PER_PART].copy()
        return change(piece) if number == ODD else piece

    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_map(partition, range(4), meta=FRAME[:0])


def in_chunks(change):
    """An array of four chunks, of which one is changed without being declared so."""

    def chunk(rows, block_info=None):
        return change(rows) if block_info[0]["chunk-location"][0] == ODD else rows

    x = da.from_array(ROWS, chunks=(PER_PART, 2))
    return x.map_blocks(chunk, dtype=float, meta=np.empty((0, 0)))


def models(named):
    return GaussianMixture(1).fit(FRAME if named else ROWS)


# --- frames


@pytest.mark.slow
def test_columns_of_a_partition_in_another_order_go_by_name():
    X, same = in_partitions(lambda piece: piece[["b", "a"]]), in_partitions(lambda piece: piece)
    assert_array_equal(GaussianMixture(1).fit(X).means_, GaussianMixture(1).fit(same).means_)
    model = models(named=True)
    for method in (model.score_samples, model.predict_proba):
        assert_array_equal(method(X).compute(), method(same).compute())
    assert model.score(X) == model.score(same)


def test_files_whose_columns_are_in_another_order_go_by_name(tmp_path):
    FRAME[:100].to_csv(tmp_path / "0.csv", index=False)
    FRAME[100:][["b", "a"]].to_csv(tmp_path / "1.csv", index=False)
    X = dd.read_csv([tmp_path / "0.csv", tmp_path / "1.csv"])
    assert_allclose(GaussianMixture(1).fit(X).means_[0], X.mean().compute(), rtol=1e-12)


OTHER_COLUMNS = {
    "lacks one": (lambda piece: piece[["a"]], "no column 'b'"),
    "has one more": (lambda piece: piece.assign(c=1.0), "a column 'c'"),
    "has another": (lambda piece: piece.rename(columns={"b": "c"}), "no column 'b'"),
    "has one twice": (lambda piece: piece.iloc[:, [0, 1, 0]], "more than one column 'a'"),
    "has dates": (lambda piece: piece.assign(a=pd.Timestamp("2020")), "'a', has type datetime"),
    "has NaT": (lambda piece: piece.assign(a=pd.NaT), "'a', has type datetime"),
    "has durations": (lambda piece: piece.assign(a=pd.Timedelta("1s")), "'a', has type timedelta"),
    "has complex numbers": (lambda piece: piece.assign(a=1j), "'a', has type complex"),
    "has categories": (lambda piece: piece.astype({"a": "category"}), "'a', has type category"),
    "has objects": (lambda piece: piece.assign(a=dt.date(2020, 1, 1)).astype(object), "'a', row 0"),
    "is one column": (lambda piece: piece["a"], "2 columns were declared"),
}


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("change", ["lacks one", "has one more", "has dates"])
def test_every_method_refuses_a_partition_of_other_columns_with_its_number(change, call):
    X, (_, words) = in_partitions(OTHER_COLUMNS[change][0]), OTHER_COLUMNS[change]
    with pytest.raises(DataError, match=f"partition {ODD}.*{words}"):
        CALLS[call](models(named=True), X)


@pytest.mark.parametrize("change", OTHER_COLUMNS)
def test_a_partition_of_other_columns_is_refused_with_its_number(change):
    X, (_, words) = in_partitions(OTHER_COLUMNS[change][0]), OTHER_COLUMNS[change]
    with pytest.raises(DataError, match=f"partition {ODD}.*{words}"):
        GaussianMixture(1).fit(X)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [lambda piece: piece[:0], lambda piece: piece[:0][["b"]], lambda _: pd.DataFrame()],
    ids=["all columns", "one column", "no columns"],
)
def test_a_partition_without_rows_may_have_any_columns(change):
    X = in_partitions(change)
    others = FRAME.drop(index=range(100, 150))
    assert_allclose(GaussianMixture(1).fit(X).means_[0], others.mean(), rtol=1e-12)
    assert len(models(named=True).predict(X).compute()) == len(others)


@pytest.mark.slow
def test_a_partition_that_is_an_array_is_read_by_position():
    X, same = in_partitions(lambda piece: piece.to_numpy()), in_partitions(lambda piece: piece)
    assert_array_equal(GaussianMixture(1).fit(X).means_, GaussianMixture(1).fit(same).means_)
    densities = models(named=True).score_samples
    assert_array_equal(densities(X).compute(), densities(same).compute())


def test_a_missing_value_of_a_nullable_column_is_told_as_nan():
    column = pd.array([1.0] * 49 + [None], "Float64")
    with pytest.raises(DataError, match=rf"partition {ODD}, row 49, column 'a' is NaN"):
        GaussianMixture(1).fit(in_partitions(lambda piece: piece.assign(a=column)))


@pytest.mark.slow
def test_truth_values_of_arrow_are_numbers_as_those_of_pandas():
    frame = FRAME.assign(a=(FRAME.a > 0).astype("bool[pyarrow]"))
    X = dd.from_pandas(frame, npartitions=4)
    expected = GaussianMixture(1).fit(frame.astype({"a": bool}))
    assert_allclose(GaussianMixture(1).fit(X).means_, expected.means_, rtol=1e-12)


@pytest.mark.parametrize("names", [["a", "a"], [0, 0]])
def test_columns_of_one_name_are_refused_in_any_frame(names):
    frame = FRAME.set_axis(names, axis=1)
    for X in (frame, dd.from_pandas(frame, npartitions=2)):
        with pytest.raises(DataError, match="More than one column is named"):
            GaussianMixture(1).fit(X)


# --- arrays

OTHER_CHUNKS = {
    "narrower": (lambda rows: rows[:, :1], r"shape \(50, 1\)"),
    "wider": (lambda rows: np.hstack([rows, rows]), r"shape \(50, 4\)"),
    "of one dimension": (lambda rows: rows[:, 0], r"shape \(50,\)"),
    "of three dimensions": (lambda rows: rows[None], r"shape \(1, 50, 2\)"),
    "masked": (lambda rows: np.ma.masked_equal(rows, rows[7, 1]), "row 7, feature 1 is NaN"),
    "complex": (lambda rows: rows + 0j, "complex128"),
    "of dates": (lambda rows: rows.astype("M8[s]"), "datetime64"),
    "of durations": (lambda rows: rows.astype("m8[s]"), "timedelta64"),
    "of NaT": (lambda _: np.full((50, 2), np.datetime64("NaT", "Y")), "datetime64"),
    "of dates as objects": (lambda _: np.full((50, 2), dt.date(2020, 1, 1)), "row 0"),
    "of complex objects": (lambda rows: (rows + 1j).astype(object), "row 0"),
    "of text": (lambda rows: np.full(rows.shape, "x"), "something other than numbers"),
    "sparse": (scipy.sparse.csr_matrix, "csr_matrix"),
    "a sparse array": (scipy.sparse.csr_array, "csr_array"),
    "nothing": (lambda _: None, "NoneType"),
}


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("change", ["narrower", "wider", "masked", "complex", "sparse"])
def test_every_method_refuses_a_chunk_that_is_not_as_declared_with_its_number(change, call):
    X, (_, words) = in_chunks(OTHER_CHUNKS[change][0]), OTHER_CHUNKS[change]
    with pytest.raises(DataError, match=f"partition {ODD}.*{words}"):
        CALLS[call](models(named=False), X)


@pytest.mark.parametrize("change", OTHER_CHUNKS)
def test_a_chunk_that_is_not_as_declared_is_refused_with_its_number(change):
    X, (_, words) = in_chunks(OTHER_CHUNKS[change][0]), OTHER_CHUNKS[change]
    with pytest.raises(DataError, match=f"partition {ODD}.*{words}") as caught:
        GaussianMixture(1).fit(X)
    assert caught.value.remedy


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [lambda rows: np.ma.masked_equal(rows, 99), lambda rows: rows.astype(object)],
    ids=["a mask that masks nothing", "numbers as objects"],
)
def test_a_chunk_that_loses_nothing_is_read(change):
    found = GaussianMixture(1).fit(in_chunks(change))
    assert_array_equal(found.means_, GaussianMixture(1).fit(in_chunks(np.copy)).means_)


@pytest.mark.parametrize("change", [lambda rows: rows[:0], lambda rows: rows[:0, 0]])
def test_a_chunk_without_rows_may_have_any_shape(change):
    found = GaussianMixture(1).fit(in_chunks(change))
    assert_allclose(found.means_[0], np.delete(ROWS, slice(100, 150), axis=0).mean(0), rtol=1e-12)


def test_masks_of_column_chunks_are_kept_where_they_are_joined():
    X = da.ma.masked_greater(da.from_array(ROWS, chunks=(PER_PART, 1)), 50)
    with pytest.raises(DataError, match="feature 1 is NaN"):
        GaussianMixture(1).fit(X)


def test_a_collection_without_columns_or_with_an_unknown_number_of_them_is_refused():
    X = da.from_array(ROWS, chunks=(PER_PART, 2))
    unknown = da.Array(X.dask, X.name, (X.chunks[0], (np.nan,)), dtype=float)
    for X, words in [
        (unknown, "unknown number of columns"),
        (da.zeros((10, 0)), "no columns"),
        (dd.from_pandas(FRAME[[]], npartitions=2), "no columns"),
    ]:
        with pytest.raises(DataError, match=words):
            GaussianMixture(1).fit(X)


# --- weights

WEIGHTS = np.arange(1.0, 201.0)
LOST_WEIGHTS = {
    "masked": np.ma.masked_equal(WEIGHTS, 124),
    "complex": WEIGHTS + 0j,
    "dates": WEIGHTS.astype("M8[s]"),
    "durations": WEIGHTS.astype("m8[s]"),
    "words": np.full(200, "heavy", dtype=object),
    "dates as objects": np.full(200, dt.date(2020, 1, 1)),
    "complex objects": (WEIGHTS + 1j).astype(object),
    "records": np.ones(200, [("w", float)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LOST_WEIGHTS)
def test_weights_that_lose_something_as_floats_are_refused(kind):
    weights = LOST_WEIGHTS[kind]
    with pytest.raises(InputTypeError, match="sample_weight"):
        GaussianMixture(1).fit(ROWS, sample_weight=weights)
    X, chunks = da.from_array(ROWS, chunks=(PER_PART, 2)), da.from_array(weights, chunks=PER_PART)
    for call in (GaussianMixture(1).fit, GaussianMixtureSelector([1]).fit):
        with pytest.raises(InputTypeError, match=r"sample_weight of partition \d"):
            call(X, sample_weight=chunks)
    with pytest.raises(InputTypeError, match=r"sample_weight of partition \d"):
        models(named=False).partial_fit(X, sample_weight=chunks)


def test_a_masked_dask_array_as_weights_of_rows_in_memory_is_refused():
    weights = da.ma.masked_equal(da.from_array(WEIGHTS, chunks=PER_PART), 124)
    with pytest.raises(InputTypeError, match="row 123: a value is masked"):
        GaussianMixture(1).fit(ROWS, sample_weight=weights)


@pytest.mark.parametrize("column", ["date", "word"])
def test_a_column_of_no_numbers_is_refused_as_weights(column):
    frame = FRAME.assign(date=pd.Timestamp("2020"), word=pd.Categorical(["x"] * 200))
    X = dd.from_pandas(frame, npartitions=4)
    for weights in (X[column], X[[column]]):
        with pytest.raises(InputTypeError, match=rf"sample_weight of partition \d, .*'{column}'"):
            GaussianMixture(1).fit(X[["a", "b"]], sample_weight=weights)


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [((100, 2), (50, 1)), ((100, 2), (25, 2)), ((200, 1, 1), (50, 1, 1)), ((100,), (25,))],
)
def test_weights_of_another_shape_are_refused_though_their_chunks_are_as_many(shape, chunks):
    X = da.from_array(ROWS, chunks=(PER_PART, 2))
    with pytest.raises(DataError, match=r"sample.weight"):
        GaussianMixture(1).fit(X, sample_weight=da.ones(shape, chunks=chunks))


@pytest.mark.slow
def test_one_column_of_weights_counts_like_a_series():
    X = dd.from_pandas(FRAME, npartitions=4)
    found = GaussianMixture(1).fit(X, sample_weight=X[["b"]])
    assert_array_equal(found.means_, GaussianMixture(1).fit(X, sample_weight=X["b"]).means_)


@pytest.mark.parametrize("weights", [dask.delayed(WEIGHTS), WEIGHTS, 2.0])
def test_weights_that_are_no_dask_collection_of_numbers_are_refused(weights):
    with pytest.raises(ConfigurationError, match="sample_weight is a"):
        GaussianMixture(1).fit(da.from_array(ROWS, chunks=(PER_PART, 2)), sample_weight=weights)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_whose_sum_overflows_are_refused():
    huge = np.full(200, 1e308)
    for X, weights in [
        (ROWS, huge),
        (da.from_array(ROWS, chunks=(PER_PART, 2)), da.from_array(huge, chunks=PER_PART)),
    ]:
        for call in (GaussianMixture(1).fit, models(named=False).partial_fit):
            with pytest.raises(DataError, match="their sum overflows"):
                call(X, sample_weight=weights)


# --- rows in memory


@pytest.mark.slow
@pytest.mark.parametrize(
    "X",
    [
        ROWS.astype("M8[s]"),
        ROWS.astype("m8[s]"),
        [[np.datetime64("2020"), np.datetime64("NaT", "Y")]] * 5,
        np.array([[pd.NaT, 1.0]] * 5, dtype=object),
        np.array([[np.complex128(1j), 1.0]] * 5, dtype=object),
        np.ones((5, 1), [("a", float)]),
    ],
    ids=["dates", "durations", "NaT", "NaT object", "complex object", "records"],
)
def test_arrays_in_memory_that_lose_something_as_floats_are_refused(X):
    for call in (GaussianMixture(1).fit, models(named=False).predict):
        with pytest.raises(InputTypeError):
            call(X)


@pytest.mark.slow
def test_a_mask_that_masks_nothing_passes_in_memory():
    found = GaussianMixture(1).fit(np.ma.array(ROWS))
    assert_array_equal(found.means_, GaussianMixture(1).fit(ROWS).means_)


def test_parameters_that_lose_something_as_floats_are_refused():
    for values in (np.ma.masked_equal([[1.0, 2.0]], 2.0), [[1j, 0j]]):
        with pytest.raises(DaskGMMError, match="means"):
            GaussianMixture(1, means_init=values).fit(ROWS)
