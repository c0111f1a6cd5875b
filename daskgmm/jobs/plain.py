"""Plain values as JSON."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


def to_json(value: Any) -> str:
    """Values as JSON text that any program reads: what is not finite becomes null."""
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
