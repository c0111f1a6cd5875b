"""What deploy/docker says: the image's instructions, and the services of a cluster."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from tests.support.paths import ROOT

FOLDER = ROOT / "deploy" / "docker"

_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile: each one's name and the rest of it, without line breaks."""
    lines = (FOLDER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    found = (line.split(maxsplit=1) for line in text.replace("\\\n", " ").splitlines() if line)
    return [(name, rest.strip()) for name, rest in found]


def image_environment() -> dict[str, str]:
    """The image's variables, but for where commands are found."""
    pairs = [shlex.split(rest) for name, rest in instructions() if name == "ENV"]
    found = dict(pair.split("=", 1) for pair in pairs[0])
    del found["PATH"]
    return found


def example() -> dict[str, str]:
    """The variables of example.env."""
    lines = (FOLDER / "example.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def compose(variables: Mapping[str, str] | None = None) -> Any:
    """compose.yaml, with variables in their places if they are given."""
    found = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    return found if variables is None else _filled(found, variables)


def variables_of_compose() -> set[str]:
    """The names of those that it takes."""
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    return {name for name, _, _ in _VARIABLE.findall(text)}


def words(service: Mapping[str, Any], places: Mapping[str, object]) -> list[str]:
    """A service's command, where some words' parts are elsewhere."""
    found = service["command"]
    for there, here in places.items():
        assert there in found
        found = found.replace(there, str(here))
    return shlex.split(found)


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variables) for each in value]
    if not isinstance(value, str):
        return value
    return _VARIABLE.sub(lambda match: variables[match[1]], value)
