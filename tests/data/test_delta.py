"""Delta tables are read as they stand at a version, as the tables' own libraries read them."""

import os
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from numpy.testing import assert_array_equal

from daskgmm import GaussianMixture, errors, open_dataset
from tests.support.deltas import actions, commits, map_columns, remove_rows, write_actions
from tests.support.tables_read import kept, numbers, rows_of

VECTORS = {"delta.enableDeletionVectors": "true"}


@pytest.fixture
def table(tmp_path):
    """Three versions: rows 0 to 5; 100 to 102 added; row 1 deleted and row 2 changed to 20."""
    path = str(tmp_path / "table")
    write_deltalake(path, pa.table({"x": np.arange(6.0)}))
    write_deltalake(path, pa.table({"x": np.arange(100.0, 103.0)}), mode="append")
    DeltaTable(path).delete("x = 1")
    DeltaTable(path).update(updates={"x": "20"}, predicate="x = 2")
    return path


def test_the_current_version_is_read_by_default(table):
    dataset = open_dataset(table)
    assert numbers(dataset) == [0, 3, 4, 5, 20, 100, 101, 102]
    assert repr(dataset) == "Dataset(delta table at version 3, 8 rows, 1 features: x)"
    assert dataset.paths == (table,)
    assert dataset.files[0].version == 3


@pytest.mark.parametrize("version", [0, "1"])
def test_an_earlier_version_has_the_rows_that_it_had(table, version):
    found = numbers(open_dataset(table, version=version))
    assert found == [0, 1, 2, 3, 4, 5, 100, 101, 102][: 6 + 3 * int(version)]


def test_a_time_stands_for_the_version_that_was_current_then(table):
    first, second = (datetime(2026, 11, day, 5, tzinfo=UTC) for day in (20, 21))
    for moment, commit in zip([first, second, second, second], commits(table), strict=True):
        found = actions(commit)
        for each in found:
            if "commitInfo" in each:
                each["commitInfo"]["timestamp"] = int(moment.timestamp() * 1000)
        write_actions(commit, found)
        os.utime(commit, (moment.timestamp(), moment.timestamp()))
    for as_of in (first, "2026-11-20T06:00:00+01:00", date(2026, 11, 21), "2026-11-21"):
        assert open_dataset(table, as_of=as_of).files[0].version == 0, as_of
    assert open_dataset(table, as_of=second + timedelta(hours=1)).files[0].version == 3
    assert open_dataset(table, as_of="2026-11-22").files[0].version == 3
    with pytest.raises(errors.MissingInputError, match="no version as old as 2026-11-20T04:59"):
        open_dataset(table, as_of=first - timedelta(minutes=1))


def test_columns_that_were_added_later_are_missing_in_older_rows(tmp_path):
    path = str(tmp_path / "table")
    write_deltalake(path, pa.table({"x": [1.0]}))
    later = pa.table({"y": [3], "x": [2.0], "note": ["new"]})
    write_deltalake(path, later, mode="append", schema_mode="merge")
    dataset = open_dataset(path, columns=["x", "y"]).select(keep=["note"])
    assert_array_equal(rows_of(dataset), [[1, np.nan], [2, 3]])
    assert sorted(str(row["note"]) for row in kept(dataset)) == ["None", "new"]


def test_a_deletion_vector_removes_rows_of_any_block_and_row_group(tmp_path):
    path = str(tmp_path / "table")
    from deltalake import WriterProperties

    write_deltalake(
        path,
        pa.table({"x": np.arange(10.0)}),
        configuration=VECTORS,
        writer_properties=WriterProperties(max_row_group_size=4),
    )
    remove_rows(path, [0, 3, 4, 9])
    dataset = open_dataset(path, block_rows=3)
    assert numbers(dataset) == [1, 2, 5, 6, 7, 8]
    assert len(dataset.source().parts) > 1
    assert numbers(open_dataset(path, version=0)) == list(range(10))
    scanned = pa.table(DeltaTable(path).scan())
    assert sorted(scanned["x"].to_pylist()) == numbers(dataset)


def test_columns_may_be_called_otherwise_in_the_files(tmp_path):
    path = str(tmp_path / "table")
    write_deltalake(
        path, pa.table({"a": [1.0, 2.0], "b": [5.0, 6.0], "p": ["u", "v"]}), partition_by="p"
    )
    map_columns(path, {"a": "b", "b": "a", "p": "day"})
    assert_array_equal(rows_of(open_dataset(path, columns=["a", "b"])), [[5, 1], [6, 2]])
    assert numbers(open_dataset(path, columns=["b"], where="day=v")) == [2]


ODD = ["a b", "50%", "ä/ö", "x=1", "a:b"]


@pytest.mark.parametrize("vectors", [False, True])
def test_partitions_are_chosen_by_their_values_whatever_these_hold(tmp_path, vectors):
    path = str(tmp_path / "table")
    whole = pa.table({"x": np.arange(12.0), "key": [*ODD, None] * 2})
    configuration = VECTORS if vectors else None
    write_deltalake(path, whole, partition_by="key", configuration=configuration)
    if vectors:
        remove_rows(path, [1], of=lambda add: add["partitionValues"]["key"] == "50%")
    assert len(numbers(open_dataset(path))) == 12 - vectors
    for position, value in enumerate(ODD):
        dataset = open_dataset(path, where=f"key={value}").select(keep=["key"])
        there = [position, position + 6][: 1 if vectors and value == "50%" else 2]
        assert numbers(dataset) == there
        assert kept(dataset) == [{"key": value}] * len(there)


