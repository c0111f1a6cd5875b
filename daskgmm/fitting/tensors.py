"""Frozen values as named arrays and plain JSON, and back to the bit."""

import json
from collections.abc import Mapping
from dataclasses import fields
from hashlib import sha256
from typing import Any

import numpy as np

from daskgmm.fitting.progress import Progress
from daskgmm.model.covariance import covariance_named
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.passes.statistics import Statistics
from daskgmm.passes.survey import Survey
from daskgmm.training.acceleration import Outlook
from daskgmm.training.states import FitState, StopReason, Trace

Arrays = dict[str, np.ndarray[Any, Any]]

_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (Progress, Survey, Statistics, FitState, Trace, Outlook, Mixture, Moments, Frame)
}
"""What is brought back; nothing else is, whatever a file says."""


def to_plain(value: Any, name: str, arrays: Arrays) -> Any:
    """A value as JSON; its arrays go into `arrays`, under names that begin with `name`."""
    match value:
        case np.ndarray():
            arrays[name] = value
            return {"array": name}
        case Covariance():
            return {"covariance": value.name}
        case StopReason():
            return {"stopped": value.name}
        case tuple() if value and all(type(one) is int for one in value):
            arrays[name] = np.array(value, np.int64)  # the lengths of many parts are long as text
            return {"integers": name}
        case tuple():
            return [to_plain(one, f"{name}.{index}", arrays) for index, one in enumerate(value)]
        case _ if type(value) in _KINDS.values():
            inside = {
                field.name: to_plain(getattr(value, field.name), f"{name}.{field.name}", arrays)
                for field in fields(value)
            }
            return {"kind": type(value).__name__, "fields": inside}
        case _:  # a number, text, None, or a dict of such
            return value


def from_plain(plain: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    """The value that `to_plain` was given."""
    match plain:
        case {"array": str(name)}:
            return arrays[name]
        case {"integers": str(name)}:
            return tuple(arrays[name].tolist())
        case {"covariance": str(name)}:
            return covariance_named(name)
        case {"stopped": str(name)}:
            return StopReason[name]
        case list():
            return tuple(from_plain(one, arrays) for one in plain)
        case {"kind": str(name), "fields": dict(inside)}:
            return _KINDS[name](**{key: from_plain(one, arrays) for key, one in inside.items()})
        case _:
            return plain


def digest(plain: Any, arrays: Mapping[str, Any]) -> str:
    """What tells JSON values and arrays from all others."""
    found = sha256(json.dumps(plain).encode())
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()
