"""Rows of two-dimensional arrays in files: numbers of one type in columns without names.

Columns are named by their positions, from 0, as text: ``"0"``, ``"3"``. If all columns of an array
are features, the source has no names; if they were chosen, it has these.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from daskgmm.data.columns import ColumnSelection
from daskgmm.data.decode import block_rows_for, kept_schema
from daskgmm.data.files.versions import InputFile
from daskgmm.data.formats.stored_array import StoredArray
from daskgmm.data.source import Block, Floats, SelfContainedPart, Source, aligned, check_weights
from daskgmm.errors import ConfigurationError, DataError

_PART_BYTES = 2**24
_SINGLE = np.dtype(np.float32)


@dataclass(frozen=True)
class ColumnPositions:
    """Positions of the columns that are read.

    Parameters
    ----------
    features : tuple of int
    weight : int or None
    keep : tuple of int
    """

    features: tuple[int, ...]
    weight: int | None
    keep: tuple[int, ...]

    @property
    def span(self) -> slice:
        """The smallest slice of columns that holds all of them."""
        positions = [*self.features, *self.keep]
        if self.weight is not None:
            positions.append(self.weight)
        return slice(min(positions), max(positions) + 1)


@dataclass(frozen=True)
class StoredArrayPart(SelfContainedPart):
    """Adjacent rows of an array.

    Parameters
    ----------
    array : StoredArray
    first, stop : int
        Row numbers.
    columns : ColumnPositions
    dtype : dtype
        What blocks come as.
    read_rows : int
        Rows to read at a time.
    block_rows : int
        Most rows of a block.
    kept : pyarrow.Schema
        Types in which columns are carried along.
    """

    array: StoredArray
    first: int
    stop: int
    columns: ColumnPositions
    dtype: np.dtype[Any]
    read_rows: int
    block_rows: int
    kept: pa.Schema

    @property
    def label(self) -> str:
        """The array and the rows' indices in it, the last included."""
        return f"{self.array.file.path}, rows {self.first} to {self.stop - 1}"

    def blocks(self) -> Iterator[Block]:
        """Yield blocks of at most ``block_rows`` rows."""
        if self.first == self.stop:
            return
        with self.array.opened(slice(self.first, self.stop)) as array:
            for start in range(self.first, self.stop, self.read_rows):
                end = min(start + self.read_rows, self.stop)
                values = aligned(np.asarray(array[start:end, self.columns.span]))
                for row in range(0, len(values), self.block_rows):
                    yield self._block(values[row : row + self.block_rows], start + row)

    def _block(self, values: NDArray[Any], row: int) -> Block:
        """Convert rows (n, columns of the span) that begin at the array's row ``row``."""
        values = values.T
        features = [position - self.columns.span.start for position in self.columns.features]
        whole = features == list(range(len(values)))
        rows = (values if whole else values[features]).astype(self.dtype, copy=False)
        return Block(rows, self._weights(values, row), self._kept(values))

    def _weights(self, values: NDArray[Any], row: int) -> Floats | None:
        position = self.columns.weight
        if position is None:
            return None
        weights: Floats = values[position - self.columns.span.start].astype(np.float64)
        check_weights(weights, f"{self.array.file.path}, column {position}", row)
        return weights

    def _kept(self, values: NDArray[Any]) -> pa.Table | None:
        if not self.kept:
            return None
        native = values.dtype.newbyteorder("=")  # Arrow has no other
        start = self.columns.span.start
        arrays = [
            pa.array(np.array(values[position - start], native)).cast(field.type)
            for position, field in zip(self.columns.keep, self.kept, strict=True)
        ]
        return pa.table(arrays, self.kept)


