"""Rows of Parquet files, a row group at a time and never more than a batch of it."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from daskgmm.data.columns import ColumnSelection
from daskgmm.data.decode import Decoder, block_rows_for, kept_schema
from daskgmm.data.files.hive import key_columns, with_constants
from daskgmm.data.files.versions import InputFile, for_each
from daskgmm.data.list_columns import length_in
from daskgmm.data.source import Block, SelfContainedPart, Source
from daskgmm.data.storage.errors import decoder_errors, input_errors
from daskgmm.data.storage.retry import retried
from daskgmm.errors import DataError

_LISTS_AT_ONCE = 64
_READ_BYTES = 2**23  # read ahead of the decoder, over all columns


@dataclass(frozen=True)
class ParquetPart(SelfContainedPart):
    """One row group of a Parquet file.

    Parameters
    ----------
    file : InputFile
    row_group, row_groups : int
        Which one, and of how many.
    rows : int
    selection : ColumnSelection
    constants : mapping
        Columns that the names of its directories give, by name.
    dtype : dtype
        Type of the blocks' rows.
    block_rows : int
    kept : pyarrow.Schema
        Types of the kept columns.
    stored : mapping
        Names in the file of columns that are called otherwise in the table.
    removed : ndarray of int or None
        Positions in the row group of rows that are not part of the table, in order.
    """

    file: InputFile
    row_group: int
    row_groups: int
    rows: int
    selection: ColumnSelection
    constants: Mapping[str, pa.Scalar]
    dtype: np.dtype[Any]
    block_rows: int
    kept: pa.Schema
    stored: Mapping[str, str] = field(default_factory=dict)
    removed: NDArray[np.int64] | None = field(default=None, compare=False)

    @property
    def length(self) -> int:
        """Number of rows that are part of the table."""
        return self.rows - (0 if self.removed is None else len(self.removed))

    @property
    def label(self) -> str:
        """The file and the row group, counted from 0 as Arrow does."""
        return f"{self.file.path}, row group {self.row_group}"

    def blocks(self) -> Iterator[Block]:
        """Yield blocks of at most ``block_rows`` rows as they are decoded."""
        row = 0
        decoder = Decoder(self.selection, self.dtype, self, self.block_rows, self.kept)
        for batch in self._batches():
            yield decoder.block(batch, row)
            row += batch.num_rows
        # Arrow's allocator would keep the decoders' memory, which Dask counts as the worker's.
        pa.default_memory_pool().release_unused()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        if self.rows == 0:  # a file without rows has no row group to read
            return
        wanted = [name for name in self.selection.names if name not in self.constants]
        names = [self.stored.get(name, name) for name in wanted]
        with input_errors(self.file.path), _opened(self.file) as stream:
            # Without a buffer, Arrow reads all bytes of the row group before it decodes any.
            buffer_size = min(max(_READ_BYTES // max(len(names), 1), 2**16), 2**22)
            with decoder_errors(self.label, path=self.file.path):
                footer = _footer(self.file) if self.row_groups > 1 else None
                reader = pq.ParquetFile(
                    stream, metadata=footer, buffer_size=buffer_size, pre_buffer=False
                )
                batches = reader.iter_batches(
                    self.block_rows, row_groups=[self.row_group], columns=names, use_threads=False
                )
            yield from self._decoded(batches)

    def _decoded(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = 0
        called = {there: name for name, there in self.stored.items()}
        while True:
            with decoder_errors(self.label, path=self.file.path):
                batch = next(batches, None)
            if batch is None:
                break
            if called:
                batch = batch.rename_columns([called.get(n, n) for n in batch.schema.names])
            yield with_constants(self._left(batch, rows), self.constants)
            rows += batch.num_rows
        if rows != self.rows:
            raise DataError(
                f"{self.label} is damaged: it has {rows} rows, and its footer says {self.rows}.",
                "Write the file again or leave it out.",
            )

    def _left(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """The rows of a batch that are part of the table; ``first`` is its first row's position."""
        if self.removed is None:
            return batch
        start, stop = np.searchsorted(self.removed, (first, first + batch.num_rows))
        stays = np.ones(batch.num_rows, np.bool_)
        stays[self.removed[start:stop] - first] = False
        bits = pa.py_buffer(np.packbits(stays, bitorder="little"))
        return batch.filter(pa.Array.from_buffers(pa.bool_(), len(stays), [None, bits]))


@contextmanager
def _opened(file: InputFile) -> Iterator[Any]:
    if file.local is not None:
        # Arrow's own file reads into Arrow's memory, without a Python object for each page.
        with file.unchanged(), pa.OSFile(file.key) as stream:
            yield stream
        return
    # A small file is read whole: one request instead of one for each column.
    small = file.record.bytes is not None and file.record.bytes <= _READ_BYTES
    with file.reading(cache_type="all" if small else "none") as stream:
        yield stream


