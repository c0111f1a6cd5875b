"""`open_table`: rows of other libraries, read once through Arrow's C stream into a local file."""

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from daskgmm.data.columns import ColumnSelection
from daskgmm.data.dataset import Dataset, column_selection
from daskgmm.data.files.versions import FileRecord, InputFile
from daskgmm.data.formats.parquet import open_parquet
from daskgmm.data.list_columns import element_of
from daskgmm.data.storage.errors import first_line, output_errors
from daskgmm.data.storage.scratch import Scratch
from daskgmm.errors import DaskGMMError, DataError, InputTypeError

_FORMAT = "parquet"
_NAME = "the table"
_PIECE_ROWS = 2**18


def open_table(
    rows: Any,
    columns: Sequence[str] | None = None,
    sample_weight: str | None = None,
    *,
    exclude: Sequence[str] = (),
    numeric: bool = False,
) -> Dataset:
    """Read rows of another library into a temporary file on this machine, in one pass.

    What is returned works like the result of `open_dataset`. The rows never lie in memory all
    together. The file is in Dask's folder for temporary files, and is removed when nothing refers
    to the rows any more; workers on other machines do not see it.

    Parameters
    ----------
    rows : object with the method ``__arrow_c_stream__``
        A table or stream of Arrow, a frame of Polars or pandas, a relation of DuckDB, and others.
        A stream is used up.
    columns : sequence of str, optional
        The features, in this order; by default all columns but the weights'. Only they are kept.
    sample_weight : str, optional
        The column of sample weights.
    exclude : sequence of str
        Columns that are no features, in place of `columns`.
    numeric : bool
        Whether all columns of numbers are features and no others, in place of `columns`.

    Returns
    -------
    Dataset

    Raises
    ------
    InputTypeError
        The object has no such method, or a column is not numeric.
    ConfigurationError
        Columns are both named and left out.
    DataError
        A column is missing, or the rows can't be read.
    OutputError
        The temporary file can't be written.
    """
    if not hasattr(rows, "__arrow_c_stream__"):
        raise InputTypeError(
            f"open_table takes tables that Arrow can read, and got a {type(rows).__name__}.",
            "Pass an Arrow table or stream, a Polars frame or a DuckDB relation; for files use "
            "open_dataset.",
        )
    selection = column_selection(_FORMAT, columns, sample_weight, exclude, numeric=numeric)
    stream = _stream(rows)
    wanted = _wanted(selection, stream.schema)
    scratch = Scratch(f"table-{uuid4().hex}")
    try:
        file = _written(stream, wanted, scratch.folder / "rows.parquet")
        weakref.finalize(file, scratch.leave)
        kept = replace(selection, exclude=(), only_numeric=False)  # the file has no others
        return Dataset(_FORMAT, open_parquet([file]), kept)
    except BaseException:
        scratch.remove()
        raise


def _stream(rows: Any) -> pa.RecordBatchReader:
    try:
        return pa.RecordBatchReader.from_stream(rows)
    except Exception as error:  # the library runs its query here
        raise _unreadable(error) from error


def _wanted(selection: ColumnSelection, schema: pa.Schema) -> list[str]:
    """The columns to keep; raise where one is missing or not numeric, before any row is read."""
    columns = selection.columns
    if columns is not None:
        there = set(schema.names)
        found = (name if name in there else (element_of(name) or (name,))[0] for name in columns)
        columns = tuple(dict.fromkeys(found))
    whole = replace(selection, columns=columns).resolve(schema, _NAME, length_of=lambda _name: 1)
    return list(whole.names)


def _written(stream: pa.RecordBatchReader, names: list[str], path: Path) -> InputFile:
    """The rows as a Parquet file, whose version is a digest of its content."""
    schema = pa.schema([stream.schema.field(name) for name in names])
    with output_errors(str(path)), pq.ParquetWriter(path, schema, compression="NONE") as writer:
        for table in _pieces(stream, schema):
            writer.write_table(table, row_group_size=_PIECE_ROWS)
    with path.open("rb") as content:
        digest = sha256()
        while piece := content.read(2**20):
            digest.update(piece)
    record = FileRecord(_NAME, path.stat().st_size, etag=digest.hexdigest())
    return InputFile(record, str(path), LocalFileSystem())


def _pieces(stream: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows in multiples of one number, however the stream cuts them; the rest comes last."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in _batches(stream):
        waiting.append(batch.select(schema.names))
        count += batch.num_rows
        if count >= _PIECE_ROWS:
            table = pa.Table.from_batches(waiting)
            whole = count - count % _PIECE_ROWS
            yield table.slice(0, whole)
            waiting, count = table.slice(whole).to_batches(), count - whole
    yield pa.Table.from_batches(waiting, schema)


def _batches(stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = stream.read_next_batch()
        except StopIteration:
            return
        except Exception as error:
            raise _unreadable(error) from error
        yield batch


def _unreadable(error: Exception) -> DaskGMMError:
    return DataError(
        f"The rows can't be read through Arrow: {first_line(error)}.",
        "Check the query or frame that they come from.",
    )
