"""Apache Iceberg tables at a snapshot, through the package ``pyiceberg``."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa
from fsspec import AbstractFileSystem

from daskgmm.data.files.listing import natural_order
from daskgmm.data.files.versions import FileRecord, InputFile, for_each
from daskgmm.data.lakes.iceberg_data import (
    Deletes,
    Open,
    Partitions,
    StoredNames,
    known_value,
    require_parquet,
)
from daskgmm.data.lakes.request import TableRequest, require_keys
from daskgmm.data.lakes.table import LakeFile, LakeTable, TableRecord, removed_file
from daskgmm.data.storage.credentials import shown_address
from daskgmm.data.storage.errors import first_line, input_errors
from daskgmm.data.storage.retry import retried
from daskgmm.data.storage.urls import file_system
from daskgmm.errors import (
    ConfigurationError,
    DaskGMMError,
    DataError,
    MissingInputError,
    require_package,
)

_METADATA = re.compile(r"v?(?P<number>\d+)(-[^/]*)?(\.gz)?\.metadata\.json(\.gz)?")
_SHOWN = 10


def open_iceberg(place: InputFile, request: TableRequest) -> LakeTable:
    """Open an Iceberg table at a snapshot; its metadata and the footers of its files are read.

    Parameters
    ----------
    place : InputFile
        The table's folder, one of its metadata files, or its name: ``CATALOG.NAMESPACE.TABLE``.
    request : TableRequest
        Its version is the identifier of a snapshot, or the name of a tag or branch; for a table of
        a catalog, its storage options are the catalog's properties.

    Raises
    ------
    ConfigurationError
        The package is not installed, or a key of `where` is unknown.
    MissingInputError
        There is no such table or snapshot, or no rows.
    DataError
        The table can't be read.
    """
    require_package("pyiceberg", "iceberg", "Iceberg tables need the package pyiceberg")
    with _iceberg_errors(place.path):
        table, open_file = _table(place, request.storage_options)
        shown = shown_address(table.location()).removeprefix("file://")
    snapshot = _snapshot(table, request, shown)
    from daskgmm.data.lakes.iceberg_manifests import require_sound_manifests
    from daskgmm.data.lakes.iceberg_rows import RowConditions

    with _iceberg_errors(shown):
        require_sound_manifests(table.io, snapshot)
        # Columns are called as now in the current version, and as then in an earlier one.
        current = (request.version, request.as_of) == (None, None)
        scan = table.scan(snapshot_id=None if current else snapshot.snapshot_id)
        fields = scan.projection()
        schema = _arrow_schema(fields)
    partitions = Partitions(table, fields, schema)
    require_keys(request.where, [*partitions.names, *partitions.sources], shown)
    defaults = {
        own.name: pa.scalar(own.initial_default, schema.field(own.name).type)
        for own in fields.fields
        if getattr(own, "initial_default", None) is not None
    }
    stored = StoredNames({own.field_id: own.name for own in fields.fields}, table.name_mapping())
    whole = [each for each in request.where if each.key in partitions.names]
    others = [each for each in request.where if each not in whole]
    rows = RowConditions(others, schema, partitions.sources, stored, defaults)
    record = TableRecord(
        shown,
        None,
        table=str(table.metadata.table_uuid),
        version=snapshot.snapshot_id,
        where=" and ".join(map(str, request.where)),
    )
    deletes = Deletes(open_file)
    planned = []
    with _iceberg_errors(shown):
        for task in sorted(scan.filter(rows.filter).plan_files(), key=_in_order):
            data = task.file
            values = partitions.values(data)
            if not all(each.holds(known_value(values, each.key, data)) for each in whole):
                continue
            require_parquet(data)
            filesystem, key = open_file(data.file_path)
            address = shown_address(data.file_path).removeprefix("file://")
            file = InputFile(FileRecord(address, data.file_size_in_bytes), key, filesystem)
            removed = deletes.of(task)
            planned.append((task, LakeFile(file, partitions.constants(data), removed)))
        files = [file for file in for_each(planned, rows.chosen) if file is not None]
    try:
        return LakeTable.of(record, schema, partitions.keys, files, stored, defaults)
    except DataError as error:
        raise removed_file(error, shown, record.version) from error


def _in_order(task: Any) -> Any:
    return natural_order(task.file.file_path)


@contextmanager
def _iceberg_errors(shown: str) -> Iterator[None]:
    """Turn errors of the package, and of the stores below it, into ours."""
    try:
        with input_errors(shown, seen=False):
            yield
    except DaskGMMError:
        raise
    except Exception as error:  # metadata of any kind of damage, or features it does not know
        raise DataError(
            f"The Iceberg table {shown} can't be read: {first_line(error)}.",
            "Check its metadata, and that the installed pyiceberg knows the table's features.",
        ) from error


@retried
def _table(place: InputFile, options: Mapping[str, Any]) -> tuple[Any, Open]:
    """The table as the package loads it, and a way to open its files."""
    if place.catalogued:
        return _from_catalog(place.path, options)
    from pyiceberg.catalog.noop import NoopCatalog
    from pyiceberg.serializers import FromInputFile
    from pyiceberg.table import StaticTable

    from daskgmm.data.lakes.iceberg_files import StoreFiles

    def open_file(address: str) -> tuple[AbstractFileSystem, str]:
        return file_system(address, options)

    files = StoreFiles(open_file)

    def read(key: str) -> Any:
        return FromInputFile.table_metadata(files.new_input(_address_in(place, key)))

    given = place.key.endswith((".json", ".json.gz"))
    key = place.key if given else _newest_metadata(place, read)
    catalog = NoopCatalog("static")
    return StaticTable(
        ("static", key), read(key), _address_in(place, key), files, catalog
    ), open_file


def _address_in(place: InputFile, key: str) -> str:
    """The address of a file in the file system of another."""
    return str(place.filesystem.unstrip_protocol(key))


def _from_catalog(name: str, options: Mapping[str, Any]) -> tuple[Any, Open]:
    """A table by its name in a catalog, which pyiceberg's own configuration may describe."""
    from pyiceberg.catalog import load_catalog
    from pyiceberg.exceptions import NoSuchTableError

    catalog_name, _, identifier = name.partition(".")
    missing = MissingInputError(
        f"{name} does not exist: there is no such path, nor a table of this name in a catalog.",
        "Check the path; a table of a catalog is named CATALOG.NAMESPACE.TABLE, and the catalog is "
        "described in pyiceberg's configuration or by storage options such as uri=….",
    )
    if "." not in identifier:
        raise missing
    properties = {"py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO", **options}
    try:
        catalog = load_catalog(catalog_name, **properties)
    except Exception as error:
        raise ConfigurationError(
            f"The catalog {catalog_name!r} of the table {name} can't be opened: "
            f"{first_line(error)}.",
            "Describe it in pyiceberg's configuration, or by storage options such as uri=….",
        ) from error
    with closing(catalog):  # of its connections
        try:
            table = catalog.load_table(identifier)
        except NoSuchTableError:
            raise missing from None

    def open_file(address: str) -> tuple[AbstractFileSystem, str]:
        scheme = address.partition("://")[0] if "://" in address else "file"
        filesystem = table.io.get_fs(scheme)
        return filesystem, str(filesystem._strip_protocol(address))  # noqa: SLF001  as fsspec does

    return table, open_file