@dataclass(frozen=True)
class ParquetTable:
    """Parquet files known by their footers.

    Parameters
    ----------
    files : tuple of InputFile
        In row order.
    schemas : tuple of pyarrow.Schema
        The files' schemas; equal ones are one object.
    row_groups : tuple of tuple of int
        Rows of each file's row groups.
    """

    files: tuple[InputFile, ...]
    schemas: tuple[pa.Schema, ...]
    row_groups: tuple[tuple[int, ...], ...]

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of each file."""
        return tuple(sum(groups) for groups in self.row_groups)

    def source(self, selection: ColumnSelection, block_rows: int | None = None) -> Source:
        """Return the selected columns' rows, a part for each row group.

        Raises
        ------
        DataError
            A file lacks a column, holds no numbers in it, or has a kept column that no type holds
            together with those of other files.
        """
        keys, values = key_columns([file.path for file in self.files], selection.unread)
        selection = selection.resolve(self.schemas[0], self.files[0].path, keys, self.length_of)
        checked = self.schemas[0]
        for file, schema in zip(self.files, self.schemas, strict=True):
            if schema is not checked:
                selection.check(schema, file.path, keys)
                checked = schema
        dtype = self._dtype(selection)
        size = block_rows or block_rows_for(len(selection.features))
        constants = self._constants(selection, values)
        kept = self._kept(selection, constants)
        parts = tuple(
            ParquetPart(file, number, len(groups), rows, selection, given, dtype, size, kept)
            for file, groups, given in zip(self.files, self.row_groups, constants, strict=True)
            for number, rows in enumerate(groups or (0,))
        )
        lengths = tuple(part.rows for part in parts)
        return Source(
            parts,
            len(selection.features),
            dtype,
            selection.columns,
            lengths,
            decoded=True,
            block_rows=size,
        )

    def _constants(
        self, selection: ColumnSelection, values: Sequence[Mapping[str, pa.Scalar]]
    ) -> list[dict[str, pa.Scalar]]:
        """For each file, the columns that come from the names of its directories."""
        given = []
        for schema, known in zip(self.schemas, values, strict=True):
            names = set(known) & set(selection.names) - set(schema.names) if known else ()
            given.append({name: known[name] for name in selection.names if name in names})
        return given

    def _kept(
        self, selection: ColumnSelection, constants: Sequence[Mapping[str, pa.Scalar]]
    ) -> pa.Schema:
        """Types that hold the kept columns of every file."""
        described: dict[tuple[int, tuple[str, ...]], tuple[str, pa.Schema]] = {}
        for file, schema, given in zip(self.files, self.schemas, constants, strict=True):
            own = pa.schema([*schema, *((name, value.type) for name, value in given.items())])
            described.setdefault((id(schema), tuple(given)), (file.path, own))
        return kept_schema(selection.keep, described.values())

    def length_of(self, name: str, stored: Sequence[Mapping[str, str]] = ()) -> int:
        """Length of the first list in a column; ``stored`` has each file's names of columns.

        Raises
        ------
        DataError
            There is none.
        """
        names = [own.get(name, name) for own in stored] or [name] * len(self.files)
        for file, there, schema in zip(self.files, names, self.schemas, strict=True):
            length = _first_length(file, there) if there in schema.names else None
            if length is not None:
                return length
        raise DataError(
            f"Column {name!r} of {self.files[0].path} has no list whose length could be taken.",
            "Leave it out.",
        )

    def _dtype(self, selection: ColumnSelection) -> np.dtype[Any]:
        """Return float32 where every feature of every file fits it, else float64."""
        schemas = {id(schema): schema for schema in self.schemas}.values()
        return common_float_type({kind for schema in schemas for kind in selection.types(schema)})


def common_float_type(kinds: AbstractSet[pa.DataType | None]) -> np.dtype[Any]:
    """Return float32 where it holds all values of some types, else float64."""
    return np.dtype(np.float32 if kinds <= {pa.float16(), pa.float32()} else np.float64)


def open_parquet(files: Sequence[InputFile]) -> ParquetTable:
    """Read the footers of Parquet files.

    Raises
    ------
    DataError
        A file is not Parquet, or cut short.
    MissingInputError
        A file is gone or can't be read.
    """
    described = for_each(files, _describe)
    schemas: list[pa.Schema] = []
    for schema, _ in described:
        # Thousands of files mostly share one schema: keep it, check it and send it once.
        same = bool(schemas) and schemas[-1].equals(schema)
        schemas.append(schemas[-1] if same else schema)
    return ParquetTable(tuple(files), tuple(schemas), tuple(groups for _, groups in described))


@retried
def _describe(file: InputFile) -> tuple[pa.Schema, tuple[int, ...]]:
    with (
        input_errors(file.path),
        file.open(cache_type="none") as stream,
        decoder_errors(file.path),
    ):
        reader = pq.ParquetFile(stream)
        footer, schema = reader.metadata, reader.schema_arrow
        groups = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
        [str(field) for field in schema]  # raises for names that are not text
    if min(groups, default=0) < 0:
        cause = f"{file.path} is damaged: a row group has {min(groups)} rows."
        raise DataError(cause, "Write the file again or leave it out.")
    return schema, tuple(groups)


@lru_cache(maxsize=256)
def _first_length(file: InputFile, column: str) -> int | None:
    """Length of the first list in a column of a file."""
    with (
        input_errors(file.path),
        file.open(cache_type="none") as stream,
        decoder_errors(file.path),
    ):
        for batch in pq.ParquetFile(stream).iter_batches(_LISTS_AT_ONCE, columns=[column]):
            length = length_in(batch.column(0))
            if length is not None:
                return length
    return None


@lru_cache(maxsize=16)
def _footer(file: InputFile) -> pq.FileMetaData:
    """Decode a footer once for all row groups: it may take as long as one of them."""
    with file.open(cache_type="none") as stream:
        return pq.read_metadata(stream)
