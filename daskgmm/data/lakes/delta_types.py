"""The types of columns that Delta tables hold, and rows in them."""

import pyarrow as pa

from daskgmm.data.storage.errors import first_line
from daskgmm.errors import DataError, OutputError

_SAME = (
    pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.bool_(),
    pa.string(), pa.binary(), pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"),
)  # fmt: skip
_WIDER = {
    pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0), pa.float16(): pa.float32(), pa.date64(): pa.date32(),
    pa.large_string(): pa.string(), pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(), pa.binary_view(): pa.binary(),
}  # fmt: skip


def typed(table: pa.Table) -> pa.Table:
    """Rows with the types that Delta has for them.

    Raises
    ------
    DataError
        A column has a type that Delta has no other for, such as times of day, or values that
        Delta's has no digits for, such as nanoseconds.
    """
    for position, field in enumerate(table.schema):
        kind = _delta_type(field.type)
        if kind is None:
            raise DataError(
                f"The kept column {field.name!r} is {field.type}, which Delta tables don't hold.",
                "Leave it out, or convert it.",
            )
        if kind != field.type:
            try:
                values = table.column(position).cast(kind)
            except pa.ArrowInvalid as error:
                raise DataError(
                    f"The kept column {field.name!r} is {field.type}, and Delta tables hold "
                    f"{kind}, which would lose digits ({first_line(error)}).",
                    "Leave it out, or convert it: as text it is kept as it is.",
                ) from error
            table = table.set_column(position, pa.field(field.name, kind), values)
    return table


def _delta_type(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_dictionary(kind):
        return _delta_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", None if kind.tz is None else "UTC")
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = _delta_type(kind.value_type)
        return None if inner is None else pa.list_(inner)
    if kind in _SAME or pa.types.is_decimal128(kind):
        return kind
    return _WIDER.get(kind)


def require_types(shown: str, there: pa.Schema, own: pa.Schema) -> None:
    """Raise OutputError where a table's own columns have other types than an output's."""
    for field in own:
        kind = _delta_type(there.field(field.name).type)
        if kind != field.type:
            raise OutputError(
                f"The column {field.name!r} of the table {shown} is {kind}, and would be "
                f"{field.type} in the output.",
                "Choose another output, or keep columns of the table's types.",
            )
