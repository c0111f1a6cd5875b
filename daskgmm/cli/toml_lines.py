"""TOML files as they come, with the lines that their keys are on."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from daskgmm.data.json_text import DEEPEST, require_shallow

Keys = tuple[str, ...]

_LARGEST = 2**20
"""Bytes of a configuration file: thousands of times what there are options for."""

_PIECE = re.compile(
    r"""
    "{3} (?: [^\\] | \\. )*? "{3,5} | '{3} .*? '{3,5}      # texts of many lines
    | " (?: [^"\\\n] | \\. )* " | ' [^'\n]* '               # and of one
    | [#] [^\n]* | [][{}] | \n
    """,
    re.VERBOSE | re.DOTALL,
)
_LONG_KEY = re.compile(rf"(?:\.[\w \t-]*){{{DEEPEST},}}")


def read_toml(path: str) -> tuple[dict[str, Any], str]:
    """The values of a file, and its text.

    Raises
    ------
    OSError
        It can't be read.
    ValueError
        It is no TOML, not UTF-8, too large, or nested too deeply.
    """
    with Path(path).open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError("it is larger than 1 MiB")
    text = content.decode("utf-8-sig").replace("\r\n", "\n")
    if _LONG_KEY.search(_PIECE.sub("", text)):  # the parser's time grows with its square
        raise ValueError(f"a key has more than {DEEPEST} parts")
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    require_shallow(values)
    return values, text


def key_lines(text: str) -> dict[Keys, int]:
    r"""The line, from 1, on which each key begins, by the keys of the tables that it is in.

    >>> key_lines("k = 3\n\n[fit]\ncolumns = [\n'a',\n]\n")
    {('k',): 1, ('fit',): 3, ('fit', 'columns'): 4}
    """
    found: dict[Keys, int] = {}
    table = ""
    for line, statement in _statements(text):
        if statement.lstrip().startswith("["):
            table = statement
        for keys in _paths(tomllib.loads(table if statement is table else table + statement)):
            found.setdefault(keys, line)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each key with its value, and each table's head, with the line that it begins on.

    Parameters
    ----------
    text : str
        TOML that can be parsed, so that what is within a value is known by its brackets alone.
    """
    start, line, first, depth = 0, 1, 1, 0
    for piece in _PIECE.finditer(text):
        mark = piece.group()
        line += mark.count("\n")
        depth += (mark in ("[", "{")) - (mark in ("]", "}"))
        if mark == "\n" and depth == 0:
            yield first, text[start : piece.end()]
            start, first = piece.end(), line
    yield first, text[start:]


def _paths(values: Mapping[str, Any], above: Keys = ()) -> Iterator[Keys]:
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, Mapping):
            yield from _paths(value, (*above, key))
