"""Rows of CSV files."""

import bz2
import gzip
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris

from daskgmm import open_dataset
from daskgmm.errors import DataError, InputTypeError
from tests.support.blocks import copy


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def blocks(source):
    return [copy(block) for part in source.parts for block in part.read()]


def all_rows(source):
    """Rows as (n, D), however they are cut."""
    return np.concatenate([block.rows for block in blocks(source)], axis=1).T


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=3),
    block_rows=st.integers(1, 40),
    packed=st.booleans(),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\n\n"]),
)
def test_any_cut_gives_the_same_rows(sizes, block_rows, packed, delimiter, end):
    X = np.random.default_rng(0).normal(size=(sum(sizes), 2))
    rows = [[repr(float(x)) for x in row] for row in X]
    start = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, size in enumerate(sizes):
            lines = [["a", "b"], *rows[start : start + size]]
            text = "".join(delimiter.join(line) + end for line in lines).encode()
            name = f"{number}.csv" + ".gz" * packed
            (Path(folder) / name).write_bytes(gzip.compress(text) if packed else text)
            start += size
        source = open_dataset(folder, columns=["b", "a"], block_rows=block_rows).source()
        read = blocks(source)
        assert_array_equal(np.hstack([b.rows for b in read] + [np.empty((2, 0))]).T, X[:, ::-1])
        assert all(block.rows.shape[1] <= block_rows for block in read)
        assert source.lengths is None


def test_iris_gives_its_numbers_and_keeps_its_text(tmp_path):
    iris = load_iris(as_frame=True)
    frame = iris.data.set_axis(
        ["sepal_length", "sepal_width", "petal_length", "petal_width"], axis=1
    )
    names = iris.target_names[iris.target]
    frame.assign(species=names).to_csv(tmp_path / "iris.csv", index=False)
    columns = ["sepal_length", "sepal_width"]
    dataset = open_dataset(tmp_path / "iris.csv", columns=columns).select(keep=["species"])
    (block,) = blocks(dataset.source())
    assert_array_equal(block.rows, frame[columns].to_numpy().T)
    assert block.rows.flags.c_contiguous
    assert block.kept["species"].to_pylist() == list(names)


def test_a_column_of_text_is_named_with_its_first_value(tmp_path):
    path = write(tmp_path / "iris.csv", "x,species\n1,setosa\n")
    with pytest.raises(InputTypeError, match=r"'species' of .*iris\.csv.*'setosa'.*columns="):
        open_dataset(path)


def test_decimal_commas_are_shown(tmp_path):
    path = write(tmp_path / "a.csv", "x;y\n1,5;2\n")
    with pytest.raises(InputTypeError, match="'1,5'"):
        open_dataset(path)


@pytest.mark.parametrize("text", ["2020-01-01", "2020-01-01 10:00:00"])
def test_a_column_of_dates_is_called_one(tmp_path, text):
    path = write(tmp_path / "a.csv", f"x,day\n1,{text}\n")
    with pytest.raises(InputTypeError, match=r"'day' of .* it holds dates"):
        open_dataset(path)


def test_a_fraction_may_follow_whole_numbers(tmp_path):
    write(tmp_path / "a.csv", "x\n1\n2\n")
    write(tmp_path / "b.csv", "x\n1.5\n")
    assert_array_equal(all_rows(open_dataset(tmp_path).source()), [[1], [2], [1.5]])


def test_empty_fields_become_nan_and_truth_values_numbers(tmp_path):
    path = write(tmp_path / "a.csv", "x,y,z\n1,true,\n,false,\nNA,,\n")
    rows = all_rows(open_dataset(path).source())
    assert_array_equal(rows, [[1, 1, np.nan], [np.nan, 0, np.nan], [np.nan] * 3])


def test_a_column_empty_at_first_is_read_as_numbers(tmp_path):
    write(tmp_path / "a.csv", "x,y\n1,\n")
    write(tmp_path / "b.csv", "x,y\n1,2\n")
    assert_array_equal(all_rows(open_dataset(tmp_path).source()), [[1, np.nan], [1, 2]])


@pytest.mark.parametrize("packed", [False, True])
def test_a_late_text_is_named_with_row_line_column_and_value(tmp_path, packed):
    text = "x,y\n\n" + "1,2\n" * 3999 + "1,oops\n" + "1,2\n"
    path = tmp_path / ("a.csv" + ".gz" * packed)
    write(path, gzip.compress(text.encode()) if packed else text)
    source = open_dataset(path).source()
    expected = r"a\.csv(\.gz)?, row 3999 \(line 4002\), column 'y': 'oops' is not a number"
    with pytest.raises(DataError, match=expected):
        blocks(source)


