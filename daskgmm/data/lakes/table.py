"""A version of a table: its Parquet files, and how their columns give those of the table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from daskgmm.data.columns import ColumnSelection
from daskgmm.data.decode import block_rows_for, kept_schema
from daskgmm.data.files.versions import FileRecord, InputFile
from daskgmm.data.formats.parquet import ParquetPart, ParquetTable, common_float_type, open_parquet
from daskgmm.data.source import Source
from daskgmm.errors import DataError, MissingInputError


@dataclass(frozen=True)
class TableRecord(FileRecord):
    """A version of a table, as plain values.

    Parameters
    ----------
    table : str
        The table's own identifier: another table at the same place has another.
    version : int
        Number of the version; in Iceberg the identifier of the snapshot.
    where : str
        The conditions on partitions, as text.
    content : str
        Digest of the columns, the chosen files, and the rows removed from them. A later version
        that changed other partitions only has the same.
    """

    table: str = ""
    version: int = 0
    where: str = ""
    content: str = ""

    @property
    def mark(self) -> tuple[Any, ...]:
        """The values that tell these rows from others."""
        return self.path, self.table, self.where, self.content


@dataclass(frozen=True)
class LakeFile:
    """A data file of a table.

    Parameters
    ----------
    file : InputFile
    constants : mapping
        Columns of the table that are constant over the file, by name.
    removed : ndarray of int or None
        Positions of rows in the file that were removed from the table, in order.
    """

    file: InputFile
    constants: Mapping[str, pa.Scalar]
    removed: NDArray[np.int64] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class LakeTable:
    """A version of a table.

    Parameters
    ----------
    record : TableRecord
    schema : pyarrow.Schema
        The table's columns but those that it is partitioned by.
    keys : pyarrow.Schema
        The columns that it is partitioned by: they can be chosen, but are no features by default.
    parquet : ParquetTable
        The files and their footers.
    names : tuple of mapping
        For each file, the names there of columns that are called otherwise in the table.
    constants : tuple of mapping
        For each file, columns that are constant over it, such as those that it lacks.
    removed : tuple of ndarray or None
        For each file, positions of removed rows.
    """

    record: TableRecord
    schema: pa.Schema
    keys: pa.Schema
    parquet: ParquetTable
    names: tuple[Mapping[str, str], ...]
    constants: tuple[Mapping[str, pa.Scalar], ...]
    removed: tuple[NDArray[np.int64] | None, ...] = field(compare=False)

    @classmethod
    def of(
        cls,
        record: TableRecord,
        schema: pa.Schema,
        keys: Sequence[str],
        files: Sequence[LakeFile],
        stored: Callable[[pa.Schema], Mapping[str, str]],
        defaults: Mapping[str, pa.Scalar] | None = None,
    ) -> Self:
        """Read the footers of a table's files.

        Parameters
        ----------
        record : TableRecord
            Its sizes and the digest of its content are filled in.
        schema : pyarrow.Schema
            All columns of the table.
        keys : sequence of str
            The columns that it is partitioned by.
        files : sequence of LakeFile
        stored : callable
            Given the schema of a file, returns the names there of the table's columns.
        defaults : mapping, optional
            Values of columns in files that lack them; else they are missing there.

        Raises
        ------
        MissingInputError
            The table has no rows.
        DataError
            A file is gone, or no Parquet.
        """
        if not files:
            raise MissingInputError(
                f"{record.path} has no rows at version {record.version}"
                f"{f' with {record.where}' if record.where else ''}.",
                "Check the version, and the conditions on partitions.",
            )
        parquet = open_parquet([each.file for each in files])
        fill = {own.name: pa.scalar(None, own.type) for own in schema} | dict(defaults or {})
        names, constants = [], []
        known: dict[int, Mapping[str, str]] = {}
        for each, own in zip(files, parquet.schemas, strict=True):
            if id(own) not in known:
                known[id(own)] = stored(own)
            found = known[id(own)]
            names.append({name: there for name, there in found.items() if name != there})
            absent = {name: value for name, value in fill.items() if name not in found}
            constants.append(absent | dict(each.constants))
        table = cls(
            record,
            pa.schema([_plain(own) for own in schema if own.name not in keys]),
            pa.schema([_plain(schema.field(key)) for key in keys]),
            parquet,
            tuple(names),
            tuple(constants),
            tuple(each.removed for each in files),
        )
        return table._described(files)

    def _described(self, files: Sequence[LakeFile]) -> Self:
        sizes = [each.file.record.bytes for each in files]
        known = [size for size in sizes if size is not None]
        total = sum(known) if len(known) == len(sizes) else None
        record = replace(self.record, bytes=total, rows=sum(self.rows), content=self._digest())
        return replace(self, record=record)

    def _digest(self) -> str:
        facts = [str(self.schema), str(self.keys)]
        described = zip(self.files, self.names, self.constants, self.removed, strict=True)
        for file, names, constants, removed in described:
            values = sorted((name, str(value)) for name, value in constants.items())
            gone = None if removed is None else sha256(removed.tobytes()).hexdigest()
            facts.append(repr((file.path, file.record.bytes, sorted(names.items()), values, gone)))
        return sha256("\n".join(facts).encode()).hexdigest()

    @property
    def files(self) -> tuple[InputFile, ...]:
        """The data files in row order."""
        return self.parquet.files

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of each file that were not removed."""
        gone = [0 if own is None else len(own) for own in self.removed]
        return tuple(rows - less for rows, less in zip(self.parquet.rows, gone, strict=True))

    def _length_of(self, name: str) -> int:
        """Length of the first list in a column."""
        return self.parquet.length_of(name, self.names)

    def source(self, selection: ColumnSelection, block_rows: int | None = None) -> Source:
        """Return the selected columns' rows, a part for each row group.

        Raises
        ------
        DataError
            The table lacks a column, or holds no numbers in it.
        """
        path = self.record.path
        selection = selection.resolve(self.schema, path, self.keys, self._length_of)
        columns = pa.schema([*self.schema, *self.keys])
        dtype = common_float_type(selection.types(columns))
        size = block_rows or block_rows_for(len(selection.features))
        kept = kept_schema(selection.keep, [(path, columns)])
        parts, wanted = [], selection.names
        described = (self.files, self.parquet.row_groups, self.names, self.constants, self.removed)
        for file, groups, names, constants, removed in zip(*described, strict=True):
            given = {name: constants[name] for name in wanted if name in constants}
            there = {name: names[name] for name in wanted if name in names}
            first = 0
            for number, rows in enumerate(groups or (0,)):
                gone = _within(removed, first, rows)
                parts.append(
                    ParquetPart(
                        file, number, len(groups), rows, selection, given, dtype, size, kept,
                        there, gone,
                    )
                )  # fmt: skip
                first += rows
        return Source(
            tuple(parts),
            len(selection.features),
            dtype,
            selection.columns,
            tuple(part.length for part in parts),
            decoded=True,
            block_rows=size,
        )


def _plain(own: pa.Field) -> pa.Field:
    """A column's name and type, without the metadata of its format."""
    return pa.field(own.name, own.type)


def _within(removed: NDArray[np.int64] | None, first: int, rows: int) -> NDArray[np.int64] | None:
    """Positions in a row group of those rows that were removed; ``None`` if none was."""
    if removed is None:
        return None
    start, stop = np.searchsorted(removed, (first, first + rows))
    return removed[start:stop] - first if stop > start else None


def text_of(value: pa.Scalar) -> str | None:
    """A partition's value as conditions compare it: ISO dates, ``true`` and ``false``."""
    plain = value.as_py()
    if plain is None or isinstance(plain, str):
        return plain
    if isinstance(plain, bool):
        return str(plain).lower()
    return plain.isoformat() if hasattr(plain, "isoformat") else str(plain)


def removed_file(error: DataError, shown: str, version: int) -> DataError:
    """The error that a version's files are gone, as after a clean-up of old ones."""
    return DataError(
        f"{shown} can no longer be read at version {version}: {error.cause}",
        "Old versions lose their files when the table is cleaned up (VACUUM, expired snapshots): "
        "choose a later one.",
    )
