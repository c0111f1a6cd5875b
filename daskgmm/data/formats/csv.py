"""Rows of CSV files, plain or compressed, read as a stream.

One part is one file of any size: where a byte range starts inside a quoted value, its
line ends can't be distinguished from the value's own. So large data should be many files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from daskgmm.data.column_errors import (
    DELIMITER,
    FIRST_LOCATION,
    FIRST_ROW,
    FIRST_VALUE,
    check_names,
)
from daskgmm.data.columns import ColumnSelection
from daskgmm.data.decode import Decoder, block_rows_for
from daskgmm.data.files.hive import key_columns, with_constants
from daskgmm.data.files.versions import InputFile
from daskgmm.data.formats.csv_errors import (
    COUNTED,
    open_decompressed,
    record_at,
)
from daskgmm.data.formats.csv_header import read_header
from daskgmm.data.formats.csv_rows import FirstRows, decoded_batches, first_rows, number_field
from daskgmm.data.source import Block, SelfContainedPart, Source
from daskgmm.errors import ConfigurationError, DataError, InputTypeError

_FLOAT64 = np.dtype(np.float64)


@dataclass(frozen=True)
class CsvPart(SelfContainedPart):
    """One CSV file, its columns' types forced to those of the table.

    Parameters
    ----------
    file : InputFile
    selection : ColumnSelection
    types : tuple of tuple of str and pyarrow.DataType
        Types of the columns that the file has.
    constants : mapping
        Columns that the names of its directories give, by name.
    block_rows : int
    delimiter : str or None
        The given one.
    likely : str
        The delimiter of the first file.
    """

    file: InputFile
    selection: ColumnSelection
    types: tuple[tuple[str, pa.DataType], ...]
    constants: Mapping[str, pa.Scalar]
    block_rows: int
    delimiter: str | None
    likely: str

    @property
    def label(self) -> str:
        """Name of the file, for errors."""
        return self.file.path

    def blocks(self) -> Iterator[Block]:
        """Yield blocks of at most ``block_rows`` rows as the text is decoded."""
        row = 0
        given = {name: value.type for name, value in self.constants.items()}
        types = dict(self.types) | given
        kept = pa.schema({name: types[name] for name in self.selection.keep})
        decoder = Decoder(self.selection, _FLOAT64, self, self.block_rows, kept)
        for batch in self._batches():
            for start in range(0, batch.num_rows, self.block_rows):
                piece = batch.slice(start, self.block_rows)
                yield decoder.block(piece, row + start)
            row += batch.num_rows

    def _batches(self) -> Iterator[pa.RecordBatch]:
        with open_decompressed(self.file) as stream:
            header = read_header(stream, self.file.path, self.delimiter, self.likely)
            if header is None:
                return
            types = dict(self.types)
            check_names(tuple(types), header.names, self.file.path)
            convert = arrow_csv.ConvertOptions(column_types=types, include_columns=list(types))
            for batch in decoded_batches(stream, self.file, header, convert):
                yield with_constants(batch, self.constants)

    def text_at(self, row: int, feature: int | None = None) -> tuple[int, str] | None:
        """The line of a row, and the text of a feature in it."""
        with open_decompressed(self.file) as stream:
            header = read_header(stream, self.file.path, self.delimiter, self.likely)
        if header is None or (found := record_at(self.file, header, row)) is None:
            return None
        texts = dict(zip(header.names, found[1], strict=False))
        return found[0], "" if feature is None else texts.get(self.selection.features[feature], "")


@dataclass(frozen=True)
class CsvTable:
    """CSV files known by the first rows that any of them has.

    Parameters
    ----------
    files : tuple of InputFile
        In row order.
    numbers : pyarrow.Schema
        Types with which features are read: float64 wherever the first value is a number.
    delimiter : str or None
        The given one.
    first : FirstRows
        The rows from which the columns' types were inferred.
    """

    files: tuple[InputFile, ...]
    numbers: pa.Schema
    delimiter: str | None
    first: FirstRows

    @property
    def rows(self) -> tuple[None, ...]:
        """``None`` for each file: its number of rows is unknown until it is read."""
        return (None,) * len(self.files)

    def source(self, selection: ColumnSelection, block_rows: int | None = None) -> Source:
        """Return the selected columns' rows, a part for each file.

        Kept columns that are not features stay text as written: a type inferred from the first
        rows may not suit the others, and a number loses digits of its text.

        Raises
        ------
        DataError
            A column is missing.
        InputTypeError
            The first value of a feature or weight column is not a number.
        """
        keys, values = key_columns([file.path for file in self.files], selection.unread)
        if selection.columns is None:
            self._require_names()
        path = self.first.file.path
        try:
            selection = selection.resolve(self.numbers, path, keys)
        except InputTypeError:  # read again to find the line for the error
            selection = selection.resolve(self._placed(), path, keys)
        own = set(self.numbers.names)
        kinds = {name: pa.string() for name in selection.keep if name in own}
        kinds |= {n: self.numbers.field(n).type for n in selection.numeric if n in own}
        types = tuple(kinds.items())
        given = [name for name in selection.names if name not in own]
        size = block_rows or block_rows_for(len(selection.features))
        parts = tuple(
            CsvPart(
                file,
                selection,
                types,
                {name: known[name] for name in given},
                size,
                self.delimiter,
                self.first.header.delimiter,
            )
            for file, known in zip(self.files, values, strict=True)
        )
        return Source(
            parts,
            len(selection.features),
            _FLOAT64,
            selection.columns,
            decoded=True,
            block_rows=size,
        )

    def _placed(self) -> pa.Schema:
        """The columns to read; those of text with their first value, its row and line."""
        file, header = self.first.file, self.first.header
        fields = []
        for field in self.numbers:
            metadata = field.metadata or {}
            if row := metadata.get(FIRST_ROW):
                found = record_at(file, header, int(row))
                line = f" (line {found[0]})" if found else ""
                location = f" It is in row {int(row)}{line}. {COUNTED}"
                metadata = {**metadata, FIRST_LOCATION: location, DELIMITER: header.delimiter}
            fields.append(field.with_metadata(metadata))
        return pa.schema(fields)

    def _require_names(self) -> None:
        """Raise where a column of values has no name: only the first may be an index."""
        for position, column in enumerate(self.numbers):
            metadata = column.metadata or {}
            if column.name == "" and position and FIRST_VALUE in metadata:
                raise DataError(
                    f"Column {position} of {self.first.file.path}, counted from 0, has no name in "
                    f"the header, and holds {metadata[FIRST_VALUE].decode()!r}.",
                    "Name it there, or choose columns with columns= (--columns).",
                )


def open_csv(files: Sequence[InputFile], delimiter: str | None = None) -> CsvTable:
    """Read the header and first rows of the first CSV file that has rows.

    Parameters
    ----------
    files : sequence of InputFile
    delimiter : str, optional
        One character; by default inferred from each file's first lines.

    Raises
    ------
    ConfigurationError
        The delimiter is not allowed.
    DataError
        No file has a header line, or the first rows make no table.
    """
    if delimiter is not None:
        delimiter = _checked(delimiter)
    headed = None
    for found in (first_rows(file, delimiter) for file in files):
        headed = headed if found is None else found
        if headed is not None and headed.rows.num_rows:
            break
    if headed is None:
        cause = f"{files[0].path} is empty: it has no header line."
        raise DataError(cause, "Write the columns' names into the first line.")
    return CsvTable(
        tuple(files),
        pa.schema(list(map(number_field, headed.rows.schema, headed.rows))),
        delimiter,
        headed,
    )


def _checked(delimiter: str) -> str:
    if delimiter in ("\\t", "tab"):  # as shells pass it on
        return "\t"
    if len(delimiter) == 1 and delimiter.isascii() and delimiter not in '"\r\n\0':
        return delimiter
    raise ConfigurationError(
        f"The delimiter is {delimiter!r}.",
        "Give one ASCII character other than a quote, such as ';', or '\\t' for a tab.",
    )
