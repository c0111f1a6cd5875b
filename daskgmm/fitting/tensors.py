"""Frozen values as named arrays and plain JSON, and back to the bit.

Safetensors files with JSON in their header: numbers and plain text, nothing that can run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import sha256
from importlib.metadata import version
from typing import Any, BinaryIO, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from daskgmm.data.storage.json import from_json
from daskgmm.errors import DataError
from daskgmm.fitting.progress import FitProgress
from daskgmm.model.covariance import covariance_named
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.passes.statistics import Statistics
from daskgmm.passes.survey import Survey
from daskgmm.training.acceleration import AccelerationState
from daskgmm.training.states import FitState, StopReason, Trace

Arrays = dict[str, np.ndarray[Any, Any]]

_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        FitProgress,
        Survey,
        Statistics,
        FitState,
        Trace,
        AccelerationState,
        Mixture,
        Moments,
        Frame,
    )
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


_KEY = "daskgmm"
_LONGEST_HEADER = 100_000_000
"""Bytes, as the format has it."""

SENSELESS = (
    SafetensorError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError,
    RecursionError,
)  # fmt: skip
"""What is raised where a file of any content is taken apart."""


@dataclass(frozen=True, eq=False)
class TensorFile:
    """A file's two halves.

    Parameters
    ----------
    tensors : mapping of str to ndarray
    metadata : mapping
        Plain JSON values; floats come back as they were, infinite ones too.
    """

    tensors: Mapping[str, np.ndarray[Any, Any]]
    metadata: Mapping[str, Any]

    def to_bytes(self, layout: int) -> bytes:
        """The file's content; `layout` is the number of its format."""
        stamp = {"format": layout, "version": version("daskgmm")}
        header = json.dumps(stamp | dict(self.metadata), allow_nan=True)
        tensors = {name: np.ascontiguousarray(array) for name, array in self.tensors.items()}
        return bytes(serialise(tensors, {_KEY: header}))

    @classmethod
    def from_bytes(cls, content: bytes, name: str, newest: int) -> Self:
        """Take a file's content apart; `name` is for errors, `newest` the last format known.

        Raises
        ------
        DataError
            A later version wrote it. What is no such file at all fails with one of `SENSELESS`.
        """
        tensors = parse(content)
        length = int.from_bytes(content[:8], "little")
        header = from_json(content[8 : 8 + length])
        metadata = from_json(header["__metadata__"][_KEY], infinite=True)
        layout = metadata["format"]
        if type(layout) is not int or layout < 1:
            raise ValueError("its format is no number from 1")
        if layout > newest:
            raise DataError(
                f"{name} was written by daskgmm {metadata['version']} in format "
                f"{layout}; this one reads up to {newest}.",
                "Upgrade daskgmm.",
            )
        return cls(tensors, metadata)


def read_whole(file: BinaryIO) -> bytes:
    """An open file's content; only its first bytes where these begin no safetensors file.

    So a large file of another kind is never read into memory.
    """
    start = file.read(9)
    if len(start) < 9 or int.from_bytes(start[:8], "little") > _LONGEST_HEADER or start[8:] != b"{":
        return start
    return start + file.read()
