"""Rows of HDF5 files."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import open_dataset
from daskgmm.data.formats import array_table
from daskgmm.data.storage import prefetch
from daskgmm.errors import ConfigurationError, DataError, InputTypeError, MissingInputError
from tests.support.blocks import all_rows

h5py = pytest.importorskip("h5py")

X = np.arange(300.0).reshape(100, 3)


def write(path, array=X, name="x", **options):
    with h5py.File(path, "a") as file:
        file.create_dataset(name, data=array, **options)
    return path


@settings(max_examples=20)
@given(
    rows=st.integers(0, 60),
    chunks=st.none() | st.tuples(st.integers(1, 60), st.integers(1, 3)),
    block_rows=st.integers(1, 70),
    part_bytes=st.integers(1, 3000),
    columns=st.sampled_from([None, ["2"], ["2", "0"]]),
    local=st.booleans(),
)
def test_any_chunks_give_the_same_rows(rows, chunks, block_rows, part_bytes, columns, local):
    array = np.arange(3.0 * rows).reshape(rows, 3)
    if chunks is not None:
        chunks = (min(chunks[0], max(rows, 1)), chunks[1])
    memory = MemoryFileSystem()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_table, "_PART_BYTES", part_bytes)
        patch.setattr(prefetch, "_PIECE_BYTES", 500)
        patch.setattr(prefetch, "_PIECES_KEPT", 1)
        more = {"maxshape": (None, 3), "compression": "gzip"} if chunks else {}
        path = write(Path(folder) / "a.h5", array, chunks=chunks, **more)
        if not local:
            memory.put(str(path), "/h5/a.h5")
            path = "memory://h5/a.h5"
        source = open_dataset(path, block_rows=block_rows, columns=columns).source()
        found = all_rows(source)
        memory.store.clear()
    chosen = slice(None) if columns is None else [int(name) for name in columns]
    assert_array_equal(found, array[:, chosen])
    assert sum(source.lengths) == rows


def test_a_file_gives_its_only_matrix_or_the_one_that_is_named(tmp_path):
    path = write(write(tmp_path / "a.hdf5", np.arange(3), "ids"), X.astype("f4"), "deep/x")
    only = open_dataset(path)
    assert_array_equal(all_rows(only.source()), X)
    assert only.source().dtype == np.float32
    write(path, X[:4], "y")
    with pytest.raises(ConfigurationError, match=r"several arrays: deep/x, y.*a\.hdf5/deep/x"):
        open_dataset(path)
    named = open_dataset(path / "deep" / "x")
    assert named.paths == (f"{path}/deep/x",)
    assert_array_equal(all_rows(named.source()), X)
    assert open_dataset(f"{tmp_path}/*.hdf5/y").files[0].rows == 4


def test_the_chosen_matrix_is_part_of_what_tells_inputs_apart(tmp_path):
    path = write(write(tmp_path / "a.h5", X, "x"), X, "y")
    assert open_dataset(path / "x").files != open_dataset(path / "y").files


def test_files_follow_each_other(tmp_path):
    write(tmp_path / "a.h5")
    write(tmp_path / "b.hdf5", X + 1, "other")
    assert_array_equal(all_rows(open_dataset(tmp_path).source()), np.concatenate([X, X + 1]))


def test_a_folder_whose_name_ends_like_a_file_is_a_folder(tmp_path):
    (tmp_path / "old.h5").mkdir()
    write(tmp_path / "old.h5" / "a.h5")
    assert open_dataset(tmp_path / "old.h5").paths == (f"{tmp_path}/old.h5/a.h5",)


@pytest.mark.parametrize("local", [True, False])
def test_threads_read_at_once(tmp_path, local, monkeypatch):
    monkeypatch.setattr(array_table, "_PART_BYTES", 1)
    path = write(tmp_path / "a.h5", chunks=(5, 2), compression="gzip")
    memory = MemoryFileSystem()
    memory.put(str(path), "/h5/a.h5")
    source = open_dataset(path if local else "memory://h5/a.h5", block_rows=5).source()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda part: next(part.read()).rows.copy(), source.parts))
    memory.store.clear()
    assert len(read) == 20
    assert_array_equal(np.concatenate(read, axis=1).T, X)


@pytest.mark.parametrize(
    ("array", "kind", "said"),
    [
        (np.arange(3.0), DataError, r"no two-dimensional array of numbers; it holds x \(3,\)"),
        (np.array([[b"a"]]), DataError, r"x \(1, 1\) of \|S1"),
    ],
)
def test_a_file_without_a_matrix_says_what_it_holds(tmp_path, array, kind, said):
    with pytest.raises(kind, match=said):
        open_dataset(write(tmp_path / "a.h5", array))


def test_a_named_dataset_that_is_no_matrix_of_numbers_is_refused(tmp_path):
    path = write(write(tmp_path / "a.h5", np.arange(3.0), "one"), np.array([[b"a"]]), "text")
    with pytest.raises(DataError, match=r"a\.h5/one has shape \(3,\)"):
        open_dataset(path / "one")
    with pytest.raises(InputTypeError, match=r"a\.h5/text is an array of \|S1"):
        open_dataset(path / "text")
    with pytest.raises(DataError, match=r"no dataset 'two'.*one, text"):
        open_dataset(path / "two")


def test_what_is_no_file_of_the_format_is_refused(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"a\.h5 is damaged or of another format"):
        open_dataset(tmp_path / "a.h5")
    path = write(tmp_path / "b.h5", np.zeros((10_000, 2)))
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(DataError, match=r"b\.h5 is damaged"):
        open_dataset(path)
    with pytest.raises(MissingInputError, match=r"c\.h5.* does not exist"):
        open_dataset(tmp_path / "c.h5" / "x")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5")
    monkeypatch.setattr("daskgmm.errors.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"daskgmm\[hdf5\]"):
        open_dataset(path)


def test_nothing_is_fetched_while_the_library_holds_its_lock(tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5", chunks=(5, 2), compression="gzip")
    memory = MemoryFileSystem()
    memory.put(str(path), "/h5/a.h5")
    held = []
    fetch = prefetch.PrefetchedFile._fetch

    def noted(self):
        held.append(not free(h5py._objects.phil))
        fetch(self)

    monkeypatch.setattr(prefetch.PrefetchedFile, "_fetch", noted)
    found = all_rows(open_dataset("memory://h5/a.h5").source())
    memory.store.clear()
    assert_array_equal(found, X)
    assert held
    assert not any(held)


def free(lock):
    """Whether another thread can take a lock."""

    def taken():
        got = lock.acquire(blocking=False)
        if got:
            lock.release()
        return got

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(taken).result()


def described(path, attributes, array=None, **options):
    """A file whose dataset has attributes."""
    write(path, X if array is None else array, **options)
    with h5py.File(path, "a") as file:
        file["x"].attrs.update(attributes)
    return path


STORED = np.array([[-999, 10], [3, -32767], [7, 40], [2000, 5]], np.int16)
NONE = np.nan


@pytest.mark.parametrize(
    ("attributes", "meant"),
    [
        ({"_FillValue": np.int16(-999)}, [[NONE, 10], [3, -32767], [7, 40], [2000, 5]]),
        (
            {"missing_value": np.array([-999.0, -32767])},
            [[NONE, 10], [3, NONE], [7, 40], [2000, 5]],
        ),
        ({"missing_value": "-999"}, [[NONE, 10], [3, -32767], [7, 40], [2000, 5]]),
        ({"missing_value": "none"}, STORED),
        ({"scale_factor": np.array([0.5])}, STORED * 0.5),
        ({"add_offset": 100.0}, STORED + 100.0),
        (
            {"_FillValue": np.int16(-999), "scale_factor": 0.1, "add_offset": 2.0},
            [[NONE, 3], [2.3, -3274.7], [2.7, 6], [202, 2.5]],
        ),
        ({"valid_range": np.int16([0, 1000])}, [[NONE, 10], [3, NONE], [7, 40], [NONE, 5]]),
        ({"valid_min": np.int16(0)}, [[NONE, 10], [3, NONE], [7, 40], [2000, 5]]),
        (
            {"valid_max": 100.5, "scale_factor": 0.1},
            [[-99.9, 1], [0.3, -3276.7], [0.7, 4], [NONE, 0.5]],
        ),
        (
            {"_Unsigned": "true", "_FillValue": np.int16(-999)},
            [[NONE, 10], [3, 32769], [7, 40], [2000, 5]],
        ),
        ({"units": "K", "scale_factor": 1.0}, STORED),
    ],
)
@pytest.mark.parametrize("local", [True, False])
def test_attributes_say_what_stored_numbers_stand_for(tmp_path, attributes, meant, local):
    path = described(tmp_path / "a.h5", attributes, STORED, chunks=(2, 2))
    if not local:
        memory = MemoryFileSystem()
        memory.put(str(path), "/packed/a.h5")
        path = "memory://packed/a.h5"
    found = all_rows(open_dataset(path).source())
    assert_allclose(found, np.array(meant, float), rtol=1e-15)


def test_floats_without_numbers_that_stand_for_none_stay_as_they_are(tmp_path):
    rows = X.astype(np.float32)
    source = open_dataset(described(tmp_path / "a.h5", {"_FillValue": 7.0}, rows)).source()
    assert source.dtype == np.float32
    found = all_rows(source)
    assert np.isnan(found[2, 1])
    assert_array_equal(np.nan_to_num(found, nan=7), rows)


@pytest.mark.parametrize(
    "attributes", [{"scale_factor": [1.0, 2.0, 3.0]}, {"add_offset": "x"}, {"valid_range": 1.0}]
)
def test_an_attribute_that_makes_no_sense_is_refused(tmp_path, attributes):
    path = described(tmp_path / "a.h5", attributes)
    with pytest.raises(DataError, match=rf"{next(iter(attributes))} of .*a\.h5 is "):
        open_dataset(path)


def test_the_number_that_stands_where_nobody_wrote_is_none(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (4, 2), "f8", fillvalue=-9.0)[:3] = 1
    found = all_rows(open_dataset(tmp_path / "a.h5").source())
    assert np.isnan(found[3]).all()
    assert_array_equal(found[:3], 1)


def test_chunks_that_nobody_wrote_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (100, 3), "f8", chunks=(10, 3))[:60] = 1
    with pytest.raises(DataError, match=r"a\.h5, dataset /x: 4 of 10 chunks .* rows 60 to 69"):
        open_dataset(tmp_path / "a.h5")


def test_an_array_that_nobody_wrote_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (100, 3), "f8")
    with pytest.raises(DataError, match=r"a\.h5, dataset /x: no number was ever written"):
        open_dataset(tmp_path / "a.h5")


def test_a_virtual_array_whose_files_are_missing_is_refused(tmp_path):
    write(tmp_path / "part.h5")
    layout = h5py.VirtualLayout((100, 3), "f8")
    layout[:] = h5py.VirtualSource("part.h5", "x", (100, 3))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
    assert_array_equal(all_rows(open_dataset(tmp_path / "a.h5").source()), X)
    (tmp_path / "part.h5").unlink()
    with pytest.raises(DataError, match=r"numbers are in part\.h5, which is missing"):
        open_dataset(tmp_path / "a.h5")
