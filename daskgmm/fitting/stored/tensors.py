"""Frozen values written as named arrays and plain JSON to safetensors files, and read back.

Values come back bit for bit. A file holds numbers and text only, so nothing in it can run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import sha256
from importlib.metadata import version
from pkgutil import resolve_name
from typing import Any, BinaryIO, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from daskgmm.data.storage.json import from_json
from daskgmm.errors import DataError
from daskgmm.model.covariance import covariance_named
from daskgmm.model.covariance.base import Covariance
from daskgmm.training.states import StopReason

Arrays = dict[str, np.ndarray[Any, Any]]

# Checkpoints, and the digests of models in outputs, contain these tags, so a tag stays as it is
# when its class is renamed.
_CLASSES = {
    "FitProgress": "daskgmm.fitting.progress:FitProgress",
    "StartsProgress": "daskgmm.fitting.progress:StartsProgress",
    "Steps": "daskgmm.training.search_progress:Steps",
    "Step": "daskgmm.training.search_progress:Step",
    "SearchProgress": "daskgmm.training.search_progress:SearchProgress",
    "Run": "daskgmm.training.refinement.sampled:EMRun",
    "Halving": "daskgmm.training.refinement.halving:Halving",
    "Rounds": "daskgmm.training.refinement.rounds:Rounds",
    "Move": "daskgmm.training.refinement.moves:Move",
    "Survey": "daskgmm.passes.survey:Survey",
    "Statistics": "daskgmm.passes.statistics:Statistics",
    "Gaps": "daskgmm.passes.missing_values:MissingValues",
    "FitState": "daskgmm.training.states:FitState",
    "Trace": "daskgmm.training.states:Trace",
    "Refinement": "daskgmm.training.refinement.search:Refinement",
    "AccelerationState": "daskgmm.training.acceleration:AccelerationState",
    "Mixture": "daskgmm.model.mixture:Mixture",
    "Posterior": "daskgmm.model.bayesian.posterior:Posterior",
    "Moments": "daskgmm.model.moments:Moments",
    "Frame": "daskgmm.model.frame:Frame",
    "Noise": "daskgmm.model.noise:Noise",
    "Ranges": "daskgmm.passes.bounding_box:BoundingBox",
}
"""Dataclasses that files may hold, by tag: each is imported when a file holds one."""


def _tag(kind: type) -> str | None:
    """Tag of a class, if files may hold it."""
    own = f"{kind.__module__}:"
    places = _CLASSES.items()
    return next(
        (tag for tag, at in places if at.startswith(own) and resolve_name(at) is kind), None
    )


def to_plain(value: Any, name: str, arrays: Arrays) -> Any:
    """Write a value as JSON; its arrays go into `arrays`, under names that begin with `name`."""
    match value:
        case np.ndarray():
            arrays[name] = value
            return {"array": name}
        case Covariance():
            return {"covariance": value.name}
        case StopReason():
            return {"stopped": value.name}
        case tuple() if value and all(type(one) is int for one in value):
            arrays[name] = np.array(
                value, np.int64
            )  # shorter than text for the lengths of many parts
            return {"integers": name}
        case tuple():
            return [to_plain(one, f"{name}.{index}", arrays) for index, one in enumerate(value)]
        case _ if tag := _tag(type(value)):
            inside = {
                field.name: to_plain(getattr(value, field.name), f"{name}.{field.name}", arrays)
                for field in fields(value)
                # So files and digests stay as they were before there was an optional field.
                if field.default is not None or getattr(value, field.name) is not None
            }
            return {"kind": tag, "fields": inside}
        case _:  # a number, text, None, or a dict of such
            return value


def from_plain(plain: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    """Read back a value that `to_plain` wrote."""
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
        case {"kind": str(tag), "fields": dict(inside)}:
            kind = resolve_name(_CLASSES[tag])
            return kind(**{key: from_plain(one, arrays) for key, one in inside.items()})
        case _:
            return plain


def digest(plain: Any, arrays: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values and arrays, in hexadecimal digits."""
    found = sha256(json.dumps(plain).encode())
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


_KEY = "daskgmm"
_LONGEST_HEADER = 100_000_000
"""Largest number of bytes that the safetensors format allows for a header."""

MALFORMED = (
    SafetensorError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError,
    RecursionError,
)  # fmt: skip
"""Exceptions that parsing a file of arbitrary content may raise."""


@dataclass(frozen=True, eq=False)
class TensorFile:
    """Content of a safetensors file of daskgmm: arrays, and JSON metadata in the header.

    Parameters
    ----------
    tensors : mapping of str to ndarray
    metadata : mapping
        Plain JSON values; floats, also infinite ones, come back unchanged.
    """

    tensors: Mapping[str, np.ndarray[Any, Any]]
    metadata: Mapping[str, Any]

    def to_bytes(self, number: int) -> bytes:
        """Serialise; `number` is the version of the file's format."""
        stamp = {"format": number, "version": version("daskgmm")}
        header = json.dumps(stamp | dict(self.metadata), allow_nan=True)
        tensors = {name: np.ascontiguousarray(array) for name, array in self.tensors.items()}
        return bytes(serialise(tensors, {_KEY: header}))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Parse a file's content; any other content raises one of `MALFORMED`."""
        tensors = parse(content)
        length = int.from_bytes(content[:8], "little")
        header = from_json(content[8 : 8 + length])
        return cls(tensors, from_json(header["__metadata__"][_KEY], infinite=True))

    def require_known(self, newest: int, name: str) -> None:
        """Refuse formats after the `newest` one known; `name` is for errors.

        Raises
        ------
        DataError
            A later version wrote the file.
        """
        number = self.metadata["format"]
        if type(number) is not int or number < 1:
            raise ValueError("its format is not a number from 1")
        if number > newest:
            raise DataError(
                f"{name} was written by daskgmm {self.metadata['version']} in format "
                f"{number}; this version reads formats up to {newest}.",
                "Upgrade daskgmm.",
            )


def read_whole(file: BinaryIO) -> bytes:
    """Read an open file, or only its first bytes if these are not those of a safetensors file.

    So a large file of another kind is not read into memory.
    """
    start = file.read(9)
    if len(start) < 9 or int.from_bytes(start[:8], "little") > _LONGEST_HEADER or start[8:] != b"{":
        return start
    return start + file.read()
