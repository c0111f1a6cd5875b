"""Output as a folder of Parquet files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import pyarrow as pa

from daskgmm.data.sinks.base import ExistingOutput
from daskgmm.data.sinks.parquet_parts import ParquetParts
from daskgmm.data.sinks.part_files import PART, PLACED, PartFile, are_all, in_row_order, part_name
from daskgmm.data.storage.folder import Folder


@final
@dataclass(frozen=True)
class ParquetSink(ParquetParts):
    """A folder of files, one for each part of the input, or in directories by values of keys."""

    ending: ClassVar[str] = ""
    shared: ClassVar[bool] = False

    @classmethod
    def found(cls, folder: Folder, run_id: str | None = None) -> ExistingOutput | None:  # noqa: ARG003  the base's signature
        """The output by its parts' footers; damaged files among them belong to it."""
        keyed = any("=" in name for name in folder.names())
        parts = PartFile.all_at(folder, PLACED if keyed else PART, below=keyed)
        record = next((part.record for part in parts.values() if part and part.record), None)
        if record is None:
            return None
        whole = [part.written for part in parts.values() if part and part.record == record]
        names = {name for name, part in parts.items() if part is None or part.record}
        if keyed:
            others = {name.partition("/")[0] for name in folder.sizes() if name not in names}
            return ExistingOutput(
                record,
                frozenset({name.partition("/")[0] for name in names} - others),
                tuple(in_row_order(whole)) if are_all(list(parts), len(whole)) else None,
            )
        expected = [part_name(number, record["parts"]) for number in range(record["parts"])]
        return ExistingOutput(
            record,
            frozenset(names),
            tuple(whole) if [part.name for part in whole] == expected == list(parts) else None,
        )

    @classmethod
    def owns(cls, name: str, columns: Sequence[str]) -> bool:  # noqa: ARG003  the base's signature
        """Whether a file has the name of a part."""
        return PART.fullmatch(name) is not None

    @staticmethod
    def typed(table: pa.Table) -> pa.Table:
        """The rows as they are."""
        return table
