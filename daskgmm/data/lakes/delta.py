"""Delta Lake tables at a version, through the package ``deltalake``."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from daskgmm.data.files.listing import natural_order
from daskgmm.data.files.versions import FileRecord, InputFile
from daskgmm.data.lakes.request import TableRequest, require_keys
from daskgmm.data.lakes.table import LakeFile, LakeTable, TableRecord, removed_file, text_of
from daskgmm.data.storage.credentials import shown_address
from daskgmm.data.storage.errors import first_line
from daskgmm.data.storage.retry import retried
from daskgmm.data.storage.urls import file_system
from daskgmm.errors import ClusterError, DataError, MissingInputError, require_package

_S3 = {
    "key": "aws_access_key_id", "secret": "aws_secret_access_key", "token": "aws_session_token",
    "endpoint_url": "aws_endpoint_url", "region_name": "aws_region",
}  # fmt: skip
_UNREACHABLE = ("error sending request", "timed out", "connection", "retry timeout")


def open_delta(folder: InputFile, request: TableRequest) -> LakeTable:
    """Open a Delta table at a version; its log and the footers of its files are read.

    Raises
    ------
    ConfigurationError
        The package is not installed, the version is no number, or a key of `where` is unknown.
    MissingInputError
        There is no such version, or no rows.
    DataError
        The table can't be read.
    """
    require_package("deltalake", "delta", "Delta tables need the package deltalake")
    table, version = _at_version(folder, request)
    shown = folder.path
    schema = pa.schema(table.schema().to_arrow())
    metadata = table.metadata()
    keys = list(metadata.partition_columns)
    require_keys(request.where, keys, shown)
    files = _files(folder, table, schema, keys, request)
    record = TableRecord(
        shown, None, table=str(metadata.id), version=version,
        where=" and ".join(map(str, request.where)),
    )  # fmt: skip
    physical = _physical_names(table.schema().to_json())

    def stored(own: pa.Schema) -> dict[str, str]:
        there = set(own.names)
        return {name: inner for name, inner in physical.items() if inner in there}

    try:
        return LakeTable.of(record, schema, keys, files, stored)
    except DataError as error:
        raise removed_file(error, shown, version) from error


def store_options(folder: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Storage options of fsspec as the package ``deltalake`` names them."""
    given = {**options, **(options.get("client_kwargs") or {})}
    found = {_S3.get(name, name): str(each) for name, each in given.items() if _is_plain(each)}
    if folder.startswith(("s3://", "s3a://")):
        if options.get("anon"):
            found["aws_skip_signature"] = "true"
        if found.get("aws_endpoint_url", "").startswith("http://"):
            found["aws_allow_http"] = "true"
        found.setdefault("aws_region", "us-east-1")
    return found


def deltalake_address(folder: InputFile) -> str:
    """The folder of a table as the package ``deltalake`` takes it."""
    if folder.local is not None:
        return folder.key
    return str(folder.filesystem.unstrip_protocol(folder.key))


def delta_error(shown: str, error: Exception) -> Exception:
    """Our error for one of the package's, about a table."""
    text = first_line(error)
    if any(word in str(error).lower() for word in _UNREACHABLE):
        remedy = "Check the network and the store's address, and run it again."
        return ClusterError(f"{shown} can't be reached: {text}.", remedy)
    return DataError(
        f"The Delta table {shown} can't be read: {text}.",
        "Check its log, and that the installed deltalake knows the table's features.",
    )


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


@retried
def _at_version(folder: InputFile, request: TableRequest) -> tuple[Any, int]:
    """The table as the package opens it, and the number of its version."""
    from deltalake import DeltaTable

    shown, number, as_of = folder.path, request.number, request.as_of
    address, first = deltalake_address(folder), None
    try:
        table = DeltaTable(address, storage_options=store_options(address, request.storage_options))
        newest = table.version()
        if as_of is not None:
            first = min(table.history(), key=itemgetter("version"), default=None)
            table.load_as_version(as_of)
        elif number is not None and number <= newest:
            table.load_as_version(number)
    except Exception as error:  # the package's errors share no class
        if number is None:
            raise delta_error(shown, error) from error
        reason = f"its log can't be read there: {first_line(error)}"
        raise _no_version(shown, number, reason) from error
    if number is not None and number > newest:
        raise _no_version(shown, number, f"its newest is {newest}")
    if as_of is not None and first is not None:  # the package takes the oldest for earlier times
        began = datetime.fromtimestamp(first.get("timestamp", 0) / 1000, UTC)
        if began > as_of:
            raise MissingInputError(
                f"{shown} has no version as old as {as_of.isoformat()}: its oldest, "
                f"{first['version']}, is of {began.isoformat()}.",
                "Choose a later time (--as-of), or a version (--version).",
            )
    return table, table.version()


def _no_version(shown: str, number: int, reason: str) -> MissingInputError:
    return MissingInputError(
        f"{shown} has no version {number}: {reason}.", "Choose another version (--version)."
    )


def _files(
    folder: InputFile, table: Any, schema: pa.Schema, keys: list[str], request: TableRequest
) -> list[LakeFile]:
    """The files of a version that meet the conditions, in natural order of their paths."""
    try:
        actions = pa.table(table.get_add_actions(flatten=True))
        removed = _removed(table)
    except Exception as error:
        raise delta_error(folder.path, error) from error
    columns = {key: actions.column(f"partition.{key}") for key in keys if actions.num_rows}
    files = []
    for row, (name, size) in enumerate(
        zip(
            actions.column("path").to_pylist(),
            actions.column("size_bytes").to_pylist(),
            strict=True,
        )
    ):
        values = {key: _scalar(columns[key][row], schema.field(key).type) for key in keys}
        if not all(each.holds(text_of(values[each.key])) for each in request.where):
            continue
        path = unquote(name)
        files.append(
            LakeFile(
                _file(folder, path, size, request.storage_options),
                values,
                removed.get(path),
            )
        )
    return sorted(files, key=lambda each: natural_order(each.file.key))


def _scalar(value: pa.Scalar, kind: pa.DataType) -> pa.Scalar:
    return value.cast(kind) if value.is_valid else pa.scalar(None, kind)


def _file(folder: InputFile, path: str, size: int, options: Mapping[str, Any]) -> InputFile:
    """A data file; its path is relative to the table's folder, but where the table is a clone."""
    if "://" in path or path.startswith("/"):
        filesystem, key = file_system(path, options)
        return InputFile(FileRecord(shown_address(path), size), key, filesystem)
    record = FileRecord(f"{folder.path}/{path}", size)
    return InputFile(record, f"{folder.key}/{path}", folder.filesystem)


def _removed(table: Any) -> dict[str, NDArray[np.int64]]:
    """Positions of the rows that deletion vectors remove, by the files' paths."""
    protocol = table.protocol()
    if "deletionVectors" not in (protocol.reader_features or ()):
        return {}
    root = _plain_path(table.table_uri).rstrip("/")
    found = {}
    for batch in pa.RecordBatchReader.from_stream(table.deletion_vectors()):
        for path, stays in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
            kept = np.asarray(stays.values.to_numpy(zero_copy_only=False), np.bool_)
            found[_plain_path(path).removeprefix(f"{root}/")] = np.flatnonzero(~kept)
    return found


def _plain_path(address: str) -> str:
    return unquote(address.removeprefix("file://"))


def _physical_names(schema: str) -> dict[str, str]:
    """Names in the files of a table's columns, which differ where columns are mapped."""
    return {
        own["name"]: own["metadata"].get("delta.columnMapping.physicalName", own["name"])
        for own in json.loads(schema)["fields"]
    }
