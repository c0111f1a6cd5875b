"""Iceberg tables are read as they stand at a snapshot, as pyiceberg itself reads them."""

from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
)
from pyiceberg.types import DoubleType, LongType

from daskgmm import GaussianMixture, errors, open_dataset
from tests.support.icebergs import catalog_at, remove_rows
from tests.support.tables_read import kept, numbers, rows_of


@pytest.fixture
def catalogue(tmp_path):
    catalog, options = catalog_at(tmp_path)
    with closing(catalog):
        yield catalog, options


@pytest.fixture
def catalog(catalogue):
    return catalogue[0]


@pytest.fixture
def table(catalog):
    """Three snapshots: rows 0 to 5; 100 to 102 added; row 1 deleted."""
    rows = pa.table({"x": np.arange(6.0)})
    table = catalog.create_table("db.rows", rows.schema)
    table.append(rows)
    table.append(pa.table({"x": np.arange(100.0, 103.0)}))
    table.delete("x = 1")
    return table


def folder(table):
    return table.location().removeprefix("file://")


def files(table):
    return {task.file.file_path: task.file for task in table.scan().plan_files()}


@pytest.mark.slow
def test_the_current_snapshot_is_read_by_folder_metadata_or_name(table, catalogue):
    name = ("default.db.rows", {"format": "iceberg", "storage_options": catalogue[1]})
    places = [(folder(table), {}), (Path(folder(table)), {}), (table.metadata_location, {}), name]
    for place, options in places:
        dataset = open_dataset(place, **options)
        assert numbers(dataset) == [0, 2, 3, 4, 5, 100, 101, 102]
        (record,) = dataset.files
        assert record.path == folder(table)
        assert record.version == table.current_snapshot().snapshot_id
        assert record.table == str(table.metadata.table_uuid)


@pytest.mark.slow
def test_an_earlier_version_is_a_snapshot_or_a_name(table):
    first, second, _ = (each.snapshot_id for each in table.snapshots())
    table.manage_snapshots().create_tag(first, "start").commit()
    for version in (first, str(first), "start"):
        assert numbers(open_dataset(folder(table), version=version)) == list(range(6))
    assert len(numbers(open_dataset(folder(table), version=second))) == 9


def test_a_time_stands_for_the_snapshot_that_was_current_then(table):
    first, second, third = table.snapshots()
    for each, rows in ((first, 6), (second, 9), (third, 8)):
        moment = datetime.fromtimestamp(each.timestamp_ms / 1000, UTC)
        later = [
            one.timestamp_ms
            for one in (first, second, third)
            if one.timestamp_ms == each.timestamp_ms
        ]
        if len(later) == 1:
            assert len(numbers(open_dataset(folder(table), as_of=moment))) == rows
    with pytest.raises(errors.MissingInputError, match="no version as old as 2020-01-01"):
        open_dataset(folder(table), as_of="2020-01-01")


def test_columns_are_known_by_their_identifiers(catalog):
    rows = pa.table({"x": [1.0, 2.0], "y": [5.0, 6.0]})
    table = catalog.create_table("db.rows", rows.schema)
    table.append(rows)
    with table.update_schema() as update:
        update.rename_column("x", "a")
        update.delete_column("y")
    with table.update_schema() as update:
        update.add_column("y", DoubleType())  # another column of the old name
    table.append(pa.table({"a": [3.0], "y": [7.0]}))
    dataset = open_dataset(folder(table), columns=["a", "y"])
    assert_array_equal(rows_of(dataset), [[1, np.nan], [2, np.nan], [3, 7]])
    first = table.snapshots()[0].snapshot_id
    assert_array_equal(rows_of(open_dataset(folder(table), version=first)), [[1, 5], [2, 6]])


