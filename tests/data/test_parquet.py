"""Rows of Parquet files."""

import datetime as dt
import pickle
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daskgmm import open_dataset
from daskgmm.errors import DataError, InputTypeError
from tests.support.blocks import copy


def write(path, row_group_size=None, **columns):
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


def blocks(source):
    return [copy(block) for part in source.parts for block in part.read()]


def all_rows(source):
    """Rows as (n, D), however they are cut."""
    return np.concatenate([block.rows for block in blocks(source)], axis=1).T


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=3),
    row_group_size=st.integers(1, 12),
    block_rows=st.integers(1, 40),
    weighted=st.booleans(),
)
def test_any_cut_gives_the_same_rows(sizes, row_group_size, block_rows, weighted):
    total, start = sum(sizes), 0
    X = np.arange(2.0 * total).reshape(total, 2)
    with tempfile.TemporaryDirectory() as folder:
        for number, size in enumerate(sizes):
            a, b = X[start : start + size].T
            write(Path(folder) / f"{number}.parquet", row_group_size, a=a, b=b, w=a)
            start += size
        dataset = open_dataset(
            folder,
            columns=["b", "a"],
            sample_weight="w" if weighted else None,
            block_rows=block_rows,
        ).select(keep=["a", "w"])
        source = dataset.source()
        read = blocks(source)
        empty = [np.empty((2, 0))]
        assert_array_equal(np.hstack([block.rows for block in read] + empty).T, X[:, ::-1])
        assert all(block.rows.shape[1] <= block_rows for block in read)
        assert [r for block in read for r in block.kept["a"].to_pylist()] == list(X[:, 0])
        if weighted:
            assert [w for block in read for w in block.weights] == list(X[:, 0])
        assert sum(source.lengths) == total
        assert [file.rows for file in dataset.files] == sizes


def test_a_part_is_a_row_group(tmp_path):
    path = write(tmp_path / "a.parquet", 4, x=np.arange(10.0))
    source = open_dataset(path).source()
    assert source.lengths == (4, 4, 2)
    assert source.parts[1].label == f"{path}, row group 1"
    assert_array_equal(next(source.parts[1].read()).rows, [[4, 5, 6, 7]])


def test_blocks_are_features_first_and_contiguous(tmp_path):
    path = write(tmp_path / "a.parquet", x=np.zeros(5), y=np.zeros(5))
    rows = blocks(open_dataset(path).source())[0].rows
    assert rows.shape == (2, 5)
    assert rows.flags.c_contiguous


def test_wide_rows_come_in_blocks_of_2_mib(tmp_path):
    values = np.zeros(3_000, np.int8)
    path = write(tmp_path / "a.parquet", **{f"x{i}": values for i in range(128)})
    assert [b.rows.shape[1] for b in blocks(open_dataset(path).source())] == [2048, 952]


@pytest.mark.parametrize(
    ("kinds", "dtype"),
    [
        (("float32", "float32"), np.float32),
        (("float32", "float16"), np.float32),
        (("float32", "float64"), np.float64),
        (("float32", "int8"), np.float64),
    ],
)
def test_rows_are_float32_only_if_all_features_fit_it(tmp_path, kinds, dtype):
    columns = {f"x{i}": np.array([1, 2], kind) for i, kind in enumerate(kinds)}
    source = open_dataset(write(tmp_path / "a.parquet", **columns)).source()
    assert source.dtype == dtype
    assert blocks(source)[0].rows.dtype == dtype


def test_rows_are_float64_if_a_later_file_is(tmp_path):
    write(tmp_path / "a.parquet", x=np.array([1], np.float32))
    write(tmp_path / "b.parquet", x=np.array([0.1]))
    source = open_dataset(tmp_path).source()
    assert source.dtype == np.float64
    assert_array_equal(all_rows(source), [[1], [0.1]])


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1.0, None]),
        pa.array([1, None], pa.uint64()),
        pa.array([True, None]),
        pa.array([Decimal(1), None]),
        pa.array([1.0, None], pa.float32()),
    ],
)
def test_nulls_become_nan(tmp_path, column):
    path = write(tmp_path / "a.parquet", x=column)
    assert_array_equal(all_rows(open_dataset(path).source()), [[1], [np.nan]])


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array(["a"]), "text"),
        (pa.array([dt.date(2020, 1, 1)]), "dates"),
        (pa.array([["a"]]), "lists"),
        (pa.array([{"z": 1.0}]), "struct"),
        (pa.array(["a"]).dictionary_encode(), "text"),
    ],
)
def test_a_column_of_no_numbers_is_named(tmp_path, column, kind):
    path = write(tmp_path / "a.parquet", x=[1.0], odd=column)
    with pytest.raises(InputTypeError, match=rf"'odd' of .*a\.parquet.*{kind}.*columns="):
        open_dataset(path)
    assert open_dataset(path, columns=["x"]).columns == ("x",)


