"""NumPy arrays as sources: parts are views of one array."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, starmap
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daskgmm.data.source import Block, Floats, SelfContainedPart, Source, check_weights
from daskgmm.errors import DataError, InputTypeError

_PART_BYTES = 3 * 2**21
_FEWEST_ROWS = 2**8
_WIDE_ROWS, _WIDE_BYTES = 2**11, 2**25
"""Of a part with many features, for which matrix products need more rows than 6 MiB hold."""

_MOST_ROWS = 2**18
"""About: parts are of whole lines."""

_EVEN = 4
"""Parts come in so many, if there are more than two: two threads, or four, have as many each."""

_LINE, _LONG = 64, 32
"""Rows of a line: whole cache lines in any type. And lines of a part from which on two more, or
fewer, leave parts even."""

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

_LOSSY = (
    complex,
    np.complexfloating,
    np.datetime64,
    np.timedelta64,
    dt.date,
    dt.time,
    dt.timedelta,
    type(np.ma.masked),
)
"""Types of objects that NumPy would silently convert to floats, with loss."""

_NO_NUMBERS = {
    "c": "Complex data not supported: pass the real and the imaginary parts as two columns.",
    "M": "Convert dates to numbers first, such as days since one of them, without NaT.",
    "m": "Convert durations to numbers first, as with X / np.timedelta64(1, 's'), without NaT.",
    "V": "Pass its fields as columns, as with numpy.lib.recfunctions.structured_to_unstructured.",
}
"""Remedies for refused arrays, by the kind of their type."""


@dataclass(frozen=True, eq=False)
class ArrayPart(SelfContainedPart):
    """A slice of an array in memory.

    Parameters
    ----------
    rows : ndarray of shape (D, n)
        A view; pickled, it takes no more than the slice.
    weights : ndarray of shape (n,) or None
        Sample weights.
    dtype : dtype
        Type of the block's rows.
    first : int
        Index of the first row.
    """

    rows: NDArray[Any]
    weights: Floats | None
    dtype: np.dtype[Any]
    first: int

    @property
    def label(self) -> str:
        """Indices of the part's rows, the last included."""
        return f"rows {self.first} to {self.first + self.rows.shape[1] - 1}"

    def blocks(self) -> Iterator[Block]:
        """Yield the slice as one block, converted if its numbers aren't floats."""
        yield Block(self.rows.astype(self.dtype, copy=False), self.weights)


def from_numpy(X: ArrayLike, sample_weight: ArrayLike | None = None) -> Source:
    """Return the rows of an array of shape (n, D).

    float32 and float64 stay as they are; other numbers become float64 when read.

    Raises
    ------
    DataError
        The array is not two-dimensional, has no column, or a weight is wrong.
    InputTypeError
        It holds something other than real numbers.
    """
    array = real_values(masked_as_nan(X), "X")
    if array.dtype.kind not in "biuf":
        remedy = "Convert it to numbers first, as with X.astype(float)."
        raise InputTypeError(f"X is an array of {array.dtype}, not of real numbers.", remedy)
    if array.ndim != 2:
        cause = f"X has shape {array.shape}; rows and columns are expected."
        raise DataError(cause, "Reshape it: X.reshape(-1, 1) if it is one feature.")
    return in_parts(array.T, sample_weight)


