"""Rows as Parquet, a file a part; each appears whole or not at all."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daskgmm.errors import OutputError

COMPRESSION = "snappy"
"""Numbers that fill their bits hardly shrink: Zstandard takes half as long again for 5% less."""


class PartWriter:
    """Writes one file, a table as a row group.

    Parameters
    ----------
    path : Path
        Of the file.
    unfinished : Path
        Where it is written meanwhile.
    """

    def __init__(self, path: Path, unfinished: Path) -> None:
        self.path = path
        self.rows = 0
        self._unfinished = unfinished
        self._writer: pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        """Append rows; the first table tells the schema."""
        with _explained(self.path):
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
            with _explained(self.path):
                self._writer.close()

    def finish(self) -> None:
        """End the file and give it its name."""
        self.close()
        if self._writer is not None:
            with _explained(self.path):
                self._unfinished.replace(self.path)


@contextmanager
def part_writer(folder: Path, position: int) -> Iterator[PartWriter]:
    """Write the file of a part, which appears when the block ends well.

    Two workers may write the same part, where one was thought dead: each has a file of its own
    until it is complete.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    path = folder / part_name(position)
    unfinished = folder / f".{path.name}.{uuid4().hex}"
    writer = PartWriter(path, unfinished)
    try:
        yield writer
        writer.finish()
    finally:
        writer.close()
        unfinished.unlink(missing_ok=True)


def part_name(position: int) -> str:
    """Name of the file of a part; names sort as parts do."""
    return f"part-{position:05}.parquet"


def parts_in(folder: Path) -> list[Path]:
    """The complete files in a folder, in order."""
    return sorted(folder.glob("part-*.parquet"))


def as_table(columns: Mapping[str, np.ndarray[Any, Any]], kept: pa.Table | None) -> pa.Table:
    """Kept columns first, then the named arrays."""
    fields = {} if kept is None else dict(zip(kept.column_names, kept.columns, strict=True))
    return pa.table(fields | dict(columns))


def write_empty(folder: Path, positions: list[int]) -> None:
    """Write files without rows, with the columns of one that has some."""
    schema = pq.read_schema(parts_in(folder)[0])
    for position in positions:
        with part_writer(folder, position) as writer:
            writer.write(schema.empty_table())


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OutputError(
            f"{path} can't be written: {reason}.", "Check the folder's permissions and its space."
        ) from error
