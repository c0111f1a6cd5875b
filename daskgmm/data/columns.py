"""The columns that are read from files, and errors about columns that can't be read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Self

import numpy as np
import pyarrow as pa

from daskgmm.data.number_text import format_flaw
from daskgmm.errors import ConfigurationError, DataError, InputTypeError

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
)


def kind_in_words(kind: pa.DataType) -> str:
    """Name in errors for the values of a column of some Arrow type."""
    if pa.types.is_dictionary(kind):
        return kind_in_words(kind.value_type)
    return next((words for test, words in _KINDS if test(kind)), str(kind))


FIRST_VALUE, FIRST_ROW, FIRST_LOCATION, DELIMITER = (
    b"first value", b"first row", b"first location", b"delimiter",
)  # fmt: skip
"""Keys of a field's metadata for a text column's first value and where it is."""

_NO_KEYS = pa.schema([])
_SHOWN = 20
_REMEDY = "Choose numeric columns with columns= (--columns), or convert this one to numbers."


@dataclass(frozen=True)
class ColumnSelection:
    """The columns to read.

    Parameters
    ----------
    columns : tuple of str or None
        The features in order; ``None`` stands for all that are neither weight nor kept.
    weight : str or None
        The column of sample weights.
    keep : tuple of str
        Columns carried along for outputs; features and weight may be among them.
    """

    columns: tuple[str, ...] | None = None
    weight: str | None = None
    keep: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """The features' names, once resolved."""
        return self.columns or ()

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the columns that are read as numbers: features and weight."""
        return self.features if self.weight is None else (*self.features, self.weight)

    @property
    def unread(self) -> tuple[str, ...]:
        """Names of the kept columns that are not read as numbers."""
        return tuple(name for name in self.keep if name not in self.numeric)

    @property
    def names(self) -> tuple[str, ...]:
        """All names to read, each once."""
        return tuple(dict.fromkeys((*self.numeric, *self.keep)))

    def resolve(self, schema: pa.Schema, path: str, keys: pa.Schema = _NO_KEYS) -> Self:
        """Fill in the default features from a table's schema and check them against it.

        Keys of directories can be chosen, but are not features by default.

        Raises
        ------
        DataError
            A column is missing, appears twice, or none is left for features.
        InputTypeError
            A feature or weight column is not numeric.
        """
        resolved = self
        if self.columns is None:
            taken = {self.weight, *self.keep, *_index_columns(schema)}
            resolved = replace(self, columns=tuple(n for n in schema.names if n not in taken))
        if not resolved.columns:
            raise DataError(f"{path} has no columns for features.", "Check the file's columns.")
        resolved.check(schema, path, keys)
        return resolved

    def check(self, schema: pa.Schema, path: str, keys: pa.Schema = _NO_KEYS) -> None:
        """Raise unless a file's schema or the keys have all columns, and numbers if needed."""
        schema = pa.schema([*schema, *(key for key in keys if key.name not in schema.names)])
        check_names(self.names, schema.names, path)
        for name in self.numeric:
            column = schema.field(name)
            if not is_numeric(column.type):
                raise _not_numeric(column, path)


def as_names(
    names: Sequence[str | int], option: str, *, positions: bool = False
) -> tuple[str, ...]:
    """Return an option's column names as a tuple, each given once.

    Where columns go by ``positions``, whole numbers become names.

    Raises
    ------
    ConfigurationError
        It is one string, holds something other than strings, or repeats a name.
    """
    if isinstance(names, str):
        raise ConfigurationError(f"{option}={names!r} is one string.", f"Pass [{names!r}].")
    checked: list[str] = []
    for name in names:
        text = str(name) if positions and isinstance(name, int | np.integer) else name
        if not isinstance(text, str):
            raise ConfigurationError(f"{option} holds {name!r}.", "Pass names as strings.")
        if text in checked:
            raise ConfigurationError(f"{option} names {name!r} twice.", "Name it once.")
        checked.append(text)
    return tuple(checked)


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


def is_numeric(kind: pa.DataType) -> bool:
    """Whether an Arrow type is read as float; a column of nulls only is, as NaN."""
    types = pa.types
    tests = (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal)
    return any(test(kind) for test in (*tests, types.is_null))


def _not_numeric(column: pa.Field, path: str) -> InputTypeError:
    metadata = {key: value.decode() for key, value in (column.metadata or {}).items()}
    text, location = metadata.get(FIRST_VALUE, ""), metadata.get(FIRST_LOCATION, "")
    text = text if FIRST_ROW in metadata else ""
    shown = f", such as {text!r}" if text else ""
    held = kind_in_words(column.type)
    cause = f"Column {column.name!r} of {path} is not numeric: it holds {held}{shown}"
    if flaw := format_flaw(text, metadata.get(DELIMITER, "")):
        return InputTypeError(f"{cause}, which has {flaw[0]}.{location}", flaw[1])
    return InputTypeError(f"{cause}.{location}", _REMEDY)


def _index_columns(schema: pa.Schema) -> set[str]:
    """Return the columns that pandas wrote for a frame's index: row numbers are no feature.

    In Parquet its metadata names them, in CSV the index has an empty name.
    """
    try:
        described = (schema.pandas_metadata or {}).get("index_columns", ())
        return {"", *(name for name in described if isinstance(name, str))}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {""}  # damaged, or of another writer: only the default features depend on it


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