def test_types_that_were_widened_are_read_as_they_are_now(catalog):
    rows = pa.table({"x": pa.array([1.0], pa.float32()), "n": pa.array([2], pa.int32())})
    table = catalog.create_table("db.rows", rows.schema)
    table.append(rows)
    with table.update_schema() as update:
        update.update_column("x", DoubleType())
        update.update_column("n", LongType())
    table.append(pa.table({"x": [0.1], "n": [2**40]}))
    dataset = open_dataset(folder(table)).select(keep=["n"])
    assert_array_equal(
        rows_of(dataset), [[0.1, 2**40], [1, 2]] if dataset.n_features == 2 else [[0.1], [1]]
    )
    assert dataset.source().dtype == np.float64
    assert sorted(row["n"] for row in kept(dataset)) == [2, 2**40]


def test_positional_deletes_remove_rows_of_any_row_group(catalog):
    rows = pa.table({"x": np.arange(10.0)})
    table = catalog.create_table(
        "db.rows", rows.schema, properties={"write.parquet.row-group-limit": "4"}
    )
    table.append(rows)
    (path,) = files(table)
    remove_rows(table, {path: [0, 3, 4, 9]})
    remove_rows(table, {path: [3, 5]})
    dataset = open_dataset(folder(table), block_rows=3)
    assert len(dataset.source().parts) > 1
    assert numbers(dataset) == sorted(table.scan().to_arrow()["x"].to_pylist()) == [1, 2, 6, 7, 8]
    table.append(rows)  # later rows are not removed by earlier deletes
    assert len(numbers(open_dataset(folder(table)))) == 15


def test_deletes_by_value_are_refused(table):
    remove_rows(table, {next(iter(files(table))): [0]}, equality=True)
    with pytest.raises(errors.DataError, match=r"can't be read: .*equality deletes"):
        open_dataset(folder(table))


@pytest.fixture
def parted(catalog):
    times = [datetime(2026, 11, 20, 5), datetime(2026, 11, 21, 5), datetime(2026, 11, 22, 6)]
    rows = pa.table(
        {"x": [1.0, 2.0, 3.0], "kind": ["a b", "c/ä", None], "time": times, "n": [7, 8, 9]}
    )
    table = catalog.create_table("db.rows", rows.schema)
    with table.update_spec() as update:
        update.add_field("kind", IdentityTransform())
        update.add_field("time", DayTransform(), "day")
        update.add_field("n", BucketTransform(4), "n_bucket")
    table.append(rows)
    return table


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("kind=a b", [1]),
        ("kind=c/ä", [2]),
        ("kind!=c/ä", [1]),  # a null meets no condition
        ("day>=2026-11-21", [2, 3]),
        (["day>=2026-11-21", "day<2026-11-22"], [2]),
    ],
)
def test_partitions_are_chosen_and_others_not_opened(parted, where, expected):
    wanted = open_dataset(folder(parted), columns=["x"], where=where)
    assert numbers(wanted) == expected
    read = {file.path for file in wanted.table.files}
    for path in files(parted):
        if path.removeprefix("file://") not in read:
            Path(path.removeprefix("file://")).unlink()
    assert numbers(open_dataset(folder(parted), columns=["x"], where=where)) == expected
    with pytest.raises(errors.DataError, match="can no longer be read at version"):
        open_dataset(folder(parted), columns=["x"])


_DAY, _KINDS = datetime(2026, 11, 20), ["alpha", "also", "beta", None, "be"]


