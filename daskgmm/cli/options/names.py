"""Options by the names that configuration files and variables give them."""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import click

from daskgmm.cli.options.types import Names

CONFIG = "config"
"""The command that shows others' options, and the option that names where they come from."""


def long_name(param: click.Parameter) -> str:
    """What an option is called without its dashes; an argument has its own name."""
    long = [name for name in param.opts if name.startswith("--")]
    return (long[0] if long else str(param.name)).lstrip("-")


def settable(command: click.Command) -> dict[str, click.Parameter]:
    """A command's options and arguments, by their normal names; a few go by two."""
    params = [param for param in command.params if param.name != CONFIG]
    found = {normal(str(param.name)): param for param in params}
    return found | {normal(long_name(param)): param for param in params}


def normal(key: str) -> str:
    """A key with underscores, as it may be written with dashes as well."""
    return key.replace("-", "_")


def as_given(param: click.Parameter, value: Any) -> Any:
    """A value of a file as click takes it from elsewhere than the command line.

    Raises
    ------
    click.BadParameter
        It is a table or a list, and the option takes none.
    """
    many = param.multiple or param.nargs != 1
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
        raise click.BadParameter(f"a {kind} is no value for it.")
    if isinstance(value, bool) and getattr(param, "is_flag", False):
        return value
    return [_word(value)] if many else _word(value)


def _word(value: Any) -> str:
    """What one would type."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def suggestion(name: str, known: Iterable[str], otherwise: str) -> str:
    """What may have been meant, and what to do where it was not."""
    return f"{likely(name, known)} {otherwise}".lstrip()


def likely(name: str, known: Iterable[str]) -> str:
    """What may have been meant; nothing where nothing is like it."""
    known = sorted(known)
    shortened = [each for each in known if name.startswith(each) or each.startswith(name)]
    close = shortened or get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else ""
