"""Parts of an output cut by the values of keys, as hive lays tables out: ``day=2026-11-21/…``."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from daskgmm.data.files.hive import NULL
from daskgmm.data.lakes.table import text_of
from daskgmm.data.sinks.base import WrittenPart
from daskgmm.errors import DataError

PARTITION = "daskgmm.partition"
"""Key of a file's partition in its metadata, while it is not yet in its directory."""

_MOST_VALUES = 1000


class FileWriter(Protocol):
    """Writes one file of a part."""

    def append(self, table: pa.Table) -> None:
        """Append rows."""

    def note(self, name: str, content: Mapping[str, object]) -> None:
        """Put plain values into the file's metadata."""

    def close(self) -> None:
        """Finish the file."""

    def written(self) -> WrittenPart:
        """The file as written."""


class PartitionedWriter:
    """Writes one part: a file for each combination of its keys' values.

    Parameters
    ----------
    name : str
        Name of the part.
    keys : sequence of str
        Columns whose values make the directories, and that files leave out.
    begin : callable
        Given the number of a file, returns its writer.
    as_table : callable
        Makes a table of named arrays and kept columns.
    """

    def __init__(
        self,
        name: str,
        keys: Sequence[str],
        begin: Callable[[int], FileWriter],
        as_table: Callable[..., pa.Table],
    ) -> None:
        self.name = name
        self._keys = list(keys)
        self._begin = begin
        self._as_table = as_table
        self._files: dict[tuple[str | None, ...], FileWriter] = {}
        self._types = ""

    def write(self, columns: Mapping[str, np.ndarray], kept: pa.Table | None) -> None:
        """Append rows."""
        table = self._as_table(columns, kept)
        types = pa.schema([pa.field(key, table.schema.field(key).type) for key in self._keys])
        self._types = b64encode(types.serialize()).decode()
        for values, rows in split_by_keys(table, self._keys):
            if values not in self._files:
                if len(self._files) == _MOST_VALUES:
                    raise DataError(
                        f"The rows of one part have more than {_MOST_VALUES} values of "
                        f"{', '.join(self._keys)}.",
                        "Choose keys of fewer values for partition_by (--partition-by).",
                    )
                self._files[values] = self._begin(len(self._files))
            self._files[values].append(rows.drop_columns(self._keys))

    def close(self) -> None:
        """Finish the files; each knows how many there are."""
        for position, (values, file) in enumerate(self._files.items()):
            partition = dict(zip(self._keys, values, strict=True))
            facts = {"file": position, "files": len(self._files), "types": self._types}
            file.note(PARTITION, {**facts, "values": partition})
            file.close()

    def written(self) -> WrittenPart:
        """The part as written, once all its files are complete."""
        files = [file.written() for file in self._files.values()]
        total = sum(each.bytes or 0 for each in files)
        return WrittenPart(self.name, sum(each.rows for each in files), total)


def split_by_keys(
    table: pa.Table, keys: Sequence[str]
) -> Iterator[tuple[tuple[str | None, ...], pa.Table]]:
    """Rows by the values of some columns as text; they keep their order.

    Raises
    ------
    DataError
        A column holds lists or records, which are no names of directories.
    """
    for key in keys:
        if pa.types.is_nested(kind := table.schema.field(key).type):
            raise DataError(
                f"The key {key!r} is {kind}, and directories are named by single values.",
                "Partition by other columns.",
            )
    if not table.num_rows:
        return
    groups = np.zeros(table.num_rows, np.int64)
    for key in keys:
        encoded = table.column(key).combine_chunks().dictionary_encode(null_encoding="encode")
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        codes = groups * len(encoded.dictionary) + np.asarray(encoded.indices)
        _, groups = np.unique(codes, return_inverse=True)
    order = np.argsort(groups, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(groups[order])) + 1, len(order))
    start = 0
    for end in ends.tolist():
        positions = order[start:end]
        values = tuple(text_of(table.column(key)[int(positions[0])]) for key in keys)
        yield values, table.take(pa.array(positions))
        start = end


def directory_of(values: Mapping[str, str | None]) -> str:
    """Path of the directory of a partition."""
    return "/".join(
        f"{quote(key, safe='')}={NULL if value is None else quote(value, safe=' ')}"
        for key, value in values.items()
    )