@pytest.mark.slow
def test_a_text_beyond_the_first_megabytes_is_named_with_its_row(tmp_path):
    text = "name,x\n" + "padding,1.5\n" * 1_000_000 + "padding,oops\n"
    source = open_dataset(write(tmp_path / "a.csv", text), columns=["x"]).source()
    with pytest.raises(DataError, match=r"row 1000000 \(line 1000002\), column 'x'.*'oops'"):
        blocks(source)


def test_a_text_in_a_later_file_is_named_with_it(tmp_path):
    write(tmp_path / "a.csv", "x,y\n1,2\n")
    write(tmp_path / "b.csv", 'y,note,x\n1,"two\nlines",2\n1,one,oops\n')
    source = open_dataset(tmp_path).source()
    with pytest.raises(DataError, match=r"b\.csv, row 1 \(line 4\), column 'x'.*'oops'"):
        blocks(source)


def test_a_long_text_is_cut_short_in_the_error(tmp_path):
    path = write(tmp_path / "a.csv", f"x\n1\n{'y' * 5000}\n")
    with pytest.raises(DataError, match=r"row 1 \(line 3\)") as caught:
        blocks(open_dataset(path).source())
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("line", ["1", "1,2,3"])
def test_a_ragged_line_is_named_with_its_columns(tmp_path, line):
    write(tmp_path / "a.csv", "x,y\n1,2\n")
    write(tmp_path / "b.csv", f"x,y\n1,2\n\n{line}\n1,2\n")
    source = open_dataset(tmp_path).source()
    found = line.count(",") + 1
    with pytest.raises(DataError, match=rf"b\.csv.*line 4.*expected 2 columns, found {found}"):
        blocks(source)


def test_a_ragged_line_in_the_first_rows_is_found_when_opened(tmp_path):
    path = write(tmp_path / "a.csv", "x,y\n1,2\n3\n")
    with pytest.raises(DataError, match=r"a\.csv.*line 3.*expected 2 columns, found 1"):
        open_dataset(path)


@pytest.mark.slow
@pytest.mark.parametrize("before", [0, 3_000_000])
def test_a_quote_that_is_never_closed_is_seen_in_the_value(tmp_path, before):
    text = "x,y\n" + "1,2\n" * before + '1,"2\n' + "1,2\n" * 3_000_000
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(DataError, match=r"a\.csv.*'2…'") as caught:
        blocks(open_dataset(path).source())
    assert len(str(caught.value)) < 500


def test_a_quote_that_swallows_many_megabytes_is_suspected(tmp_path):
    path = write(tmp_path / "a.csv", 'x,note\n1,"2\n' + "1,2\n" * 5_000_000 + "1,2,3")
    with pytest.raises(DataError, match=r"a\.csv can't be read.*quote that is never closed"):
        blocks(open_dataset(path, columns=["x"]).source())


@pytest.mark.slow
def test_kept_text_in_another_encoding_is_named_with_its_row(tmp_path):
    path = write(tmp_path / "a.csv", "x,name\n1,Zoe\n" + "1,Zoe\n" * 2_000_000)
    with path.open("ab") as stream:
        stream.write("1,Zoë\n".encode("latin-1"))
    source = open_dataset(path, columns=["x"]).select(keep=["name"]).source()
    with pytest.raises(DataError, match=r"row 2000001 .*'name': the text is not UTF-8"):
        blocks(source)


@pytest.mark.parametrize("header", ["5.1,3.5", "1,2", "-1e3"])
def test_numbers_in_the_first_line_mean_no_header(tmp_path, header):
    path = write(tmp_path / "a.csv", f"{header}\n{header}\n")
    with pytest.raises(DataError, match=rf"a\.csv seems to have no header.*{header}"):
        open_dataset(path)


def test_names_that_pandas_counts_are_a_header(tmp_path):
    pd.DataFrame([[1.5, 2.5]]).to_csv(tmp_path / "a.csv", index=False)
    dataset = open_dataset(tmp_path / "a.csv")
    assert dataset.columns == ("0", "1")
    assert_array_equal(all_rows(dataset.source()), [[1.5, 2.5]])


def test_an_index_that_pandas_wrote_is_no_feature(tmp_path):
    pd.DataFrame({"x": [1.5, 2.5]}).to_csv(tmp_path / "a.csv")
    assert open_dataset(tmp_path / "a.csv").columns == ("x",)


