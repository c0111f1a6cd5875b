"""Values that nobody may read on the screen or in a record."""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from daskgmm.data.storage.credentials import MASK, without_credentials

_SHORTEST = 4
"""Characters of a storage option's value that is looked for in other text."""

_SHORTEST_OF_ENVIRONMENT = 8
"""The same of a variable that is secret by its name: more, for names mislead."""

_VARIABLE = re.compile("SECRET|TOKEN|PASSW|CREDENTIAL|ACCESS_KEY|API_KEY", re.IGNORECASE)
_OPEN = re.compile("(endpoint(_url)?|region(_name)?|protocol|(signature_)?version)", re.IGNORECASE)
"""Storage options that messages may repeat: they tell why a store was not found."""

_STORAGE_OPTION = "--storage-option"

_known: set[str] = set()


def forget() -> None:
    """Start a command line: nothing but the environment is known."""
    _known.clear()
    for name, value in os.environ.items():
        if _VARIABLE.search(name) and len(value) >= _SHORTEST_OF_ENVIRONMENT:
            _learn(value)


def remember(name: str, value: Any) -> None:
    """Never show a storage option's value again, nor what is inside it."""
    for inner, each in _leaves(name, value):
        if len(each) >= _SHORTEST and not _OPEN.fullmatch(inner):
            _learn(each)


def masked(text: str) -> str:
    """Text as it may be shown."""
    for secret in sorted(_known, key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, MASK)
    return without_credentials(text)


def typed_command() -> tuple[str, ...]:
    """What was typed, as it may be recorded."""
    typed = ["daskgmm", *sys.argv[1:]]
    for position, word in enumerate(typed):
        if word.startswith(f"{_STORAGE_OPTION}="):
            typed[position] = f"{_STORAGE_OPTION}={_name_only(word.partition('=')[2])}"
        elif word == _STORAGE_OPTION and position + 1 < len(typed):
            typed[position + 1] = _name_only(typed[position + 1])
    return tuple(map(masked, typed))


def _name_only(pair: str) -> str:
    return f"{pair.partition('=')[0]}={MASK}"


def _learn(secret: str) -> None:
    """As it is, and as it looks in a URL and in a quoted string."""
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
