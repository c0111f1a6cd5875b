"""Rows of CSV files, plain or compressed, read as a stream.

One part is one file, whatever its size: where a byte range starts inside a quoted value, its
line ends can't be told from the value's own. So large data is best given as many files.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from daskgmm.data.csv_text import Header, is_number, opened, read_header, shortened, text_error
from daskgmm.data.files import InputFile
from daskgmm.data.partitions import key_columns, with_constants
from daskgmm.data.retrying import persistent
from daskgmm.data.selection import FIRST_VALUE, Selection, check_names
from daskgmm.data.source import Block, Source
from daskgmm.data.tables import Decoder, block_rows_for
from daskgmm.errors import DataError

_TEXT_BYTES = 2**23  # decoded at a time
_FLOAT64 = np.dtype(np.float64)


@dataclass(frozen=True)
class CsvPart:
    """One CSV file, its columns' types forced to those of the table's first rows.

    Parameters
    ----------
    file : InputFile
    selection : Selection
    types : tuple of tuple of str and pyarrow.DataType
        Of the columns that the file has.
    constants : mapping
        Columns that the names of its directories give, by name.
    block_rows : int
    """

    file: InputFile
    selection: Selection
    types: tuple[tuple[str, pa.DataType], ...]
    constants: Mapping[str, pa.Scalar]
    block_rows: int

    @property
    def inputs(self) -> Sequence[Hashable]:
        """None: it reads a file."""
        return ()

    @property
    def label(self) -> str:
        """The file."""
        return self.file.path

    def read(self, *inputs: Any) -> Iterator[Block]:  # noqa: ARG002  the protocol's signature
        """Yield blocks of at most ``block_rows`` rows as the text is decoded."""
        row = 1
        decoder = Decoder(self.selection, _FLOAT64, self.label, self.block_rows)
        for batch in self._batches():
            for start in range(0, batch.num_rows, self.block_rows):
                piece = batch.slice(start, self.block_rows)
                yield decoder.block(piece, row + start)
            row += batch.num_rows

    def _batches(self) -> Iterator[pa.RecordBatch]:
        with opened(self.file) as stream:
            header = read_header(stream, self.file.path)
            if header is None:
                return
            types = dict(self.types)
            check_names(tuple(types), header.names, self.file.path)
            convert = arrow_csv.ConvertOptions(column_types=types, include_columns=list(types))
            for batch in _decoded(stream, self.file, header, convert):
                yield with_constants(batch, self.constants)


@dataclass(frozen=True)
class CsvTable:
    """CSV files known by the first rows that any of them has.

    Parameters
    ----------
    files : tuple of InputFile
        In row order.
    kept : pyarrow.Schema
        Types with which columns are carried along: as inferred.
    numbers : pyarrow.Schema
        Types with which features are read: float64 wherever the first value is a number.
    """

    files: tuple[InputFile, ...]
    kept: pa.Schema
    numbers: pa.Schema

    @property
    def rows(self) -> tuple[None, ...]:
        """Unknown for each file until it is read."""
        return (None,) * len(self.files)

    def source(self, selection: Selection, block_rows: int | None = None) -> Source:
        """Return the selected columns' rows, a part for each file.

        Raises
        ------
        DataError
            A column is missing.
        InputTypeError
            The first value of a feature or weight column is not a number.
        """
        keys, values = key_columns([file.path for file in self.files])
        selection = selection.resolve(self.numbers, self.files[0].path, keys)
        own = set(self.numbers.names)
        kinds = {name: self.kept.field(name).type for name in selection.keep if name in own}
        kinds |= {n: self.numbers.field(n).type for n in selection.numeric if n in own}
        types = tuple(kinds.items())
        given = [name for name in selection.names if name not in own]
        size = block_rows or block_rows_for(len(selection.features))
        parts = tuple(
            CsvPart(file, selection, types, {name: known[name] for name in given}, size)
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


def open_csv(files: Sequence[InputFile]) -> CsvTable:
    """Read the header and first rows of the first CSV file that has rows.

    Raises
    ------
    DataError
        No file has a header line, or the first rows make no table.
    """
    headed = None
    for batch in map(_first_rows, files):
        headed = headed if batch is None else batch
        if headed is not None and headed.num_rows:
            break
    if headed is None:
        cause = f"{files[0].path} is empty: it has no header line."
        raise DataError(cause, "Write the columns' names into the first line.")
    return CsvTable(
        tuple(files),
        pa.schema([_kept_field(field) for field in headed.schema]),
        pa.schema([_number_field(*pair) for pair in zip(headed.schema, headed, strict=True)]),
    )


@persistent
def _first_rows(file: InputFile) -> pa.RecordBatch | None:
    """Return a file's first rows, none under a lone header, ``None`` if it is empty."""
    with opened(file) as stream:
        header = read_header(stream, file.path)
        if header is None:
            return None
        convert = arrow_csv.ConvertOptions(strings_can_be_null=True)
        no_rows = pa.RecordBatch.from_arrays([pa.nulls(0)] * len(header.names), header.names)
        return next(_decoded(stream, file, header, convert), no_rows)


def _decoded(
    stream: Any, file: InputFile, header: Header, convert: arrow_csv.ConvertOptions
) -> Iterator[pa.RecordBatch]:
    """Yield batches of rows; without threads, for only then Arrow's errors number the rows."""
    if not header.has_rows:  # Arrow takes a lone header for an error
        return
    read = arrow_csv.ReadOptions(use_threads=False, block_size=_TEXT_BYTES)
    parse = arrow_csv.ParseOptions(delimiter=header.delimiter, newlines_in_values=True)
    try:
        with arrow_csv.open_csv(stream, read, parse, convert) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        raise text_error(error, file, header) from error


def _kept_field(column: pa.Field) -> pa.Field:
    """Take a column that begins with nothing but empty values for text."""
    return column.with_type(pa.string()) if pa.types.is_null(column.type) else column


def _number_field(column: pa.Field, values: pa.Array) -> pa.Field:
    """Decide whether a column holds numbers by its first value.

    A later text is then an error about that value and its row, not about the column.
    """
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_null(kind):
        return column.with_type(pa.float64())
    if not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
        return column
    first = values.drop_null()[0].cast(pa.binary()).as_py().decode(errors="replace")
    if is_number(first):
        return column.with_type(pa.float64())
    return column.with_metadata({FIRST_VALUE: shortened(first)})
