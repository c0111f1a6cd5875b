"""What CSV text says about itself: its header, its delimiter, and where it goes wrong."""

import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain, islice
from typing import Any

import pyarrow as pa
from fsspec.compression import compr
from fsspec.utils import infer_compression

from daskgmm.data.failures import explained, first_line
from daskgmm.data.files import InputFile
from daskgmm.data.words import WITH_POINTS, has_decimal_comma
from daskgmm.errors import DataError

_DELIMITERS = ",;\t|"
_LONGEST_SHOWN = 60
_VALUE = re.compile(
    r"In CSV column #(\d+): Row #(\d+): CSV conversion error to (\w+).*?: "
    r"(?:invalid value '(.*)'|.*)",
    re.DOTALL,
)
_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")


@dataclass(frozen=True)
class Header:
    """The first line of a CSV file.

    Parameters
    ----------
    names : tuple of str
        Of the columns.
    delimiter : str
        The one of ``, ; tab |`` that parts the line into the most names.
    has_rows : bool
        Whether anything follows.
    """

    names: tuple[str, ...]
    delimiter: str
    has_rows: bool


@contextmanager
def opened(file: InputFile) -> Iterator[Any]:
    """Open a file's bytes, decompressed by the extension, with failures explained."""
    compression = infer_compression(file.path)
    with explained(file.path), file.reading() as raw:
        if compression is None:
            yield raw
        else:
            with compr[compression](raw, mode="rb") as stream:
                yield stream


def read_header(stream: Any, path: str) -> Header | None:
    """Read the header and go back to the start; an empty file has none.

    Raises
    ------
    DataError
        The first line is not UTF-8, holds numbers, or is no text at all.
    """
    try:
        with _as_text(stream) as text:
            header = _parsed_header(text)
    except csv.Error as error:
        raise DataError(f"{path} is no CSV: {error}.", "Check the file's format.") from error
    stream.seek(0)
    if header is not None:
        _check_header(header, path)
    return header


def text_error(error: pa.ArrowInvalid, file: InputFile, header: Header) -> DataError:
    """Say in which file, row, line and column Arrow found what it can't read."""
    message = str(error)
    if found := _VALUE.search(message):
        where = _place(file, int(found[2]), header.delimiter)
        where += f", column {header.names[int(found[1])]!r}"
        if has_decimal_comma(found[4] or ""):
            return DataError(f"{where}: {found[4]!r} has a decimal comma.", WITH_POINTS)
        value = "the text" if found[4] is None else repr(shortened(found[4]))
        kind = "a number" if found[3] == "double" else found[3]
        cause = f"{where}: {value} is not {kind}."
        remedy = "Correct the value, or leave the column out with columns= (--columns)."
        return DataError(cause, remedy)
    if found := _RAGGED.search(message):
        where = _place(file, int(found[1]), header.delimiter)
        cause = f"{where}: expected {found[2]} columns, found {found[3]}."
        return DataError(cause, "Correct the line: a delimiter or a quote may be missing.")
    remedy = "Look for a quote that is never closed, or a line of many megabytes."
    return DataError(f"{file.path} can't be read as CSV: {first_line(error)}.", remedy)


def is_number(text: str) -> bool:
    """Whether a text reads as a float."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def shortened(text: str) -> str:
    """Return what of a value fits into an error: a quote never closed may make it endless."""
    start = (text.splitlines() or [""])[0][:_LONGEST_SHOWN]
    return text if start == text else f"{start}…"


@contextmanager
def _as_text(stream: Any) -> Iterator[TextIOWrapper]:
    # Bytes of other encodings do no harm in columns that aren't read.
    text = TextIOWrapper(stream, "utf-8-sig", errors="replace", newline="")
    try:
        yield text
    finally:
        text.detach()  # else the wrapper would close the stream


def _parsed_header(text: TextIOWrapper) -> Header | None:
    line = next((line for line in text if line.strip("\r\n")), None)
    if line is None:
        return None
    delimiter = max(_DELIMITERS, key=lambda mark: len(_fields([line], mark)))
    names = tuple(_fields(chain([line], text), delimiter))
    return Header(names, delimiter, has_rows=any(rest.strip("\r\n") for rest in text))


def _fields(lines: Iterable[str], delimiter: str) -> list[str]:
    return next(csv.reader(lines, delimiter=delimiter))


def _check_header(header: Header, path: str) -> None:
    names = header.names
    if any("\ufffd" in name or "\0" in name for name in names):
        raise DataError(f"The header of {path} is not UTF-8.", "Convert the file to UTF-8.")
    # pandas names columns so that have no names: these are no data.
    counted = names == tuple(str(number) for number in range(len(names)))
    if not counted and all(is_number(name) for name in names):
        first = shortened(header.delimiter.join(names))
        cause = f"{path} seems to have no header line: its first line is {first}."
        raise DataError(cause, "Write the columns' names into the first line.")


def _place(file: InputFile, record: int, delimiter: str) -> str:
    """Name a row by its number among the data, from 1, and by its line."""
    line = _line_of(file, record, delimiter)
    return f"{file.path}, row {record - 1}" + (f" (line {line})" if line else "")


def _line_of(file: InputFile, record: int, delimiter: str) -> int | None:
    """Return the line on which a record ends; blank lines and quoted line ends part the two.

    Reads the file up to there again, which only a failure costs.
    """
    with opened(file) as stream, _as_text(stream) as text:
        reader = csv.reader(text, delimiter=delimiter)
        lines = (reader.line_num for fields in reader if fields)
        try:
            return next(islice(lines, record - 1, None), None)
        except csv.Error:
            return None
