"""Zarr stores: directories that count as one input file, with one version of all that is inside."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeAlias

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from daskgmm.data.files.versions import FileRecord, InputFile, record_of
from daskgmm.data.storage.errors import FailureKind, changed, failure_kind, gone, input_errors

STORE = re.compile(r"(?P<file>.+?\.zarr)(?:/(?P<inner>.+))?")
"""Path of a store by its name, and of an array inside it."""

_STORE_MARKS = ("zarr.json", ".zarray", ".zgroup")

Entry: TypeAlias = tuple[str, Mapping[str, Any]]
"""A key of a file system, and its description in a listing."""


def store_of(key: str) -> str:
    """The store that a key is inside of, or the key itself."""
    found = re.match(r"(.+?\.zarr)/", key)
    return found[1] if found else key


def is_store(filesystem: AbstractFileSystem, root: str) -> bool:
    """Whether a directory holds Zarr's metadata."""
    return any(filesystem.exists(f"{root}/{mark}") for mark in _STORE_MARKS)


def store_file(
    filesystem: AbstractFileSystem,
    key: str,
    entries: Sequence[Entry] | None = None,
    inner: str = "",
) -> InputFile:
    """A directory as one input file; its version depends on all files in it.

    Parameters
    ----------
    filesystem : AbstractFileSystem
    key : str
        The directory's path in its file system.
    entries : sequence of Entry, optional
        All files below it, where they were listed already.
    inner : str
        Name of an array inside it.
    """
    if entries is None:
        entries = list(filesystem.find(key, detail=True).items())
    if not entries:
        raise FileNotFoundError(key)
    records = sorted(
        (record_of(filesystem, each, info) for each, info in entries),
        key=lambda record: record.path,
    )
    total = sum(record.bytes or 0 for record in records)
    times = [record.modified for record in [*records, *_folders(filesystem, records)]]
    newest = max(filter(None, times), default=None)
    # Names that are not UTF-8 are refused later, with a better error.
    mark = sha256(repr(records).encode(errors="surrogateescape")).hexdigest()
    path = records[0].path[: records[0].path.index(f"{key}/") + len(key)]
    record = FileRecord(path, total, modified=newest, etag=mark)
    return InputFile(record.naming(inner), key, filesystem, inner)


def _folders(filesystem: AbstractFileSystem, records: Sequence[FileRecord]) -> list[FileRecord]:
    """Folders of local files: they are younger than a file that was renamed there."""
    if not isinstance(filesystem, LocalFileSystem):
        return []
    parents = {record.path.rpartition("/")[0] for record in records}
    return [record_of(filesystem, parent) for parent in parents]


def require_unchanged_store(file: InputFile) -> None:
    """Raise DataError unless a store still is the version that was listed."""
    with input_errors(file.path):
        try:
            now = store_file(file.filesystem, file.key, inner=file.inner)
        except FileNotFoundError as error:
            if failure_kind(error) is not FailureKind.MISSING:
                raise
            raise gone(file.path) from error
        if file.record.differs(now.record):
            raise changed(file.path)
