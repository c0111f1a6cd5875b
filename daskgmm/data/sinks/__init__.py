"""What outputs of rows may be written as: a registry line and a file each."""

from typing import Final

from daskgmm.data.sinks.base import Field, Layout, Sink, Slice, Written
from daskgmm.data.sinks.parquet import ParquetSink
from daskgmm.data.sinks.zarr import ZarrSink

SINKS: Final[dict[str, type[Sink]]] = {"zarr": ZarrSink, "parquet": ParquetSink}
"""By format; an output that ends like none of them is of the last one."""

__all__ = ["SINKS", "Field", "Layout", "Sink", "Slice", "Written", "format_of", "sink_for"]


def sink_for(name: str) -> type[Sink]:
    """The sink that writes an output of this name."""
    return SINKS[format_of(name)]


def format_of(name: str) -> str:
    """The format that the name of an output asks for."""
    ends = (known for known, sink in SINKS.items() if name.endswith(sink.ending))
    return next(ends)
