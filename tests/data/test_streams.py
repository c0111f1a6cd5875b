"""`open_table`: what other libraries hand over through Arrow's C stream."""

import gc
import pickle
from pathlib import Path

import dask
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture, open_dataset, open_table
from daskgmm.data import arrow_stream
from daskgmm.errors import ConfigurationError, DataError, InputTypeError, OutputError

X = np.random.default_rng(0).normal(size=(300, 2)) + np.repeat([[0, 0], [9, 9]], 150, axis=0)
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "name": "text", "w": 2.0})


@pytest.fixture(autouse=True)
def scratch(tmp_path):
    gc.freeze()  # a search for garbage need not go through all that earlier tests have left
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        yield tmp_path
        gc.collect()


def kinds():
    table = pa.Table.from_pandas(FRAME)
    return {
        "Arrow": lambda: table,
        "a stream": lambda: pa.RecordBatchReader.from_batches(
            table.schema, table.to_batches(max_chunksize=7)
        ),
        "pandas": lambda: FRAME,
        "Polars": lambda: pl.from_pandas(FRAME),
        "DuckDB": lambda: duckdb.sql("SELECT * FROM FRAME"),
    }


def all_rows(dataset):
    parts = dataset.source().parts
    return np.concatenate([block.rows.T.copy() for part in parts for block in part.read()])


@pytest.mark.parametrize("kind", kinds())
def test_all_kinds_of_tables_give_their_rows_in_order(kind):
    dataset = open_table(kinds()[kind](), columns=["b", "a"], sample_weight="w")
    assert_array_equal(all_rows(dataset), X[:, ::-1])
    assert (dataset.columns, dataset.weight_column) == (("b", "a"), "w")


@pytest.mark.slow
def test_it_works_where_a_dataset_does(tmp_path):
    relation = duckdb.sql("SELECT a, b FROM FRAME")
    dataset = open_table(relation)
    found = GaussianMixture(2, random_state=0).fit(dataset)
    FRAME[["a", "b"]].to_parquet(tmp_path / "rows.parquet")
    same = open_dataset(tmp_path / "rows.parquet")
    expected = GaussianMixture(2, random_state=0).fit(same)
    assert_allclose(found.means_, expected.means_, rtol=1e-12)
    assert_array_equal(found.predict(dataset).compute(), expected.predict(same).compute())
    assert found.score(dataset) == pytest.approx(expected.score(same), rel=1e-12)
    assert found.n_rows_ == len(X)


def test_how_a_stream_is_cut_changes_nothing(monkeypatch):
    monkeypatch.setattr(arrow_stream, "_PIECE_ROWS", 64)
    table = pa.Table.from_pandas(FRAME[["a", "b"]])
    cuts = [table, *(pa.Table.from_batches(table.to_batches(size)) for size in (1, 63, 100))]
    datasets = list(map(open_table, cuts))
    assert {dataset.files for dataset in datasets} == {datasets[0].files}
    assert [part.rows for part in datasets[1].source().parts] == [64] * 4 + [44]
    assert_array_equal(all_rows(datasets[2]), X)


def test_the_file_is_removed_with_the_last_that_needs_it(scratch):
    def left():
        gc.collect()
        return [path for path in scratch.rglob("*") if path.is_file()]

    dataset = open_table(pa.table({"a": X[:, 0]}))
    labels = GaussianMixture(1).fit(dataset).predict(dataset)
    del dataset
    assert left()
    assert labels.compute().sum() == 0
    del labels
    assert not left()


def test_a_part_can_be_read_in_another_process_of_this_machine():
    dataset = open_table(pa.table({"a": X[:, 0]}))
    part = pickle.loads(pickle.dumps(dataset.source().parts[0]))  # noqa: S301  our own
    assert_array_equal(next(iter(part.read())).rows[0], X[:, 0])


def test_only_numbers_are_features_and_lists_of_them_count():
    vectors = pa.table({"v": pa.array(X.tolist(), pa.list_(pa.float64())), "name": ["x"] * 300})
    assert_array_equal(all_rows(open_table(vectors, columns=["v[1]"])), X[:, 1:])
    assert open_table(vectors, columns=["v"]).columns == ("v[0]", "v[1]")
    with pytest.raises(InputTypeError, match="'name' of the table is not numeric"):
        open_table(vectors)
    with pytest.raises(DataError, match="the table has no column 'z'"):
        open_table(vectors, columns=["z"])


def test_columns_are_left_out_as_in_a_dataset():
    table = pa.Table.from_pandas(FRAME)
    assert open_table(table, sample_weight="w", numeric=True).columns == ("a", "b")
    rest = open_table(table, exclude=["name", "a"])
    assert rest.columns == ("b", "w")
    assert_array_equal(all_rows(rest)[:, 0], X[:, 1])
    with pytest.raises(ConfigurationError, match="Both columns and exclude were given"):
        open_table(table, ["a"], exclude=["b"])


def test_a_fit_of_a_table_that_is_no_array_says_how_to_read_it():
    with pytest.raises(InputTypeError, match=r"X is a DuckDBPyRelation.*open_table\(X\)"):
        GaussianMixture(2).fit(duckdb.sql("SELECT a, b FROM FRAME"))


def test_what_is_no_table_is_refused():
    with pytest.raises(InputTypeError, match=r"got a str.*open_dataset"):
        open_table("rows.parquet")


def test_an_error_of_the_query_is_said_and_leaves_no_file(scratch):
    def failing():
        yield pa.record_batch({"a": X[:, 0]})
        raise ValueError("the query was cancelled")

    stream = pa.RecordBatchReader.from_batches(pa.schema({"a": pa.float64()}), failing())
    with pytest.raises(DataError, match=r"can't be read through Arrow: .*the query was cancelled"):
        open_table(stream)
    assert not list(scratch.rglob("*"))


def test_a_place_that_can_not_be_written_is_said(monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrow_stream.pq, "ParquetWriter", full)
    with pytest.raises(OutputError, match="No space left"):
        open_table(pa.table({"a": [1.0]}))


def test_a_table_without_rows_has_none():
    dataset = open_table(pa.schema({"a": pa.float64()}).empty_table())
    assert sum(dataset.source().lengths) == 0
    assert Path(dataset.table.files[0].key).exists()
