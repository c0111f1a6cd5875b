"""Output as Parquet: one file for each part."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daskgmm.data.files.versions import for_each
from daskgmm.data.sinks.base import (
    RECORD,
    ExistingOutput,
    OutputColumns,
    OutputField,
    RowRange,
    Sink,
    WrittenPart,
)
from daskgmm.data.storage.errors import output_errors
from daskgmm.data.storage.folder import Folder

COMPRESSION = "snappy"
"""Random digits hardly compress: Zstandard takes half as long again to save 5%."""

_PART = re.compile(r"part-(\d+)\.parquet")
_DIGITS = 5


class PartWriter:
    """Writes one file, a table as a row group.

    Parameters
    ----------
    name : str
        Name of the complete file.
    unfinished : Path
        Path while it is written.
    shown : str
        Name of the file in errors.
    record : str
        The output's record for the file's metadata, as JSON.
    """

    def __init__(self, name: str, unfinished: Path, shown: str, record: str) -> None:
        self.name = name
        self.rows = 0
        self._record = record
        self._unfinished = unfinished
        self._shown = shown
        self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, columns: OutputColumns, kept: pa.Table | None) -> None:
        """Append rows; the first ones determine the schema."""
        self.append(as_table(columns, kept))

    def append(self, table: pa.Table) -> None:
        """Append rows, kept columns and all."""
        with output_errors(self._shown):
            if self._writer is None:
                self._writer = pq.ParquetWriter(
                    self._unfinished,
                    table.schema,
                    compression=COMPRESSION,
                    # Building a dictionary of numbers that never repeat takes longer than the rest.
                    use_dictionary=[
                        own.name for own in table.schema if not pa.types.is_floating(own.type)
                    ],
                )
            self._writer.write_table(table)
        self.rows += table.num_rows

    def close(self) -> None:
        """Finish the file; without appended rows no file exists."""
        if self._writer is not None:
            with output_errors(self._shown):
                self._writer.add_key_value_metadata({RECORD: self._record})
                self._writer.close()
                self._bytes = self._unfinished.stat().st_size

    def written(self) -> WrittenPart:
        """The part as written, once its file is complete."""
        return WrittenPart(self.name, self.rows, self._bytes)


@dataclass(frozen=True)
class _PartFile:
    """A file of an output, by its footer.

    Parameters
    ----------
    written : WrittenPart
    record : mapping or None
        The record in its metadata, if it is a file of this package.
    """

    written: WrittenPart
    record: Mapping[str, Any] | None

    @classmethod
    def at(cls, folder: Folder, name: str) -> Self | None:
        """The part in a file; ``None`` if the file is incomplete, as after a crash."""
        try:
            with folder.open(name) as stream:
                footer = pq.read_metadata(stream)
                written = WrittenPart(name, footer.num_rows, stream.seek(0, 2))
        except pa.ArrowException:
            return None
        return cls(written, _record_in(footer.metadata))

    @classmethod
    def all_at(cls, folder: Folder) -> dict[str, Self | None]:
        """The parts in a folder, by name, in order."""
        names = [name for name in folder.names() if _PART.fullmatch(name)]
        return dict(zip(names, for_each(names, partial(cls.at, folder)), strict=True))


def _record_in(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Any] | None:
    """The output's record in a file's metadata."""
    with suppress(ValueError, TypeError, KeyError):
        record = json.loads((metadata or {})[RECORD.encode()])
        record["run_id"], range(record["parts"])
        return dict(record)
    return None


@dataclass(frozen=True)
class ParquetSink(Sink):
    """A folder of files, one for each part of the input."""

    ending: ClassVar[str] = ""
    needs_shape: ClassVar[bool] = False
    holds_text: ClassVar[bool] = True

    @classmethod
    def found(cls, folder: Folder) -> ExistingOutput | None:
        """The output by its parts' footers; damaged files among them belong to it."""
        parts = _PartFile.all_at(folder)
        record = next((part.record for part in parts.values() if part and part.record), None)
        if record is None:
            return None
        whole = [part.written for part in parts.values() if part and part.record == record]
        expected = [_name(number, record["parts"]) for number in range(record["parts"])]
        return ExistingOutput(
            record,
            frozenset(name for name, part in parts.items() if part is None or part.record),
            tuple(whole) if [part.name for part in whole] == expected == list(parts) else None,
        )

    @classmethod
    def owns(cls, name: str, columns: Sequence[str]) -> bool:  # noqa: ARG003  the base's signature
        """Whether a file has the name of a part."""
        return _PART.fullmatch(name) is not None

    @staticmethod
    def names(fields: Sequence[OutputField]) -> list[str]:
        """Names of the output's columns."""
        return [name for field in fields for name in field.columns]

    def prepare(self) -> None:
        """Make the output's folder."""
        self.folder.make()

    def cut(self) -> list[tuple[RowRange, ...]]:
        """A part for each part of the input."""
        return [(RowRange(part),) for part in range(self.layout.n_parts)]

    def numbers(self) -> set[int]:
        """Numbers of the parts, by their names."""
        found = map(_PART.fullmatch, self.folder.names())
        return {int(match[1]) for match in found if match}

    def whole(self) -> dict[int, WrittenPart]:
        """The parts whose footer has this run's record."""
        found = _PartFile.all_at(self.folder)
        named = ((number, found.get(self._name(number))) for number in range(self.layout.n_parts))
        return {n: part.written for n, part in named if part and part.record == self._record}

    def files(self, numbers: Collection[int]) -> list[str]:
        """One file for each part that has rows."""
        there = self.numbers()
        return [self._name(number) for number in sorted(numbers) if number in there]

    @contextmanager
    def part(self, number: int) -> Iterator[PartWriter]:
        """Write a part into a file of its own."""
        name = self._name(number)
        with self.folder.appearing(name) as unfinished:
            shown, record = f"{self.folder.name}/{name}", json.dumps(self._record)
            writer = PartWriter(name, unfinished, shown, record)
            try:
                yield writer
            finally:
                writer.close()

    def complete(self, parts: Mapping[int, WrittenPart]) -> list[WrittenPart]:
        """Add files for parts without rows, with the columns of the others."""
        found = dict(parts)
        empty = sorted(set(range(self.layout.n_parts)) - self.numbers())
        if empty:
            filled = next(part.name for part in parts.values() if part.rows)
            with self.folder.open(filled) as stream:
                schema = pq.read_schema(stream)
        for number in empty:
            with self.part(number) as writer:
                writer.append(schema.empty_table())
            found[number] = writer.written()
        return [found[number] for number in sorted(found)]

    def _name(self, number: int) -> str:
        return _name(number, self.layout.n_parts)

    @property
    def _record(self) -> dict[str, Any]:
        return {**self.layout.record, "parts": self.layout.n_parts}


def _name(number: int, n_parts: int) -> str:
    """Name of a part's file; names sort in the order of the parts."""
    digits = max(_DIGITS, len(str(n_parts - 1)))
    return f"part-{number:0{digits}}.parquet"


def as_table(columns: Mapping[str, np.ndarray[Any, Any]], kept: pa.Table | None) -> pa.Table:
    """A table of the kept columns, then of the named arrays."""
    fields = {} if kept is None else dict(zip(kept.column_names, kept.columns, strict=True))
    return pa.table(fields | {name: _as_arrow(values) for name, values in columns.items()})


def _as_arrow(values: np.ndarray[Any, Any]) -> pa.Array:
    """An array for Arrow, without a copy except for bools; ``pa.array`` would import pandas."""
    if values.dtype == np.bool_:
        return _as_arrow(values.view(np.uint8)).cast(pa.bool_())
    if values.dtype.kind == "U":
        words, positions = np.unique(values, return_inverse=True)
        return _words(words.tolist()).take(_as_arrow(positions))
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, buffer])


def _words(words: Sequence[str]) -> pa.Array:
    encoded = [word.encode() for word in words]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))
    return pa.StringArray.from_buffers(len(words), *buffers)
