"""``daskgmm config``: the effective options of a command, as a configuration file."""

import json
import os
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from itertools import chain
from typing import Any

import click
from click.core import ParameterSource

from daskgmm.cli.exits import CommandFailure, Exit
from daskgmm.cli.options.names import CONFIG, long_name, suggestion
from daskgmm.cli.options.secrets import masked
from daskgmm.cli.options.shared import JSON
from daskgmm.cli.options.sources import all_commands, origin, variables
from daskgmm.data.storage.credentials import MASK


@dataclass(frozen=True)
class Effective:
    """The effective value of an option.

    Parameters
    ----------
    value : object
        Secrets masked; ``None`` if nothing sets the option.
    source : str
    secret : bool
        Whether a part of the value is masked.
    """

    value: Any
    source: str
    secret: bool = False


def as_toml(commands: Mapping[str, Mapping[str, Effective]]) -> str:
    """TOML with a table for each command, which every command takes as ``--config``."""
    return "\n\n".join("\n".join(_table(*command)) for command in commands.items())


def _table(name: str, options: Mapping[str, Effective]) -> Iterator[str]:
    from rich.cells import cell_len  # as wide as a terminal shows it

    yield f"[{name}]"
    pairs = {key: f"{key} = {_value(each.value)}" for key, each in options.items()}
    # Unset and masked values can't be read back.
    outside = {key for key, each in options.items() if each.value in (None, []) or each.secret}
    pairs = {key: f"# {text}" if key in outside else text for key, text in pairs.items()}
    width = min(max(map(cell_len, pairs.values()), default=0), 40)
    for key, text in pairs.items():
        yield f"{text}{' ' * (width - cell_len(text))}  # {options[key].source}"


def _value(value: Any) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, Mapping):
        inner = (f"{_text(key)} = {_value(each)}" for key, each in value.items())
        return f"{{{', '.join(inner)}}}"
    return _text(value)


def _text(value: Any) -> str:
    """A plain value in the notation that TOML shares with JSON, with characters unescaped."""
    return json.dumps(value, ensure_ascii=False)


@click.command(context_settings={"ignore_unknown_options": True})
@JSON
@click.option("--config", metavar="FILE.toml", help="File of options, as for all commands.")
@click.option("--log-format", metavar="text|json", help="Format of messages, as for all commands.")
@click.option("--log-level", metavar="LEVEL", help="Level of messages, as for all commands.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND [OPTION]...]")
@click.pass_context
def config(
    context: click.Context, /, *, as_json: bool, words: tuple[str, ...], **common: str | None
) -> None:
    """Show the value of each option of COMMAND and where it is set.

    Give COMMAND and its options as you would run them; without COMMAND all commands are shown.
    The output can be used as a configuration file. Secrets are not shown.
    """
    commands = all_commands(context)
    named = bool(words) and not words[0].startswith("-")
    if named and words[0] not in commands:
        remedy = suggestion(words[0], commands, f"Choose among {', '.join(commands)}.")
        raise CommandFailure(f"No such command {words[0]!r}.", remedy, Exit.USAGE)
    given = [(f"--{name.replace('_', '-')}", value) for name, value in common.items() if value]
    arguments = [*chain.from_iterable(given), *(words[1:] if named else words)]
    chosen = words[:1] if named else tuple(commands)
    root = context.find_root()
    found = {name: dict(_effective(root, name, commands[name], arguments)) for name in chosen}
    click.echo(_as_json(found) if as_json else as_toml(found))


def _as_json(found: dict[str, dict[str, Effective]]) -> str:
    plain = {
        command: {
            name: {"value": each.value, "source": each.source} for name, each in options.items()
        }
        for command, options in found.items()
    }
    return json.dumps(plain, indent=2, ensure_ascii=False)


def _effective(
    parent: click.Context, name: str, command: click.Command, words: list[str]
) -> Iterator[tuple[str, Effective]]:
    """The effective value of each option of a command; required ones may be missing."""
    twin = copy(command)
    twin.params = [copy(param) for param in command.params]
    for param in twin.params:
        param.required = False
    context = twin.make_context(name, list(words), parent=parent)
    typed, _, _ = twin.make_parser(context).parse_args(list(words))
    for param in twin.params:
        if param.name != CONFIG:
            yield long_name(param), _resolve(context, param, typed)


def _resolve(context: click.Context, param: click.Parameter, typed: Any) -> Effective:
    raw, source = param.consume_value(context, typed)
    raw = _plain(raw)
    text = isinstance(param.type, click.types.FuncParamType)
    many = param.multiple or param.nargs != 1
    value = _plain(raw if text and not many else param.type_cast_value(context, raw))
    if param.name == "storage_options":
        value = {key: MASK for key, _ in value or ()}
        return Effective(value, _source(context, param, source), secret=bool(value))
    shown = _masked(value)
    return Effective(shown, _source(context, param, source), secret=shown != value)


def _plain(value: Any) -> Any:
    """Plain values, with None for click's marker of a missing value."""
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return value if isinstance(value, str | int | float | bool) else None


def _masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(each) for each in value]
    if isinstance(value, dict):
        return {key: _masked(each) for key, each in value.items()}
    return masked(value) if isinstance(value, str) else value


def _source(context: click.Context, param: click.Parameter, source: ParameterSource) -> str:
    if source is ParameterSource.COMMANDLINE:
        return "command line"
    if source is ParameterSource.DEFAULT_MAP:
        return origin(context, str(param.name))
    if source is ParameterSource.ENVIRONMENT:
        names = variables(str(context.info_name), param)
        return next(name for name in names if os.environ.get(name))
    return "default"
