"""pandas and Polars frames, copied once into rows of numbers, features first."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daskgmm.data.containers.arrays import in_parts
from daskgmm.data.source import Source
from daskgmm.errors import DataError, InputTypeError


@dataclass(frozen=True)
class _Column:
    """A column of a frame: its type, and its conversion to floats."""

    name: Any
    kind: str
    numeric: bool
    single: bool
    floats: Callable[[np.dtype[Any]], NDArray[Any]]


def from_frame(frame: Any, sample_weight: ArrayLike | None = None) -> Source:
    """Return the rows of a pandas or Polars DataFrame; missing numbers become NaN.

    The rows are float32 where all columns are, else float64.

    Raises
    ------
    DataError
        The frame has no column, or a weight is wrong.
    InputTypeError
        It is not such a frame, or a column holds something other than real numbers.
    """
    columns = _columns(frame)
    for column in columns:
        if not column.numeric:
            cause = f"Column {column.name!r} is not numeric: its type is {column.kind}."
            known = ", ".join(repr(own.name) for own in columns if own.numeric) or "none"
            remedy = f"Convert it to numbers, or choose other columns; numeric are {known}."
            raise InputTypeError(cause, remedy)
    single = bool(columns) and all(column.single for column in columns)
    rows = np.empty((len(columns), len(frame)), np.float32 if single else np.float64)
    for feature, column in zip(rows, columns, strict=True):
        feature[:] = column.floats(rows.dtype)
    names = tuple(column.name for column in columns)
    named = all(isinstance(name, str) for name in names)
    return in_parts(rows, sample_weight, names if named else None)


def _columns(frame: Any) -> list[_Column]:
    # A frame's library is already imported; other inputs should not wait for the import.
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(frame, pandas.DataFrame):
        # Columns are taken by position, as names may repeat.
        return [_pandas_column(frame.iloc[:, i]) for i in range(frame.shape[1])]
    if polars is not None and isinstance(frame, polars.DataFrame):
        return [_polars_column(polars, series) for series in frame.get_columns()]
    if polars is not None and isinstance(frame, polars.LazyFrame):
        remedy = "Call .collect(), or open_dataset if it is larger than memory."
        raise InputTypeError("X is a Polars LazyFrame: it holds no rows yet.", remedy)
    remedy = "Pass a NumPy array, a pandas or Polars DataFrame, or use open_dataset."
    raise InputTypeError(f"X is a {type(frame).__qualname__}, not a frame of rows.", remedy)


def like_frame(frame: Any, values: NDArray[Any]) -> Any:
    """Values (n, D) as a frame of the same library, columns and index."""
    if hasattr(frame, "iloc"):
        return type(frame)(values, index=frame.index, columns=frame.columns)
    return type(frame)(values, schema=frame.columns)


def require_distinct(names: Iterable[Any]) -> None:
    """Raise DataError if two columns have the same name.

    Raises
    ------
    DataError
        Naming the first such name.
    """
    name, count = next(iter(Counter(names).most_common(1)), (None, 0))
    if count > 1:
        raise DataError(
            f"More than one column is named {name!r}.", "Give each column a name of its own."
        )


def is_real(kind: Any) -> bool:
    """Whether a pandas type holds real numbers or truth values, NumPy's, nullable or Arrow's."""
    from pandas.api.types import is_complex_dtype, is_numeric_dtype

    if is_complex_dtype(kind) or is_complex_dtype(getattr(kind, "subtype", kind)):
        return False
    return bool(is_numeric_dtype(kind) or getattr(kind, "numpy_dtype", kind) == np.bool_)


def _pandas_column(series: Any) -> _Column:
    kind = series.dtype
    return _Column(
        series.name,
        str(kind),
        is_real(kind),
        getattr(kind, "numpy_dtype", kind) == np.float32,
        lambda dtype: series.to_numpy(dtype=dtype, na_value=np.nan),
    )


def _polars_column(polars: Any, series: Any) -> _Column:
    kind = series.dtype
    return _Column(
        series.name,
        str(kind),
        kind.is_numeric() or kind == polars.Boolean,
        kind == polars.Float32,
        # Polars converts to floats first, which turns its nulls into NaN.
        lambda dtype: series.cast(
            polars.Float32 if dtype == np.float32 else polars.Float64
        ).to_numpy(),
    )