def by_functions(catalog):
    """A table that is partitioned by functions of its columns, in files of several rows each."""
    n = np.arange(60)
    rows = pa.table(
        {
            "x": n.astype(float),
            "time": [None if k % 11 == 3 else _DAY + timedelta(hours=7 * k) for k in n.tolist()],
            "zoned": pa.array([_DAY + timedelta(hours=9 * k) for k in n.tolist()]).cast(
                pa.timestamp("us", "UTC")
            ),
            "n": pa.array(n % 13, pa.int32()),
            "kind": [_KINDS[k % 5] for k in n],
            "price": pa.array([Decimal(k) / 4 for k in n.tolist()], pa.decimal128(9, 2)),
            "day": [(_DAY + timedelta(days=k // 2)).date() for k in n.tolist()],
        }
    )
    table = catalog.create_table("db.rows", rows.schema)
    table.append(rows.slice(0, 10))  # before the table was partitioned
    with table.update_spec() as update:
        update.add_field("time", DayTransform())
        update.add_field("n", BucketTransform(4))
    table.append(rows.slice(10, 30))
    with table.update_spec() as update:
        update.remove_field("time_day")
        update.remove_field("n_bucket_4")
        update.add_field("zoned", HourTransform())
        update.add_field("kind", TruncateTransform(2))
        update.add_field("price", TruncateTransform(100))
        update.add_field("day", MonthTransform())
    table.append(rows.slice(40))
    return table


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    """The table `by_functions`, which no test changes."""
    catalog, _ = catalog_at(tmp_path_factory.mktemp("functions"))
    with closing(catalog):
        yield by_functions(catalog)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("time>=2026-11-25", lambda r: r.time >= _DAY + timedelta(days=5)),
        (
            ["time>=2026-11-25T07:00:00", "time<2026-11-29"],
            lambda r: (r.time >= datetime(2026, 11, 25, 7)) & (r.time < datetime(2026, 11, 29)),
        ),
        ("time!=2026-11-20T07:00", lambda r: r.time.notna() & (r.x != 1)),
        ("n=7", lambda r: r.n == 7),
        ("n!=7", lambda r: r.n != 7),
        (["n<3", "n>0"], lambda r: (r.n < 3) & (r.n > 0)),
        ("zoned<=2026-12-06T06:00:00", lambda r: r.x * 9 <= 16 * 24 + 6),
        ("zoned<=2026-12-06T07:30+01:30", lambda r: r.x * 9 <= 16 * 24 + 6),
        ("kind=be", lambda r: r.kind == "be"),
        ("kind>also", lambda r: r.kind.notna() & (r.kind.fillna("") > "also")),
        ("kind!=beta", lambda r: r.kind.notna() & (r.kind != "beta")),
        ("price<12.25", lambda r: r.x < 49),
        ("price=14", lambda r: r.x == 56),
        ("day=2026-12-15", lambda r: r.x.between(50, 51)),
        (["day>2026-12-05", "n=5"], lambda r: (r.x >= 32) & (r.n == 5)),
    ],
    ids=lambda value: None if callable(value) else str(value),
)
def test_rows_are_chosen_by_columns_that_a_table_is_partitioned_by_functions_of(
    functions, where, holds
):
    everything = functions.scan().to_pandas()
    expected = sorted(everything.x[holds(everything)])
    assert 0 < len(expected) < 60
    dataset = open_dataset(folder(functions), columns=["x"], where=where)
    assert numbers(dataset) == expected
    assert len(dataset) == len(expected)
    assert len(dataset.table.files) < len(files(functions))


@pytest.mark.slow
def test_columns_behind_functions_are_called_as_in_their_version(catalog):
    functions = by_functions(catalog)
    before = functions.current_snapshot().snapshot_id
    with functions.update_schema() as update:
        update.update_column("n", LongType())
        update.rename_column("n", "number")
    path = next(iter(files(functions)))
    remove_rows(functions, {path: [0, 1]})
    left = functions.scan().to_pandas()
    left = sorted(left.x[left.number == 7])
    assert numbers(open_dataset(folder(functions), columns=["x"], where="number=7")) == left
    then = open_dataset(folder(functions), columns=["x"], where="n=7", version=before)
    assert numbers(then) == [7, 20, 33, 46, 59]
    with pytest.raises(errors.ConfigurationError, match="not partitioned by n,"):
        open_dataset(folder(functions), where="n=7")


@pytest.mark.parametrize(
    ("where", "kind", "said"),
    [
        ("time>=yesterday", errors.ConfigurationError, r"time>=yesterday can't .* timestamp"),
        ("n>=2.5", errors.ConfigurationError, "n>=2.5 can't be applied: the column n is of .*int"),
        ("day>soon", errors.ConfigurationError, "day>soon can't be applied"),
        ("n=99", errors.MissingInputError, "has no rows at version .* with n=99"),
        ("x>3", errors.ConfigurationError, "not partitioned by x.*time_day, .*kind"),
    ],
)
def test_conditions_that_no_column_behind_a_function_can_meet_are_told(
    functions, where, kind, said
):
    with pytest.raises(kind, match=f"(?s){said}"):
        open_dataset(folder(functions), columns=["x"], where=where)


def test_columns_of_partitions_are_no_features_by_default(catalog):
    days = [date(2026, 11, 20), None]
    rows = pa.table({"x": [1.0, 2.0], "n": [5, 6], "day": days})
    table = catalog.create_table("db.rows", rows.schema)
    with table.update_spec() as update:
        update.add_identity("n")
        update.add_identity("day")
    table.append(rows)
    dataset = open_dataset(folder(table))
    assert dataset.columns == ("x",)
    assert [row["day"] for row in kept(dataset.select(keep=["day"]))] == days
    assert_array_equal(rows_of(dataset.select(columns=["n", "x"])), [[5, 1], [6, 2]])


def test_files_of_an_older_partitioning_are_named(catalog):
    rows = pa.table({"x": [1.0], "day": [date(2026, 11, 20)]})
    table = catalog.create_table("db.rows", rows.schema)
    table.append(rows)
    with table.update_spec() as update:
        update.add_identity("day")
    table.append(rows)
    assert numbers(open_dataset(folder(table), columns=["x"])) == [1, 1]
    with pytest.raises(errors.DataError, match="was not partitioned by day"):
        open_dataset(folder(table), columns=["x"], where="day=2026-11-20")


def test_files_without_identifiers_go_by_the_tables_names_for_them(catalog, tmp_path):
    path = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"x": [1.0]}), path)
    table = catalog.create_table("db.rows", pa.schema({"x": pa.float64()}))
    table.add_files([str(path)])
    with table.update_schema() as update:
        update.rename_column("x", "renamed")
    dataset = open_dataset(folder(table))
    assert dataset.columns == ("renamed",)
    assert numbers(dataset) == [1]


