"""Iceberg tables in a catalog of SQLite, with deletes that pyiceberg reads but does not write."""

from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, SetSnapshotRefUpdate


def catalog_at(folder, warehouse=None, **properties):
    """A catalog of SQLite with a namespace ``db``, and the properties that open it."""
    options = {"uri": f"sqlite:///{folder}/catalog.db", **properties}
    catalog = SqlCatalog("default", **options, warehouse=warehouse or f"file://{folder}/warehouse")
    catalog.create_namespace("db")
    return catalog, options


class _DeletesWriter(ManifestWriterV2):
    def content(self):
        return ManifestContent.DELETES

    @property
    def _meta(self):
        return {**super()._meta, "content": "deletes"}


def remove_rows(table, positions, *, equality=False):
    """Remove rows by a delete file, as Spark and Flink do where rows are merged on reading.

    Parameters
    ----------
    table : pyiceberg.table.Table
    positions : mapping of str to sequence of int
        Positions of rows by the path of their data file.
    equality : bool
        Whether the file says that it holds values instead of positions.
    """
    pairs = [(path, each) for path, own in positions.items() for each in own]
    rows = pa.table({"file_path": [path for path, _ in pairs], "pos": [each for _, each in pairs]})
    address = f"{table.location()}/data/{uuid4()}-deletes.parquet"
    pq.write_table(rows, address.removeprefix("file://"))
    first = next(
        task.file for task in table.scan().plan_files() if task.file.file_path in positions
    )
    deletes = DataFile.from_args(
        content=(
            DataFileContent.EQUALITY_DELETES if equality else DataFileContent.POSITION_DELETES
        ),
        file_path=address,
        file_format=FileFormat.PARQUET,
        partition=first.partition,
        record_count=len(pairs),
        file_size_in_bytes=1,
        equality_ids=[1] if equality else None,
    )
    deletes.spec_id = first.spec_id
    parent = table.current_snapshot()
    number, folder = uuid4().int >> 66, f"{table.location()}/metadata"
    output = table.io.new_output(f"{folder}/{uuid4()}-m0.avro")
    with _DeletesWriter(table.spec(), table.schema(), output, number, "null") as writer:
        writer.add_entry(
            ManifestEntry.from_args(
                status=ManifestEntryStatus.ADDED, snapshot_id=number, data_file=deletes
            )
        )
    sequence = parent.sequence_number + 1
    listed = table.io.new_output(f"{folder}/snap-{number}.avro")
    with write_manifest_list(2, listed, number, parent.snapshot_id, sequence, "null") as lists:
        lists.add_manifests([writer.to_manifest_file(), *parent.manifests(table.io)])
    snapshot = Snapshot(
        snapshot_id=number,
        parent_snapshot_id=parent.snapshot_id,
        sequence_number=sequence,
        timestamp_ms=parent.timestamp_ms + 1,
        manifest_list=listed.location,
        summary=Summary(Operation.DELETE),
        schema_id=table.schema().schema_id,
    )
    ref = SetSnapshotRefUpdate(ref_name="main", type="branch", snapshot_id=number)
    table.catalog.commit_table(table, (), (AddSnapshotUpdate(snapshot=snapshot), ref))
    table.refresh()
