"""Data files of Iceberg tables: their partitions, removed rows and columns."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from numpy.typing import NDArray

from daskgmm.data.storage.credentials import shown_address
from daskgmm.errors import DataError

Open: TypeAlias = Callable[[str], tuple[AbstractFileSystem, str]]
"""Gives the file system of a file's address, and the path within it."""

_FIELD_ID = b"PARQUET:field_id"


class Partitions:
    """Partition values of a table's files.

    Parameters
    ----------
    table : pyiceberg.table.Table
    fields : pyiceberg.schema.Schema
    schema : pyarrow.Schema
        The same columns in Arrow's types.
    """

    def __init__(self, table: Any, fields: Any, schema: pa.Schema) -> None:
        self._specs = table.metadata.specs()
        self._types = {own.field_id: own.field_type for own in fields.fields}
        self._columns = {own.field_id: own.name for own in fields.fields}
        self._schema = schema
        self._current = {own.field_id: own.name for own in table.schema().fields}
        current = self._specs[table.metadata.default_spec_id]
        self.keys = [name for part in current.fields if (name := self._column(part))]
        """Columns whose values are the partition's, which are no features by default."""

    @property
    def names(self) -> list[str]:
        """The keys that conditions may name."""
        parts = [part for spec in self._specs.values() for part in spec.fields]
        both = (name for part in parts for name in (part.name, self._column(part)))
        return list(dict.fromkeys(name for name in both if name))

    @property
    def sources(self) -> dict[str, str]:
        """Columns of which the table is partitioned by a function, by name; their current names."""
        parts = [part for spec in self._specs.values() for part in spec.fields]
        return {
            name: self._current[part.source_id]
            for part in parts
            if str(part.transform) not in ("identity", "void")
            and part.source_id in self._current
            and (name := self._columns.get(part.source_id))
        }

    def values(self, data: Any) -> dict[str, str | None]:
        """Values of a data file as text, by the names of partition fields and their columns."""
        found: dict[str, str | None] = {}
        for part, value in self._pairs(data):
            kind = self._types.get(part.source_id)
            if kind is None:
                continue
            text = None if value is None else str(part.transform.to_human_string(kind, value))
            found |= {name: text for name in (part.name, self._column(part)) if name}
        return found

    def constants(self, data: Any) -> dict[str, pa.Scalar]:
        """Columns of the table that are constant over a data file."""
        found = {}
        for part, value in self._pairs(data):
            if name := self._column(part):
                kind = self._schema.field(name).type
                with suppress(pa.ArrowException):  # else it is read from the file
                    found[name] = _scalar(value, kind)
        return found

    def _pairs(self, data: Any) -> Iterator[tuple[Any, Any]]:
        for position, part in enumerate(self._specs[data.spec_id].fields):
            if str(part.transform) != "void":
                yield part, data.partition[position]

    def _column(self, part: Any) -> str | None:
        """The column whose values a partition field has unchanged."""
        return self._columns.get(part.source_id) if str(part.transform) == "identity" else None


def _scalar(value: Any, kind: pa.DataType) -> pa.Scalar:
    if isinstance(value, int) and pa.types.is_temporal(kind):  # days or microseconds
        return pa.scalar(value, pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)
    return pa.scalar(value, kind)


def known_value(values: Mapping[str, str | None], key: str, data: Any) -> str | None:
    """The value of a partition key, for a condition on it.

    Raises
    ------
    DataError
        The file was written in other partitions, which lack the key.
    """
    if key not in values:
        raise DataError(
            f"{shown_address(data.file_path)} was written when the table was not partitioned by "
            f"{key}.",
            "Rewrite the older files in the current partitions, or leave the condition out.",
        )
    return values[key]


def require_parquet(data: Any) -> None:
    """Raise DataError for a data file of another format than Parquet."""
    if str(data.file_format.value).upper() != "PARQUET":
        raise DataError(
            f"{shown_address(data.file_path)} is of the format {data.file_format.value}.",
            "Only Parquet files of Iceberg tables are read: rewrite the table as Parquet.",
        )


class Deletes:
    """Positions of removed rows, by the delete files of a table; each of these is read once.

    Parameters
    ----------
    open_file : callable
    """

    def __init__(self, open_file: Open) -> None:
        self._open = open_file
        self._read: dict[str, dict[str, list[NDArray[np.int64]]]] = {}

    def of(self, task: Any) -> NDArray[np.int64] | None:
        """Positions of the rows that are removed from the data file of a task, in order."""
        found: list[NDArray[np.int64]] = []
        for each in task.delete_files:
            if each.file_path not in self._read:
                self._read[each.file_path] = _positions(each, *self._open(each.file_path))
            found += self._read[each.file_path].get(task.file.file_path, [])
        return np.unique(np.concatenate(found)) if found else None


def _positions(
    delete: Any, filesystem: AbstractFileSystem, key: str
) -> dict[str, list[NDArray[np.int64]]]:
    """Positions in a delete file, by the data files that they are of."""
    found: dict[str, list[NDArray[np.int64]]] = {}
    if str(delete.file_format.value).upper() == "PUFFIN":
        from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
        from pyiceberg.table.puffin import PuffinFile

        for vector in deletion_vectors_from_puffin_file(PuffinFile(filesystem.cat_file(key))):
            positions = np.asarray(vector.to_vector().to_numpy(), np.int64)
            found.setdefault(vector.referenced_data_file, []).append(positions)
        return found
    with filesystem.open(key, "rb") as stream:
        rows = pq.ParquetFile(stream).read(columns=["file_path", "pos"])
    paths = rows.column("file_path").combine_chunks().dictionary_encode()
    positions, codes = np.asarray(rows.column("pos"), np.int64), np.asarray(paths.indices)
    for code, path in enumerate(paths.dictionary.to_pylist()):
        found[path] = [positions[codes == code]]
    return found


class StoredNames:
    """Names in a file of the table's columns, by the identifiers of fields.

    Parameters
    ----------
    columns : mapping of int to str
        The table's columns by identifier.
    mapping : NameMapping or None
        The table's names for files without identifiers.
    """

    def __init__(self, columns: Mapping[int, str], mapping: Any) -> None:
        self._columns = columns
        self._mapping = mapping

    def __call__(self, own: pa.Schema) -> dict[str, str]:
        """Names in a file with a schema of its own."""
        ids = {
            int(field.metadata[_FIELD_ID]): field.name
            for field in own
            if field.metadata and _FIELD_ID in field.metadata
        }
        if not ids and self._mapping is not None:
            there = set(own.names)
            for each in self._mapping.root:
                name = next((name for name in each.names if name in there), None)
                if each.field_id is not None and name is not None:
                    ids[each.field_id] = name
        if not ids and own.names:
            raise DataError(
                "Its files have no identifiers of fields, and the table has no names for them.",
                "Set the table's property schema.name-mapping.default.",
            )
        return {
            self._columns[number]: name for number, name in ids.items() if number in self._columns
        }
