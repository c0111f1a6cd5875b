"""Options in a TOML file: common ones at its top, those of a command in its table.

Errors name the line of a key, so this module finds the lines beside parsing the values.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from daskgmm.cli.exits import CommandFailure, Exit
from daskgmm.cli.options.names import as_given, long_name, normal, settable, suggestion
from daskgmm.data.storage.json import DEEPEST, require_shallow

Keys = tuple[str, ...]

_LARGEST = 2**20
"""Largest configuration file in bytes; the options need far less."""

_PIECE = re.compile(
    r"""
    "{3} (?: [^\\] | \\. )*? "{3,5} | '{3} .*? '{3,5}      # strings of several lines
    | " (?: [^"\\\n] | \\. )* " | ' [^'\n]* '               # and of one line
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
        The file can't be read.
    ValueError
        The file is no TOML, not UTF-8, too large, or nested too deeply.
    """
    with Path(path).open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError("it is larger than 1 MiB")
    text = content.decode("utf-8-sig").replace("\r\n", "\n")
    if _LONG_KEY.search(_PIECE.sub("", text)):  # the parser takes quadratic time
        raise ValueError(f"a key has more than {DEEPEST} parts")
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    require_shallow(values)
    return values, text


def key_lines(text: str) -> dict[Keys, int]:
    r"""The line, from 1, of each key; a key is named by its tables and itself.

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
    """Split a file into its statements, each with the line that it begins on.

    Parameters
    ----------
    text : str
        Valid TOML: a value then ends where its brackets are balanced.
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


Commands = Mapping[str, click.Command]


@dataclass(frozen=True)
class Setting:
    """The value that the file gives to an option.

    Parameters
    ----------
    value : object
        In the form that click takes for a default.
    origin : str
        File and line, for messages.
    """

    value: Any
    origin: str


@dataclass(frozen=True)
class TomlEntry:
    """A key and its value in the file.

    Parameters
    ----------
    table : str or None
        The command whose table holds the key; None at the top.
    key : str
    value : object
    line : int
    """

    table: str | None
    key: str
    value: Any
    line: int


def settings_of(path: str, command: str, commands: Commands) -> dict[str, Setting]:
    """The settings of a command by parameter name.

    The whole file is checked, so that mistakes in the tables of other commands show at once.

    Raises
    ------
    CommandFailure
        A key is unknown or a value is invalid.
    """
    common: dict[str, Setting] = {}
    own: dict[str, Setting] = {}
    for entry in entries(path, commands):
        takers = _takers(entry, path, commands)
        reader = entry.table or command
        if reader in takers:
            param = takers[reader]
            value = _checked(entry, path, reader, commands[reader], param)
            if reader == command:
                target = common if entry.table is None else own
                target[str(param.name)] = Setting(value, f"{path}, line {entry.line}")
    return common | own


def entries(path: str, commands: Commands) -> Iterator[TomlEntry]:
    """Keys and values of a file, those in tables of commands included.

    Raises
    ------
    CommandFailure
        The file can't be read as TOML.
    """
    try:
        values, text = read_toml(path)
    except (OSError, ValueError) as error:
        remedy = "Correct it: keys, signs of equality, strings in quotes, and [tables]."
        raise CommandFailure(
            f"{path} can't be read as TOML: {error}.", remedy, Exit.USAGE
        ) from error
    lines = key_lines(text)
    for key, value in values.items():
        if key in commands and isinstance(value, Mapping):
            for inner, each in value.items():
                yield TomlEntry(key, inner, each, lines[key, inner])
        else:
            yield TomlEntry(None, key, value, lines[key,])


def _takers(entry: TomlEntry, path: str, commands: Commands) -> dict[str, click.Parameter]:
    """The parameters that a key sets, by command."""
    searched = commands if entry.table is None else {entry.table: commands[entry.table]}
    options = {name: settable(command) for name, command in searched.items()}
    key = normal(entry.key)
    takers = {name: params[key] for name, params in options.items() if key in params}
    if takers:
        return takers
    known = {long_name(param) for params in options.values() for param in params.values()}
    if entry.table is None and isinstance(entry.value, Mapping):
        known |= set(commands)
    whose = "daskgmm" if entry.table is None else f"daskgmm {entry.table}"
    listing = " ".join(filter(None, ("daskgmm config", entry.table)))
    remedy = suggestion(entry.key, known, f"See {listing} for all options.")
    raise CommandFailure(
        f"{path}, line {entry.line}: {entry.key!r} is not an option of {whose}.", remedy, Exit.USAGE
    )


def _checked(
    entry: TomlEntry, path: str, name: str, command: click.Command, param: click.Parameter
) -> Any:
    """The value of a key, once the type of its option accepts it."""
    context = click.Context(command, info_name=command.name)
    try:
        value = as_given(param, entry.value)
        param.type_cast_value(context, value)
    except click.BadParameter as error:
        raise CommandFailure(
            f"{path}, line {entry.line}: {entry.key}: {error.message}",
            f"See daskgmm {name.replace('-', ' ')} --help for what it takes.",
            Exit.USAGE,
        ) from error
    return value
