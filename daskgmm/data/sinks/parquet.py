"""Rows as Parquet, a file a part."""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daskgmm.data.failures import explained_writing
from daskgmm.data.sinks.base import Columns, Field, Sink, Slice, Written

COMPRESSION = "snappy"
"""Numbers that fill their bits hardly shrink: Zstandard takes half as long again for 5% less."""

_PART = re.compile(r"part-(\d+)\.parquet")
_DIGITS = 5
_OPENING_THREADS = 16


class PartWriter:
    """Writes one file, a table as a row group.

    Parameters
    ----------
    name : str
        Of the file when it is whole.
    unfinished : Path
        Where it is written meanwhile.
    shown : str
        How errors call it.
    """

    def __init__(self, name: str, unfinished: Path, shown: str) -> None:
        self.name = name
        self.rows = 0
        self._unfinished = unfinished
        self._shown = shown
        self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, columns: Columns, kept: pa.Table | None) -> None:
        """Append rows; the first ones tell the schema."""
        self.append(as_table(columns, kept))

    def append(self, table: pa.Table) -> None:
        """Append rows, kept columns and all."""
        with explained_writing(self._shown):
            if self._writer is None:
                self._writer = pq.ParquetWriter(
                    self._unfinished,
                    table.schema,
                    compression=COMPRESSION,
                    # A dictionary of numbers that never repeat takes longer than all the rest.
                    use_dictionary=[
                        own.name for own in table.schema if not pa.types.is_floating(own.type)
                    ],
                )
            self._writer.write_table(table)
        self.rows += table.num_rows

    def close(self) -> None:
        """End the file; without tables there is none."""
        if self._writer is not None:
            with explained_writing(self._shown):
                self._writer.close()
                self._bytes = self._unfinished.stat().st_size

    def written(self) -> Written:
        """What was written."""
        return Written(self.name, self.rows, self._bytes)


@dataclass(frozen=True)
class ParquetSink(Sink):
    """A folder of files, one for each part of the input."""

    ending: ClassVar[str] = ""
    needs_shape: ClassVar[bool] = False

    @classmethod
    def owns(cls, name: str, columns: Sequence[str]) -> bool:  # noqa: ARG003  the base's signature
        """Whether it has the name of a part."""
        return _PART.fullmatch(name) is not None

    @staticmethod
    def names(fields: Sequence[Field]) -> list[str]:
        """Columns."""
        return [name for field in fields for name in field.columns]

    def begin(self) -> None:
        """Make the folder."""
        self.place.make()

    def cut(self) -> list[tuple[Slice, ...]]:
        """A part for each part of the input."""
        return [(Slice(part),) for part in range(self.layout.n_parts)]

    def numbers(self) -> set[int]:
        """By their names."""
        found = map(_PART.fullmatch, self.place.names())
        return {int(match[1]) for match in found if match}

    def whole(self) -> dict[int, Written]:
        """Those with a footer, which ends a file."""
        numbers = sorted(self.numbers())
        with ThreadPoolExecutor(_OPENING_THREADS) as pool:
            found = pool.map(self._described, numbers)
        return {number: own for number, own in zip(numbers, found, strict=True) if own}

    def _described(self, number: int) -> Written | None:
        name = self._name(number)
        try:
            with self.place.open(name) as stream:
                return Written(name, pq.read_metadata(stream).num_rows, stream.seek(0, 2))
        except pa.ArrowException:  # a machine went down before its disk had the whole of it
            return None

    @contextmanager
    def writer(self, number: int) -> Iterator[PartWriter]:
        """Write a file."""
        name = self._name(number)
        with self.place.appearing(name) as unfinished:
            writer = PartWriter(name, unfinished, f"{self.place.name}/{name}")
            try:
                yield writer
            finally:
                writer.close()

    def complete(self, parts: Mapping[int, Written]) -> list[Written]:
        """Files without rows have the columns of one that has some."""
        found = dict(parts)
        empty = sorted(set(range(self.layout.n_parts)) - self.numbers())
        if empty:
            filled = next(part.name for part in parts.values() if part.rows)
            with self.place.open(filled) as stream:
                schema = pq.read_schema(stream)
        for number in empty:
            with self.writer(number) as writer:
                writer.append(schema.empty_table())
            found[number] = writer.written()
        return [found[number] for number in sorted(found)]

    def _name(self, number: int) -> str:
        """Names sort as parts do."""
        digits = max(_DIGITS, len(str(self.layout.n_parts - 1)))
        return f"part-{number:0{digits}}.parquet"


def as_table(columns: Mapping[str, np.ndarray[Any, Any]], kept: pa.Table | None) -> pa.Table:
    """Kept columns first, then the named arrays."""
    fields = {} if kept is None else dict(zip(kept.column_names, kept.columns, strict=True))
    return pa.table(fields | {name: _as_arrow(values) for name, values in columns.items()})


def _as_arrow(values: np.ndarray[Any, Any]) -> pa.Array:
    """The same numbers, uncopied but for bools; ``pa.array`` imports pandas to look at them."""
    if values.dtype == np.bool_:
        return _as_arrow(values.view(np.uint8)).cast(pa.bool_())
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, buffer])
