"""Safetensors files with JSON in their header: numbers and plain text, nothing that can run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Self

import numpy as np
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from daskgmm.errors import DataError

_KEY = "daskgmm"


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
            A later version wrote it. What is no such file at all fails as it will.
        """
        tensors = parse(content)
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_KEY])
        if metadata["format"] > newest:
            raise DataError(
                f"{name} was written by daskgmm {metadata['version']} in format "
                f"{metadata['format']}; this one reads up to {newest}.",
                "Upgrade daskgmm.",
            )
        return cls(tensors, metadata)
