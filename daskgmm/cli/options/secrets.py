"""Secrets of the command line and the environment, masked in messages and records."""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from daskgmm.data.storage.credentials import MASK, without_credentials

_SHORTEST = 4
"""Shortest value of a storage option that is masked in other text."""

_SHORTEST_OF_ENVIRONMENT = 8
"""Shortest value of an environment variable that is masked; longer, as names may mislead."""

_VARIABLE = re.compile("SECRET|TOKEN|PASSW|CREDENTIAL|ACCESS_KEY|API_KEY", re.IGNORECASE)
_OPEN = re.compile("(endpoint(_url)?|region(_name)?|protocol|(signature_)?version)", re.IGNORECASE)
"""Storage options that are no secret: messages need them to explain a store that is not found."""

_STORAGE_OPTION = "--storage-option"

_known: set[str] = set()


def forget() -> None:
    """Forget all secrets but those of the environment, before a command line is parsed."""
    _known.clear()
    for name, value in os.environ.items():
        if _VARIABLE.search(name) and len(value) >= _SHORTEST_OF_ENVIRONMENT:
            _add(value)


def remember(name: str, value: Any) -> None:
    """Mask the value of a storage option, and the values inside it, from now on."""
    for inner, each in _leaves(name, value):
        if len(each) >= _SHORTEST and not _OPEN.fullmatch(inner):
            _add(each)


def remember_named(values: Mapping[str, Any]) -> None:
    """Mask those of the values, and of the values inside them, whose names say a secret."""
    for name, value in values.items():
        for inner, each in _leaves(name, value):
            if _VARIABLE.search(inner):
                remember(inner, each)


def masked(text: str) -> str:
    """The text with every known secret masked."""
    for secret in sorted(_known, key=len, reverse=True):  # a secret may be part of another
        text = text.replace(secret, MASK)
    return without_credentials(text)


def typed_command() -> tuple[str, ...]:
    """The command line with secrets masked, for the record."""
    typed = ["daskgmm", *sys.argv[1:]]
    for position, word in enumerate(typed):
        if word.startswith(f"{_STORAGE_OPTION}="):
            typed[position] = f"{_STORAGE_OPTION}={_name_only(word.partition('=')[2])}"
        elif word == _STORAGE_OPTION and position + 1 < len(typed):
            typed[position + 1] = _name_only(typed[position + 1])
    return tuple(map(masked, typed))


def _name_only(pair: str) -> str:
    return f"{pair.partition('=')[0]}={MASK}"


def _add(secret: str) -> None:
    """Add a secret as it is, as quoted in a URL, and as escaped in a JSON string."""
    _known.update((secret, quote(secret, safe=""), json.dumps(secret)[1:-1]))


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for inner, each in value.items():
            yield from _leaves(str(inner), each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(name, each)
    elif isinstance(value, str):
        yield name, value
