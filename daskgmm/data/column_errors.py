"""Errors about columns that are missing or hold no numbers, and the columns that may be meant."""

from collections.abc import Sequence
from difflib import get_close_matches

import pyarrow as pa

from daskgmm.data.list_columns import is_number_type, is_vector
from daskgmm.data.number_text import format_flaw
from daskgmm.errors import DataError, InputTypeError

FIRST_VALUE, FIRST_ROW, FIRST_LOCATION, DELIMITER = (
    b"first value", b"first row", b"first location", b"delimiter",
)  # fmt: skip
"""Keys of a field's metadata for a text column's first value and where it is."""

_SHOWN = 20
_KINDS = (
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_string_view, "text"),
    (pa.types.is_binary, "bytes"),
    (pa.types.is_large_binary, "bytes"),
    (pa.types.is_date, "dates"),
    (pa.types.is_timestamp, "dates"),
    (pa.types.is_time, "times"),
    (pa.types.is_duration, "durations"),
    (pa.types.is_list, "lists"),
    (pa.types.is_large_list, "lists"),
    (pa.types.is_fixed_size_list, "lists"),
)


def _kind_in_words(kind: pa.DataType) -> str:
    """Name in errors for the values of a column of some Arrow type."""
    if pa.types.is_dictionary(kind):
        return _kind_in_words(kind.value_type)
    return next((words for test, words in _KINDS if test(kind)), str(kind))


def check_names(wanted: Sequence[str], available: Sequence[str], path: str) -> None:
    """Raise DataError unless each wanted name is there, once."""
    missing = [name for name in wanted if name not in available]
    if missing:
        guess = _comma_suggestion(wanted, available) or _suggestion(missing[0], available)
        columns = _listed(available) if available else "none"
        others = f", nor {_listed(missing[1:])}" if missing[1:] else ""
        remedy = f"{guess}Its columns are {columns}."
        raise DataError(f"{path} has no column {missing[0]!r}{others}.", remedy)
    for name in wanted:
        if available.count(name) > 1:
            cause = f"{path} has {available.count(name)} columns named {name!r}."
            raise DataError(cause, "Give each column a name of its own.")


def not_numeric(column: pa.Field, path: str, schema: pa.Schema) -> InputTypeError:
    """The error for a column that should hold numbers, with its first value where that is known."""
    metadata = {key: value.decode() for key, value in (column.metadata or {}).items()}
    text, location = metadata.get(FIRST_VALUE, ""), metadata.get(FIRST_LOCATION, "")
    text = text if FIRST_ROW in metadata else ""
    shown = f", such as {text!r}" if text else ""
    held = _kind_in_words(column.type)
    cause = f"Column {column.name!r} of {path} is not numeric: it holds {held}{shown}"
    if flaw := format_flaw(text, metadata.get(DELIMITER, "")):
        return InputTypeError(f"{cause}, which has {flaw[0]}.{location}", flaw[1])
    found = [own.name for own in schema if is_number_type(own.type) or is_vector(own.type)]
    return InputTypeError(f"{cause}.{location}", _choose_numeric(found))


def _choose_numeric(names: Sequence[str]) -> str:
    """The remedy for a column that is not numeric, with the names of those that are."""
    if not names:
        return "No column is numeric: convert those that hold numbers as text."
    return (
        f"Choose numeric columns with columns= (--columns), of {_listed(names)}; take all of them "
        "with numeric= (--numeric); or leave this one out with exclude= (--exclude)."
    )


def _suggestion(name: str, available: Sequence[str]) -> str:
    close = get_close_matches(name, available, n=3)
    return f"Did you mean {_listed(close)}? " if close else ""


def _comma_suggestion(wanted: Sequence[str], available: Sequence[str]) -> str:
    """A suggestion for a name that holds commas and was split there."""
    for name in filter(lambda name: "," in name, available):
        pieces = [piece.strip() for piece in name.split(",")]
        for first in range(len(wanted)):
            last = first + len(pieces)
            if [*wanted[first:last]] == pieces:
                meant = (*wanted[:first], name, *wanted[last:])
                asked = ",".join(f'"{each}"' if "," in each else each for each in meant)
                return f"There is {name!r}: put it in double quotes, as in --columns '{asked}'. "
    return ""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
