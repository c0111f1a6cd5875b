"""Rows of CSV text as Arrow decodes them, and the types that the first ones seem to have."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from daskgmm.data.column_errors import FIRST_ROW, FIRST_VALUE
from daskgmm.data.files.versions import InputFile
from daskgmm.data.formats.csv_errors import (
    QuoteCounter,
    open_decompressed,
    require_closed_quotes,
    text_error,
)
from daskgmm.data.formats.csv_header import Header, read_header
from daskgmm.data.number_text import is_number_text, shortened
from daskgmm.data.storage.retry import retried

_TEXT_BYTES = 2**23  # decoded at a time
_VALUES_INSPECTED = 1000  # of a column, to decide whether it holds numbers


@dataclass(frozen=True)
class FirstRows:
    """The first rows of a file, with the types that they seem to have."""

    file: InputFile
    header: Header
    rows: pa.RecordBatch


@retried
def first_rows(file: InputFile, delimiter: str | None) -> FirstRows | None:
    """Return a file's first rows, none under a lone header, ``None`` if it is empty."""
    with open_decompressed(file) as stream:
        header = read_header(stream, file.path, delimiter)
        if header is None:
            return None
        convert = arrow_csv.ConvertOptions(strings_can_be_null=True)
        no_rows = pa.RecordBatch.from_arrays([pa.nulls(0)] * len(header.names), header.names)
        return FirstRows(
            file, header, next(decoded_batches(stream, file, header, convert), no_rows)
        )


def decoded_batches(
    stream: Any, file: InputFile, header: Header, convert: arrow_csv.ConvertOptions
) -> Iterator[pa.RecordBatch]:
    """Yield batches of rows; without threads, for only then Arrow's errors number the rows."""
    if not header.has_rows:  # Arrow raises an error for a lone header
        return
    read = arrow_csv.ReadOptions(
        use_threads=False,
        block_size=_TEXT_BYTES,
        skip_rows=header.skipped,
        encoding=header.encoding,
    )
    parse = arrow_csv.ParseOptions(delimiter=header.delimiter, newlines_in_values=True)
    quotes = QuoteCounter(stream)
    try:
        with arrow_csv.open_csv(quotes, read, parse, convert) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        raise text_error(error, file, header) from error
    if quotes.count % 2:
        require_closed_quotes(file, header)


def number_field(column: pa.Field, values: pa.Array) -> pa.Field:
    """Decide whether a column holds numbers by its first values.

    A text among numbers is then an error about that value and its row, not about the column.
    """
    known = values.drop_null()
    if not len(known):
        return column.with_type(pa.float64())
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
        metadata = {FIRST_VALUE: str(known[0])}
        return column.with_metadata(metadata).with_type(pa.float64() if _is_whole(kind) else kind)
    texts = known[:_VALUES_INSPECTED].cast(pa.binary()).to_pylist()
    first = texts[0].decode(errors="replace")
    numbers = sum(is_number_text(text.decode(errors="replace")) for text in texts)
    if is_number_text(first) or numbers > len(texts) / 2:
        return column.with_type(pa.float64()).with_metadata({FIRST_VALUE: shortened(first)})
    row = pc.indices_nonzero(values.is_valid())[0].as_py()  # index() would import pandas
    return column.with_metadata({FIRST_VALUE: shortened(first), FIRST_ROW: str(row)})


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind))
