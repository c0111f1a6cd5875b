"""The header of a CSV file: its names and its delimiter, or what is wrong with it."""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO, TextIOWrapper
from itertools import islice
from typing import Any

from daskgmm.data.columns import has_decimal_comma, has_thousands, is_number, shortened
from daskgmm.errors import DataError

Records = list[list[str]]

_DELIMITERS = ",;\t|"
_OF_NAMES = {".tsv": "\t", ".tsv.gz": "\t"}
_SAMPLE = 2**16  # characters: enough for some rows, unless they are very wide
_LONGEST_SAMPLE = 2**24
_FEWEST_LINES = 8
_MOST_RECORDS = 50
_SEPARATOR_LINE = re.compile(
    r"sep=([\t !#-~])\s*|\"sep=([\t !#-~])\"\s*", re.IGNORECASE
)  # written by Excel
_DATE = re.compile(r"\s*\d{4}-\d\d-\d\d([ T]\d\d:.*)?")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NO_TEXT = {
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
        Of the columns.
    delimiter : str
    has_rows : bool
        Whether anything follows.
    skipped : int
        Lines before it that are no part of the table: comments, or one that tells the delimiter.
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
        text.detach()  # else the wrapper would close the stream


def read_header(
    stream: Any, path: str, delimiter: str | None = None, likely: str | None = None
) -> Header | None:
    """Read the header and go back to the start; an empty file has none.

    Parameters
    ----------
    stream : binary file
    path : str
    delimiter : str or None
        Where it is known; else the first lines tell it.
    likely : str or None
        The delimiter of files beside this one, which decides where its own lines don't.

    Raises
    ------
    DataError
        There is no header, or not above the rows, or the file is no text.
    """
    encoding = _encoding(stream, path)
    with as_text(stream, encoding) as text:
        lines, whole = _first_lines(text)
    stream.seek(0)
    ending = next((mark for end, mark in _OF_NAMES.items() if path.lower().endswith(end)), None)
    reading = _Reading(path, lines, whole, delimiter, likely or ending)
    found = reading.table()
    if found is None:
        return None
    start, mark, records = found
    line = start + 1 + next(i for i, text in enumerate(lines[start:]) if text.strip("\r\n"))
    _Check(path, line, mark, records).all()
    return Header(tuple(records[0]), mark, len(records) > 1 or not whole, start, encoding)


def _encoding(stream: Any, path: str) -> str:
    beginning = stream.read(4)
    stream.seek(0)
    for magic, (kind, remedy) in _NO_TEXT.items():
        if beginning.startswith(magic):
            raise DataError(f"{path} is no CSV: it {kind}.", remedy)
    return "utf-16" if beginning.startswith(_UTF_16) else "utf-8"


def _first_lines(text: TextIOWrapper) -> tuple[list[str], bool]:
    """Lines at the beginning, and whether they are all: else the last one is cut short."""
    sample = text.read(_SAMPLE)
    size = _SAMPLE
    while size == len(sample) < _LONGEST_SAMPLE and sample.count("\n") < _FEWEST_LINES:
        size *= 2
        sample += text.read(size - len(sample))
    lines = list(StringIO(sample, newline=""))
    return lines, not text.read(1)


@dataclass(frozen=True)
class _Reading:
    """The first lines of a file, and how they may be parted.

    Parameters
    ----------
    path : str
    lines : list of str
    whole : bool
        Whether these are all lines.
    delimiter, likely : str or None
        Which one is known, and which one is taken where others would do as well.
    """

    path: str
    lines: list[str]
    whole: bool
    delimiter: str | None
    likely: str | None

    def table(self) -> tuple[int, str, Records] | None:
        """Lines to skip, the delimiter, and records from the header on; ``None`` without any."""
        filled = [i for i, line in enumerate(self.lines) if line.strip("\r\n")]
        start, given = 0, self.delimiter
        if filled and (told := _SEPARATOR_LINE.fullmatch(self.lines[filled[0]])):
            start = filled.pop(0) + 1
            given = given or told[1] or told[2]
        if not filled:
            return None
        comments = []
        for i in filled:
            if not self.lines[i].startswith("#"):
                break
            comments.append(i)
        if comments and len(comments) < len(filled):
            below = self._parted(comments[-1] + 1, given)
            above = _records(self.lines[comments[-1] : comments[-1] + 1], below[0])[0]
            if not _is_header(above, below[1]):
                return comments[-1] + 1, *below
            start = start if len(comments) == 1 else comments[-2] + 1
        return start, *self._parted(start, given)

    def _parted(self, start: int, given: str | None) -> tuple[str, Records]:
        """The delimiter that parts the header and the rows alike, and the records by it."""
        marks = given or _DELIMITERS
        try:
            parted = {mark: self._complete(_records(self.lines[start:], mark)) for mark in marks}
        except csv.Error as error:
            raise DataError(f"{self.path} is no CSV: {error}.", "Check its format.") from error
        ranks = {mark: _rank(mark, records, self.likely) for mark, records in parted.items()}
        best = max(marks, key=ranks.__getitem__)
        return best, parted[best]

    def _complete(self, records: Records) -> Records:
        if self.whole or len(records) > _MOST_RECORDS:
            return records[:_MOST_RECORDS]
        if len(records) > 1:
            return records[:-1]  # the lines may end amid it
        raise DataError(
            f"The first record of {self.path} does not end within {len(self.lines)} lines.",
            "Look for a quote that is never closed.",
        )


def _records(lines: Sequence[str], delimiter: str) -> Records:
    reader = csv.reader(lines, delimiter=delimiter)
    records: Records = []
    try:
        records.extend(islice(filter(None, reader), _MOST_RECORDS + 1))
    except csv.Error:  # one of the rows, which may hold long texts
        if not records:
            raise
    return records


def _rank(mark: str, records: Records, likely: str | None) -> tuple[float, ...]:
    """How well a delimiter parts: the header as the rows, all rows alike, and into numbers."""
    names, rows = len(records[0]), records[1:]
    width, count = _usual_width(rows)
    if width < 2:
        return (False, 0.0, 0.0, names > 1 and mark == likely, names)
    values = [value for row in rows if len(row) == width for value in row]
    numbers = sum(map(_is_datum, values)) / len(values)
    return (names == width, count / len(rows), numbers, mark == likely, names)


def _usual_width(rows: Records) -> tuple[int, int]:
    """How many values most rows have, and how many rows those are."""
    widths = Counter(map(len, rows)).most_common(1)
    return widths[0] if widths else (0, 0)


def _is_datum(text: str) -> bool:
    """Whether a text is a number, however it is written, or a date: seldom a name."""
    tests = (is_number, has_decimal_comma, has_thousands, _DATE.fullmatch)
    return any(test(text) for test in tests)


def _is_header(comment: list[str], below: Records) -> bool:
    """Whether a line that begins with # names the columns of what is below, as ``#,x,y`` may."""
    if any(map(_is_datum, below[0])):
        return True
    values = (value for row in below[1:] for value in row)
    return len(comment) == len(below[0]) and not any(map(_is_datum, values))


@dataclass(frozen=True)
class _Check:
    """What may be wrong with the line that should be the header.

    Parameters
    ----------
    path : str
    line : int
        Its number, from 1.
    delimiter : str
    records : list of list of str
        It, and some rows.
    """

    path: str
    line: int
    delimiter: str
    records: Records

    def all(self) -> None:
        """Raise DataError for the first thing that is wrong."""
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
        width, _ = _usual_width(rows)
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
        if names < width and not any(map(_is_datum, table[0])):
            shown = shortened(self.delimiter.join(self.names))
            cause = f"{header} is {shown!r}, with {counted}; lines below have {width}, such as "
            cause += f"{shortened(self.delimiter.join(table[0]))!r}."
            raise DataError(cause, "Remove lines above the one with the columns' names.")
        if names == width - 1 and not any(row[-1] for row in table):
            raise DataError(f"{cause} Rows end with a delimiter.", "Remove it, or add one there.")
        if names == width - 1:
            cause += " R writes the names of rows so, without a name for their column."
        raise DataError(cause, _NAME_COLUMNS)

    def _not_spaced(self) -> None:
        """Raise where each line is one value, and spaces part numbers in it."""
        if any(len(record) != 1 for record in self.records):
            return
        pieces = [record[0].split() for record in self.records]
        numbers = all(map(is_number, (piece for row in pieces[1:] for piece in row)))
        if len(pieces) > 1 and len(pieces[1]) > 1 and numbers:
            raise DataError(
                f"Spaces part the values of {self.path}: line {self.line} is "
                f"{shortened(self.records[0][0])!r}.",
                "Where it is one space each time, give it: delimiter=' ' (--delimiter ' '). Else "
                "write the file with commas.",
            )

    def _no_data(self) -> None:
        """Raise where the names are values, as where there is no header."""
        # pandas names columns so that have no names: these are no data.
        names = self.names[1:] if self.names[0] == "" else self.names
        if names == [str(number) for number in range(len(names))]:
            return
        data = [name for name in names if _is_datum(name)]
        others = {i: n for i, n in enumerate(self.names) if n and not _is_datum(n)}
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