def _newest_metadata(folder: InputFile, read: Callable[[str], Any]) -> str:
    """The newest metadata file of a table's folder: the one that its hint names, or the last.

    Raises
    ------
    DataError
        There is none, or which one counts is known to a catalog only: two processes wrote at the
        same time, or a table that was dropped left its files.
    """
    inside, filesystem = f"{folder.key}/metadata", folder.filesystem
    filesystem.invalidate_cache(inside)
    keys = [str(key) for key in filesystem.ls(inside, detail=False)]
    found: dict[int, list[str]] = {}
    for key in keys:
        if match := _METADATA.fullmatch(key.rpartition("/")[2]):
            found.setdefault(int(match["number"]), []).append(key)
    if not found:
        raise DataError(f"{folder.path} has no metadata of a table.", "Check the path.")
    if hints := [key for key in keys if key.endswith("/version-hint.text")]:
        hint = filesystem.cat_file(hints[0]).decode().strip()
        endings = (f"/{hint}", f"/v{hint}.metadata.json", f"/{hint}.metadata.json")
        if named := [key for key in keys if key.endswith(endings)]:
            return named[0]
    written = {key: str(filesystem.modified(key)) for own in found.values() for key in own}
    candidates = {*found[max(found)], max(written, key=lambda key: written[key])}
    described = {key: read(key) for key in sorted(candidates)}
    tables = {each.table_uuid for each in described.values()}
    if len(found[max(found)]) > 1 or len(tables) > 1:
        whose = "of two tables" if len(tables) > 1 else f"of the number {max(found)}"
        raise DataError(
            f"{folder.path} has several metadata files {whose}, so which one counts is known to a "
            "catalog only.",
            "Name the table by its catalog, or give the metadata file.",
        )
    return max(described, key=lambda key: int(described[key].last_updated_ms))


def _snapshot(table: Any, request: TableRequest, shown: str) -> Any:
    """The snapshot to read.

    Raises
    ------
    MissingInputError
        There is none.
    """
    if request.as_of is not None:
        found = table.snapshot_as_of_timestamp(int(request.as_of.timestamp() * 1000))
        if found is None:
            raise MissingInputError(
                f"{shown} has no version as old as {request.as_of.isoformat()}.",
                "Choose a later time (--as-of), or a version (--version).",
            )
        return found
    if request.version is None:
        found = table.current_snapshot()
        if found is None:
            raise MissingInputError(f"{shown} has no rows yet.", "Check the table.")
        return found
    text = str(request.version)
    found = table.snapshot_by_id(int(text)) if text.isascii() and text.isdigit() else None
    found = found or table.snapshot_by_name(text)
    if found is None:
        known = [str(each.snapshot_id) for each in table.snapshots()][-_SHOWN:]
        names = [f"{name} (a {ref.snapshot_ref_type})" for name, ref in table.refs().items()]
        raise MissingInputError(
            f"{shown} has no version {text}.",
            f"Its newest snapshots are {', '.join(known)}; names are {', '.join(sorted(names))}.",
        )
    return found


def _arrow_schema(fields: Any) -> pa.Schema:
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    return schema_to_pyarrow(fields, include_field_ids=False)
