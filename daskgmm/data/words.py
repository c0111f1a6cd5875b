"""What columns and values are, in words for errors."""

import re

import pyarrow as pa

_DECIMAL_COMMA = re.compile(r"\s*[-+]?(\d+|\d{1,3}(\.\d{3})+),\d+([eE][-+]?\d+)?\s*")

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

WITH_POINTS = (
    "Write decimals with a point, for example "
    "`pandas.read_csv(f, sep=';', decimal=',').to_parquet('f.parquet')`."
)
"""What to do about decimal commas."""


def kind_in_words(kind: pa.DataType) -> str:
    """What a column of a type holds."""
    if pa.types.is_dictionary(kind):
        return kind_in_words(kind.value_type)
    return next((words for test, words in _KINDS if test(kind)), str(kind))


def has_decimal_comma(text: str) -> bool:
    """Whether a text is a number as half of the world writes it.

    >>> [has_decimal_comma(text) for text in ("13,17", "-1.024,5", "1,2,3", "a,1", "13.17")]
    [True, True, False, False, False]
    """
    return _DECIMAL_COMMA.fullmatch(text) is not None
