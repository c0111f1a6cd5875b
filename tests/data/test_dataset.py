"""`open_dataset`: which files a path stands for, and what a dataset tells about itself."""

import os
import pickle
from pathlib import Path
from unittest.mock import Mock
from zipfile import ZipFile

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from numpy.testing import assert_array_equal

from daskgmm import GaussianMixture, open_dataset
from daskgmm.data.files.lake_tables import READABLE
from daskgmm.data.storage import retry
from daskgmm.errors import (
    ClusterError,
    ConfigurationError,
    DataError,
    InputTypeError,
    MissingInputError,
)


def write(path, value, columns=("x",)):
    """Write one row, all of one value, in the format that the name tells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, np.full((1, len(columns)), float(value)))
    elif path.suffix == ".h5":
        write_hdf5(path, np.full((1, len(columns)), float(value)))
    elif path.suffix == ".csv":
        path.write_text(f"{','.join(columns)}\n{','.join([str(value)] * len(columns))}\n")
    else:
        pq.write_table(pa.table({name: [float(value)] for name in columns}), path)
    return path


def write_hdf5(path, values):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["x"] = values


def firsts(dataset):
    """Return the first feature of every row."""
    parts = dataset.source().parts
    return [float(x) for part in parts for block in part.read() for x in block.rows[0]]


@pytest.fixture
def memory():
    """Return an empty memory:// file system."""
    filesystem = MemoryFileSystem()
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


@pytest.fixture
def table(tmp_path):
    """Return a dataset of columns a, b, c and w."""
    return open_dataset(write(tmp_path / "t.parquet", 1, ("a", "b", "c", "w")))


def test_a_file_may_be_a_path_or_text(tmp_path):
    path = write(tmp_path / "a.parquet", 1)
    assert open_dataset(path).paths == open_dataset(str(path)).paths == (str(path),)


def test_a_directory_is_searched_to_any_depth_in_the_order_of_paths(tmp_path):
    for value, name in enumerate(["a/z.parquet", "b.parquet", "c/d/e.pq"]):
        write(tmp_path / name, value)
    assert firsts(open_dataset(tmp_path)) == [0, 1, 2]


def test_a_directory_gives_neither_hidden_nor_other_files(tmp_path):
    write(tmp_path / "a.parquet", 1)
    for name in ["_metadata", "_SUCCESS", ".a.parquet.crc", "README.txt"]:
        (tmp_path / name).touch()
    write(tmp_path / "_temporary" / "b.parquet", 2)
    write(tmp_path / ".cache" / "c.parquet", 3)
    assert firsts(open_dataset(tmp_path)) == [1]


def test_hidden_names_above_the_directory_do_not_matter(tmp_path):
    write(tmp_path / ".cache" / "_data" / "a.parquet", 1)
    assert firsts(open_dataset(tmp_path / ".cache" / "_data")) == [1]
    assert firsts(open_dataset(tmp_path / ".cache" / "_data" / "*.parquet")) == [1]


def test_a_hidden_file_is_read_when_it_is_named(tmp_path):
    assert firsts(open_dataset(write(tmp_path / "_a.parquet", 1))) == [1]
    assert firsts(open_dataset(tmp_path / "_*.parquet")) == [1]


@pytest.mark.parametrize(
    ("pattern", "values"),
    [("*.parquet", [1, 2]), ("**/*.parquet", [1, 2, 3]), ("d*", [3]), ("[ab].parquet", [1, 2])],
)
def test_a_pattern_gives_its_matches(tmp_path, pattern, values):
    write(tmp_path / "a.parquet", 1)
    write(tmp_path / "b.parquet", 2)
    write(tmp_path / "dir" / "c.parquet", 3)
    write(tmp_path / "_temporary" / "d.parquet", 4)
    assert firsts(open_dataset(tmp_path / pattern)) == values


def test_a_name_with_a_patterns_characters_is_a_name_first(tmp_path):
    path = write(tmp_path / "a[1].parquet", 1)
    write(tmp_path / "a1.parquet", 2)
    assert firsts(open_dataset(path)) == [1]


def test_a_list_keeps_its_order_and_each_file_is_taken_once(tmp_path):
    a, b = write(tmp_path / "a.parquet", 1), write(tmp_path / "b.parquet", 2)
    write(tmp_path / "c.parquet", 3)
    assert firsts(open_dataset([b, a, str(tmp_path / "*.parquet")])) == [2, 1, 3]


