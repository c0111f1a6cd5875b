"""The header of a CSV file: its column names, delimiter and encoding, and checks of it."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO, TextIOWrapper
from typing import Any

from daskgmm.data.formats.csv_delimiter import Records, Sniffer, is_value, usual_width
from daskgmm.data.number_text import has_decimal_comma, is_number_text, shortened
from daskgmm.errors import DataError

_OF_NAMES = {".tsv": "\t", ".tsv.gz": "\t"}
_SAMPLE = 2**16  # characters: enough for some rows, unless they are very wide
_LONGEST_SAMPLE = 2**24
_FEWEST_LINES = 8
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BINARY_FORMATS = {
    b"\x1f\x8b": ("is compressed with gzip", "Let its name end in .csv.gz."),
    b"PK\x03\x04": ("is an Excel workbook or a zip file", "Save it as CSV."),
    b"\xd0\xcf\x11\xe0": ("is an Excel workbook", "Save it as CSV."),
    b"PAR1": ("is Parquet", "Name the format: format='parquet' (--format parquet)."),
}
_NAME_COLUMNS = "Write one name for each column into the line above the rows."


@dataclass(frozen=True)
class Header:
    """The line of a CSV file that names its columns.

    Parameters
    ----------
    names : tuple of str
        Names of the columns.
    delimiter : str
    has_rows : bool
        Whether anything follows.
    skipped : int
        Lines before it that are not part of the table: comments, or ``sep=;``.
    encoding : str
        UTF-8, or UTF-16 where the file begins with its mark.
    """

    names: tuple[str, ...]
    delimiter: str
    has_rows: bool
    skipped: int
    encoding: str


@contextmanager
def as_text(stream: Any, encoding: str) -> Iterator[TextIOWrapper]:
    """The text of a binary stream, which stays open."""
    # Bytes of other encodings do no harm in columns that aren't read.
    with_mark = "utf-8-sig" if encoding == "utf-8" else encoding
    text = TextIOWrapper(stream, with_mark, errors="replace", newline="")
    try:
        yield text
    finally:
        text.detach()  # otherwise the wrapper closes the stream


def read_header(
    stream: Any, path: str, delimiter: str | None = None, likely: str | None = None
) -> Header | None:
    """Read the header and go back to the start; an empty file has none.

    Parameters
    ----------
    stream : binary file
    path : str
    delimiter : str or None
        If given; by default inferred from the first lines.
    likely : str or None
        The delimiter of the first file, which decides if the lines do not.

    Raises
    ------
    DataError
        There is no header, or not above the rows, or the file is not text.
    """
    encoding = _encoding(stream, path)
    with as_text(stream, encoding) as text:
        lines, whole = _first_lines(text)
    stream.seek(0)
    ending = next((mark for end, mark in _OF_NAMES.items() if path.lower().endswith(end)), None)
    reading = Sniffer(path, lines, whole, delimiter, likely or ending)
    found = reading.table()
    if found is None:
        return None
    start, mark, records = found
    line = start + 1 + next(i for i, text in enumerate(lines[start:]) if text.strip("\r\n"))
    _HeaderCheck(path, line, mark, records).all()
    return Header(tuple(records[0]), mark, len(records) > 1 or not whole, start, encoding)


def _encoding(stream: Any, path: str) -> str:
    beginning = stream.read(4)
    stream.seek(0)
    for magic, (kind, remedy) in _BINARY_FORMATS.items():
        if beginning.startswith(magic):
            raise DataError(f"{path} is not CSV: it {kind}.", remedy)
    return "utf-16" if beginning.startswith(_UTF_16) else "utf-8"


def _first_lines(text: TextIOWrapper) -> tuple[list[str], bool]:
    """The first lines, and whether they are all lines; otherwise the last one may be cut."""
    sample = text.read(_SAMPLE)
    size = _SAMPLE
    while size == len(sample) < _LONGEST_SAMPLE and sample.count("\n") < _FEWEST_LINES:
        size *= 2
        sample += text.read(size - len(sample))
    lines = list(StringIO(sample, newline=""))
    return lines, not text.read(1)


@dataclass(frozen=True)
class _HeaderCheck:
    """Checks of the line that should be the header.

    Parameters
    ----------
    path : str
    line : int
        Number of the line, from 1.
    delimiter : str
    records : list of list of str
        It, and some rows.
    """

    path: str
    line: int
    delimiter: str
    records: Records

    def all(self) -> None:
        """Raise DataError for the first flaw of the header."""
        self._encoded()
        self._named()
        self._as_wide_as_rows()
        self._not_spaced()
        self._no_data()

    @property
    def names(self) -> list[str]:
        """The header's values."""
        return self.records[0]

    def _encoded(self) -> None:
        if any("\ufffd" in name or "\0" in name for name in self.names):
            raise DataError(
                f"The header of {self.path} (line {self.line}) is not UTF-8.",
                "Convert the file to UTF-8, as with `iconv -f latin1 -t utf-8`.",
            )

    def _named(self) -> None:
        if not any(name.strip() for name in self.names):
            raise DataError(
                f"The header of {self.path} (line {self.line}) is empty.", _NAME_COLUMNS
            )

    def _as_wide_as_rows(self) -> None:
        """Raise where all rows below have another number of values."""
        rows, names = self.records[1:], len(self.names)
        width, _ = usual_width(rows)
        while rows and len(rows[0]) not in (width, names):  # lines above the header
            del rows[0]
        if width == names or len(rows) < 2 or any(len(row) == names for row in rows[1:]):
            return
        table = [row for row in rows if len(row) == width]
        if len(table) <= len(rows) / 2:
            return
        counted = f"{names} value{'s' * (names != 1)}"
        header = f"The header of {self.path} (line {self.line})"
        cause = f"{header} has {counted}, and the rows below have {width}."
        commas = [",".join(pair) for pair in zip(table[0][::2], table[0][1::2], strict=False)]
        if self.delimiter == "," and width == 2 * names and all(map(has_decimal_comma, commas)):
            cause += f" If {commas[0]!r} is one number, it has a decimal comma."
            raise DataError(cause, f"Write decimals with a point. {_NAME_COLUMNS}")
        if names < width and not any(map(is_value, table[0])):
            shown = shortened(self.delimiter.join(self.names))
            cause = f"{header} is {shown!r}, with {counted}; lines below have {width}, such as "
            cause += f"{shortened(self.delimiter.join(table[0]))!r}."
            raise DataError(cause, "Remove lines above the one with the columns' names.")
        if names == width - 1 and not any(row[-1] for row in table):
            raise DataError(f"{cause} Rows end with a delimiter.", "Remove it, or add one there.")
        if names == width - 1:
            cause += " R writes row names like this, without a name for their column."
        raise DataError(cause, _NAME_COLUMNS)

    def _not_spaced(self) -> None:
        """Raise if each line is one value, in which spaces separate numbers."""
        if any(len(record) != 1 for record in self.records):
            return
        pieces = [record[0].split() for record in self.records]
        numbers = all(map(is_number_text, (piece for row in pieces[1:] for piece in row)))
        if len(pieces) > 1 and len(pieces[1]) > 1 and numbers:
            raise DataError(
                f"Spaces separate the values of {self.path}: line {self.line} is "
                f"{shortened(self.records[0][0])!r}.",
                "If it is always one space, give it: delimiter=' ' (--delimiter ' '). Otherwise "
                "write the file with commas.",
            )

    def _no_data(self) -> None:
        """Raise if the names are values: then there is no header."""
        # pandas gives these names to columns without names: they are not data.
        names = self.names[1:] if self.names[0] == "" else self.names
        if names == [str(number) for number in range(len(names))]:
            return
        data = [name for name in names if is_value(name)]
        others = {i: n for i, n in enumerate(self.names) if n and not is_value(n)}
        columns = {i: {row[i] for row in self.records[1:] if len(row) > i} for i in others}
        again = all(name in columns[i] for i, name in others.items())
        years = self.names[0] == "" and all(name.isdigit() for name in names)
        if data and again and not years:
            first = shortened(self.delimiter.join(self.names))
            line = "its first line" if self.line == 1 else f"line {self.line}"
            raise DataError(
                f"{self.path} seems to have no header line: {line} is {first}.",
                "Write the columns' names into the first line.",
            )