def test_partition_columns_are_no_features_by_default_and_can_be_chosen(tmp_path):
    path = str(tmp_path / "table")
    days = [date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 21)]
    rows = pa.table({"x": [1.0, 2.0, 3.0], "hour": [1, 2, 3], "day": days})
    write_deltalake(path, rows, partition_by=["day", "hour"])
    assert open_dataset(path).columns == ("x",)
    assert_array_equal(rows_of(open_dataset(path, columns=["x", "hour"])), [[1, 1], [2, 2], [3, 3]])
    chosen = open_dataset(path, where=["day>=2026-11-21", "hour<3"]).select(keep=["day"])
    assert kept(chosen) == [{"day": date(2026, 11, 21)}]


def test_files_of_other_partitions_are_not_opened(tmp_path):
    path = tmp_path / "table"
    write_deltalake(str(path), pa.table({"x": [1.0, 2.0], "day": [1, 2]}), partition_by="day")
    next(path.glob("day=1/*.parquet")).unlink()
    assert numbers(open_dataset(path, where="day=2")) == [2]
    with pytest.raises(errors.DataError, match=r"can no longer be read at version 0.*VACUUM"):
        open_dataset(path)


def test_a_table_that_polars_wrote_is_fitted_like_its_rows(tmp_path):
    X = np.random.default_rng(0).normal(size=(200, 2))
    frame = pl.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    frame[:150].write_delta(str(tmp_path / "table"))
    frame[150:].write_delta(str(tmp_path / "table"), mode="append")
    dataset = open_dataset(tmp_path / "table")
    found = GaussianMixture(1).fit(dataset)
    np.testing.assert_allclose(found.means_, X.mean(axis=0, keepdims=True), atol=1e-12)
    assert found.n_rows_ == 200


def test_floats_of_single_precision_stay_so(tmp_path):
    path = str(tmp_path / "table")
    write_deltalake(path, pa.table({"x": pa.array([1.0], pa.float32())}))
    write_deltalake(path, pa.table({"y": [1.0]}), mode="append", schema_mode="merge")
    assert open_dataset(path, columns=["x"]).source().dtype == np.float32
    assert open_dataset(path).source().dtype == np.float64


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"version": 9}, errors.MissingInputError, "has no version 9: its newest is 3"),
        ({"version": "yesterday"}, errors.ConfigurationError, "The version is 'yesterday'"),
        ({"as_of": "yesterday"}, errors.ConfigurationError, "The time is 'yesterday'"),
        ({"version": 1, "as_of": "2026-11-21"}, errors.ConfigurationError, "Both a version"),
        ({"where": "x=1"}, errors.ConfigurationError, "not partitioned by x"),
        ({"columns": ["z"]}, errors.DataError, "has no column 'z'.*Its columns are 'x'"),
        ({"format": "parquet"}, errors.DataError, "is a table of Delta.*Give the table itself"),
        ({"delimiter": ";"}, errors.ConfigurationError, "the files are delta"),
    ],
)
def test_what_can_not_be_read_is_said(table, options, kind, said):
    with pytest.raises(kind, match=said):
        open_dataset(table, **options)


def test_a_table_is_read_alone(table):
    with pytest.raises(errors.ConfigurationError, match="Give the table alone"):
        open_dataset([table, table])


def test_a_folder_without_a_log_is_no_table(tmp_path):
    with pytest.raises(errors.MissingInputError, match="is not a table of the format delta"):
        open_dataset(tmp_path, format="delta")
    np.save(tmp_path / "rows.npy", np.eye(3))
    with pytest.raises(errors.ConfigurationError, match=r"A version or time was given.* npy"):
        open_dataset(tmp_path, version=3)


def test_an_empty_table_has_no_rows(tmp_path):
    DeltaTable.create(str(tmp_path), pa.schema({"x": pa.float64()}))
    with pytest.raises(errors.MissingInputError, match="has no rows at version 0"):
        open_dataset(tmp_path)


def test_a_missing_package_is_named_with_its_extra(table, monkeypatch):
    monkeypatch.setattr(errors, "find_spec", lambda _name: None)
    with pytest.raises(errors.ConfigurationError, match=r"deltalake.*daskgmm\[delta\]"):
        open_dataset(table)


def test_a_table_in_a_store_is_read_with_the_stores_options(s3):
    options = {
        "aws_access_key_id": s3.options["key"],
        "aws_secret_access_key": s3.options["secret"],
        "aws_endpoint_url": s3.endpoint,
        "aws_allow_http": "true",
        "aws_region": "us-east-1",
    }
    write_deltalake(f"{s3.url}/a b/table", pa.table({"x": [1.0, 2.0]}), storage_options=options)
    dataset = open_dataset(f"{s3.url}/a b/table", storage_options=s3.options)
    assert numbers(dataset) == [1, 2]
    assert dataset.paths == (f"{s3.url}/a b/table",)
