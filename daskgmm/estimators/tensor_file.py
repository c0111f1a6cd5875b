"""Safetensors files with JSON in their header: numbers and plain text, nothing that can run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, BinaryIO, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from daskgmm.data.json_text import from_json
from daskgmm.errors import DataError

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