@pytest.mark.parametrize("ending", ["parquet", "csv", "npy", "h5"])
def test_files_of_a_folder_or_pattern_come_in_natural_order(tmp_path, ending):
    for number in range(12):
        write(tmp_path / f"part.{number}.{ending}", number)
    wanted = list(range(12))
    assert firsts(open_dataset(tmp_path)) == wanted
    assert firsts(open_dataset(tmp_path / f"part.*.{ending}")) == wanted


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of pandas, told to Dask
def test_the_order_is_that_of_dask(tmp_path):
    dd = pytest.importorskip("dask.dataframe")
    for number in range(12):
        for day in (9, 10):
            write(tmp_path / f"day={day}" / f"part.{number}.parquet", 100 * day + number)
    theirs = dd.read_parquet(tmp_path, index=False)["x"].compute().tolist()
    assert firsts(open_dataset(tmp_path)) == theirs
    assert firsts(open_dataset(tmp_path, where="day>=9")) == theirs


def test_stores_in_a_folder_come_in_natural_order(tmp_path):
    zarr = pytest.importorskip("zarr")
    for number in range(12):
        rows = np.full((1, 1), float(number))
        zarr.create_array(str(tmp_path / f"part.{number}.zarr"), data=rows)
    assert firsts(open_dataset(tmp_path)) == list(range(12))


def test_objects_come_in_natural_order(memory):
    for number in range(12):
        memory.pipe(f"/data/part.{number}.csv", f"x\n{number}\n".encode())
    assert firsts(open_dataset("memory://data")) == list(range(12))


def test_digits_that_are_no_decimals_do_no_harm_in_a_name(tmp_path):
    write(tmp_path / "a²" / "1²3.csv", 1)
    write(tmp_path / "²" / "².csv", 2)
    assert sorted(firsts(open_dataset(tmp_path))) == [1, 2]


def test_a_url_is_read_through_fsspec(memory):
    memory.pipe("/data/a.csv", b"x\n1\n")
    memory.pipe("/data/b.csv", b"x\n2\n")
    dataset = open_dataset("memory://data/*.csv")
    assert dataset.paths == ("memory:///data/a.csv", "memory:///data/b.csv")
    assert firsts(dataset) == firsts(open_dataset("memory://data")) == [1, 2]


def test_parquet_is_read_through_fsspec(memory):
    with memory.open("/a.parquet", "wb") as stream:
        pq.write_table(pa.table({"x": [1.0, 2.0, 3.0]}), stream, row_group_size=2)
    assert firsts(open_dataset("memory://a.parquet")) == [1, 2, 3]


def test_readers_of_one_file_in_memory_do_not_move_each_other(memory):
    memory.pipe("/a.csv", b"x\n1\n2\n")
    (part,) = open_dataset("memory://a.csv", block_rows=1).source().parts
    both = zip(part.read(), part.read(), strict=True)
    assert [(a.rows.item(), b.rows.item()) for a, b in both] == [(1, 1), (2, 2)]


