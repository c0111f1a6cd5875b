"""Options in a TOML file: common ones at its top, a table for each command's own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from daskgmm.cli.exits import Exit, Failure
from daskgmm.cli.options.names import as_given, long_name, normal, settable, suggestion
from daskgmm.cli.toml_lines import key_lines, read_toml

Commands = Mapping[str, click.Command]


@dataclass(frozen=True)
class Setting:
    """What the file says of one option.

    Parameters
    ----------
    value : object
        As click takes it from elsewhere than the command line.
    origin : str
        File and line.
    """

    value: Any
    origin: str


@dataclass(frozen=True)
class Entry:
    """A key of the file.

    Parameters
    ----------
    table : str or None
        The command whose table it is in.
    key : str
    value : object
    line : int
    """

    table: str | None
    key: str
    value: Any
    line: int


def settings(path: str, command: str, commands: Commands) -> dict[str, Setting]:
    """What the file says for a command, by the parameters' names.

    All of it is checked, the tables of other commands too: their mistakes need not wait.

    Raises
    ------
    Failure
        A key or a value is wrong.
    """
    common: dict[str, Setting] = {}
    own: dict[str, Setting] = {}
    for entry in entries(path, commands):
        takers = _takers(entry, path, commands)
        reader = entry.table or command
        if reader in takers:
            param = takers[reader]
            value = _checked(entry, path, commands[reader], param)
            if reader == command:
                target = common if entry.table is None else own
                target[str(param.name)] = Setting(value, f"{path}, line {entry.line}")
    return common | own


def entries(path: str, commands: Commands) -> Iterator[Entry]:
    """The keys of a file.

    Raises
    ------
    Failure
        It can't be read as TOML.
    """
    try:
        values, text = read_toml(path)
    except (OSError, ValueError) as error:
        remedy = "Correct it: keys, signs of equality, strings in quotes, and [tables]."
        raise Failure(f"{path} can't be read as TOML: {error}.", remedy, Exit.USAGE) from error
    lines = key_lines(text)
    for key, value in values.items():
        if key in commands and isinstance(value, Mapping):
            for inner, each in value.items():
                yield Entry(key, inner, each, lines[key, inner])
        else:
            yield Entry(None, key, value, lines[key,])


def _takers(entry: Entry, path: str, commands: Commands) -> dict[str, click.Parameter]:
    """The parameters that the key stands for, by their commands."""
    asked = commands if entry.table is None else {entry.table: commands[entry.table]}
    options = {name: settable(command) for name, command in asked.items()}
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
    raise Failure(
        f"{path}, line {entry.line}: {entry.key!r} is no option of {whose}.", remedy, Exit.USAGE
    )


def _checked(entry: Entry, path: str, command: click.Command, param: click.Parameter) -> Any:
    """The value, which the option's own type would take."""
    context = click.Context(command, info_name=command.name)
    try:
        value = as_given(param, entry.value)
        param.type_cast_value(context, value)
    except click.BadParameter as error:
        raise Failure(
            f"{path}, line {entry.line}: {entry.key}: {error.message}",
            f"See daskgmm {command.name} --help for what it takes.",
            Exit.USAGE,
        ) from error
    return value
