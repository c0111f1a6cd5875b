"""Names of options in configuration files and environment variables, and suggestions for typos."""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import click

from daskgmm.cli.options.types import Names, TableType

CONFIG = "config"
"""Name of the command that shows the options of others, and of the option for their file."""


def long_name(param: click.Parameter) -> str:
    """The long name of an option without dashes, or the name of an argument."""
    long = [name for name in param.opts if name.startswith("--")]
    return (long[0] if long else str(param.name)).lstrip("-")


def settable(command: click.Command) -> dict[str, click.Parameter]:
    """Options and arguments of a command by their normal names; some have two names."""
    params = [param for param in command.params if param.name != CONFIG]
    found = {normal(str(param.name)): param for param in params}
    return found | {normal(long_name(param)): param for param in params}


def normal(key: str) -> str:
    """A key with underscores for its dashes."""
    return key.replace("-", "_")


def as_given(param: click.Parameter, value: Any) -> Any:
    """A value of a configuration file in the form that click takes for a default.

    Raises
    ------
    click.BadParameter
        The value is a table or a list, and the option takes neither.
    """
    many = param.multiple or param.nargs != 1
    if isinstance(param, TableType) and isinstance(value, Mapping):
        return value
    if isinstance(param, Names) and isinstance(value, list):
        return [tuple(map(_word, value))]
    if isinstance(value, Mapping) and param.multiple and not isinstance(param, Names):
        return [f"{key}={_word(each)}" for key, each in value.items()]
    if isinstance(value, list) and many:
        return [_word(each) for each in value]
    if isinstance(value, list) and isinstance(param.type, click.types.FuncParamType):
        return ",".join(map(_word, value))
    if isinstance(value, Mapping | list):
        kind = "table" if isinstance(value, Mapping) else "list"
        raise click.BadParameter(f"a {kind} is not a value for it.")
    if isinstance(value, bool) and getattr(param, "is_flag", False):
        return value
    return [_word(value)] if many else _word(value)


def _word(value: Any) -> str:
    """The value as one would type it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def suggestion(name: str, known: Iterable[str], otherwise: str) -> str:
    """A similar name, if there is one, followed by another remedy."""
    return f"{likely(name, known)} {otherwise}".lstrip()


def likely(name: str, known: Iterable[str]) -> str:
    """A question that suggests the most similar name; empty if none is similar."""
    known = sorted(known)
    shortened = [each for each in known if name.startswith(each) or each.startswith(name)]
    shortened.sort(key=lambda each: abs(len(each) - len(name)))
    close = shortened or get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else ""
