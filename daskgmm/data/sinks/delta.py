"""Output as Delta: the files of a run, in a folder of their own, in one commit of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import pyarrow as pa

from daskgmm.data.lakes.delta_commit import run_at
from daskgmm.data.lakes.delta_types import typed
from daskgmm.data.sinks.base import ExistingOutput, WrittenPart
from daskgmm.data.sinks.parquet_parts import ParquetParts
from daskgmm.data.storage.folder import Folder


@final
@dataclass(frozen=True)
class DeltaSink(ParquetParts):
    """The files of one run."""

    ending: ClassVar[str] = ".delta"
    shared: ClassVar[bool] = True

    @classmethod
    def found(cls, folder: Folder, run_id: str | None = None) -> ExistingOutput | None:
        """The rows of a run, by the table's commits."""
        record = run_at(folder, run_id)
        if record is None:
            return None
        written = record.get("written")
        parts = () if written is None else (WrittenPart(**written),)
        return ExistingOutput(record, frozenset(), parts)

    @classmethod
    def owns(cls, name: str, columns: Sequence[str]) -> bool:  # noqa: ARG003  the base's signature
        """None: the table's log says which files are whose."""
        return False

    @staticmethod
    def typed(table: pa.Table) -> pa.Table:
        """The rows with Delta's types."""
        return typed(table)
