"""Plain values: their JSON text, their digest and their differences."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


def to_json(value: Any) -> str:
    """Values as JSON text that any program can read; see `as_plain`."""
    return json.dumps(as_plain(value), indent=2, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of plain values, independent of the order of their keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """Differences between plain values, in words, by name."""
    return {
        name: f"{name} ({_shown(old.get(name))} there, {_shown(new.get(name))} now)"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def as_plain(value: Any) -> Any:
    """Values as they come back from JSON; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
