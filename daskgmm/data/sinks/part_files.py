"""Files of an output as Parquet, known by their names and footers."""

import json
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from daskgmm.data.files.versions import for_each
from daskgmm.data.sinks.base import RECORD, WrittenPart
from daskgmm.data.sinks.partitions import PARTITION
from daskgmm.data.storage.folder import Folder

PART = re.compile(r"part-(\d+)\.parquet")
PIECE = re.compile(r"part-(\d+)~(\d+)\.parquet")
"""File of a part that is cut by keys, as its task writes it."""
PLACED = re.compile(r"(?:[^/]*=[^/]*/)+part-(\d+)-of-(\d+)\.parquet")
"""The same file in its directory; it is numbered among all files of the output."""
DIGITS = 5
"""Least digits of numbers in names."""


@dataclass(frozen=True)
class PartFile:
    """A file of an output, by its footer.

    Parameters
    ----------
    written : WrittenPart
    record : mapping or None
        The record in its metadata, if it is a file of this package.
    partition : mapping
        Its values of keys, and how many files its part has; empty for a part in one file.
    """

    written: WrittenPart
    record: Mapping[str, Any] | None
    partition: Mapping[str, Any]

    def key_field(self, key: str) -> pa.Field:
        """Name and type of a key that the file is cut by."""
        types = pa.ipc.read_schema(pa.py_buffer(b64decode(self.partition["types"])))
        return types.field(key)

    @classmethod
    def at(cls, folder: Folder, name: str) -> Self | None:
        """The part in a file; ``None`` if the file is incomplete, as after a crash."""
        try:
            with folder.open(name) as stream:
                footer = pq.read_metadata(stream)
                written = WrittenPart(name, footer.num_rows, stream.seek(0, 2))
        except pa.ArrowException:
            return None
        return cls(written, _record_in(footer.metadata), _partition_in(footer.metadata))

    @classmethod
    def all_at(
        cls, folder: Folder, *patterns: re.Pattern[str], below: bool = False
    ) -> dict[str, Self | None]:
        """The parts in a folder, or also below it, by name, in order."""
        known = sorted(folder.sizes()) if below else folder.names()
        names = [name for name in known if any(each.fullmatch(name) for each in patterns)]
        return dict(zip(names, for_each(names, partial(cls.at, folder)), strict=True))


def _record_in(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Any] | None:
    """The output's record in a file's metadata."""
    with suppress(ValueError, TypeError, KeyError):
        record = json.loads((metadata or {})[RECORD.encode()])
        record["run_id"], range(record["parts"])
        return dict(record)
    return None


def _partition_in(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Any]:
    """The partition in a file's metadata."""
    with suppress(ValueError, TypeError, KeyError):
        found = json.loads((metadata or {})[PARTITION.encode()])
        found["file"], found["files"], dict(found["values"])
        return dict(found)
    return {}


def piece_numbers(name: str) -> tuple[int, int]:
    """Number of the part that a file belongs to, and the file's number in it."""
    found = PIECE.fullmatch(name)
    assert found is not None  # noqa: S101  the names were matched before
    return int(found[1]), int(found[2])


def in_row_order(parts: Sequence[WrittenPart]) -> list[WrittenPart]:
    """Files in directories of keys in the order of the rows."""
    return sorted(parts, key=lambda part: part.name.rpartition("/")[2])


def are_all(names: Sequence[str], whole: int) -> bool:
    """Whether files in directories of keys are all that there were, and none is damaged."""
    found = [match for name in names if (match := PLACED.fullmatch(name))]
    numbers, counts = sorted(int(each[1]) for each in found), {int(each[2]) for each in found}
    return counts == {len(numbers)} and numbers == list(range(whole))


def part_name(number: int, n_parts: int) -> str:
    """Name of a part's file; names sort in the order of the parts."""
    digits = max(DIGITS, len(str(n_parts - 1)))
    return f"part-{number:0{digits}}.parquet"
