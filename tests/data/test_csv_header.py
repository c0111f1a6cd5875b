"""Headers, delimiters and values of CSV files as people have them: read rightly, or told."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal
from pyarrow import csv

from daskgmm import GaussianMixture, open_dataset
from daskgmm.errors import ConfigurationError, DaskGMMError, DataError, InputTypeError
from tests.support.command import here  # noqa: F401  a fixture

ROWS = "1.5,2\n3.5,4\n5,6\n"
VALUES = [[1.5, 2], [3.5, 4], [5, 6]]


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def opened(path, text, **options):
    """Names and rows of a file."""
    dataset = open_dataset(write(path, text), **options)
    blocks = [np.array(block.rows.T) for part in dataset.source().parts for block in part.read()]
    return dataset.columns, np.concatenate(blocks).tolist()


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("a.tsv", "Length, mm\tWeight, g\n1.5\t2\n3.5\t4\n5\t6\n", ("Length, mm", "Weight, g")),
        ("a.csv", "Length, mm\tWeight, g\n1.5\t2\n3.5\t4\n5\t6\n", ("Length, mm", "Weight, g")),
        ("a.csv", "Length, mm;Weight, g\n1.5;2\n3.5;4\n5;6\n", ("Length, mm", "Weight, g")),
        ("a.csv", "a|b;c,d\n1.5;2\n3.5;4\n5;6\n", ("a|b", "c,d")),
        ("a.csv", '"a;b;c","d;e"\n' + ROWS, ("a;b;c", "d;e")),
        ("a.csv", "sep=;\r\na;b\r\n1.5;2\r\n3.5;4\r\n5;6\r\n", ("a", "b")),
        ("a.csv", '"sep=,"\na,b\n' + ROWS, ("a", "b")),
        ("a.csv", "# made by tool 1.2\n# units: m, s\na,b\n" + ROWS, ("a", "b")),
        ("a.csv", "\n# made by\n\na,b\n\n" + ROWS, ("a", "b")),
        ("a.csv", "#,b\n" + ROWS, ("#", "b")),
        ("a.csv", "\ufeff\n\na,b\n" + ROWS, ("a", "b")),
        ("a.csv", "a,b,\n1.5,2,\n3.5,4,\n5,6,\n", ("a", "b")),
        ("a.csv", "a,b,,\n1.5,2,,\n3.5,4,,\n5,6,,\n", ("a", "b")),
        ("a.csv", '"","a","b"\n"1",1.5,2\n"2",3.5,4\n"3",5,6\n', ("a", "b")),
        ("a.csv", "a,b\r" + ROWS.replace("\n", "\r"), ("a", "b")),
    ],
)  # fmt: skip
def test_what_is_certain_is_read_rightly(name, text, columns, tmp_path):
    found, rows = opened(tmp_path / name, text)
    assert found == columns
    assert_array_equal(rows, VALUES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Report 2026\na,b\n" + ROWS, "line 1) is 'Report 2026', with 1 value; lines below have 2"),
        ("Report\n\nBerlin\na,b\n" + ROWS, "Remove lines above the one with the columns' names"),
        ('"a","b"\n"1",1.5,2\n"2",3.5,4\n', "R writes row names like this"),
        ("a,b\n1.5,2,\n3.5,4,\n", "Rows end with a delimiter"),
        ("x,y\n1,5,2,5\n3,5,4,5\n", "If '1,5' is one number, it has a decimal comma"),
        ("a,b,c\n" + ROWS, "has 3 values, and the rows below have 2"),
        (ROWS, "no header line: its first line is 1.5,2."),
        ("# made by\n" + ROWS, "(line 1) has 1 value, and the rows below have 2"),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", "no header line: its first line is 5.1,3.5,setosa"),
        ("2026-01-01,1.5\n2026-01-02,2.5\n", "no header line"),
        ("1,5;2,5\n3,5;4,5\n", "no header line"),
        (",\n" + ROWS, "(line 1) is empty"),
        ("a,,b\n1,2,3\n", "has no name in the header, and holds '2'"),
        ("a,a\n" + ROWS, "2 columns named 'a'"),
        ("a b\n1 2\n3 4\n", "Spaces separate the values"),
        (b"PK\x03\x04abc", "it is an Excel workbook or a zip file"),
        (b"\x1f\x8babc", "it is compressed with gzip. Let its name end in .csv.gz"),
        ('a,"b\n' + "1,2\n" * 50_000, "quote that is never closed"),
    ],
)
def test_a_wrong_header_is_told_with_file_line_and_remedy(text, words, tmp_path):
    with pytest.raises(DataError) as caught:
        open_dataset(write(tmp_path / "a.csv", text))
    assert "a.csv" in caught.value.cause
    assert words in str(caught.value)


def test_names_that_look_like_numbers_are_names_beside_others(tmp_path):
    columns, _ = opened(tmp_path / "a.csv", "id,2019,2020\n1,1.5,2\n2,2.5,3\n")
    assert columns == ("id", "2019", "2020")


@pytest.mark.parametrize("delimiter", [" ", ":", "\\t", "\t", ";"])
def test_a_delimiter_that_is_given_is_taken(delimiter, tmp_path):
    mark = "\t" if delimiter == "\\t" else delimiter
    text = "a;b\n".replace(";", mark) + ROWS.replace(",", mark)
    columns, rows = opened(tmp_path / "a.csv", text, delimiter=delimiter)
    assert columns == ("a", "b")
    assert_array_equal(rows, VALUES)


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", "é"])
def test_what_can_be_no_delimiter_is_refused(delimiter, tmp_path):
    with pytest.raises(ConfigurationError, match="The delimiter is"):
        open_dataset(write(tmp_path / "a.csv", "a,b\n" + ROWS), delimiter=delimiter)


def test_a_delimiter_is_for_csv_alone(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(2))
    with pytest.raises(ConfigurationError, match="the files are npy"):
        open_dataset(tmp_path / "a.npy", delimiter=";")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('a,b\n"5,126",1\n"4,000",2\n', "'5,126', which has a thousands separator"),
        ('a,b\n1.5,1\n"1,234",2\n', "row 1 (line 3), column 'a': '1,234' has a thousands sep"),
        ("a;b\n1;1\n1,234;2\n", "row 1 (line 3), column 'a': '1,234' has a decimal comma"),
        ("a;b\n1;1\n1.234.567;2\n", "'1.234.567' has a thousands separator"),
        ('a,b\n1.5,1\n"1,5",2\n', "'1,5' has a decimal comma"),
        ("a,b\n$1,1\n$2,2\n", "'$1', which has a currency sign. It is in row 0 (line 2)"),
        ("a,b\n1,1\n\n2 €,2\n", "row 1 (line 4), column 'a': '2 €' has a currency sign"),
        ("a,b\n1%,1\n2%,2\n", "'1%', which has a percent sign. It is in row 0 (line 2)"),
        ("a,b\n?,1\n2,2\n3,1\n", "row 0 (line 2), column 'a': '?' is not a number"),
        ("a,b\n1,1\n-,2\n", "row 1 (line 3), column 'a': '-' is not a number"),
        ("a,b\n1,1\n1_000,2\n", "'1_000' is not a number"),
        ("a,b\n1,1\n2,2,\n", "row 1 (line 3): expected 2 columns, found 3"),
    ],
)
def test_a_value_that_is_no_number_is_told_with_row_line_and_why(text, words, tmp_path):
    with pytest.raises(DaskGMMError) as caught:
        opened(tmp_path / "a.csv", text)
    assert isinstance(caught.value, DataError | InputTypeError)
    assert words in str(caught.value)
    assert "counted from 0" in str(caught.value)


def _too_large():
    """What is said of a number beyond float64, which older versions of Arrow take for text."""
    options = csv.ConvertOptions(column_types={"a": pa.float64()})
    try:
        csv.read_csv(io.BytesIO(b"a\n1e999\n"), convert_options=options)
    except pa.ArrowInvalid:
        return "column 'a': '1e999' is not a number"
    return "column 'a' is infinity, written '1e999' (row 9 of all, counted from 0)"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("NA", "column 'a' is NaN, written 'NA' (row 9 of all, counted from 0)"),
        ("null", "column 'a' is NaN, written 'null' (row 9 of all, counted from 0)"),
        ("", "column 'a' is NaN (row 9 of all, counted from 0)"),
        ("-inf", "column 'a' is infinity, written '-inf' (row 9 of all, counted from 0)"),
        ("1e999", _too_large()),
    ],
)
def test_a_value_that_is_not_finite_is_told_with_its_line_and_text(value, words, tmp_path):
    rows = [f"{i},{i % 3}" for i in range(8)]
    write(tmp_path / "1.csv", "a,b\n7,8\n")
    write(tmp_path / "2.csv", "\n".join(["# c", "a,b", "", *rows, f"{value},1", "1,2", ""]))
    dataset = open_dataset(tmp_path)
    with pytest.raises(DataError) as caught:
        GaussianMixture(1).fit(dataset)
    assert "2.csv, row 8 (line 12), " in caught.value.cause
    assert words in caught.value.cause
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0, 1.0], "b": [1.0, 0.0, 0.0, 3.0]})
    model = GaussianMixture(1).fit(frame)
    with pytest.raises(DataError, match=r"2\.csv, row 8 \(line 12\), "):
        model.predict(dataset).compute()


@pytest.mark.slow
def test_the_command_line_takes_a_delimiter_wherever_rows_are_read(tmp_path, here):  # noqa: F811
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
    frame.assign(id=[f"{i:05}" for i in range(60)]).to_csv(tmp_path / "r.csv", index=False, sep=":")
    run, out, given = tmp_path / "run", tmp_path / "out", ("--delimiter", ":")
    fit = ("fit", tmp_path / "r.csv", "-k", "1", "-o", run, "--columns", "a,b", "--no-progress")
    assert here(*fit).code == 65
    assert here(*fit, *given).code == 0
    assert here("score", run, tmp_path / "r.csv", *given).code == 0
    done = here("predict", run, tmp_path / "r.csv", "-o", out, "--keep", "id", *given)
    assert done.code == 0, done.err
    found = pq.read_table(out / "part-00000.parquet")
    assert found["id"].to_pylist() == [f"{i:05}" for i in range(60)]
    assert here(*fit, "--delimiter", "::").code == 2


@pytest.mark.parametrize("columns", [["x"], ["x", "y"]])
def test_a_quote_that_swallows_the_last_rows_loses_none_in_silence(columns, tmp_path):
    text = 'x,y,name\n1,1,"a ""b"" c"\n2,1,d\n3,1,"open\n' + "4,1,d\n" * 20
    with pytest.raises(DataError, match=r"a\.csv, line 4: a quote .* never closed"):
        opened(tmp_path / "a.csv", text, columns=columns)
    _, rows = opened(tmp_path / "b.csv", text.replace('"open', "open"), columns=["x"])
    assert len(rows) == 23
