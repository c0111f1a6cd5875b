"""Formats of outputs: a file each and a line in the registry."""

import os
from typing import Final

from daskgmm.data.formats.registry import FORMATS
from daskgmm.data.lakes.delta_commit import is_table
from daskgmm.data.sinks.base import (
    ExistingOutput,
    Layout,
    OutputField,
    RowRange,
    Sink,
    WrittenPart,
    WrittenParts,
)
from daskgmm.data.sinks.delta import DeltaSink
from daskgmm.data.sinks.parquet import ParquetSink
from daskgmm.data.sinks.zarr import ZarrSink
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError, OutputError

SINKS: Final[dict[str, type[Sink]]] = {
    "zarr": ZarrSink,
    "delta": DeltaSink,
    "parquet": ParquetSink,
}
"""Sinks by format; the last one takes outputs with any other ending."""

__all__ = [
    "SINKS",
    "ExistingOutput",
    "Layout",
    "OutputField",
    "RowRange",
    "Sink",
    "WrittenPart",
    "WrittenParts",
    "check_name",
    "format_of",
    "sink_for",
]


def _file_endings() -> list[str]:
    """Endings of names that no folder of Parquet files should have."""
    read = [end for known in FORMATS.values() if not known.directory for end in known.extensions]
    own = FORMATS["parquet"].extensions
    return [".txt", ".json", *(end for end in read if end not in own)]


def check_name(name: str) -> None:
    """Raise for names of outputs that promise another format, or that Arrow can't open.

    Raises
    ------
    ConfigurationError
        It ends as files of another format do.
    OutputError
        It is not UTF-8.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode(errors="backslashreplace")
        raise OutputError(f"The name {shown} is not UTF-8.", "Choose another one.") from None
    ending = next((ending for ending in _file_endings() if name.lower().endswith(ending)), None)
    if ending is not None:
        raise ConfigurationError(
            f"Output {name} would be a folder of Parquet files.",
            f"Choose a name without {ending}, or one that ends in .zarr or .delta.",
        )


def sink_for(target: Folder) -> type[Sink]:
    """The sink that writes to an output."""
    return SINKS[format_of(target)]


def format_of(target: Folder) -> str:
    """The format of an output by its name, or by the table that is there."""
    ends = (known for known, sink in SINKS.items() if target.name.endswith(sink.ending))
    found = next(ends)
    return "delta" if found == "parquet" and is_table(target) else found