@pytest.mark.parametrize("text", ["x,y", "x,y\n", "x,y\r\n\r\n", "\n\nx,y\n"])
def test_a_lone_header_gives_no_rows(tmp_path, text):
    dataset = open_dataset(write(tmp_path / "a.csv", text))
    assert dataset.columns == ("x", "y")
    assert blocks(dataset.source()) == []


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_empty_files_among_full_ones_give_no_rows(tmp_path, text):
    write(tmp_path / "a.csv", text)
    write(tmp_path / "b.csv", "x\n1\n")
    write(tmp_path / "c.csv", "x\n")
    assert_array_equal(all_rows(open_dataset(tmp_path).source()), [[1]])


def test_nothing_but_empty_files_is_an_error(tmp_path):
    path = write(tmp_path / "a.csv", "")
    with pytest.raises(DataError, match=r"a\.csv is empty"):
        open_dataset(path)


def test_a_column_missing_in_a_later_file_is_named_with_it(tmp_path):
    write(tmp_path / "a.csv", "x,y\n1,2\n")
    write(tmp_path / "b.csv", "x,Y\n1,2\n")
    source = open_dataset(tmp_path).source()
    with pytest.raises(DataError, match=r"b\.csv has no column 'y'"):
        blocks(source)


def test_a_missing_column_is_named_with_close_matches(tmp_path):
    path = write(tmp_path / "a.csv", "width,y\n1,2\n")
    with pytest.raises(DataError, match=r"'widht'.*Did you mean 'width'"):
        open_dataset(path, columns=["widht"])


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = write(tmp_path / "a.csv", "x,x,y\n1,2,3\n")
    with pytest.raises(DataError, match="2 columns named 'x'"):
        open_dataset(path, columns=["x"])
    assert_array_equal(all_rows(open_dataset(path, columns=["y"]).source()), [[3]])


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbfx,y\n1,2\n")
    assert open_dataset(path).columns == ("x", "y")
    assert_array_equal(all_rows(open_dataset(path).source()), [[1, 2]])


def test_other_encodings_do_no_harm_in_columns_that_are_not_read(tmp_path):
    path = write(tmp_path / "a.csv", "x,name\n1,Zoë\n".encode("latin-1"))
    assert_array_equal(all_rows(open_dataset(path, columns=["x"]).source()), [[1]])
    with pytest.raises(InputTypeError, match="'name'"):
        open_dataset(path)


def test_a_header_in_another_encoding_is_refused(tmp_path):
    for text in ("x,é\n1,2\n".encode("latin-1"), "x,y\n1,2\n".encode("utf-16-le")):
        path = write(tmp_path / "a.csv", text)
        with pytest.raises(DataError, match=r"a\.csv \(line 1\) is not UTF-8.*iconv"):
            open_dataset(path)


def test_utf_16_is_read_where_its_mark_says_so(tmp_path):
    path = write(tmp_path / "a.csv", "x\tname\n1\té\n2\to\n".encode("utf-16"))
    dataset = open_dataset(path, columns=["x"]).select(keep=["name"])
    (block,) = blocks(dataset.source())
    assert_array_equal(block.rows, [[1, 2]])
    assert block.kept["name"].to_pylist() == ["é", "o"]


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = write(tmp_path / "a.csv", b"x" * 200_000)
    with pytest.raises(DataError, match=r"a\.csv is not CSV"):
        open_dataset(path)


def test_quoted_values_may_hold_delimiters_and_line_ends(tmp_path):
    path = write(tmp_path / "a.csv", '"x, left",note\n"1.5","a, ""b""\nc"\n2,d\n')
    dataset = open_dataset(path, columns=["x, left"], block_rows=1).select(keep=["note"])
    first, second = blocks(dataset.source())
    assert_array_equal(first.rows, [[1.5]])
    assert first.kept["note"].to_pylist() == ['a, "b"\nc']
    assert_array_equal(second.rows, [[2]])


def test_kept_columns_stay_as_they_are_written(tmp_path):
    long = "12345678901234567890"
    text = f"x,id,day,country,note,zip,price\n1.50,{long},2020-01-02,NA,,01067,1.10\n"
    dataset = open_dataset(write(tmp_path / "a.csv", text), columns=["x"])
    names = ["id", "day", "country", "note", "zip", "price"]
    (block,) = blocks(dataset.select(keep=names).source())
    (row,) = block.kept.to_pylist()
    assert list(row.values()) == [long, "2020-01-02", "NA", "", "01067", "1.10"]


