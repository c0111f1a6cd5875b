"""The format of messages, before anything of the command line is understood."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

from daskgmm.cli.environment import PREFIX
from daskgmm.cli.toml_lines import read_toml


def format_asked(words: Sequence[str]) -> str:
    """What ``--log-format`` asks for, so that wrong usage is told in that format as well.

    Whatever is wrong here is found and told later.
    """
    command = next((word for word in words if not word.startswith("-")), "")
    asked = _said(words, command, "log-format") or _in_file(words, command)
    return "json" if asked == "json" else "text"


def _said(words: Sequence[str], command: str, option: str) -> str | None:
    """The value of an option on the command line or else in a variable."""
    typed = [value for word, value in pairwise(words) if word == f"--{option}"]
    typed += [word.partition("=")[2] for word in words if word.startswith(f"--{option}=")]
    name = option.replace("-", "_").upper()
    names = (f"{PREFIX}{command.upper()}_{name}", f"{PREFIX}{name}")
    return next(filter(None, [*typed[-1:], *map(os.environ.get, names)]), None)


def _in_file(words: Sequence[str], command: str) -> Any:
    path = _said(words, command, "config")
    with suppress(OSError, ValueError):
        values = read_toml(path)[0] if path else {}
        table = values.get(command)
        for scope in (table if isinstance(table, Mapping) else {}, values):
            for key in ("log-format", "log_format"):
                if key in scope:
                    return scope[key]
    return None
