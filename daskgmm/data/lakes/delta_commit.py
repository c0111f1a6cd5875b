"""One run's rows as one commit of a Delta table, which knows the run by its id."""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from daskgmm.data.files.versions import for_each
from daskgmm.data.lakes.delta import store_options
from daskgmm.data.lakes.delta_types import require_types
from daskgmm.data.storage.errors import first_line, output_errors
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import DaskGMMError, OutputError, require_package

LOG = "_delta_log"
_COMMIT = re.compile(r"\d{20}\.json")
RECORD = "daskgmm"
"""Key of a run's record in the information of its commit."""

_REFUSED = ("delta.columnMapping.mode", "delta.constraints.")
"""Beginnings of settings of tables whose files need more than is written here."""


@dataclass(frozen=True)
class NewFile:
    """A file to add to a table.

    Parameters
    ----------
    path : str
        Path in the table's folder.
    bytes, rows : int
    partition : mapping
        Values of the keys as text.
    """

    path: str
    bytes: int
    rows: int
    partition: Mapping[str, str | None]


def is_table(folder: Folder) -> bool:
    """Whether a folder has the log of a Delta table."""
    return bool(folder.inside(LOG).names())


def run_at(folder: Folder, run_id: str | None) -> Mapping[str, Any] | None:
    """The record of a run whose rows are in a table, by default of the newest run.

    ``None`` if the table has no rows of it, also where a later commit replaced them.

    Raises
    ------
    OutputError
        The table's log is damaged: no reader would find the rows.
    """
    record = _record_of(folder, run_id)
    if record is not None:
        _table(folder)
    return record


def has_run(folder: Folder, run_id: str) -> bool:
    """Whether a commit of a table is of a run, also if its rows were replaced later."""
    return _record_of(folder, run_id, replaced=True) is not None


def _record_of(
    folder: Folder, run_id: str | None, *, replaced: bool = False
) -> Mapping[str, Any] | None:
    log = folder.inside(LOG)
    names = [name for name in log.names() if _COMMIT.fullmatch(name)]
    for facts in reversed(for_each(names, partial(_commit_info, log))):
        record = _record_in(facts)
        if record is not None and run_id in (None, record["run_id"]):
            return record
        overwritten = "Overwrite" in str((facts.get("operationParameters") or {}).get("mode"))
        if overwritten and not replaced:
            return None
    cleaned_up = bool(names) and int(names[0].partition(".")[0]) > 0
    if run_id is None or not cleaned_up or _table(folder).transaction_version(run_id) is None:
        return None
    # The table still knows the run, though no longer what it was.
    return {"run_id": run_id, "asked": {}, "found": {}, "columns": []}


def _commit_info(log: Folder, name: str) -> Mapping[str, Any]:
    """Information of a commit, by its file in the log.

    The package ``deltalake`` would let no other thread run while it reads them from a store.
    """
    for line in (log.read(name) or b"").splitlines():
        with suppress(ValueError, KeyError, TypeError):
            return dict(json.loads(line)["commitInfo"])
    return {}


def require_fits(folder: Folder, columns: Sequence[str], keys: Sequence[str]) -> None:
    """Raise OutputError, before any work, unless a table takes rows of some columns and keys."""
    require_package("deltalake", "delta", "Delta tables need the package deltalake")
    table = _table(folder)
    if table is None:
        return
    shown, metadata = folder.name, table.metadata()
    fields = json.loads(table.schema().to_json())["fields"]
    there = [field["name"] for field in fields]
    if set(there) != set(columns):
        raise OutputError(
            f"The table {shown} has the columns {', '.join(there)}, and the output would have "
            f"{', '.join(columns)}.",
            "Choose another output, or write the same columns (--with, --keep).",
        )
    if list(metadata.partition_columns) != list(keys):
        parts = ", ".join(metadata.partition_columns) or "nothing"
        raise OutputError(
            f"The table {shown} is partitioned by {parts}, and the output by "
            f"{', '.join(keys) or 'nothing'}.",
            "Give the table's keys with partition_by (--partition-by), or choose another output.",
        )
    settings = [
        name
        for name, value in metadata.configuration.items()
        if name.startswith(_REFUSED) and value != "none"
    ]
    settings += [
        name
        for field in fields
        for name in field["metadata"]
        if name.startswith(("delta.generationExpression", "delta.identity", "delta.invariants"))
    ]
    if settings:
        raise OutputError(
            f"The table {shown} has the setting {settings[0]}, which its rows must be written for.",
            "Choose another output, and have the table's own engine insert its rows.",
        )