def test_a_kept_column_that_is_a_feature_is_the_number_that_the_model_reads(tmp_path):
    path = write(tmp_path / "a.csv", "x,w\n1.50,2\n,1\n")
    dataset = open_dataset(path, columns=["x"], sample_weight="w").select(keep=["w", "x"])
    (block,) = blocks(dataset.source())
    assert block.kept.to_pydict() == {"w": [2.0, 1.0], "x": [1.5, None]}


def test_kept_columns_are_text_in_every_file_whatever_the_first_rows_hold(tmp_path):
    write(tmp_path / "1.csv", "x,id\n1,17\n")
    write(tmp_path / "2.csv", "x,id\n1,X18\n")
    write(tmp_path / "3.csv", "x,id\n" + "1,19\n" * 1_800_000 + "1,X20\n")
    source = open_dataset(tmp_path, columns=["x"]).select(keep=["id"]).source()
    kept = [[b.kept for b in part.read()] for part in source.parts]
    assert {table.schema for tables in kept for table in tables} == {pa.schema({"id": pa.string()})}
    assert [tables[-1]["id"][-1].as_py() for tables in kept] == ["17", "X18", "X20"]


def test_a_kept_column_that_begins_with_a_number_may_hold_text(tmp_path):
    path = write(tmp_path / "a.csv", "x,id\n1,17\n2,17b\n")
    (block,) = blocks(open_dataset(path, columns=["x"]).select(keep=["id"]).source())
    assert block.kept["id"].to_pylist() == ["17", "17b"]


def test_a_wrong_weight_is_named_with_its_row(tmp_path):
    path = write(tmp_path / "a.csv", "x,w\n1,1\n1,1\n1,-3\n")
    source = open_dataset(path, sample_weight="w", block_rows=2).source()
    assert source.columns == ("x",)
    with pytest.raises(DataError, match=r"a\.csv, column 'w', row 2 \(line 4\): .* -3\.0"):
        blocks(source)


def test_weights_come_with_the_rows(tmp_path):
    path = write(tmp_path / "a.csv", "w,x\n1,10\n2,20\n")
    (block,) = blocks(open_dataset(path, sample_weight="w").source())
    assert_array_equal(block.rows, [[10, 20]])
    assert_array_equal(block.weights, [1, 2])


def test_other_compressions_are_told_by_the_name(tmp_path):
    path = write(tmp_path / "a.csv.bz2", bz2.compress(b"x\n1\n"))
    assert_array_equal(all_rows(open_dataset(path, format="csv").source()), [[1]])


def test_a_gzip_of_many_members_is_read_to_its_end(tmp_path):
    path = write(tmp_path / "a.csv.gz", gzip.compress(b"x\n1\n") + gzip.compress(b"2\n"))
    assert_array_equal(all_rows(open_dataset(path).source()), [[1], [2]])


def test_a_gzip_cut_short_is_named(tmp_path):
    rows = "".join(f"{x}\n" for x in np.random.default_rng(0).random(20_000))
    path = write(tmp_path / "a.csv.gz", gzip.compress(f"x\n{rows}".encode())[:-1000])
    with pytest.raises(DataError, match=r"a\.csv\.gz is damaged.*cut short"):
        open_dataset(path)


def test_what_is_no_gzip_is_named(tmp_path):
    path = write(tmp_path / "a.csv.gz", "x\n1\n")
    with pytest.raises(DataError, match=r"a\.csv\.gz is damaged"):
        open_dataset(path)


def test_a_file_that_went_away_is_named(tmp_path):
    path = write(tmp_path / "a.csv", "x\n1\n")
    source = open_dataset(path).source()
    path.unlink()
    with pytest.raises(DataError, match=r"a\.csv is gone"):
        blocks(source)


def test_parts_are_small_when_pickled_and_read_elsewhere(tmp_path):
    part = open_dataset(write(tmp_path / "a.csv", "x\n1\n")).source().parts[0]
    pickled = pickle.dumps(part)
    assert len(pickled) < 2000
    assert part.label == str(tmp_path / "a.csv")
    assert_array_equal(next(pickle.loads(pickled).read()).rows, [[1]])  # noqa: S301


@pytest.mark.slow
def test_reading_stops_midway_without_harm(tmp_path):
    path = write(tmp_path / "a.csv", "x\n" + "1.25\n" * 4_000_000)
    reading = open_dataset(path, block_rows=10).source().parts[0].read()
    assert_array_equal(next(reading).rows, [[1.25] * 10])
    reading.close()
