"""Computed chunks of Dask collections, arrays or frames, as blocks of rows."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgmm.data.containers.arrays import as_floats, float_type, masked_as_nan
from daskgmm.data.containers.frames import is_real
from daskgmm.data.source import Block, aligned, check_weights
from daskgmm.errors import DataError, InputTypeError


@dataclass(frozen=True)
class DeclaredColumns:
    """The columns that a collection declares and that each of its chunks must have.

    Parameters
    ----------
    count : int
        D.
    names : tuple of hashable or None
        A frame's.
    """

    count: int
    names: tuple[Hashable, ...] | None = None

    def rows_of(self, chunk: Any, where: str) -> np.ndarray:
        """A computed chunk's rows (n, D) as floats; a frame's columns go by name.

        Raises
        ------
        DataError
            It has other columns.
        InputTypeError
            It holds something other than real numbers, or is no array or frame.
        """
        if hasattr(chunk, "columns"):
            return self._of_frame(chunk, where)
        array = _array(chunk, where)
        if array.ndim and len(array) == 0:
            return np.empty((0, self.count))
        if array.ndim != 2 or array.shape[1] != self.count:
            raise DataError(
                f"{where} has shape {array.shape}; {self.count} columns were declared.",
                "Have each chunk made with all columns, or declare what it has.",
            )
        return as_floats(masked_as_nan(array), where)

    def _of_frame(self, frame: Any, where: str) -> np.ndarray:
        if len(frame) == 0:  # empty partitions often have other types or columns
            return np.empty((0, self.count))
        if self.names is None:
            if frame.shape[1] != self.count:
                raise DataError(
                    f"{where} has {frame.shape[1]} columns; {self.count} were declared.",
                    "Have each chunk made with all columns, or declare what it has.",
                )
            return frame_rows(frame, where)
        found = list(frame.columns)
        if found != list(self.names):
            self._require(found, where)
            frame = frame[list(self.names)]
        return frame_rows(frame, where)

    def _require(self, found: Sequence[Hashable], where: str) -> None:
        """Refuse a frame unless it has each column once, in any order."""
        wanted = self.names or ()
        missing = [name for name in wanted if name not in found]
        more = [name for name in found if name not in wanted]
        repeated = [name for name in wanted if found.count(name) > 1]
        if missing:
            raise DataError(
                f"{where} has no column {missing[0]!r}; it has {found}.",
                f"Have each partition made with the columns {list(wanted)}.",
            )
        if repeated:
            raise DataError(
                f"{where} has more than one column {repeated[0]!r}.",
                "Give each column a name of its own.",
            )
        if more:
            raise DataError(
                f"{where} has a column {more[0]!r} that X does not declare: {list(wanted)}.",
                f"Leave it out, as with X[{list(wanted)}], or have all partitions have it.",
            )


def as_block(label: str, columns: DeclaredColumns, chunk: Any, weights: Any = None) -> Block:
    """Turn a computed chunk, array or frame, into a block."""
    rows = aligned(columns.rows_of(chunk, label))
    return Block(rows.T, None if weights is None else as_weights(label, weights, len(rows)))


def frame_rows(frame: Any, where: str) -> np.ndarray:
    """A pandas frame's rows (n, D) as floats; missing values become NaN.

    Raises
    ------
    InputTypeError
        A column holds something other than real numbers.
    """
    for position, kind in enumerate(frame.dtypes):
        if is_real(kind):
            continue
        column = frame.iloc[:, position]
        of = f"{where}, column {column.name!r}"
        if kind != np.dtype(object):
            raise InputTypeError(
                f"{of}, has type {kind}, which is not a real number.",
                "Convert it to numbers in all partitions.",
            )
        as_floats(column.to_numpy(na_value=np.nan), of)
    dtype = np.result_type(np.float32, *(float_type(kind) for kind in frame.dtypes))
    return np.asarray(frame.to_numpy(dtype=dtype, na_value=np.nan))


def _array(chunk: Any, where: str) -> np.ndarray:
    """A chunk as an array, its mask kept."""
    try:
        array: np.ndarray = np.asanyarray(chunk)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputTypeError(
            f"{where} is a {type(chunk).__name__}: {error}.", "Convert it to a NumPy array."
        ) from error
    if array.ndim == 0 and array.dtype == object:  # such as a sparse matrix
        raise InputTypeError(
            f"{where} is a {type(chunk).__name__}, not an array of rows.",
            "Convert each chunk to a NumPy array, as with X.map_blocks(lambda x: x.toarray()).",
        )
    return array


def as_weights(label: str, weights: Any, rows: int) -> np.ndarray:
    """Sample weights (n,) as float64, checked.

    Raises
    ------
    DataError
        Their number differs from the rows', or one is negative or not finite.
    InputTypeError
        They are something other than real numbers.
    """
    where = f"sample_weight of {label}"
    if hasattr(weights, "to_frame"):  # a Series
        weights = weights.to_frame()
    if hasattr(weights, "columns"):
        array = DeclaredColumns(1).rows_of(weights, where)
    else:
        array = as_floats(_array(weights, where), where)
    if array.ndim != 1 and array.shape[1:] != (1,):
        raise DataError(
            f"The {where} has shape {array.shape}.", "Give one number for each row of X."
        )
    values = aligned(array.astype(np.float64, copy=False).reshape(-1))
    if len(values) != rows:
        raise DataError(
            f"{label} has {rows} rows but {len(values)} sample weights.",
            "Give sample_weight the same chunks as X.",
        )
    check_weights(values, label, 0)
    return values