def test_an_index_that_pandas_wrote_is_no_feature(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=[7, 9])
    frame.to_parquet(tmp_path / "a.parquet")
    dataset = open_dataset(tmp_path / "a.parquet")
    assert dataset.columns == ("x",)
    assert_array_equal(all_rows(dataset.source(["__index_level_0__"])), [[7], [9]])


def test_names_with_dots_are_told_apart(tmp_path):
    path = write(tmp_path / "a.parquet", **{"a": [1.0], "a.b": [2.0]})
    assert_array_equal(all_rows(open_dataset(path, columns=["a.b", "a"]).source()), [[2, 1]])


def test_a_missing_column_is_named_with_close_matches(tmp_path):
    path = write(tmp_path / "a.parquet", petal_width=[1.0], other=[1.0])
    with pytest.raises(DataError, match=r"'petal_witdh'.*Did you mean 'petal_width'.*'other'"):
        open_dataset(path, columns=["petal_witdh"])


def test_a_long_list_of_columns_is_cut_short(tmp_path):
    path = write(tmp_path / "a.parquet", **{f"x{i}": [1.0] for i in range(30)})
    with pytest.raises(DataError, match="and 10 more"):
        open_dataset(path, columns=["nothing"])


def test_a_column_missing_in_a_later_file_is_named_with_it(tmp_path):
    write(tmp_path / "a.parquet", x=[1.0], y=[1.0])
    write(tmp_path / "b.parquet", x=[1.0])
    with pytest.raises(DataError, match=r"b\.parquet has no column 'y'"):
        open_dataset(tmp_path)


def test_a_column_of_text_in_a_later_file_is_named_with_it(tmp_path):
    write(tmp_path / "a.parquet", x=[1.0])
    write(tmp_path / "b.parquet", x=["one"])
    with pytest.raises(DataError, match=r"'x' of .*b\.parquet.*text"):
        open_dataset(tmp_path)


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], ["x", "x"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="2 columns named 'x'"):
        open_dataset(tmp_path / "a.parquet")


def test_a_table_of_only_weights_has_no_features(tmp_path):
    path = write(tmp_path / "a.parquet", w=[1.0])
    with pytest.raises(DataError, match="no columns for features"):
        open_dataset(path, sample_weight="w")


def test_a_wrong_weight_is_named_with_row_group_and_row(tmp_path):
    weights = [1.0] * 5 + [-2.0]
    path = write(tmp_path / "a.parquet", 3, x=np.zeros(6), w=weights)
    source = open_dataset(path, sample_weight="w", block_rows=2).source()
    with pytest.raises(DataError, match=r"row group 1, column 'w', row 2: .* -2\.0"):
        blocks(source)


def test_weights_that_are_text_are_refused(tmp_path):
    path = write(tmp_path / "a.parquet", x=[1.0], w=["a"])
    with pytest.raises(InputTypeError, match="'w'"):
        open_dataset(path, sample_weight="w")


def test_a_file_cut_short_is_named_when_opened(tmp_path):
    path = write(tmp_path / "a.parquet", x=np.arange(1000.0))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"a\.parquet is damaged.*cut short") as caught:
        open_dataset(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_without_bytes_is_named(tmp_path):
    (tmp_path / "a.parquet").touch()
    with pytest.raises(DataError, match=r"a\.parquet is damaged"):
        open_dataset(tmp_path)


def test_damaged_pages_are_named_with_their_row_group(tmp_path):
    path = write(tmp_path / "a.parquet", x=np.random.default_rng(0).random(1000))
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)
    source = open_dataset(path).source()
    with pytest.raises(DataError, match=r"a\.parquet, row group 0 is damaged"):
        blocks(source)


def test_a_file_that_went_away_is_named(tmp_path):
    path = write(tmp_path / "a.parquet", x=[1.0])
    source = open_dataset(path).source()
    path.unlink()
    with pytest.raises(DataError, match=r"a\.parquet is gone"):
        blocks(source)


def test_an_empty_file_among_full_ones_gives_no_rows(tmp_path):
    write(tmp_path / "a.parquet", x=[1.0])
    write(tmp_path / "b.parquet", x=np.empty(0))
    write(tmp_path / "c.parquet", x=[2.0])
    source = open_dataset(tmp_path).source()
    assert source.lengths == (1, 0, 1)
    assert_array_equal(all_rows(source), [[1], [2]])


def test_parts_are_small_when_pickled_and_read_elsewhere(tmp_path):
    path = write(tmp_path / "a.parquet", x=np.arange(1000.0))
    part = open_dataset(path).source().parts[0]
    pickled = pickle.dumps(part)
    assert len(pickled) < 2000
    assert_array_equal(next(pickle.loads(pickled).read()).rows, [np.arange(1000)])  # noqa: S301