def test_a_format_may_be_forced(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("x\n1\n")
    assert firsts(open_dataset(path, format="csv")) == [1]
    assert firsts(open_dataset(tmp_path, format="csv")) == [1]


def test_a_forced_format_chooses_its_files_in_a_mixed_directory(tmp_path):
    write(tmp_path / "a.parquet", 1)
    write(tmp_path / "b.csv", 2)
    assert firsts(open_dataset(tmp_path, format="csv")) == [2]
    with pytest.raises(ConfigurationError, match=r"a\.parquet.*b\.csv.*format="):
        open_dataset(tmp_path)


def test_an_unknown_format_is_told_the_known_ones(tmp_path):
    with pytest.raises(ConfigurationError, match=r"'avro'.*parquet, csv"):
        open_dataset(tmp_path, format="avro")


def test_an_unknown_ending_is_told_the_known_formats(tmp_path):
    (tmp_path / "a.xlsx").touch()
    with pytest.raises(ConfigurationError, match=r"a\.xlsx .*\.parquet.*format="):
        open_dataset(tmp_path / "a.xlsx")


@pytest.mark.parametrize("name", ["none.parquet", "none/", "none/*.parquet", "*.parquet"])
def test_what_is_not_there_is_named(tmp_path, name):
    with pytest.raises(MissingInputError, match=name.strip("/").replace("*", r"\*")):
        open_dataset(f"{tmp_path}/{name}")


def test_a_directory_without_data_says_what_was_looked_for(tmp_path):
    (tmp_path / "README.txt").touch()
    with pytest.raises(MissingInputError, match=rf"{tmp_path} holds no file .*\.parquet.*\.csv"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("raised", "expected", "said"),
    [
        (PermissionError(13, "Permission denied"), MissingInputError, "permission denied"),
        (OSError(5, "Input/output error"), MissingInputError, "Input/output error"),
        (ConnectionResetError("gone"), ClusterError, "gone.*run it again"),
        (TimeoutError("slow"), ClusterError, "slow.*run it again"),
    ],
)
@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_a_store_that_fails_is_explained(monkeypatch, tmp_path, name, raised, expected, said):
    path = write(tmp_path / name, 1)

    def fail(*args, **kwargs):
        raise raised

    monkeypatch.setattr(retry, "PAUSES", ())
    monkeypatch.setattr(LocalFileSystem, "open", fail)
    with pytest.raises(expected, match=f"{name}.*{said}"):
        open_dataset(path)


def test_a_store_that_fails_in_its_own_way_is_explained(monkeypatch, memory):
    class NoCredentialsError(Exception):
        pass

    def fail(*args, **kwargs):
        raise NoCredentialsError("Unable to locate credentials")

    monkeypatch.setattr(MemoryFileSystem, "info", fail)
    with pytest.raises(MissingInputError, match=r"NoCredentialsError.*storage options"):
        open_dataset("memory://a.csv")


def test_running_out_of_memory_is_no_fault_of_the_file(monkeypatch, tmp_path):
    path = write(tmp_path / "a.parquet", 1)

    def fail(*args, **kwargs):
        raise pa.ArrowMemoryError("malloc failed")

    monkeypatch.setattr(LocalFileSystem, "open", fail)
    with pytest.raises(MemoryError):
        open_dataset(path)


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ConfigurationError, match="carrier"):
        open_dataset("carrier://pigeon/a.csv")


def test_a_missing_package_is_named(monkeypatch):
    def fail(*args, **kwargs):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "filesystem", fail)
    monkeypatch.setattr(fsspec.core, "get_filesystem_class", fail)
    with pytest.raises(ConfigurationError, match="Install s3fs"):
        open_dataset("s3://bucket/a.parquet")


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_storage_options_are_never_shown(tmp_path, name):
    path = write(tmp_path / name, 1)
    secret = {"password": "hunter2"}
    dataset = open_dataset(f"file://{path}", storage_options=secret)
    shown = [dataset, dataset.table, dataset.files, dataset.source(), dataset.source().parts]
    assert not any("hunter2" in repr(thing) for thing in shown)
    path.unlink()
    for call, error in (
        (lambda: list(dataset.source().parts[0].read()), DataError),
        (lambda: open_dataset(f"file://{path}", storage_options=secret), MissingInputError),
    ):
        with pytest.raises(error) as caught:
            call()
        assert "hunter2" not in str(caught.value)


def test_a_signed_url_is_shown_without_its_signature():
    with pytest.raises(ConfigurationError) as caught:
        open_dataset("carrier://host/a.csv?signature=hunter2")
    assert "a.csv" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("paths", [[], ()])
def test_no_path_at_all_is_refused(paths):
    with pytest.raises(ConfigurationError, match="list of paths is empty"):
        open_dataset(paths)


@pytest.mark.parametrize("block_rows", [0, -1, 1.5])
def test_block_rows_are_a_whole_number_above_zero(tmp_path, block_rows):
    with pytest.raises(ConfigurationError, match=f"block_rows={block_rows}"):
        open_dataset(write(tmp_path / "a.parquet", 1), block_rows=block_rows)


def test_features_come_in_the_order_asked_for(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [1.0], "b": [2.0], "c": [3.0]}), path)
    dataset = open_dataset(path, columns=["c", "a"])
    assert dataset.columns == dataset.source().columns == ("c", "a")
    assert dataset.n_features == 2
    (block,) = dataset.source(["b", "c", "a"]).parts[0].read()
    assert_array_equal(block.rows, [[2], [3], [1]])
    assert dataset.columns == ("c", "a")


def test_by_default_features_are_all_columns_but_weights_and_kept_ones(table):
    assert table.columns == ("a", "b", "c", "w")
    weighted = table.select(sample_weight="w")
    assert weighted.columns == ("a", "b", "c")
    assert weighted.weight_column == "w"
    assert weighted.select(keep=["b"]).columns == ("a", "c")
    assert table.weight_column is None


