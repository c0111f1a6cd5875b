"""Rows of a part of a Zarr output: collected, converted and written a whole chunk at a time."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from daskgmm.data.sinks.base import OutputColumns, OutputField, WrittenPart
from daskgmm.data.storage.errors import output_errors
from daskgmm.errors import DataError


class StretchWriter:
    """Writes a stretch of rows, a whole chunk at a time.

    Parameters
    ----------
    shown : str
        Name of the output in errors.
    arrays : mapping of OutputField to zarr.Array
    first : int
        First row of the stretch.
    chunk : int
        Rows of a chunk.
    check : callable
        Raises if no command waits for the rows any more; called before each chunk.
    """

    def __init__(
        self,
        shown: str,
        arrays: Mapping[OutputField, Any],
        first: int,
        chunk: int,
        check: Callable[[], None],
    ) -> None:
        self._shown = shown
        self._check = check
        self._arrays = arrays
        self._first = first
        self._stop = first
        self._filled = 0
        self._chunks = {
            field: np.empty((chunk, *array.shape[1:]), field.dtype)
            for field, array in arrays.items()
        }
        self._size = chunk

    def write(self, columns: OutputColumns, kept: pa.Table | None) -> None:
        """Append rows to the part."""
        values = {field: _values(field, columns, kept) for field in self._arrays}
        n_rows = len(next(iter(values.values())))
        start = 0
        while start < n_rows:
            stop = min(n_rows, start + self._size - self._filled)
            chunk_rows = slice(self._filled, self._filled + stop - start)
            for field, rows in values.items():
                self._chunks[field][chunk_rows] = rows[start:stop]
            self._filled, start = chunk_rows.stop, stop
            if self._filled == self._size:
                self.flush()

    def flush(self) -> None:
        """Write the collected rows; only the last chunk may be shorter."""
        self._check()
        stop = self._stop + self._filled
        with output_errors(self._shown):
            for field, array in self._arrays.items():
                array[self._stop : stop] = self._chunks[field][: self._filled]
        self._stop, self._filled = stop, 0

    def written(self) -> WrittenPart:
        """The part as written, once its chunks are complete."""
        return rows_written(self._first, self._stop)


def rows_written(start: int, stop: int) -> WrittenPart:
    """The part of these rows, as an output lists it."""
    return WrittenPart(f"rows {start} to {stop - 1}", stop - start)


def _values(
    field: OutputField, columns: OutputColumns, kept: pa.Table | None
) -> np.ndarray[Any, Any]:
    if field.vector:
        return np.stack([columns[name] for name in field.columns], axis=1)
    if field.name in columns:
        return columns[field.name]
    return _kept_values(field, (kept or pa.table({})).column(field.name))


def _kept_values(field: OutputField, column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    kind = pa.from_numpy_dtype(field.dtype)
    if column.null_count and not pa.types.is_floating(kind):
        raise DataError(
            f"The kept column {field.name!r} has values missing, and holds {kind}.",
            "Zarr has no missing values but NaN: keep other columns, or write Parquet.",
        )
    try:
        values: np.ndarray[Any, Any] = column.cast(kind).to_numpy()
    except pa.ArrowInvalid as error:
        raise DataError(
            f"The kept column {field.name!r} holds {kind} in its first rows, {column.type} later.",
            "Give it one type in the input, keep other columns, or write Parquet.",
        ) from error
    return values
