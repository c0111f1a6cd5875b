"""The effective configuration as a configuration file."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Effective:
    """What holds for an option.

    Parameters
    ----------
    value : object
        Plain, without secrets; ``None`` where nothing sets it.
    source : str
    secret : bool
        Whether the value is more than what is shown.
    """

    value: Any
    source: str
    secret: bool = False


def as_toml(commands: Mapping[str, Mapping[str, Effective]]) -> str:
    """A table for each command, which any command takes as its ``--config``."""
    return "\n\n".join("\n".join(_table(*command)) for command in commands.items())


def _table(name: str, options: Mapping[str, Effective]) -> Iterator[str]:
    from rich.cells import cell_len  # as wide as a terminal shows it

    yield f"[{name}]"
    pairs = {key: f"{key} = {_value(each.value)}" for key, each in options.items()}
    # What is not set or not shown can't be read back.
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
    """What TOML and JSON have the same notation for, but for JSON's pairs of surrogates."""
    return json.dumps(value, ensure_ascii=False)