def test_a_table_is_fitted_like_its_rows(catalog):
    X = np.random.default_rng(0).normal(size=(200, 2))
    rows = pa.table({"a": X[:, 0], "b": X[:, 1]})
    table = catalog.create_table("db.rows", rows.schema)
    table.append(rows)
    found = GaussianMixture(1).fit(open_dataset(folder(table)))
    np.testing.assert_allclose(found.means_, X.mean(axis=0, keepdims=True), atol=1e-12)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"version": 9}, errors.MissingInputError, "has no version 9.*main"),
        ({"version": "start"}, errors.MissingInputError, "has no version start"),
        ({"where": "x=1"}, errors.ConfigurationError, "not partitioned by x"),
        ({"format": "parquet"}, errors.DataError, "is a table of Iceberg"),
        ({"format": "delta"}, errors.DataError, "is a table of Iceberg"),
    ],
)
def test_what_can_not_be_read_is_said(table, options, kind, said):
    with pytest.raises(kind, match=said):
        open_dataset(folder(table), **options)


def test_a_name_that_no_catalog_knows_is_said(table, catalogue):
    for name in ("default.db.other", "default.rows"):
        with pytest.raises(errors.MissingInputError, match="nor a table of this name"):
            open_dataset(name, format="iceberg", storage_options=catalogue[1])
    with pytest.raises(errors.ConfigurationError, match="The catalog 'nowhere'"):
        open_dataset("nowhere.db.rows", format="iceberg")


def test_two_newest_metadata_files_need_a_choice(table):
    newest = Path(table.metadata_location.removeprefix("file://"))
    other = newest.with_name(f"{newest.name.partition('-')[0]}-other.metadata.json")
    other.write_bytes(newest.read_bytes())
    with pytest.raises(errors.DataError, match="several metadata files of the number 3"):
        open_dataset(folder(table))
    assert len(numbers(open_dataset(newest))) == 8
    newest.with_name("version-hint.text").write_text(other.name)
    assert len(numbers(open_dataset(folder(table)))) == 8