def test_select_leaves_other_choices_as_they_are(table):
    chosen = table.select(columns=["b"], keep=["a", "b"], sample_weight="w")
    again = chosen.select(columns=["c"])
    (block,) = again.source().parts[0].read()
    assert again.columns == ("c",)
    assert block.kept.column_names == ["a", "b"]
    assert_array_equal(block.weights, [1])
    assert table.columns == ("a", "b", "c", "w")


def test_nothing_is_kept_unless_asked_for(table):
    (block,) = table.source().parts[0].read()
    assert block.kept is None
    assert block.weights is None


@pytest.mark.parametrize(
    ("columns", "said"),
    [([], "empty"), (["a", "a"], "'a' twice"), ("ab", r"\['ab'\]"), ([1], "holds 1")],
)
def test_wrong_columns_are_refused(table, columns, said):
    with pytest.raises(ConfigurationError, match=said):
        table.select(columns=columns)
    with pytest.raises(ConfigurationError, match=said):
        open_dataset(table.paths, columns=columns)


@pytest.mark.parametrize("option", ["columns", "keep"])
def test_unknown_columns_are_named(table, option):
    with pytest.raises(DataError, match="'z'"):
        table.select(**{option: ["z"]})


def test_an_unknown_weight_column_is_named(table):
    with pytest.raises(DataError, match="'weight'"):
        table.select(sample_weight="weight")


def test_files_are_recorded_with_what_tells_versions_apart(tmp_path):
    path = write(tmp_path / "a.parquet", 1)
    (record,) = open_dataset(path).files
    assert (record.path, record.bytes, record.rows) == (str(path), path.stat().st_size, 1)
    assert record.modified.startswith("20")
    assert record.etag is None


def test_rows_of_csv_files_are_unknown(tmp_path):
    (record,) = open_dataset(write(tmp_path / "a.csv", 1)).files
    assert record.rows is None


def test_a_stores_own_marks_of_a_version_are_recorded(monkeypatch, memory):
    memory.pipe("/a.csv", b"x\n1\n")
    info = {"name": "/a.csv", "size": 4, "type": "file", "ETag": '"abc"', "updated": "today"}
    monkeypatch.setattr(MemoryFileSystem, "info", Mock(return_value=info))
    (record,) = open_dataset("memory://a.csv").files
    assert (record.etag, record.modified) == ('"abc"', "today")


def test_a_dataset_describes_itself_shortly(tmp_path):
    names = [f"x{i}" for i in range(8)]
    write(tmp_path / "a.parquet", 1, [*names, "w"])
    write(tmp_path / "b.parquet", 1, [*names, "w"])
    dataset = open_dataset(tmp_path, sample_weight="w")
    shown = "Dataset(2 parquet files, 2 rows, 8 features: x0, x1, x2, x3, x4, x5, …, weights in w)"
    assert repr(dataset) == shown
    csv = open_dataset(write(tmp_path / "c.csv", 1))
    assert repr(csv) == "Dataset(1 csv file, 1 features: x)"


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_a_dataset_is_pickled_without_rows(tmp_path, name):
    dataset = open_dataset(write(tmp_path / name, 1)).select(keep=["x"], columns=["x"])
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 4000
    copy = pickle.loads(pickled)  # noqa: S301
    assert repr(copy) == repr(dataset)
    assert firsts(copy) == [1]


def test_opening_reads_no_rows(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", 1)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", None)
    assert open_dataset(path).files[0].rows == 1


def test_relative_paths_are_made_absolute(tmp_path, monkeypatch):
    write(tmp_path / "a.parquet", 1)
    monkeypatch.chdir(tmp_path)
    dataset = open_dataset("a.parquet")
    assert Path(dataset.paths[0]).is_absolute()
    monkeypatch.chdir(tmp_path.parent)
    assert firsts(dataset) == [1]