@dataclass(frozen=True)
class StoredArrayTable:
    """Arrays in files; the rows of each follow those of the file before.

    Parameters
    ----------
    arrays : tuple of StoredArray
        In row order.
    """

    arrays: tuple[StoredArray, ...]

    @property
    def files(self) -> tuple[InputFile, ...]:
        """The arrays' files in row order."""
        return tuple(array.file for array in self.arrays)

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of each file."""
        return tuple(array.shape[0] for array in self.arrays)

    def source(self, selection: ColumnSelection, block_rows: int | None = None) -> Source:
        """Return the selected columns' rows in parts of about 16 MiB, cut where chunks are.

        Raises
        ------
        ConfigurationError
            A column is named by something other than its position.
        DataError
            A file has no such column, or another number of columns than the first.
        """
        columns = self._columns(selection)
        single = all(array.dtype.newbyteorder("=") == _SINGLE for array in self.arrays)
        dtype = np.dtype(np.float32 if single else np.float64)
        size = block_rows or block_rows_for(len(columns.features))
        kept = self._kept(columns)
        parts = tuple(
            part for array in self.arrays for part in _parts(array, columns, dtype, size, kept)
        )
        names = tuple(map(str, columns.features))
        everything = (selection.columns, selection.weight, selection.exclude) == (None, None, ())
        return Source(
            parts,
            len(names),
            dtype,
            None if everything else names,
            tuple(part.stop - part.first for part in parts),
            decoded=any(array.decoded for array in self.arrays),
            block_rows=max(max(part.read_rows, size) for part in parts),
        )

    def _kept(self, columns: ColumnPositions) -> pa.Schema:
        """Types that hold the kept columns of every array."""
        names = [str(position) for position in columns.keep]
        described = []
        for array in self.arrays if names else ():
            path, kind = array.file.path, array.dtype.newbyteorder("=")
            try:
                own = pa.from_numpy_dtype(kind)
            except pa.ArrowNotImplementedError as error:
                raise ConfigurationError(
                    f"Columns of {path} can't be kept: it is an array of {kind}.",
                    "Leave keep= (--keep) out, or write the array as float64.",
                ) from error
            described.append((path, pa.schema(dict.fromkeys(names, own))))
        return kept_schema(names, described)

    def _columns(self, selection: ColumnSelection) -> ColumnPositions:
        path, count = self.arrays[0].file.path, self.arrays[0].shape[1]
        weight = None if selection.weight is None else _position(selection.weight, count, path)
        keep = tuple(_position(name, count, path) for name in selection.keep)
        if selection.columns is None:
            left_out = {weight, *(_position(name, count, path) for name in selection.exclude)}
            features = tuple(position for position in range(count) if position not in left_out)
        else:
            features = tuple(_position(name, count, path) for name in selection.columns)
        if not features:
            raise DataError(f"{path} has no columns for features.", "Check the array's shape.")
        for array in self.arrays:
            if array.shape[1] != count:
                raise DataError(
                    f"{array.file.path} has {array.shape[1]} columns, and {path} has {count}.",
                    "Give arrays of the same columns, or leave that file out.",
                )
        return ColumnPositions(features, weight, keep)


def _position(name: str, count: int, path: str) -> int:
    if not (name.isascii() and name.isdigit() and str(int(name)) == name):
        raise ConfigurationError(
            f"{path} has no column {name!r}: an array's columns have no names.",
            f"Choose by position, from 0 to {count - 1}; a model that was fitted on names takes "
            "files that have them.",
        )
    if int(name) >= count:
        remedy = f"Its columns are 0 to {count - 1}."
        raise DataError(f"{path} has no column {name}.", remedy)
    return int(name)


def _parts(
    array: StoredArray, columns: ColumnPositions, dtype: np.dtype[Any], size: int, kept: pa.Schema
) -> Iterator[StoredArrayPart]:
    """Parts of an array, cut along its chunks so that each chunk is read once if it fits."""
    rows, chunk = array.shape[0], max(1, min(array.chunk_rows, array.shape[0]))
    span = columns.span
    row_bytes = array.dtype.itemsize * (span.stop - span.start)
    read_rows = chunk * max(1, size // chunk)
    length = read_rows * max(1, _PART_BYTES // (read_rows * row_bytes))
    for first in range(0, max(rows, 1), length):
        stop = min(first + length, rows)
        yield StoredArrayPart(array, first, stop, columns, dtype, read_rows, size, kept)
