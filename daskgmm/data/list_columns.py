"""Columns whose values are lists of numbers, such as embeddings and Spark's vectors.

Each element is a feature: ``embedding[0]``, ``embedding[1]``, and so on.
"""

import re
import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from daskgmm.errors import DataError

_ELEMENT = re.compile(r"(?P<column>.+)\[(?P<position>\d+)\]", re.DOTALL)
_SPARK = {"type", "size", "indices", "values"}
_SPARSE, _DENSE = 0, 1

MOST_ELEMENTS = 1_000_000
"""Elements of a list that become features; a damaged or hashed vector may claim billions."""


def is_number_type(kind: pa.DataType) -> bool:
    """Whether an Arrow type is read as float; a column of nulls only is, as NaN."""
    types = pa.types
    tests = (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal)
    return any(test(kind) for test in (*tests, types.is_null))


def is_vector(kind: pa.DataType) -> bool:
    """Whether an Arrow type is of lists of numbers, or of Spark's vectors."""
    return _is_spark(kind) or (_is_list(kind) and is_number_type(kind.value_type))


def number_type(kind: pa.DataType) -> pa.DataType:
    """The type of the numbers in a column."""
    if _is_spark(kind):
        return pa.float64()
    return kind.value_type if _is_list(kind) else kind


def fixed_length(kind: pa.DataType) -> int | None:
    """The length of all lists of a type, ``None`` where only the values show it."""
    return int(kind.list_size) if pa.types.is_fixed_size_list(kind) else None


def length_in(column: pa.Array) -> int | None:
    """The length of the first list of a column that is not null; ``None`` if there is none."""
    lengths = _lengths(column).drop_null()
    return lengths[0].as_py() if len(lengths) else None


def element_name(column: str, position: int) -> str:
    """The feature's name of an element of a column's lists, counted from 0."""
    return f"{column}[{position}]"


def element_of(name: str) -> tuple[str, int] | None:
    """The column and position in the name of an element; ``None`` for other names.

    >>> element_of("embedding[12]")
    ('embedding', 12)
    """
    found = _ELEMENT.fullmatch(name)
    return (found["column"], int(found["position"])) if found else None


def whole_columns(features: Sequence[str]) -> tuple[str, ...]:
    """The columns of features, where a column's elements are all features in their order.

    >>> whole_columns(["x", "v[0]", "v[1]"])
    ('x', 'v')
    """
    found: list[str] = []
    after: tuple[str, int] | None = None
    for name in features:
        element = element_of(name)
        if element and element == after:
            after = (element[0], element[1] + 1)
            continue
        starts = element is not None and element[1] == 0
        found.append(element[0] if element and starts else name)
        after = (element[0], 1) if element and starts else None
    return tuple(found)


def elements(
    column: pa.Array, length: int, kind: pa.DataType, where: str, first: int
) -> NDArray[Any]:
    """The lists of a column as an array (n, length); those that are null are NaN.

    Parameters
    ----------
    column : pyarrow.Array of shape (n,)
    length : int
    kind : pyarrow.DataType
        Floating type of the result.
    where, first : str, int
        Name of the column and number of its first row, for the error.

    Raises
    ------
    DataError
        A list has another length, or a vector of Spark's makes no sense.
    """
    if _is_spark(column.type):
        _require_spark(column, length, where, first)
    lengths = np.asarray(_lengths(column).fill_null(length))
    wrong = lengths != length
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{where}, row {first + row}: the list has {lengths[row]} values, and others have "
            f"{length}. Rows are counted from 0.",
            "Write lists of one length, or leave the column out.",
        )
    valid = np.asarray(column.is_valid())
    found = np.full((len(column), length), np.nan, kind.to_pandas_dtype())
    if _is_spark(column.type):
        found[valid] = _spark_rows(column.filter(pa.array(valid)), length)
    else:
        found[valid] = _numbers(column.flatten(), kind).reshape(-1, length)
    return found


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    tests = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return any(test(kind) for test in tests)


def _is_spark(kind: pa.DataType) -> bool:
    """Whether a type is that of vectors of Spark's ML library: dense or sparse."""
    if not pa.types.is_struct(kind) or {field.name for field in kind} != _SPARK:
        return False
    return all(_is_list(kind.field(name).type) for name in ("indices", "values"))


def _lengths(column: pa.Array) -> pa.Array:
    """Lengths of a column's lists, null for those that are null."""
    if not _is_spark(column.type):
        return pc.list_value_length(column)
    dense = pc.equal(column.field("type"), _DENSE)
    stored = pc.list_value_length(column.field("values")).cast(pa.int64())
    lengths = pc.if_else(dense, stored, column.field("size").cast(pa.int64()))
    return pc.if_else(column.is_valid(), lengths, pa.scalar(None, pa.int64()))


def _require_spark(column: pa.StructArray, length: int, where: str, first: int) -> None:
    """Raise DataError with the first row that is no vector by Spark's own rules."""
    kinds = np.asarray(column.field("type").fill_null(-1))
    sizes = np.asarray(column.field("size").fill_null(-1))
    stored, places = (
        np.asarray(pc.list_value_length(column.field(name)).fill_null(-1))
        for name in ("values", "indices")
    )
    sparse = kinds == _SPARSE
    wrong = (stored < 0) | ~(sparse | (kinds == _DENSE))
    wrong |= sparse & ((places != stored) | (sizes < 0))
    wrong &= np.asarray(column.is_valid())
    looked = np.flatnonzero(sparse & (sizes == length) & ~wrong & np.asarray(column.is_valid()))
    own = column.field("indices").take(pa.array(looked)).flatten()
    rows, found = np.repeat(looked, places[looked]), np.asarray(own.fill_null(-1))
    outside = (found < 0) | (found >= length)
    outside[1:] |= (rows[1:] == rows[:-1]) & (found[1:] <= found[:-1])
    wrong[rows[outside]] = True
    if wrong.any():
        row = int(wrong.argmax())
        shown = reprlib.repr(column[row].as_py())
        raise DataError(
            f"{where}, row {first + row}: {shown} is not a vector of Spark's (rows from 0).",
            "Dense ones have type 1 and values; sparse ones type 0, a size, and as many ascending "
            "indices below it as values. Write the column again, or leave it out.",
        )


def _spark_rows(column: pa.StructArray, length: int) -> NDArray[np.float64]:
    """Spark's vectors, none of them null, as an array (n, length)."""
    kinds = np.asarray(column.field("type"))
    values, indices = column.field("values"), column.field("indices")
    found = np.zeros((len(column), length))
    for sparse in (False, True):
        chosen = np.flatnonzero(kinds == (_SPARSE if sparse else _DENSE))
        numbers = _numbers(values.take(pa.array(chosen)).flatten(), pa.float64())
        if not sparse:
            found[chosen] = numbers.reshape(-1, length)
            continue
        own = indices.take(pa.array(chosen))
        rows = np.repeat(chosen, np.asarray(pc.list_value_length(own)))
        found[rows, np.asarray(own.flatten())] = numbers
    return found


def _numbers(values: pa.Array, kind: pa.DataType) -> NDArray[Any]:
    found: NDArray[Any] = values.cast(kind, safe=False).to_numpy(zero_copy_only=False)
    return found
