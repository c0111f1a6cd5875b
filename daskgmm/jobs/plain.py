"""Plain values as JSON."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


def to_json(value: Any) -> str:
    """Values as JSON text that any program reads, as `as_plain` has them."""
    return json.dumps(as_plain(value), indent=2, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def as_plain(value: Any) -> Any:
    """Values as they come back from JSON; what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