def test_what_a_dropped_table_left_is_not_taken_for_its_successor(table, catalog):
    catalog.drop_table("db.rows")
    rows = pa.table({"x": [7.0]})
    catalog.create_table("db.rows", rows.schema).append(rows)
    with pytest.raises(errors.DataError, match="several metadata files of two tables"):
        open_dataset(folder(table))


def test_a_table_without_rows_and_a_damaged_one_are_said(catalog):
    table = catalog.create_table("db.rows", pa.schema({"x": pa.float64()}))
    with pytest.raises(errors.MissingInputError, match="has no rows yet"):
        open_dataset(folder(table))
    Path(table.metadata_location.removeprefix("file://")).write_text("{}")
    with pytest.raises(errors.DataError, match=r"The Iceberg table .* can't be read"):
        open_dataset(folder(table))


def manifests(table):
    """The manifest list of the current snapshot, and its manifests."""
    snapshot = table.current_snapshot()
    found = [snapshot.manifest_list, *(each.manifest_path for each in snapshot.manifests(table.io))]
    return [Path(each.removeprefix("file://")) for each in found]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_damaged_manifest_is_refused_before_rows_are_lost(table, which):
    path = manifests(table)[which]
    content = path.read_bytes()
    end = content.rindex(content[-16:], 0, -16) + 16  # of the header, which ends with the mark
    for damaged in (
        content[:end],  # which names no files
        content[:-1],
        content[:end] + b"\x00" + content[end + 1 :],  # a block of no records
        content[:end] + b"\x04" + content[end + 1 :],  # of one more
        content[:end] + b"\x02\xfe\xff\xff\x0f" + content[end + 1 :],  # of a huge length
        b"",
    ):
        path.write_bytes(damaged)
        if which == 0 and damaged == content[:end]:  # as of a table whose rows were all deleted
            continue
        with pytest.raises(errors.DataError, match=r"manifest .*avro is damaged"):
            open_dataset(folder(table))


@pytest.mark.slow
def test_flipped_bits_of_manifests_do_not_end_the_process(table):
    draw = np.random.default_rng(0)
    for path in manifests(table):
        content = path.read_bytes()
        for place in draw.integers(0, len(content), 20):
            changed = bytearray(content)
            changed[place] ^= 1 << int(place) % 8
            path.write_bytes(changed)
            try:
                found = rows_of(open_dataset(folder(table)))
            except (errors.DataError, errors.MissingInputError):
                continue
            assert len(found) <= 9
        path.write_bytes(content)


def test_a_missing_package_is_named_with_its_extra(table, monkeypatch):
    monkeypatch.setattr(errors, "find_spec", lambda _name: None)
    with pytest.raises(errors.ConfigurationError, match=r"pyiceberg.*daskgmm\[iceberg\]"):
        open_dataset(folder(table))


@pytest.mark.slow
def test_a_table_in_a_store_is_read_with_the_stores_or_the_catalogs_options(s3, tmp_path):
    properties = {
        "s3.endpoint": s3.endpoint,
        "s3.access-key-id": s3.options["key"],
        "s3.secret-access-key": s3.options["secret"],
        "py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO",
    }
    catalog, options = catalog_at(tmp_path, f"{s3.url}/lake", **properties)
    rows = pa.table({"x": [1.0, 2.0]})
    table = catalog.create_table("db.rows", rows.schema)
    table.append(rows)
    by_place = open_dataset(table.location(), storage_options=s3.options)
    by_name = open_dataset("default.db.rows", format="iceberg", storage_options=options)
    for dataset in (by_place, by_name):
        assert numbers(dataset) == [1, 2]
        assert dataset.paths == (table.location(),)
    catalog.close()