def in_parts(
    rows: NDArray[Any], sample_weight: ArrayLike | None, columns: tuple[str, ...] | None = None
) -> Source:
    """Cut an array of shape (D, n) into even parts of about 6 MiB as float64, up to 32 if wide.

    A short last part, or one too many, would leave other threads waiting for one that has more.

    Raises
    ------
    DataError
        D is 0, or a weight is wrong.
    """
    n_features, n_rows = rows.shape
    if n_features == 0:
        raise DataError(f"X has {n_rows} rows and no columns.", "Pass at least one feature.")
    weights = None if sample_weight is None else _checked_weights(sample_weight, n_rows)
    dtype = rows.dtype if rows.dtype in _FLOATS else np.dtype(np.float64)
    row_bytes = 8 * n_features
    wide = min(_WIDE_ROWS, _WIDE_BYTES // row_bytes)
    size = min(max(_PART_BYTES // row_bytes, wide, _FEWEST_ROWS), _MOST_ROWS)
    n_parts = max(-(-n_rows // size), 1)
    if n_parts > 2:
        n_parts = -(-n_parts // _EVEN) * _EVEN
    cuts = list(starmap(slice, pairwise(_edges(n_rows, n_parts))))
    parts = tuple(
        ArrayPart(rows[:, cut], None if weights is None else weights[cut], dtype, cut.start)
        for cut in cuts
    )
    lengths = tuple(part.rows.shape[1] for part in parts)
    return Source(parts, n_features, dtype, columns, lengths, in_memory=True)


def _edges(n_rows: int, n_parts: int) -> list[int]:
    """First rows of even parts, and their end; long parts but the last have an odd number of lines.

    So rows that a kernel lays out feature by feature begin with a cache line, and do not lie a
    power of two apart.
    """
    edges = [n_rows * i // n_parts for i in range(n_parts + 1)]
    if n_rows // n_parts < _LONG * _LINE:
        return edges
    return [((row // _LINE - i) // 2 * 2 + i) * _LINE for i, row in enumerate(edges[:-1])] + [
        n_rows
    ]


def masked_as_nan(X: Any) -> Any:
    """X with NaN in place of masked numbers; X itself where no number is masked.

    Rows may be masked arrays in a list as well.
    """
    masked = X
    if isinstance(X, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in X):
        masked = np.ma.asarray(X)
    if not isinstance(masked, np.ma.MaskedArray) or masked.dtype.kind not in "biuf":
        return X
    if not np.ma.is_masked(masked):
        return X
    return np.ma.filled(masked.astype(float_type(masked.dtype)), np.nan)


def float_type(kind: Any) -> np.dtype[Any]:
    """The float type that holds a column of some type: float32 for halves and singles."""
    single = str(kind).lower() in ("float16", "float32")
    return np.dtype(np.float32 if single else np.float64)


def real_values(values: Any, where: str) -> NDArray[Any]:
    """Values as an array; refused if floats would lose a mask, imaginary parts or dates.

    Text, and objects of unknown types, pass.

    Parameters
    ----------
    values : array-like
    where : str
        Name of the values in errors.

    Raises
    ------
    InputTypeError
        One is masked, complex, a date or a duration, or has fields.
    """
    _require_unmasked(values, where)
    array = np.asarray(values)
    if array.dtype.kind in _NO_NUMBERS:
        remedy = _NO_NUMBERS[array.dtype.kind]
        raise InputTypeError(f"{where} is an array of {array.dtype}, not of real numbers.", remedy)
    if array.dtype.kind == "O":
        for index, value in np.ndenumerate(array):
            if isinstance(value, _LOSSY):
                at = f", row {index[0]}" if index else ""
                cause = f"{where}{at}: {value!r} is not a real number."
                raise InputTypeError(cause, "Complex data not supported, nor dates: convert it.")
    return array


def as_floats(values: Any, where: str) -> Floats:
    """Real values as float64; float32 stays.

    Raises
    ------
    InputTypeError
        One is no number.
    """
    array = real_values(values, where)
    if array.dtype in _FLOATS:
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        cause = f"{where} holds something other than numbers: {error}."
        raise InputTypeError(cause, "Pass numbers only.") from error


def _require_unmasked(values: Any, where: str) -> None:
    masked = np.zeros(0, bool)
    if isinstance(values, np.ma.MaskedArray):
        masked = np.atleast_1d(np.ma.getmaskarray(values))
        if masked.dtype.names:  # of records, which are refused anyhow
            return
    elif isinstance(values, list | tuple):
        for row in values:
            if isinstance(row, np.ma.MaskedArray):
                _require_unmasked(row, where)
    if masked.any():
        row = int(np.argwhere(masked)[0, 0])
        cause = f"{where}, row {row}: a value is masked; its mask would be lost."
        remedy = "Leave such rows out, or fill them: numpy.ma.filled, dask.array.ma.filled."
        raise InputTypeError(cause, remedy)


def _checked_weights(sample_weight: Any, n_rows: int) -> Floats:
    if hasattr(sample_weight, "__dask_graph__"):
        sample_weight = sample_weight.compute()  # conversion to an array loses the mask
    try:
        real_values(sample_weight, "sample_weight")
        weights = np.asarray(sample_weight, dtype=np.float64)
    except InputTypeError:
        raise
    except (TypeError, ValueError) as error:
        cause = f"sample_weight holds something other than numbers: {error}."
        raise InputTypeError(cause, "Pass one number for each row.") from error
    if weights.shape != (n_rows,):
        cause = f"sample_weight has shape {weights.shape}, and X has {n_rows} rows."
        raise DataError(cause, f"Pass one number for each row: shape ({n_rows},).")
    check_weights(weights, "sample_weight", 0)
    return weights