def test_errors_about_types_are_data_errors_and_type_errors(tmp_path):
    pq.write_table(pa.table({"x": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(TypeError) as caught:
        open_dataset(tmp_path)
    assert isinstance(caught.value, DataError)
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), InputTypeError)  # noqa: S301


def replaced(path, value):
    """Put another version of a file in its place, a minute younger."""
    write(path, value)
    moment = path.stat().st_mtime + 60
    os.utime(path, (moment, moment))


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.npy", "a.h5"])
@pytest.mark.parametrize("linked", [False, True])
def test_a_file_that_changed_since_it_was_opened_is_noticed(tmp_path, name, linked):
    path = target = write(tmp_path / name, 1)
    if linked:
        path = tmp_path / "links" / name
        path.parent.mkdir()
        path.symlink_to(target)
    dataset = open_dataset(path.parent if linked else path)
    assert firsts(dataset) == [1]
    replaced(target, 2)
    with pytest.raises(DataError, match=f"{name} changed while it was read.*Run it again once"):
        firsts(dataset)
    target.unlink()
    with pytest.raises(DataError, match=f"{name} is gone"):
        firsts(dataset)


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.npy", "a.h5"])
def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path, name):
    path = tmp_path / name
    write_many(path)
    (part,) = open_dataset(path, block_rows=1).source().parts
    reading = part.read()
    next(reading)
    moment = path.stat().st_mtime + 60
    os.utime(path, (moment, moment))
    with pytest.raises(DataError, match="changed while it was read"):
        list(reading)


def write_many(path):
    frame = pd.DataFrame({"x": np.arange(10.0)})
    match path.suffix:
        case ".parquet":
            frame.to_parquet(path)
        case ".csv":
            frame.to_csv(path, index=False)
        case ".npy":
            np.save(path, frame.to_numpy())
        case _:
            write_hdf5(path, frame.to_numpy())


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_a_file_in_memory_that_changed_is_noticed(memory, tmp_path, name):
    for value in (1, 2):
        memory.pipe(f"/{name}", write(tmp_path / name, value).read_bytes())
        if value == 1:
            dataset = open_dataset(f"memory://{name}")
    with pytest.raises(DataError, match="changed while it was read"):
        firsts(dataset)


@pytest.mark.filterwarnings("ignore")
def test_a_file_that_changes_between_passes_ends_the_fit(tmp_path):
    write_many(tmp_path / "a.parquet")
    write_many(tmp_path / "b.parquet")
    dataset = open_dataset(tmp_path)
    model = GaussianMixture(
        2, cache="none", tol=0, subsample=None, init_params="random", random_state=0,
        callbacks=[lambda _state: write_many(tmp_path / "b.parquet")],
    )  # fmt: skip
    with pytest.raises(DataError, match=r"b\.parquet changed while it was read"):
        model.fit(dataset)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_text_in_one_file_of_many_is_named(tmp_path, suffix):
    for number in range(50):
        write(tmp_path / f"{number:02}.{suffix}", number, ("x", "y"))
    bad = tmp_path / f"37.{suffix}"
    pd.DataFrame({"x": [1.0], "y": ["unknown"]}).assign(x=1.0).pipe(
        lambda frame: frame.to_csv(bad, index=False) if suffix == "csv" else frame.to_parquet(bad)
    )
    with pytest.raises(DataError) as caught:
        firsts(open_dataset(tmp_path))
    assert f"37.{suffix}" in str(caught.value)
    assert "'y'" in str(caught.value)
    assert suffix == "parquet" or "row 0 (line 2)" in str(caught.value)


def test_numbers_may_be_numpys(tmp_path):
    np.save(tmp_path / "rows.npy", np.arange(12.0).reshape(4, 3))
    found = open_dataset(
        tmp_path / "rows.npy",
        columns=np.array([2, 0]),
        sample_weight=np.int64(1),
        block_rows=np.int64(2),
    )
    assert (found.columns, found.weight_column, found.block_rows) == (("2", "0"), "1", 2)


LOGS = {
    "Delta": "_delta_log/00000000000000000000.json",
    "Iceberg": "metadata/v1.metadata.json",
    "Hudi": ".hoodie/hoodie.properties",
    "Lance": "_versions/1.manifest",
}


@pytest.mark.parametrize("kind", LOGS)
@pytest.mark.parametrize(
    "path",
    ["table", "", "table/*.parquet", "table/data", "table/day=1", "table/*/*.parquet", "table/d*"],
)
@pytest.mark.parametrize("local", [True, False])
def test_a_table_is_not_read_with_the_rows_that_it_removed(tmp_path, memory, kind, path, local):
    for name in ("a.parquet", "data/b.parquet", "day=1/c.parquet"):
        write(tmp_path / "lake" / "table" / name, 1)
    log = tmp_path / "lake" / "table" / LOGS[kind]
    log.parent.mkdir()
    log.write_text("{}")
    base = str(tmp_path / "lake")
    if not local:
        memory.put(base, "/lake", recursive=True)
        base = "memory://lake"
    read = kind in READABLE
    if read and path == "table":
        path = "table/"
        said = "can't be read"
    else:
        remedy = "Give the table itself" if read else "plain Parquet"
        said = rf"table is a table of {kind}, .* {remedy}"
    with pytest.raises(DataError, match=said):
        open_dataset(f"{base}/{path}")