def test_row_groups_are_read_by_many_threads_at_once(tmp_path):
    path = write(tmp_path / "a.parquet", 500, x=np.arange(20_000.0))
    with ThreadPoolExecutor(4) as pool:
        read = pool.map(lambda part: list(part.read()), open_dataset(path).source().parts)
        rows = np.hstack([block.rows for part in read for block in part])
    assert_array_equal(rows, [np.arange(20_000)])


@pytest.mark.slow
def test_a_large_row_group_takes_no_more_memory_than_blocks_of_it(tmp_path):
    rows = np.random.default_rng(0).random(5_000_000)
    write(tmp_path / "small.parquet", a=rows[:100], b=rows[:100])
    write(tmp_path / "large.parquet", len(rows), a=rows, b=rows)
    code = f"""
from pathlib import Path
from daskgmm import open_dataset

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

def count(name):
    source = open_dataset({str(tmp_path)!r} + name).source()
    return sum(block.rows.shape[1] for part in source.parts for block in part.read())

count("/small.parquet")  # loads what reading takes
before = peak()
print(count("/large.parquet"), peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, kilobytes = map(int, done.stdout.split())
    assert count == len(rows)
    assert kilobytes < 40 * 1024  # of 80 MB


def test_reading_stops_midway_without_harm(tmp_path):
    path = write(tmp_path / "a.parquet", x=np.arange(1000.0))
    reading = open_dataset(path, block_rows=10).source().parts[0].read()
    assert_array_equal(next(reading).rows, [np.arange(10)])
    reading.close()


def pieces(folder, *columns):
    """Files of rows with a column ``k`` each, opened to be kept."""
    for number, column in enumerate(columns):
        table = pa.table({"x": [1.0] * len(column), "k": column})
        pq.write_table(table, folder / f"{number}.parquet")
    return open_dataset(folder, columns=["x"]).select(keep=["k"]).source()


MIXED = {
    "null first": (pa.nulls(2), pa.array(["a", "b"])),
    "int32, int64": (pa.array([1, None], pa.int32()), pa.array([2**60 + 1])),
    "ms, us": (
        pa.array([dt.datetime(1960, 1, 2, 3, 4, 5)], pa.timestamp("ms")),
        pa.array([dt.datetime(1960, 1, 2, 3, 4, 5, 6)], pa.timestamp("us")),
    ),
    "dictionary, string": (pa.array(["a", "b", "a"]).dictionary_encode(), pa.array(["c"])),
    "large string, string": (pa.array(["a"], pa.large_string()), pa.array(["b", None])),
    "decimals": (
        pa.array([Decimal("1.10")]),
        pa.array([Decimal("12345678901234567890.123456")]),
    ),
    "int32, double": (pa.array([2**31 - 1], pa.int32()), pa.array([None, 2.5])),
    "float, double": (pa.array([1.5], pa.float32()), pa.array([0.1])),
    "lists": (pa.array([[1], []], pa.list_(pa.int32())), pa.array([[2**60 + 1]])),
    "structs": (pa.array([{"a": 1}], pa.struct({"a": pa.int32()})), pa.array([{"a": 2**60 + 1}])),
    "null, int32, int64": (pa.nulls(1), pa.array([1], pa.int32()), pa.array([2**60 + 1])),
}


@pytest.mark.parametrize("kind", list(MIXED))
def test_kept_columns_of_different_types_come_as_one_type_with_their_values(kind, tmp_path):
    source = pieces(tmp_path, *MIXED[kind])
    kept = [block.kept["k"] for part in source.parts for block in part.read()]
    assert len({column.type for column in kept}) == 1
    for found, own in zip(kept, MIXED[kind], strict=True):
        assert found.to_pylist() == own.to_pylist()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array([2**53 + 1]), pa.array([1.5])),
        (pa.array([2**64 - 1], pa.uint64()), pa.array([-1])),
        (pa.array([Decimal("0.10")]), pa.array([0.1])),
        (pa.array(["a"]), pa.array([1])),
        (pa.array(["a"]), pa.array([b"a"])),
        (pa.array([[2**53 + 1]]), pa.array([[1.5]])),
        (pa.array([0], pa.timestamp("us", "UTC")), pa.array([0], pa.timestamp("us"))),
        (pa.array([0], pa.timestamp("us", "UTC")), pa.array([0], pa.timestamp("us", "Asia/Tokyo"))),
    ],
)
def test_kept_columns_that_no_type_holds_are_refused_before_a_row_is_read(first, second, tmp_path):
    for pair in ((first, second), (second, first)):
        with pytest.raises(DataError, match=r"'k' is .* in .*1\.parquet and .* in .*0\.parquet"):
            pieces(tmp_path, *pair)
