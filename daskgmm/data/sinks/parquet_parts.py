"""Parts of an output as files of Parquet, for all formats that consist of them."""

import json
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daskgmm.data.files.versions import for_each
from daskgmm.data.sinks.base import (
    RECORD,
    OutputColumns,
    OutputField,
    RowRange,
    Sink,
    WrittenPart,
)
from daskgmm.data.sinks.part_files import (
    DIGITS,
    PART,
    PIECE,
    PLACED,
    PartFile,
    in_row_order,
    part_name,
    piece_numbers,
)
from daskgmm.data.sinks.partitions import PartitionedWriter, directory_of
from daskgmm.data.storage.errors import output_errors
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import OutputError

COMPRESSION = "snappy"
"""Random digits hardly compress: Zstandard takes half as long again to save 5%."""


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
    as_table : callable
        Makes a table of named arrays and kept columns.
    """

    def __init__(
        self,
        name: str,
        unfinished: Path,
        shown: str,
        record: str,
        as_table: Callable[[OutputColumns, pa.Table | None], pa.Table],
    ) -> None:
        self.name = name
        self.rows = 0
        self._notes = {RECORD: record}
        self._as_table = as_table
        self._unfinished = unfinished
        self._shown = shown
        self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, columns: OutputColumns, kept: pa.Table | None) -> None:
        """Append rows; the first ones determine the schema."""
        self.append(self._as_table(columns, kept))

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

    def note(self, name: str, content: Mapping[str, Any]) -> None:
        """Put plain values into the file's metadata."""
        self._notes[name] = json.dumps(content)

    def close(self) -> None:
        """Finish the file; without appended rows no file exists."""
        if self._writer is not None:
            with output_errors(self._shown):
                self._writer.add_key_value_metadata(self._notes)
                self._writer.close()
                self._bytes = self._unfinished.stat().st_size

    def written(self) -> WrittenPart:
        """The part as written, once its file is complete."""
        return WrittenPart(self.name, self.rows, self._bytes)


@dataclass(frozen=True)
class ParquetParts(Sink):
    """Files for the parts of the input: one each, or one for each value of keys."""

    needs_shape: ClassVar[bool] = False
    holds_text: ClassVar[bool] = True
    takes_keys: ClassVar[bool] = True

    @staticmethod
    @abstractmethod
    def typed(table: pa.Table) -> pa.Table:
        """Rows with the types that the format has for them."""

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
        found = map((PIECE if self.layout.partition_by else PART).fullmatch, self.folder.names())
        return {int(match[1]) for match in found if match}

    def whole(self) -> dict[int, WrittenPart]:
        """The parts whose footer has this run's record."""
        if self.layout.partition_by:
            return self._whole_of_pieces()
        found = PartFile.all_at(self.folder, PART)
        named = ((number, found.get(self._name(number))) for number in range(self.layout.n_parts))
        return {n: part.written for n, part in named if part and part.record == self._record}

    def _whole_of_pieces(self) -> dict[int, WrittenPart]:
        """The parts that have all of their files, each of them with this run's record."""
        pieces: dict[int, dict[int, PartFile]] = {}
        for name, piece in PartFile.all_at(self.folder, PIECE).items():
            if piece and piece.record == self._record and piece.partition:
                number, position = piece_numbers(name)
                pieces.setdefault(number, {})[position] = piece
        found = {}
        for number, own in pieces.items():
            if set(own) == set(range(own[min(own)].partition["files"])):
                written = [each.written for each in own.values()]
                total = sum(each.bytes or 0 for each in written)
                rows = sum(each.rows for each in written)
                found[number] = WrittenPart(self._name(number), rows, total)
        return found

    def files(self, numbers: Collection[int]) -> list[str]:
        """The files of parts that have rows: one each, or one for each value of the keys."""
        if self.layout.partition_by:
            names = [name for name in self.folder.names() if PIECE.fullmatch(name)]
            return [name for name in names if piece_numbers(name)[0] in numbers]
        there = self.numbers()
        return [self._name(number) for number in sorted(numbers) if number in there]

    def places(self, files: Sequence[tuple[Folder, str]]) -> list[str]:
        """The files' own names, or their paths in the directories of their keys' values."""
        if not self.layout.partition_by:
            return [name for _, name in files]
        found = for_each(files, lambda file: PartFile.at(*file))
        order = sorted(range(len(files)), key=lambda index: piece_numbers(files[index][1]))
        placed = [""] * len(files)
        for number, index in enumerate(order):
            part = found[index]
            if part is None:  # its task ended well, and its file is damaged
                raise OutputError(f"{files[index][1]} is damaged.", "Run the command again.")
            directory = directory_of(part.partition["values"])
            digits = max(DIGITS, len(str(len(files))))
            placed[index] = f"{directory}/part-{number:0{digits}}-of-{len(files):0{digits}}.parquet"
        return placed

    @contextmanager
    def part(self, number: int) -> Iterator[PartWriter | PartitionedWriter]:
        """Write a part into a file of its own, or into one for each value of the keys."""
        if self.layout.partition_by:
            with self._pieces(number) as pieces:
                yield pieces
            return
        name = self._name(number)
        with self.folder.appearing(name) as unfinished:
            writer = self._file_writer(name, unfinished)
            try:
                yield writer
            finally:
                writer.close()

    @contextmanager
    def _pieces(self, number: int) -> Iterator[PartitionedWriter]:
        with ExitStack() as unfinished:

            def begin(position: int) -> PartWriter:
                name = f"part-{number:0{DIGITS}}~{position:0{DIGITS}}.parquet"
                path = unfinished.enter_context(self.folder.appearing(name))
                return self._file_writer(name, path)

            name = self._name(number)
            writer = PartitionedWriter(name, self.layout.partition_by, begin, self._table)
            try:
                yield writer
            finally:
                writer.close()

    def _file_writer(self, name: str, unfinished: Path) -> PartWriter:
        shown, record = f"{self.folder.name}/{name}", json.dumps(self._record)
        return PartWriter(name, unfinished, shown, record, self._table)

    def complete(self, parts: Mapping[int, WrittenPart]) -> list[WrittenPart]:
        """Add files for parts without rows, with the columns of the others."""
        if self.layout.partition_by:
            placed = PartFile.all_at(self.folder, PLACED, below=True).values()
            return in_row_order([part.written for part in placed if part])
        found = dict(parts)
        empty = sorted(set(range(self.layout.n_parts)) - self.numbers())
        if empty:
            filled = next(part.name for part in parts.values() if part.rows)
            with self.folder.open(filled) as stream:
                schema = pq.read_schema(stream)
        for number in empty:
            name = self._name(number)
            with self.folder.appearing(name) as unfinished:
                writer = self._file_writer(name, unfinished)
                writer.append(schema.empty_table())
                writer.close()
            found[number] = writer.written()
        return [found[number] for number in sorted(found)]

    def _table(self, columns: OutputColumns, kept: pa.Table | None) -> pa.Table:
        return self.typed(as_table(columns, kept))

    def _name(self, number: int) -> str:
        return part_name(number, self.layout.n_parts)

    @property
    def _record(self) -> dict[str, Any]:
        return {**self.layout.record, "parts": self.layout.n_parts}


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
