"""Rows of Zarr stores."""

import json
import os
import shutil
import tempfile
from base64 import b64encode
from pathlib import Path
from struct import pack

import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daskgmm import open_dataset
from daskgmm.data.formats import array_table
from daskgmm.errors import ConfigurationError, DataError, InputTypeError, MissingInputError
from tests.support.blocks import all_rows

zarr = pytest.importorskip("zarr")

X = np.arange(300.0).reshape(100, 3)


def store(path, array=X, chunks=(30, 2), **options):
    written = zarr.create_array(
        str(path), shape=array.shape, dtype=array.dtype, chunks=chunks, overwrite=True, **options
    )
    written[:] = array
    return path


@pytest.mark.slow
@settings(max_examples=15)
@given(
    rows=st.integers(1, 60),
    chunks=st.tuples(st.integers(1, 70), st.integers(1, 4)),
    block_rows=st.integers(1, 70),
    part_bytes=st.integers(1, 3000),
    version=st.sampled_from([2, 3]),
    columns=st.sampled_from([None, ["2"], ["1", "2"], ["2", "0"]]),
)
def test_any_chunks_give_the_same_rows(rows, chunks, block_rows, part_bytes, version, columns):
    array = np.arange(3.0 * rows).reshape(rows, 3)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_table, "_PART_BYTES", part_bytes)
        path = store(Path(folder) / "a.zarr", array, chunks, zarr_format=version)
        source = open_dataset(path, block_rows=block_rows, columns=columns).source()
        found = all_rows(source)
    chosen = slice(None) if columns is None else [int(name) for name in columns]
    assert_array_equal(found, array[:, chosen])
    assert sum(source.lengths) == rows
    starts = np.cumsum(source.lengths)[:-1]
    assert not (starts % min(chunks[0], rows)).any()


def test_shards_are_read(tmp_path):
    path = store(tmp_path / "a.zarr", chunks=(10, 3), shards=(40, 3))
    assert_array_equal(all_rows(open_dataset(path).source()), X)


def test_each_chunk_is_decoded_once(tmp_path, monkeypatch):
    path = store(tmp_path / "a.zarr", chunks=(40, 2))
    asked = []
    get = zarr.storage.LocalStore.get

    async def counted(self, key, *arguments, **options):
        asked.append(key)
        return await get(self, key, *arguments, **options)

    monkeypatch.setattr(array_table, "_PART_BYTES", 1)
    source = open_dataset(path, block_rows=7).source()
    monkeypatch.setattr(zarr.storage.LocalStore, "get", counted)
    assert source.lengths == (40, 40, 20)
    assert_array_equal(all_rows(source), X)
    chunks = [key for key in asked if key.startswith("c/")]
    assert sorted(chunks) == sorted(set(chunks)) == [f"c/{i}/{j}" for i in range(3) for j in (0, 1)]