def test_a_table_is_known_where_partitions_are_chosen(tmp_path):
    write(tmp_path / "day=1" / "a.parquet", 1)
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "_delta_log" / "0.json").write_text("{}")
    with pytest.raises(DataError, match="is a table of Delta"):
        open_dataset(tmp_path, where="day=1", format="parquet")


def test_files_that_a_tables_log_lists_are_read_by_name(tmp_path):
    path = write(tmp_path / "a.parquet", 1)
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "_delta_log" / "0.json").write_text("{}")
    assert firsts(open_dataset([path])) == firsts(open_dataset(path)) == [1]


def test_a_folder_that_only_is_called_as_those_of_tables_does_no_harm(tmp_path):
    write(tmp_path / "a.parquet", 1)
    write(tmp_path / "metadata" / "b.parquet", 2)
    (tmp_path / "metadata" / "about.json").write_text("{}")
    assert firsts(open_dataset(tmp_path)) == [1, 2]


def test_what_writers_leave_beside_the_data_is_no_data(tmp_path, caplog):
    write(tmp_path / "a.parquet", 1)
    for name in ("_SUCCESS", "_metadata", "_common_metadata", ".a.parquet.crc", "_b.parquet"):
        (tmp_path / name).write_bytes(b"x")
    assert firsts(open_dataset(tmp_path)) == [1]
    assert not caplog.records
    write(tmp_path / "_temporary" / "0" / "b.parquet", 2)
    assert firsts(open_dataset(tmp_path)) == [1]
    assert "its writer is at work or was killed" in caplog.text


@pytest.mark.parametrize("name", ["x::y.csv", "file::y.csv", "a::b::c.csv", "s3::y.csv"])
def test_a_name_may_hold_the_sign_of_a_chain(tmp_path, monkeypatch, name):
    write(tmp_path / name, 1)
    monkeypatch.chdir(tmp_path)
    paths = [name, tmp_path / name, f"*{name[-6:]}", f"file://{tmp_path}/{name}"]
    for path in paths:
        assert firsts(open_dataset(path)) == [1]


@pytest.mark.slow
def test_a_key_may_hold_the_sign_of_a_chain(s3):
    s3.filesystem.pipe(f"{s3.url}/x::y.csv", b"x\n1\n")
    for path in (f"{s3.url}/x::y.csv", s3.url):
        assert firsts(open_dataset(path, storage_options=s3.options)) == [1]


def test_a_chain_of_urls_is_followed(tmp_path):
    write(tmp_path / "a.csv", 1)
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.csv", "a.csv")
    assert firsts(open_dataset(f"zip://a.csv::file://{tmp_path}/a.zip")) == [1]
    assert firsts(open_dataset(f"zip://a.csv::{tmp_path}/a.zip")) == [1]


def test_an_archive_that_is_missing_or_damaged_is_said(tmp_path):
    (tmp_path / "no.zip").write_bytes(b"x\n1\n")
    for chain in ("zip://a.csv::", "tar://a.csv::", "zip::"):
        with pytest.raises(MissingInputError, match=r"none\.zip does not exist"):
            open_dataset(f"{chain}{tmp_path}/none.zip")
        with pytest.raises(DataError, match=r"no\.zip is damaged"):
            open_dataset(f"{chain}{tmp_path}/no.zip")


@pytest.mark.parametrize(
    "name", [b"caf\xe9.csv", b"caf\xe9.parquet", b"\xff/a.csv", b"caf\xe9.zarr"]
)
def test_a_name_that_is_no_text_is_told_of(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".zarr":
        zarr = pytest.importorskip("zarr")
        zarr.create_array(str(tmp_path / "b.zarr"), data=np.ones((2, 2)))
        (tmp_path / "b.zarr").rename(path)
    else:
        write(tmp_path / f"b{path.suffix}", 1).rename(path)
    for asked in (path, tmp_path):
        with pytest.raises(DataError, match=r"The name of .*\\x(e9|ff).* is not UTF-8"):
            open_dataset(asked)


def test_a_name_that_is_no_text_beside_the_data_does_no_harm(tmp_path):
    write(tmp_path / "a.csv", 1)
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    assert firsts(open_dataset(tmp_path)) == [1]
