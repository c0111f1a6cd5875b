"""Outputs that several runs share: a table, to which each run adds its rows in one commit."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any, final
from uuid import uuid4

import pyarrow.parquet as pq

from daskgmm.data.lakes.delta_commit import NewFile, commit, has_run, is_table, require_fits
from daskgmm.data.sinks import WrittenPart, WrittenParts
from daskgmm.data.sinks.part_files import PART, PLACED, PartFile
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import OutputError
from daskgmm.jobs.outputs.committer import Check, Committer


@final
@dataclass(frozen=True)
class TableCommitter(Committer):
    """Puts a run's files into a folder of the table, which readers ignore before the commit.

    Parameters
    ----------
    target : Folder
    base : Committer
        Holds the lock of the target and removes unfinished runs.
    """

    base: Committer

    def require_possible(self) -> None:
        """Raise OutputError if the target can't be written to."""
        self.base.require_possible()

    def locked(self) -> AbstractContextManager[Check]:
        """Keep other processes from writing to the table within the block."""
        return self.base.locked()

    def discard(self, folder: Folder) -> None:
        """Remove the folder of an unfinished run."""
        self.base.discard(folder)

    def commit(
        self, made: WrittenParts, check: Check, *, force: bool = False
    ) -> Sequence[WrittenPart]:
        """Add the run's rows to the table, or have them replace all of its rows."""
        record, keys = made.sink.layout.record, made.sink.layout.partition_by
        own = f"{record['run_id']}-{uuid4().hex[:8]}"
        folder = self.target.inside(own)
        self.target.make()
        if not has_run(self.target, record["run_id"]):  # an attempt that ended before its commit
            self.target.remove_all([n for n in self.target.names() if _is_of(n, record["run_id"])])
        made.bring(folder, check)
        found = PartFile.all_at(folder, PLACED if keys else PART, below=bool(keys)).values()
        filled = [part for part in found if part and part.written.rows]
        files = [_new_file(own, part) for part in filled]
        with folder.open(filled[0].written.name) as stream:
            schema = pq.read_schema(stream).remove_metadata()
        for key in keys:
            schema = schema.append(filled[0].key_field(key))
        total = WrittenPart(own, sum(one.rows for one in files), sum(one.bytes for one in files))
        check()
        commit(
            self.target,
            {**record, "written": asdict(total)},
            files,
            schema,
            keys,
            replace=force,
        )
        return [total]


def _new_file(folder: str, part: PartFile) -> NewFile:
    written = part.written
    return NewFile(
        f"{folder}/{written.name}",
        written.bytes or 0,
        written.rows,
        dict(part.partition.get("values", {})),
    )


def _is_of(name: str, run_id: str) -> bool:
    """Whether a name in a table's folder is of a run's files."""
    return re.fullmatch(rf"{re.escape(run_id)}-[0-9a-f]{{8}}", name) is not None


def require_fitting(
    target: Folder, run_id: str, columns: Sequence[str], configuration: Mapping[str, Any]
) -> None:
    """Raise OutputError, before any work, unless a run's rows can be added to a target."""
    names = [name for name in target.names() if not _is_of(name, run_id)]
    if names and not is_table(target):
        raise OutputError(
            f"{target.name} exists and is not a Delta table: it holds {names[0]}.",
            "Choose another output, or remove this one yourself.",
        )
    require_fits(target, columns, configuration.get("partition_by", ()))
