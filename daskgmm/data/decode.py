"""Decoding of Arrow batches into blocks of rows, and the Arrow types of kept columns."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from daskgmm.data.columns import ColumnSelection
from daskgmm.data.list_columns import elements
from daskgmm.data.source import Block, Floats, Part, check_weights, text_at
from daskgmm.data.storage.errors import first_line
from daskgmm.errors import DataError

_BLOCK_BYTES = 2**21
_MOST_ROWS = 2**16
_WHOLE_BITS = {16: 11, 32: 24, 64: 53}  # of whole numbers that floats of some bits hold exactly


def block_rows_for(n_features: int) -> int:
    """Return the rows of a block: 65,536, or what takes 2 MiB as float64 if that is fewer."""
    return max(1, min(_MOST_ROWS, _BLOCK_BYTES // (8 * n_features)))


class Decoder:
    """Turns a part's batches into blocks; nulls become NaN.

    All blocks share one array. Under Dask's nanny, memory allocated for each block would be mapped
    and faulted in each time, which took as long as decoding.

    Parameters
    ----------
    selection : ColumnSelection
        Resolved: its features are known.
    dtype : dtype
        Type of the blocks' rows.
    part : Part
        Part that is read, for errors.
    block_rows : int
        Most rows of a batch.
    kept : pyarrow.Schema
        Types of the kept columns, the same for all parts of a source.
    """

    def __init__(
        self,
        selection: ColumnSelection,
        dtype: np.dtype[Any],
        part: Part,
        block_rows: int,
        kept: pa.Schema,
    ) -> None:
        self.selection = selection
        self.kept = kept
        self.part = part
        self.kind = pa.from_numpy_dtype(dtype)
        self.rows = np.empty((len(selection.features), block_rows), dtype)
        self.places = selection.places
        self.vectors: dict[str, tuple[list[int], list[int]]] = {}
        for feature, (name, position) in enumerate(self.places):
            if position is not None:
                features, positions = self.vectors.setdefault(name, ([], []))
                features.append(feature)
                positions.append(position)

    def block(self, batch: pa.RecordBatch, row: int) -> Block:
        """Convert a batch whose first row is row ``row`` of the part, counted from 0."""
        rows = self.rows[:, : batch.num_rows]
        for feature, (name, position) in zip(rows, self.places, strict=True):
            if position is None:
                feature[:] = _floats(batch.column(name), self.kind)
        for name, (features, positions) in self.vectors.items():
            where = f"{self.part.label}, column {name!r}"
            length = self.selection.lengths[name]
            lists = elements(batch.column(name), length, self.kind, where, row)
            rows[features] = lists.T[positions]
        return Block(
            rows,
            self._weights(batch, row),
            self._kept(batch) if self.kept else None,
        )

    def _weights(self, batch: pa.RecordBatch, row: int) -> Floats | None:
        name = self.selection.weight
        if name is None:
            return None
        weights = _floats(batch.column(name), pa.float64())
        check_weights(weights, f"{self.part.label}, column {name!r}", row, self._line)
        return weights

    def _line(self, row: int) -> int | None:
        found = text_at(self.part, row)
        return found and found[0]

    def _kept(self, batch: pa.RecordBatch) -> pa.Table:
        columns = {}
        for field in self.kept:
            column = batch.column(field.name)
            try:
                same = column.type == field.type
                columns[field.name] = column if same else column.cast(field.type)
            except pa.ArrowException as error:
                raise DataError(
                    f"{self.part.label}: the kept column {field.name!r} is {column.type} there, "
                    f"and can't be {field.type}, as other files need it: {first_line(error)}.",
                    "Write it with one type in all files, or keep other columns.",
                ) from error
        return pa.table(columns)


def kept_schema(names: Sequence[str], files: Iterable[tuple[str, pa.Schema]]) -> pa.Schema:
    """One type for each kept column that holds the values of all files.

    Raises
    ------
    DataError
        No type holds them all, as for dates and text.
    """
    found: dict[str, tuple[pa.DataType, str]] = {}
    for path, schema in files:
        for name in names:
            own = schema.field(name).type
            known, first = found.setdefault(name, (own, path))
            if own == known:
                continue
            wider = _wider(known, own)
            if wider is None:
                raise DataError(
                    f"The kept column {name!r} is {own} in {path} and {known} in {first}: no type "
                    "holds the values of both.",
                    "Write it with one type in all files, or keep other columns.",
                )
            found[name] = (wider, first if wider == known else path)
    return pa.schema({name: kind for name, (kind, _) in found.items()})


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds all values of two types, ``None`` if there is none."""
    pair = [_undecorated(kind) for kind in (one, other)]
    schemas = [pa.schema({"": kind}) for kind in pair]
    try:
        wider = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return None
    return wider if all(_holds(wider, kind) for kind in pair) else None


def _undecorated(kind: pa.DataType) -> pa.DataType:
    """The plain type of values that a dictionary or a view refers to."""
    if pa.types.is_dictionary(kind):
        return _undecorated(kind.value_type)
    if kind == pa.string_view():
        return pa.string()
    return pa.binary() if kind == pa.binary_view() else kind


def _holds(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Whether one type holds all values of another; Arrow's rules would round int64 to float64."""
    if wide == narrow or pa.types.is_null(narrow):
        return True
    if pa.types.is_struct(narrow):
        return all(_holds(wide.field(own.name).type, own.type) for own in narrow)
    if narrow.num_fields:
        inner = range(narrow.num_fields)
        return all(_holds(wide.field(i).type, narrow.field(i).type) for i in inner)
    if pa.types.is_floating(wide):
        whole = pa.types.is_integer(narrow) and narrow.bit_width <= _WHOLE_BITS[wide.bit_width]
        return whole or bool(pa.types.is_floating(narrow))
    if pa.types.is_integer(wide):
        return np.can_cast(narrow.to_pandas_dtype(), wide.to_pandas_dtype())
    return _is_bytes(wide) == _is_bytes(narrow)  # bytes hold any text, but not as text


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _floats(column: pa.Array, kind: pa.DataType) -> Floats:
    plain = column.cast(kind, safe=False)
    if not plain.null_count:  # to_numpy imports pandas, which takes longer than a small file
        found: NDArray[Any] = np.from_dlpack(plain)
        return found
    floats: Floats = plain.to_numpy(zero_copy_only=False)
    return floats
