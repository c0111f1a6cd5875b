"""Output as Zarr: a group with an array for each field.

An array's chunks all have the same length, and two tasks must not write the same chunk: each
would overwrite the other's half. So a part of the output is a stretch of whole chunks, whose rows
may come from several parts of the input. If the input's parts all have the same length, stretches
and parts coincide.
"""

import json
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from daskgmm.data.sinks.base import (
    RECORD,
    ExistingOutput,
    OutputField,
    RowRange,
    Sink,
    WrittenPart,
)
from daskgmm.data.sinks.zarr_stretch import StretchWriter, rows_written
from daskgmm.data.storage.errors import output_errors
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError, require_package

_VALUES_A_CHUNK = 2**21
_FEWEST_ROWS = 2**14
_MOST_DIVISORS = 8
_METADATA = "zarr.json"
_MARKS = "_parts"
"""Folder with a mark for each complete part; complete outputs have none."""
_FILES = "daskgmm_files"
"""Attribute of the group: number of files of its arrays, and their bytes."""


@dataclass(frozen=True)
class ZarrSink(Sink):
    """A group of arrays (n,) and (n, C)."""

    ending: ClassVar[str] = ".zarr"
    needs_shape: ClassVar[bool] = True
    holds_text: ClassVar[bool] = False
    takes_keys: ClassVar[bool] = False
    shared: ClassVar[bool] = False

    @classmethod
    def found(cls, folder: Folder, run_id: str | None = None) -> ExistingOutput | None:  # noqa: ARG003  the base's signature
        """The output by the attributes of the group, or of an array if the group is missing."""
        folders = (folder, *(folder.inside(name) for name in folder.names()))
        records = (_attributes(each).get(RECORD) for each in folders)
        record: Any = next(filter(None, records), None)
        with suppress(KeyError, TypeError):
            record["run_id"]
            names = frozenset(name for name in folder.names() if cls.owns(name, record["columns"]))
            n_rows, step = record["rows"], record["part_rows"]
            parts = (
                rows_written(first, min(first + step, n_rows)) for first in range(0, n_rows, step)
            )
            is_whole = _attributes(folder).get(_FILES) == _file_counts(folder)
            return ExistingOutput(record, names, tuple(parts) if is_whole else None)
        return None

    @classmethod
    def owns(cls, name: str, columns: Sequence[str]) -> bool:
        """Whether a name is that of an array, of the group's metadata or of its marks."""
        return name in (*columns, _METADATA, _MARKS)

    @staticmethod
    def names(fields: Sequence[OutputField]) -> list[str]:
        """Names of the output's arrays."""
        return [field.name for field in fields]

    @property
    def fields(self) -> tuple[OutputField, ...]:
        """All fields of the output, those of the kept columns first."""
        return (*map(_kept_field, self.layout.kept or ()), *self.layout.fields)

    @property
    def chunk(self) -> int:
        """Number of rows of a chunk."""
        return self._rows[0]

    @property
    def _rows(self) -> tuple[int, int]:
        """Rows of a chunk and of a part; parts are those of the input if possible."""
        longest = max(1, *(self.layout.lengths or ()))
        widest = sum(len(field.columns) for field in self.fields)
        most = max(_VALUES_A_CHUNK // widest, 1)
        part = longest * -(-min(_FEWEST_ROWS, most) // longest)
        fewest = -(-part // most)
        even = (n for n in range(fewest, _MOST_DIVISORS * fewest) if part % n == 0)
        n_chunks = next(even, fewest)
        chunk = -(-part // n_chunks)
        return chunk, chunk * n_chunks

    def prepare(self) -> None:
        """Write the arrays' metadata; the group's comes last, so that no reader opens it before."""
        require_package("zarr", "zarr", "Writing Zarr stores needs the package zarr")
        self.folder.make()
        for field in self.fields:
            self._create(field, self.folder.inside(field.name))

    def _create(self, field: OutputField, folder: Folder) -> None:
        import zarr

        tail = (len(field.columns),) if field.vector else ()
        columns = {"columns": list(field.columns)} if field.vector else {}
        with output_errors(folder.name):
            zarr.create_array(
                _store(folder),
                shape=(sum(self.layout.lengths or ()), *tail),
                chunks=(self.chunk, *tail),
                dtype=field.dtype,
                dimension_names=("row", field.name)[: 1 + len(tail)],
                attributes={**columns, RECORD: self._record},
            )

    @property
    def _record(self) -> dict[str, Any]:
        chunk, part = self._rows
        shape = {"rows": sum(self.layout.lengths or ()), "chunk_rows": chunk, "part_rows": part}
        return {**self.layout.record, **shape}

    def cut(self) -> list[tuple[RowRange, ...]]:
        """The rows of each part: stretches of whole chunks."""
        edges = [0, *accumulate(self.layout.lengths or ())]
        size = self._rows[1]
        cuts = []
        part = 0
        for first in range(0, edges[-1], size):
            last = min(first + size, edges[-1])
            while edges[part + 1] <= first:
                part += 1
            own, position = [], part
            while edges[position] < last:
                start, stop = max(first - edges[position], 0), last - edges[position]
                length = edges[position + 1] - edges[position]
                own.append(RowRange(position, start, stop if stop < length else None))
                position += 1
            cuts.append(tuple(own))
        return cuts

    def numbers(self) -> set[int]:
        """Numbers of the parts, by their marks."""
        return {int(name) for name in self.folder.inside(_MARKS).names() if name.isdigit()}

    def whole(self) -> dict[int, WrittenPart]:
        """The marked parts, if all arrays have this run's record."""
        folders = [self.folder.inside(field.name) for field in self.fields]
        if any(_attributes(folder).get(RECORD) != self._record for folder in folders):
            return {}
        marks = self.folder.inside(_MARKS)
        found = {}
        for number in sorted(self.numbers()):
            with suppress(ValueError, TypeError):  # a machine went down before its disk had it
                found[number] = WrittenPart(**json.loads(marks.read(str(number)) or b""))
        return found

    def files(self, numbers: Collection[int]) -> list[str]:
        """The chunks' files; chunks with only zeros have none."""
        chunk, part = self._rows
        arrays = {field.name for field in self.fields}
        found = []
        for name in self.folder.sizes():
            array, _, key = name.partition("/c/")
            position = key.split("/")
            is_chunk = array in arrays and all(each.isdigit() for each in position)
            if is_chunk and int(position[0]) * chunk // part in numbers:
                found.append(name)
        return found

    @contextmanager
    def part(self, number: int) -> Iterator[StretchWriter]:
        """Write a stretch, and mark it."""
        import zarr

        with output_errors(self.folder.name):
            arrays = {
                field: zarr.open_array(_store(self.folder.inside(field.name)), mode="r+")
                for field in self.fields
            }
        chunk, part = self._rows
        writer = StretchWriter(self.folder.name, arrays, number * part, chunk, self.require_wanted)
        yield writer
        writer.flush()
        mark = json.dumps({"name": writer.written().name, "rows": writer.written().rows})
        marks = self.folder.inside(_MARKS)
        marks.make()
        marks.write(str(number), mark.encode())

    def places(self, files: Sequence[tuple[Folder, str]]) -> list[str]:
        """The files' own paths."""
        return [name for _, name in files]

    def complete(self, parts: Mapping[int, WrittenPart]) -> list[WrittenPart]:
        """Write the group's metadata, with that of its arrays for readers that do not list."""
        import zarr

        store = _store(self.folder)
        attributes = {RECORD: self._record, _FILES: _file_counts(self.folder)}
        with output_errors(self.folder.name), warnings.catch_warnings():
            # Zarr warns about consolidated metadata, and about files that are not arrays.
            warnings.simplefilter("ignore")
            zarr.create_group(store, attributes=attributes)
            zarr.consolidate_metadata(store)
        return [parts[number] for number in sorted(parts)]


def _attributes(folder: Folder) -> Mapping[str, Any]:
    """Attributes of a group or array; empty if they can't be read."""
    with suppress(ValueError, KeyError, TypeError):
        return dict(json.loads(folder.read(_METADATA) or b"")["attributes"])
    return {}


def _file_counts(folder: Folder) -> dict[str, int]:
    """Number of files of the arrays in a folder, and their bytes."""
    sizes = [size for name, size in folder.sizes().items() if "/" in name]
    return {"number": len(sizes), "bytes": sum(sizes)}


def _kept_field(column: pa.Field) -> OutputField:
    types = pa.types
    tests = (types.is_floating, types.is_integer, types.is_boolean)
    if "/" in column.name or not any(test(column.type) for test in tests):
        raise ConfigurationError(
            f"The column {column.name!r} of {column.type} can't be kept in Zarr.",
            "Zarr outputs hold arrays of numbers: leave the column out, or write Parquet.",
        )
    dtype = np.dtype(column.type.to_pandas_dtype())
    return OutputField(column.name, dtype, (column.name,))


def _store(folder: Folder) -> Any:
    from zarr.storage import LocalStore

    if folder.local is not None:
        return LocalStore(folder.local)
    return folder.filesystem.get_mapper(folder.root)