def test_a_group_gives_its_only_matrix_or_the_one_that_is_named(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("ids", shape=(5,), dtype="i8")
    inner = group.create_array("deep/x", shape=X.shape, dtype="f4", chunks=(30, 3))
    inner[:] = X
    only = open_dataset(tmp_path / "a.zarr")
    assert_array_equal(all_rows(only.source()), X)
    assert only.source().dtype == np.float32
    group.create_array("y", shape=(4, 2), dtype="f8")
    with pytest.raises(ConfigurationError, match=r"several arrays: deep/x, y.*a\.zarr/deep/x"):
        open_dataset(tmp_path / "a.zarr")
    named = open_dataset(tmp_path / "a.zarr" / "deep" / "x")
    assert named.paths == (f"{tmp_path}/a.zarr/deep/x",)
    assert_array_equal(all_rows(named.source()), X)
    assert open_dataset(f"{tmp_path}/*.zarr/y").files[0].rows == 4


def test_a_folder_of_stores_gives_them_in_order_and_looks_into_none(tmp_path):
    for number in (1, 0):
        store(tmp_path / "in" / f"{number}.zarr", X + number)
    dataset = open_dataset(tmp_path)
    assert dataset.paths == tuple(f"{tmp_path}/in/{number}.zarr" for number in (0, 1))
    assert_array_equal(all_rows(dataset.source()), np.concatenate([X, X + 1]))
    assert repr(dataset) == "Dataset(2 zarr files, 200 rows, 3 features)"


def test_a_store_may_have_any_name_where_the_format_is_given(tmp_path):
    store(tmp_path / "rows")
    assert_array_equal(all_rows(open_dataset(tmp_path / "rows", format="zarr").source()), X)


def test_a_store_in_a_store_is_read_through_fsspec(tmp_path):
    memory = MemoryFileSystem()
    store(tmp_path / "a.zarr")
    memory.put(str(tmp_path / "a.zarr"), "/zarr/a.zarr", recursive=True)
    dataset = open_dataset("memory://zarr/a.zarr")
    assert dataset.paths == ("memory:///zarr/a.zarr",)
    assert_array_equal(all_rows(dataset.source()), X)
    memory.store.clear()


def test_versions_of_a_store_are_told_apart(tmp_path):
    path = store(tmp_path / "a.zarr")
    first = open_dataset(path).files[0]
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert (first.bytes, first.rows) == (size, 100)
    assert open_dataset(path).files[0] == first
    later(store(tmp_path / "b.zarr", X + 1) / "c", path / "c")
    assert open_dataset(path).files[0].etag != first.etag


def later(source, target):
    """Put files in place of others, a minute after those."""
    shutil.rmtree(target)
    shutil.copytree(source, target, copy_function=shutil.copy)
    for path in [target, *target.rglob("*")]:
        moment = path.stat().st_mtime + 60
        os.utime(path, (moment, moment))


def test_a_folder_that_is_younger_than_its_files_is_no_change(tmp_path):
    path = store(tmp_path / "a.zarr")
    moment = path.stat().st_mtime + 60
    os.utime(path / "c" / "1", (moment, moment))
    assert_array_equal(all_rows(open_dataset(path).source()), X)


@pytest.mark.parametrize("change", ["replace", "remove"])
def test_chunks_that_change_between_passes_are_noticed(tmp_path, change):
    path = store(tmp_path / "a.zarr")
    source = open_dataset(path).source()
    assert_array_equal(all_rows(source), X)
    later(store(tmp_path / "b.zarr", X + 1) / "c" / "1", path / "c" / "1")
    if change == "remove":
        (path / "c" / "1" / "0").unlink()
    with pytest.raises(DataError, match=r"a\.zarr changed while it was read"):
        all_rows(source)


def test_chunks_that_were_never_written_are_the_fill_value(tmp_path):
    path = store(tmp_path / "a.zarr", np.zeros((100, 3)), fill_value=0.0)
    assert not (path / "c").exists()
    assert not all_rows(open_dataset(path).source()).any()


@pytest.mark.parametrize(
    ("array", "kind", "said"),
    [
        (np.arange(3.0), DataError, r"shape \(3,\).*reshape\(-1, 1\)"),
        (np.zeros((2, 2), complex), InputTypeError, "complex128"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(tmp_path, array, kind, said):
    with pytest.raises(kind, match=rf"a\.zarr.*{said}"):
        open_dataset(store(tmp_path / "a.zarr", array, array.shape))


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"a\.zarr does not exist"):
        open_dataset(tmp_path / "a.zarr")
    store(tmp_path / "a.zarr")
    with pytest.raises(DataError, match=r"a\.zarr holds no array 'b'"):
        open_dataset(tmp_path / "a.zarr" / "b")
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "a").touch()
    with pytest.raises(DataError, match=r"b\.zarr holds no array or group"):
        open_dataset(tmp_path / "b.zarr")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    store(tmp_path / "a.zarr")
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(ConfigurationError, match=r"daskgmm\[zarr\]"):
        open_dataset(tmp_path / "a.zarr")


def test_excluded_stores_are_not_listed(tmp_path, monkeypatch):
    for day in (1, 2):
        store(tmp_path / f"day={day}" / "a.zarr", X + day)
    listed = []
    find = LocalFileSystem.find

    def counted(self, path, *arguments, **options):
        listed.append(str(path))
        return find(self, path, *arguments, **options)

    monkeypatch.setattr(LocalFileSystem, "find", counted)
    dataset = open_dataset(tmp_path, where="day=2")
    assert_array_equal(all_rows(dataset.source()), X + 2)
    assert not any("day=1" in path for path in listed)


@pytest.mark.parametrize("version", [2, 3])
def test_attributes_say_what_stored_numbers_stand_for(tmp_path, version):
    stored = np.array([[-999, 10], [3, 4]], np.int16)
    array = zarr.create_array(str(tmp_path / "a.zarr"), data=stored, zarr_format=version)
    array.attrs.update({"_FillValue": -999, "scale_factor": 0.5, "add_offset": 1.0})
    found = all_rows(open_dataset(tmp_path / "a.zarr").source())
    assert_array_equal(found, [[np.nan, 6], [2.5, 3]])


def test_a_fill_value_as_xarray_writes_it_into_the_third_version_is_honoured(tmp_path):
    array = zarr.create_array(str(tmp_path / "a.zarr"), data=np.array([[-9.5, 1.0]]))
    array.attrs["_FillValue"] = b64encode(pack("<d", -9.5)).decode()
    assert_array_equal(all_rows(open_dataset(tmp_path / "a.zarr").source()), [[np.nan, 1]])


def test_a_fill_value_as_xarray_writes_it_into_the_second_version_is_honoured(tmp_path):
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), data=np.array([[-9, 1]]), zarr_format=2, fill_value=-9
    )
    assert_array_equal(all_rows(open_dataset(tmp_path / "a.zarr").source()), [[-9, 1]])
    array.attrs["_ARRAY_DIMENSIONS"] = ["x", "y"]
    assert_array_equal(all_rows(open_dataset(tmp_path / "a.zarr").source()), [[np.nan, 1]])


@pytest.mark.parametrize("version", [2, 3])
def test_chunks_that_nobody_wrote_are_told_of_or_refused(tmp_path, version, caplog):
    def opened(fill):
        path = tmp_path / f"{fill}.zarr"
        made = zarr.create_array(
            str(path), shape=(40, 2), chunks=(10, 2), dtype="f8", zarr_format=version,
            fill_value=fill,
        )  # fmt: skip
        made[:30] = 1
        return all_rows(open_dataset(path).source())[30:]

    assert_array_equal(opened(0.0), 0)
    assert "0.0.zarr: 1 of 4 chunks were never written: they are read as zeros" in caplog.text
    caplog.clear()
    assert_array_equal(opened(np.nan), np.nan)
    with pytest.raises(DataError, match=r"1 of 4 chunks .*would be read as -9\.0"):
        opened(-9.0)
    assert not caplog.records


def test_a_fill_value_that_is_left_open_is_no_number(tmp_path):
    path = tmp_path / "a.zarr"
    made = zarr.create_array(
        str(path), shape=(40, 2), chunks=(10, 2), dtype="f8", zarr_format=2
    )  # fmt: skip
    made[:30] = 1
    about = json.loads((path / ".zarray").read_text()) | {"fill_value": None}
    (path / ".zarray").write_text(json.dumps(about))
    with pytest.raises(DataError, match="their values are unknown"):
        open_dataset(path)
