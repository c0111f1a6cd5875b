"""TOML with the lines that its keys are on."""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Keys = tuple[str, ...]


def key_lines(text: str) -> dict[Keys, int]:
    r"""The line, from 1, on which each key begins, by the keys of the tables that it is in.

    Whatever of a text can be read as a whole ends before the line of a key that it lacks, be the
    value long or short: that spares knowing the grammar.

    >>> key_lines("k = 3\n\n[fit]\ncolumns = [\n'a',\n]\n")
    {('k',): 1, ('fit',): 3, ('fit', 'columns'): 4}
    """
    found: dict[Keys, int] = {}
    lines = text.splitlines(keepends=True)
    whole = 0
    for count in range(1, len(lines) + 1):
        try:
            values = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:  # in the middle of a value
            continue
        for keys in _paths(values):
            found.setdefault(keys, whole + 1)
        whole = count
    return found


def _paths(values: Mapping[str, Any], above: Keys = ()) -> Iterator[Keys]:
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, Mapping):
            yield from _paths(value, (*above, key))
