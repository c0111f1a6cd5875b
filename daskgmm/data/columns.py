"""The columns that are read from files: features, weights, and kept ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import pyarrow as pa

from daskgmm.data.column_errors import check_names, not_numeric
from daskgmm.data.list_columns import (
    MOST_ELEMENTS,
    element_name,
    element_of,
    fixed_length,
    is_number_type,
    is_vector,
    number_type,
)
from daskgmm.errors import ConfigurationError, DataError

_NO_KEYS = pa.schema([])


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
    exclude : tuple of str
        Columns that are no features by default.
    only_numeric : bool
        Whether columns that hold no numbers are no features by default.
    lengths : mapping of str to int
        Lengths of the lists in columns of vectors, whose elements are features; once resolved.
    """

    columns: tuple[str, ...] | None = None
    weight: str | None = None
    keep: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only_numeric: bool = False
    lengths: Mapping[str, int] = field(default_factory=dict)

    @property
    def features(self) -> tuple[str, ...]:
        """The features' names, once resolved."""
        return self.columns or ()

    @property
    def places(self) -> tuple[tuple[str, int | None], ...]:
        """For each feature its column, and its position in the column's lists, if it has lists."""
        if not self.lengths:
            return tuple((name, None) for name in self.features)
        found = ((name, element_of(name)) for name in self.features)
        return tuple(e if e and e[0] in self.lengths else (name, None) for name, e in found)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the columns that are read as numbers: those of features, and weight."""
        own = tuple(dict.fromkeys(column for column, _ in self.places))
        return own if self.weight is None else (*own, self.weight)

    @property
    def unread(self) -> tuple[str, ...]:
        """Names of the kept columns that are not read as numbers."""
        return tuple(name for name in self.keep if name not in self.numeric)

    @property
    def names(self) -> tuple[str, ...]:
        """All names to read, each once."""
        return tuple(dict.fromkeys((*self.numeric, *self.keep)))

    def types(self, schema: pa.Schema) -> set[pa.DataType | None]:
        """Types of the features' numbers; ``None`` for columns that a schema lacks."""
        columns = {column for column, _ in self.places}
        there = columns & set(schema.names)
        found: set[pa.DataType | None] = {number_type(schema.field(name).type) for name in there}
        return found | ({None} if columns > there else set())

    def resolve(
        self,
        schema: pa.Schema,
        path: str,
        keys: pa.Schema = _NO_KEYS,
        length_of: Callable[[str], int] | None = None,
    ) -> Self:
        """Fill in the default features from a table's schema and check them against it.

        Keys of directories can be chosen, but are not features by default. A column of lists of
        numbers stands for its elements.

        Parameters
        ----------
        schema : pyarrow.Schema
        path : str
            Name of the table, for errors.
        keys : pyarrow.Schema
            Further columns, which are no features by default.
        length_of : callable, optional
            Finds the length of the lists in a column whose type does not show it.

        Raises
        ------
        DataError
            A column is missing, appears twice, or none is left for features.
        InputTypeError
            A feature or weight column is not numeric.
        """
        resolved = self
        if self.columns is None:
            resolved = replace(self, columns=self._by_default(schema, path, keys))
        resolved = resolved.with_elements(schema, path, length_of)
        if not resolved.columns:
            raise DataError(f"{path} has no columns for features.", "Check the file's columns.")
        resolved.check(schema, path, keys)
        return resolved

    def _by_default(self, schema: pa.Schema, path: str, keys: pa.Schema) -> tuple[str, ...]:
        """The features where none are named."""
        check_names(self.exclude, [*schema.names, *keys.names], path)
        taken = {self.weight, *self.keep, *self.exclude, *_index_columns(schema)}
        found = [own for own in schema if own.name not in taken]
        if self.only_numeric:
            found = [own for own in found if is_number_type(own.type) or is_vector(own.type)]
        return tuple(own.name for own in found)

    def check(self, schema: pa.Schema, path: str, keys: pa.Schema = _NO_KEYS) -> None:
        """Raise unless a file's schema or the keys have all columns, and numbers if needed."""
        schema = pa.schema([*schema, *(key for key in keys if key.name not in schema.names)])
        check_names(self.names, schema.names, path)
        for name in self.numeric:
            column = schema.field(name)
            if name in self.lengths:
                self._check_lists(column, path, schema)
            elif not is_number_type(column.type):
                raise not_numeric(column, path, schema)

    def _check_lists(self, column: pa.Field, path: str, schema: pa.Schema) -> None:
        """Raise unless a column holds lists, of the expected length if its type shows it."""
        if not is_vector(column.type) or column.name == self.weight:
            raise not_numeric(column, path, schema)
        own, length = fixed_length(column.type), self.lengths[column.name]
        if own not in (None, length):
            raise DataError(
                f"Column {column.name!r} of {path} holds lists of {own} values, and others of "
                f"{length}.",
                "Write lists of one length, or leave the column out.",
            )

    def with_elements(
        self, schema: pa.Schema, path: str, length_of: Callable[[str], int] | None
    ) -> Self:
        """The same columns, with those of lists replaced by their elements; see `resolve`."""
        vectors = {own.name: own.type for own in schema if is_vector(own.type)}
        found: list[str] = []
        lengths: dict[str, int] = {}
        for name in self.columns or ():
            column, position = (name, None) if name in schema.names else _element(name)
            if column not in vectors:
                found.append(name)
                continue
            if column not in lengths:
                known = fixed_length(vectors[column])
                if known is None and length_of is not None:
                    known = length_of(column)
                if known is not None and known > MOST_ELEMENTS:
                    raise DataError(
                        f"The lists of {column!r} in {path} have {known} values, and "
                        f"{MOST_ELEMENTS} are the most that features are made of.",
                        "Write shorter vectors, or leave the column out.",
                    )
                lengths[column] = known or 0
            if position is None:
                found += [element_name(column, each) for each in range(lengths[column])]
                continue
            if position >= lengths[column]:
                raise DataError(
                    f"{path} has no {name!r}: the lists of {column!r} have {lengths[column]} "
                    "values, counted from 0.",
                    "Choose other columns.",
                )
            found.append(name)
        if lengths and len(set(found)) < len(found):
            twice = next(name for name in found if found.count(name) > 1)
            raise ConfigurationError(f"columns names {twice!r} twice.", "Name it once.")
        return replace(self, columns=tuple(found), lengths=lengths)


def _element(name: str) -> tuple[str, int | None]:
    """The column and position that a name may stand for."""
    return element_of(name) or (name, None)


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


def _index_columns(schema: pa.Schema) -> set[str]:
    """Return the columns that pandas wrote for a frame's index: row numbers are no feature.

    In Parquet its metadata names them, in CSV the index has an empty name.
    """
    try:
        described = (schema.pandas_metadata or {}).get("index_columns", ())
        return {"", *(name for name in described if isinstance(name, str))}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {""}  # damaged, or of another writer: only the default features depend on it