def commit(
    folder: Folder,
    record: Mapping[str, Any],
    files: Sequence[NewFile],
    schema: pa.Schema,
    keys: Sequence[str],
    *,
    replace: bool,
) -> None:
    """Add files to a table in one commit, in place of all that it has or beside it.

    Parameters
    ----------
    folder : Folder
        The table's; without a log it becomes a table.
    record : mapping
        Plain values, with the run's id as ``run_id``: the table keeps them.
    files : sequence of NewFile
    schema : pyarrow.Schema
        Of all columns; its keys are at any place.
    keys : sequence of str
        Columns that the table is partitioned by.
    replace : bool

    Raises
    ------
    OutputError
        The table can't be written, or has other types.
    """
    from deltalake import CommitProperties, Schema, Transaction
    from deltalake.transaction import AddAction, create_table_with_add_actions

    now = int(time.time() * 1000)
    table, run_id = _table(folder), str(record["run_id"])
    properties = CommitProperties(
        custom_metadata={RECORD: json.dumps(record)},
        app_transactions=[Transaction(run_id, now, now)],
    )
    adds = [
        AddAction(
            path=each.path,
            size=each.bytes,
            partition_values=_as_delta(each.partition, schema),
            modification_time=now,
            data_change=True,
            stats=json.dumps({"numRecords": each.rows}),
        )
        for each in files
    ]
    with _commit_errors(folder.name):
        wanted = Schema.from_arrow(schema)
        if table is None:
            address = _address(folder)
            options = store_options(address, folder.filesystem.storage_options)
            create_table_with_add_actions(
                address, wanted, adds, mode="error", partition_by=list(keys),
                storage_options=options, commit_properties=properties,
            )  # fmt: skip
            return
        require_types(folder.name, pa.schema(table.schema().to_arrow()), schema)
        table.create_write_transaction(
            adds,
            mode="overwrite" if replace else "append",
            schema=table.schema(),
            partition_by=list(keys),
            commit_properties=properties,
        )


def _as_delta(values: Mapping[str, str | None], schema: pa.Schema) -> dict[str, str | None]:
    """Values of keys as Delta's log has them, which puts a blank into times."""
    return {
        key: value.replace("T", " ", 1)
        if value is not None and pa.types.is_timestamp(schema.field(key).type)
        else value
        for key, value in values.items()
    }


def _table(folder: Folder) -> Any:
    """The table in a folder; ``None`` where there is none."""
    if not is_table(folder):
        return None
    require_package("deltalake", "delta", "Delta tables need the package deltalake")
    from deltalake import DeltaTable

    address = _address(folder)
    with _commit_errors(folder.name, "read"):
        options = store_options(address, folder.filesystem.storage_options)
        return DeltaTable(address, storage_options=options)


def _address(folder: Folder) -> str:
    return folder.root if folder.local else str(folder.filesystem.unstrip_protocol(folder.root))


def _record_in(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        record = json.loads(entry[RECORD])
        record["run_id"], record["asked"], record["found"]
    except (KeyError, ValueError, TypeError):
        return None
    return dict(record)


@contextmanager
def _commit_errors(shown: str, deed: str = "written") -> Iterator[None]:
    try:
        with output_errors(shown, deed):
            yield
    except DaskGMMError:
        raise
    except Exception as error:  # the package's errors share no class
        raise OutputError(
            f"The Delta table {shown} can't be {deed}: {first_line(error)}.",
            "Check the table's log, the place and the credentials, and run it again.",
        ) from error
