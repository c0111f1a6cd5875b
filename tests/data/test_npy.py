"""Rows of ``.npy`` files."""

import subprocess
import sys
import tempfile
from mmap import mmap
from pathlib import Path

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daskgmm import GaussianMixture, open_dataset
from daskgmm.data.formats import array_table
from daskgmm.errors import ConfigurationError, DataError, InputTypeError
from tests.support.blocks import all_rows, copy

X = np.arange(60.0).reshape(20, 3)


def save(path, array):
    np.save(path, array)
    return path


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=3),
    block_rows=st.integers(1, 50),
    part_bytes=st.integers(1, 1000),
    order=st.sampled_from("CF"),
    dtype=st.sampled_from(["f8", "f4", "f2", ">f8", "<i4", "u1", "?"]),
    local=st.booleans(),
)
def test_any_cut_of_any_layout_gives_the_same_rows(
    sizes, block_rows, part_bytes, order, dtype, local
):
    rows = (np.arange(2.0 * sum(sizes)).reshape(-1, 2) % 100).astype(dtype)
    pieces = np.split(rows, np.cumsum(sizes)[:-1])
    store = MemoryFileSystem()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_table, "_PART_BYTES", part_bytes)
        for number, piece in enumerate(pieces):
            save(Path(folder) / f"{number}.npy", np.asarray(piece, order=order))
        store.put(f"{folder}/*.npy", "/npy/")
        place = folder if local else "memory://npy"
        dataset = open_dataset(place, block_rows=block_rows)
        source = dataset.source()
        read = [[copy(block) for block in part.read()] for part in source.parts]
        store.store.clear()
    blocks = [block for part in read for block in part]
    assert all(0 < block.rows.shape[1] <= block_rows for block in blocks)
    assert source.lengths == tuple(sum(b.rows.shape[1] for b in part) for part in read)
    assert [file.rows for file in dataset.files] == sizes
    assert source.dtype == (np.float32 if dtype == "f4" else np.float64)
    found = [block.rows for block in blocks]
    assert all(rows.dtype == source.dtype for rows in found)
    assert_array_equal(np.concatenate([np.empty((2, 0)), *found], axis=1).T, rows)


def test_the_numbers_of_a_file_are_used_where_they_are(tmp_path):
    source = open_dataset(save(tmp_path / "a.npy", X)).source()
    (block,) = source.parts[0].read()
    bases = [block.rows]
    while isinstance(bases[-1], np.ndarray):
        bases.append(bases[-1].base)
    assert isinstance(bases[-1], mmap)
    assert not source.decoded
    assert open_dataset(save(tmp_path / "b.npy", X.astype(int))).source().decoded


