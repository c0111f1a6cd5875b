"""Errors in CSV text, with row, line and value as written."""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import Any

import pyarrow as pa
from fsspec.compression import compr
from fsspec.utils import infer_compression

from daskgmm.data.files.versions import InputFile
from daskgmm.data.formats.csv_header import Header, as_text
from daskgmm.data.number_text import format_flaw, shortened
from daskgmm.data.storage.errors import first_line, input_errors
from daskgmm.errors import DataError

_VALUE = re.compile(
    r"In CSV column #(\d+): Row #(\d+): CSV conversion error to (\w+).*?: "
    r"(?:invalid value '(.*)'|.*)",
    re.DOTALL,
)
_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
COUNTED = "Rows are counted from 0, lines from 1."
_LONG_LINE = "Look for a quote that is never closed, or a line of many megabytes."


@contextmanager
def open_decompressed(file: InputFile) -> Iterator[Any]:
    """Open a file for reading bytes, decompressed according to its extension."""
    compression = infer_compression(file.path)
    with input_errors(file.path), file.reading() as raw:
        if compression is None:
            yield raw
        else:
            with compr[compression](raw, mode="rb") as stream:
                yield stream


def text_error(error: pa.ArrowInvalid, file: InputFile, header: Header) -> DataError:
    """The error for text that Arrow can't read, with file, row, line and column."""
    message = str(error)
    if found := _VALUE.search(message):
        where = _row_label(file, header, int(found[2]) - header.skipped - 2)
        where += f", column {header.names[int(found[1])]!r}"
        if found[4] is None and found[3] == "string":
            cause = f"{where}: the text is not UTF-8. {COUNTED}"
            remedy = "Convert the file to UTF-8, as with `iconv -f latin1 -t utf-8`."
            return DataError(cause, remedy)
        value = "the text" if found[4] is None else repr(shortened(found[4]))
        if flaw := format_flaw(found[4] or "", header.delimiter):
            cause = f"{where}: {value} has {flaw[0]}. {COUNTED}"
            return DataError(cause, flaw[1])
        kind = "a number" if found[3] == "double" else found[3]
        cause = f"{where}: {value} is not {kind}. {COUNTED}"
        remedy = "Correct the value, leave it empty if it is missing, or leave the column out "
        return DataError(cause, f"{remedy}with columns= (--columns).")
    if found := _RAGGED.search(message):
        where = _row_label(file, header, int(found[1]) - header.skipped - 2)
        cause = f"{where}: expected {found[2]} columns, found {found[3]}. {COUNTED}"
        return DataError(cause, "Correct the line: a delimiter or a quote may be missing.")
    return DataError(f"{file.path} can't be read as CSV: {first_line(error)}.", _LONG_LINE)


def record_at(file: InputFile, header: Header, row: int) -> tuple[int, list[str]] | None:
    """The line on which a row ends, counted from 1, and its values as written.

    Blank lines and quoted line ends part lines and rows, counted from 0. Reads the file up to
    there again, which only a failure costs; ``None`` where a value is too long for that.
    """
    with open_decompressed(file) as stream, as_text(stream, header.encoding) as text:
        reader = csv.reader(islice(text, header.skipped, None), delimiter=header.delimiter)
        records = ((reader.line_num, values) for values in reader if values)
        try:
            found = next(islice(records, row + 1, None), None)
        except csv.Error:
            return None
    return None if found is None else (found[0] + header.skipped, found[1])


class QuoteCounter:
    """A binary stream that counts the quotes that were read.

    Parameters
    ----------
    stream : binary file
    """

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        """Read from the stream and count the quotes."""
        found: bytes = self._stream.read(size)
        self.count += found.count(b'"')
        return found


@lru_cache(maxsize=64)
def require_closed_quotes(file: InputFile, header: Header) -> None:
    """Raise if a quote is open at the end: Arrow takes all that follows as one value.

    Reads the file again, once for all passes: worth it where the number of quotes is odd.

    Raises
    ------
    DataError
        Rows from some line on are within quotes.
    """
    with open_decompressed(file) as stream, as_text(stream, header.encoding) as text:
        lines = islice(text, header.skipped, None)
        reader = csv.reader(lines, delimiter=header.delimiter, strict=True)
        line = header.skipped
        try:
            for _ in reader:
                line = header.skipped + reader.line_num
        except csv.Error as error:
            if "unexpected end of data" not in str(error):  # Arrow handles other quotes
                return
            raise DataError(
                f"{file.path}, line {line + 1}: a quote that begins a value there, or in a line "
                "that follows, is never closed.",
                "Close it, or double it where it is part of the text.",
            ) from error


def _row_label(file: InputFile, header: Header, row: int) -> str:
    """The name of a row in errors: its number, from 0, and its line."""
    found = record_at(file, header, row)
    return f"{file.path}, row {row}" + (f" (line {found[0]})" if found else "")
