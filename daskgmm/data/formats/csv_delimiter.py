"""The delimiter of a CSV file, and where its table begins, from its first lines."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from daskgmm.data.number_text import has_decimal_comma, has_thousands, is_number_text
from daskgmm.errors import DataError

Records = list[list[str]]
_DELIMITERS = ",;\t|"
_MOST_RECORDS = 50
_SEPARATOR_LINE = re.compile(
    r"sep=([\t !#-~])\s*|\"sep=([\t !#-~])\"\s*", re.IGNORECASE
)  # written by Excel
_DATE = re.compile(r"\s*\d{4}-\d\d-\d\d([ T]\d\d:.*)?")


@dataclass(frozen=True)
class Sniffer:
    """Infers the delimiter and the start of the table from a file's first lines.

    Parameters
    ----------
    path : str
    lines : list of str
    whole : bool
        Whether these are all lines.
    delimiter, likely : str or None
        The given one, and the one that is preferred among equally good ones.
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
        if filled and (given_line := _SEPARATOR_LINE.fullmatch(self.lines[filled[0]])):
            start = filled.pop(0) + 1
            given = given or given_line[1] or given_line[2]
        if not filled:
            return None
        comments = []
        for i in filled:
            if not self.lines[i].startswith("#"):
                break
            comments.append(i)
        if comments and len(comments) < len(filled):
            below = self._split(comments[-1] + 1, given)
            above = _records(self.lines[comments[-1] : comments[-1] + 1], below[0])[0]
            if not _is_header(above, below[1]):
                return comments[-1] + 1, *below
            start = start if len(comments) == 1 else comments[-2] + 1
        return start, *self._split(start, given)

    def _split(self, start: int, given: str | None) -> tuple[str, Records]:
        """The delimiter that splits header and rows most alike, and the records."""
        marks = given or _DELIMITERS
        try:
            parted = {mark: self._complete(_records(self.lines[start:], mark)) for mark in marks}
        except csv.Error as error:
            raise DataError(f"{self.path} is not CSV: {error}.", "Check its format.") from error
        ranks = {mark: _rank(mark, records, self.likely) for mark, records in parted.items()}
        best = max(marks, key=ranks.__getitem__)
        return best, parted[best]

    def _complete(self, records: Records) -> Records:
        if self.whole or len(records) > _MOST_RECORDS:
            return records[:_MOST_RECORDS]
        if len(records) > 1:
            return records[:-1]  # the last record may be cut
        raise DataError(
            f"The first record of {self.path} does not end within {len(self.lines)} lines.",
            "Look for a quote that is never closed.",
        )


def _records(lines: Sequence[str], delimiter: str) -> Records:
    reader = csv.reader(lines, delimiter=delimiter)
    records: Records = []
    try:
        records.extend(islice(filter(None, reader), _MOST_RECORDS + 1))
    except csv.Error:  # a row may hold a text longer than csv's limit
        if not records:
            raise
    return records


def _rank(mark: str, records: Records, likely: str | None) -> tuple[float, ...]:
    """Rank of a delimiter: header as wide as the rows, rows alike, and many numbers."""
    names, rows = len(records[0]), records[1:]
    width, count = usual_width(rows)
    if width < 2:
        return (False, 0.0, 0.0, names > 1 and mark == likely, names)
    values = [value for row in rows if len(row) == width for value in row]
    numbers = sum(map(is_value, values)) / len(values)
    return (names == width, count / len(rows), numbers, mark == likely, names)


def usual_width(rows: Records) -> tuple[int, int]:
    """How many values most rows have, and how many rows those are."""
    widths = Counter(map(len, rows)).most_common(1)
    return widths[0] if widths else (0, 0)


def is_value(text: str) -> bool:
    """Whether a text is a number, however it is written, or a date: seldom a name."""
    tests = (is_number_text, has_decimal_comma, has_thousands, _DATE.fullmatch)
    return any(test(text) for test in tests)


def _is_header(comment: list[str], below: Records) -> bool:
    """Whether a line that begins with # names the columns below it, as ``#,x,y`` may."""
    if any(map(is_value, below[0])):
        return True
    values = (value for row in below[1:] for value in row)
    return len(comment) == len(below[0]) and not any(map(is_value, values))