@pytest.mark.slow
def test_pages_that_were_read_are_given_back(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        described = {"descr": "<f8", "fortran_order": False, "shape": (2**22, 8)}
        np.lib.format.write_array_header_1_0(file, described)
        file.truncate(file.tell() + 2**28)
    code = f"""
from pathlib import Path
from daskgmm import open_dataset

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

source = open_dataset({str(tmp_path / "a.npy")!r}).source()
before = peak()
total = sum(block.rows.sum() for part in source.parts for block in part.read())
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 48 * 1024


def test_a_fit_is_that_of_the_array(tmp_path):
    rows = np.random.default_rng(0).normal(size=(2000, 3))
    dataset = open_dataset(save(tmp_path / "a.npy", rows))
    options = {"random_state": 0, "subsample": None, "means_init": rows[:2]}
    here, there = (GaussianMixture(2, **options).fit(data) for data in (rows, dataset))
    assert not hasattr(there, "feature_names_in_")
    np.testing.assert_allclose(here.means_, there.means_, rtol=1e-12)
    assert_array_equal(here.predict(rows), np.asarray(there.predict(dataset)))


@pytest.mark.parametrize("columns", [[2, 0], ["2", "0"]])
def test_columns_go_by_their_positions(tmp_path, columns):
    dataset = open_dataset(save(tmp_path / "a.npy", X), columns=columns, sample_weight=1)
    assert dataset.columns == ("2", "0")
    (block,) = dataset.select(keep=[1]).source().parts[0].read()
    assert_array_equal(block.rows, X[:, [2, 0]].T)
    assert_array_equal(block.weights, X[:, 1])
    assert block.kept.to_pydict() == {"1": list(X[:, 1])}
    assert open_dataset(tmp_path, sample_weight="0").columns == ("1", "2")


@pytest.mark.slow
def test_a_model_remembers_the_positions_that_were_chosen(tmp_path):
    rows = np.random.default_rng(0).normal(size=(100, 3))
    path = save(tmp_path / "a.npy", rows)
    model = GaussianMixture(1).fit(open_dataset(path, columns=[2, 0]))
    assert list(model.feature_names_in_) == ["2", "0"]
    expected = GaussianMixture(1).fit(rows[:, [2, 0]]).score_samples(rows[:, [2, 0]])
    found = model.score_samples(open_dataset(path, columns=model.feature_names_in_))
    np.testing.assert_allclose(np.asarray(found), expected)


@pytest.mark.parametrize(
    ("option", "kind", "said"),
    [
        ({"columns": ["a"]}, ConfigurationError, "'a'.*position, from 0 to 2"),
        ({"columns": [-1]}, ConfigurationError, "'-1'.*position"),
        ({"columns": [3]}, DataError, "no column 3.*0 to 2"),
        ({"columns": [1, "1"]}, ConfigurationError, "'1' twice"),
        ({"sample_weight": 3}, DataError, "no column 3"),
        ({"columns": [1.5]}, ConfigurationError, r"holds 1\.5"),
    ],
)
def test_wrong_positions_are_refused(tmp_path, option, kind, said):
    with pytest.raises(kind, match=said):
        open_dataset(save(tmp_path / "a.npy", X), **option)


@pytest.mark.parametrize(
    ("array", "kind", "said"),
    [
        (np.arange(3.0), DataError, r"a\.npy has shape \(3,\).*reshape\(-1, 1\)"),
        (np.zeros((2, 2, 2)), DataError, r"shape \(2, 2, 2\)"),
        (np.zeros((2, 0)), DataError, "no columns"),
        (np.array([[None]]), InputTypeError, r"Python objects.*astype\(float\)"),
        (np.array([["a"]]), InputTypeError, "<U1, not of real numbers"),
        (np.zeros((2, 2), complex), InputTypeError, "complex128"),
        (np.zeros((2, 2), [("a", "f8")]), InputTypeError, "not of real numbers"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(tmp_path, array, kind, said):
    with pytest.raises(kind, match=said):
        open_dataset(save(tmp_path / "a.npy", array))


def test_a_damaged_file_is_refused_when_it_is_opened(tmp_path):
    path = save(tmp_path / "a.npy", X)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"a\.npy is shorter than its header"):
        open_dataset(path)
    path.write_bytes(b"no array")
    with pytest.raises(DataError, match=r"a\.npy is not a \.npy file"):
        open_dataset(path)


def test_files_have_the_same_number_of_columns(tmp_path):
    save(tmp_path / "a.npy", X)
    save(tmp_path / "b.npy", X[:, :2])
    with pytest.raises(DataError, match=r"b\.npy has 2 columns, and .*a\.npy has 3"):
        open_dataset(tmp_path)


def test_a_wrong_weight_is_named_by_its_row(tmp_path):
    rows = X.copy()
    rows[7, 1] = -1
    dataset = open_dataset(save(tmp_path / "a.npy", rows), sample_weight=1)
    with pytest.raises(DataError, match=r"a\.npy, column 1, row 7: .*-1"):
        list(dataset.source().parts[0].read())


def test_it_describes_itself_without_names(tmp_path):
    dataset = open_dataset(save(tmp_path / "a.npy", X))
    assert repr(dataset) == "Dataset(1 npy file, 20 rows, 3 features)"
    assert_array_equal(all_rows(dataset.source()), X)


def test_kept_columns_keep_their_digits_in_one_type_for_all_files(tmp_path):
    great = 2**60 + 1
    arrays = [np.array([[1, 2]], ">i4"), np.array([[1, great]])]
    for number, array in enumerate(arrays):
        np.save(tmp_path / f"{number}.npy", array)
    parts = open_dataset(tmp_path, columns=[0]).select(keep=[1]).source().parts
    kept = [block.kept["1"] for part in parts for block in part.read()]
    assert {str(column.type) for column in kept} == {"int64"}
    assert [column.to_pylist() for column in kept] == [[2], [great]]
    np.save(tmp_path / "2.npy", np.array([[1, 2.5]]))
    with pytest.raises(DataError, match=r"'1' is double in .*2\.npy and int64 in .*1\.npy"):
        open_dataset(tmp_path, columns=[0]).select(keep=[1])


def test_a_column_has_one_name(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(2))
    with pytest.raises(ConfigurationError, match="no column '01'"):
        open_dataset(tmp_path / "a.npy", columns=[0]).select(keep=["1", "01"])
