"""The files that a path, directory, pattern or URL stands for."""

import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import has_magic
from typing import Any

from fsspec import AbstractFileSystem

from daskgmm.data.files.hive import Condition, PartitionFilter
from daskgmm.data.files.lake_tables import (
    LOG_FILE,
    LOG_FOLDERS,
    METADATA_FILE,
    READABLE,
    require_plain_files,
    table_error,
    table_root,
)
from daskgmm.data.files.stores import (
    STORE,
    Entry,
    is_store,
    require_unchanged_store,
    store_file,
    store_of,
)
from daskgmm.data.files.versions import InputFile, folder_file, for_each, record_of
from daskgmm.data.storage.errors import (
    FailureKind,
    failure_kind,
    first_line,
    input_errors,
)
from daskgmm.data.storage.retry import retried
from daskgmm.data.storage.urls import file_system
from daskgmm.errors import DaskGMMError, MissingInputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listing:
    """The files that one path stands for.

    Parameters
    ----------
    files : tuple of InputFile
    listed : bool
        Whether it is a directory or pattern.
    table : str or None
        Format of the table whose folder or metadata it is; the only file then stands for it.
    """

    files: tuple[InputFile, ...]
    listed: bool
    table: str | None = None


def natural_order(path: str) -> tuple[list[str | int], str]:
    """Sort key of a path that orders numbers in it by value, as Dask sorts files.

    It is `dask.utils.natural_sort_key`, which fails on names with other digits than decimal
    ones and leaves ``a1`` and ``a01`` in any order.

    >>> sorted(["part.10", "part.2", "day=11/a", "day=9/b", "²"], key=natural_order)
    ['day=9/b', 'day=11/a', 'part.2', 'part.10', '²']
    """
    pieces = re.split(r"(\d+)", path)
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)], path


def find_files(
    path: str,
    storage_options: Mapping[str, Any],
    where: tuple[Condition, ...] = (),
    *,
    stores: bool = False,
    containers: tuple[str, ...] = (),
    tables: Collection[str] = (),
) -> Listing:
    """Return the files that a path, directory, pattern or URL stands for.

    Parameters
    ----------
    path : str
        A directory whose name ends in ``.zarr`` counts as a file. A name that follows it, or a
        container, is that of an array inside.
    storage_options : mapping
    where : tuple of Condition
        Conditions on directories named ``key=value``; others are not listed.
    stores : bool
        Whether a directory with Zarr's metadata is a store, even without ``.zarr`` in its name.
    containers : tuple of str
        Extensions of files that may hold several arrays.
    tables : collection of str
        Formats of tables whose folder may be given.

    Raises
    ------
    MissingInputError
        Nothing is there, or it can't be listed.
    ConfigurationError
        The URL's protocol is unknown or its package isn't installed, or a key is unknown.
    """
    name = path.partition("?")[0] if "://" in path else path
    filesystem, root = file_system(path, storage_options)
    finder = _Finder(filesystem, PartitionFilter(where), stores, containers, tables)
    return _list_files(name, finder, root)


@retried
def require_unchanged(files: Sequence[InputFile], *, stores: bool) -> None:
    """Raise unless all files still are the versions that were listed; no content is read.

    Parameters
    ----------
    files : sequence of InputFile
    stores : bool
        Whether they are directories that are read as one file each.

    Raises
    ------
    DataError
        One has changed or is gone.
    """
    for filesystem in {id(file.filesystem): file.filesystem for file in files}.values():
        filesystem.invalidate_cache()
    for_each(files, require_unchanged_store if stores else InputFile.require_unchanged)


@retried
def _list_files(name: str, finder: "_Finder", root: str) -> Listing:
    chosen = finder.chosen
    try:
        with input_errors(name, seen=False):
            finder.filesystem.invalidate_cache()  # earlier listings may be outdated
            found = finder.find(root)
    except DaskGMMError:
        raise
    except Exception as error:  # each store's package has errors of its own
        cause = f"{name} can't be listed: {type(error).__name__}: {first_line(error)}."
        remedy = "Check the URL and the storage options, such as the credentials."
        raise MissingInputError(cause, remedy) from error
    if chosen.wanted and found.table is None:
        files = tuple(file for file in found.files if chosen.admits(file.name.rpartition("/")[0]))
        chosen.require((file.name for file in files), name)
        return Listing(files, found.listed)
    return found


@dataclass(frozen=True)
class _Finder:
    """Finds files in a file system.

    Parameters
    ----------
    filesystem : AbstractFileSystem
    chosen : PartitionFilter
    stores : bool
    containers : tuple of str
    tables : collection of str
        See `find_files`.
    """

    filesystem: AbstractFileSystem
    chosen: PartitionFilter
    stores: bool
    containers: tuple[str, ...] = ()
    tables: Collection[str] = ()

    def find(self, root: str) -> Listing:
        """Files of a path, which is a pattern unless a file or directory has that name."""
        if found := STORE.fullmatch(root.rstrip("/")):
            return self._inside(found)
        try:
            info = self.filesystem.info(root)
        except (FileNotFoundError, NotADirectoryError) as error:
            if failure_kind(error) is not FailureKind.MISSING:
                raise
            if found := self._container(root):
                return self._inside(found)
            if not has_magic(root):
                raise
            return Listing(tuple(self._matches(root)), listed=True)
        if info["type"] != "directory":
            table = "iceberg" if METADATA_FILE.fullmatch(root) else None
            table = table if table in self.tables else None
            return Listing((self._file(root, info),), listed=False, table=table)
        if self.stores and is_store(self.filesystem, root):
            return Listing((store_file(self.filesystem, root),), listed=False)
        if table := self._table(root):
            return Listing((folder_file(self.filesystem, root),), listed=False, table=table)
        return Listing(tuple(self._below(root)), listed=True)

    def _container(self, root: str) -> re.Match[str] | None:
        """A path's file and the name of an array in it, ``None`` if no container is part of it."""
        endings = "|".join(map(re.escape, self.containers))
        return re.fullmatch(rf"(?P<file>.+?(?:{endings}))/(?P<inner>.+)", root) if endings else None

    def _inside(self, found: re.Match[str]) -> Listing:
        """Files of a path that may also name an array inside each file."""
        root, inner = found["file"], found["inner"] or ""
        listed = has_magic(root) and not self.filesystem.exists(root)
        keys = self.filesystem.glob(root) if listed else [root]
        if STORE.fullmatch(root):
            files = tuple(store_file(self.filesystem, key, inner=inner) for key in keys)
        else:
            files = tuple(self._file(key, self.filesystem.info(key), inner) for key in keys)
        return Listing(files, listed)

    def _matches(self, pattern: str) -> Iterator[InputFile]:
        parent = re.split(r"[*?[]", pattern, maxsplit=1)[0].rpartition("/")[0]
        skip_hidden = not _hidden(pattern, parent)  # a pattern may ask for hidden names
        entries = self.filesystem.glob(pattern, detail=True).items()
        shown = [entry for entry in entries if not (skip_hidden and _hidden(entry[0], parent))]
        folders = [key for key, info in shown if info["type"] == "directory"]
        inside = {table_root(key.rpartition("/")[0]) for key, _ in shown}
        for root in sorted(inside):
            self._require_no_table(root)
        for key in folders:
            if self.chosen.admits(key):
                yield from self._below(key)
        yield from self._files((key, info) for key, info in shown if key not in set(folders))

    def _below(self, root: str) -> Iterator[InputFile]:
        """Files in a directory at any depth; it may be a store itself."""
        if (above := table_root(root)) != root:
            self._require_no_table(above)
        walk = self._walk(root) if self.chosen.wanted else self.filesystem.find(root, detail=True)
        require_plain_files(root, walk)
        entries = walk.items()
        yield from self._files(entry for entry in entries if not _hidden(store_of(entry[0]), root))

    def _table(self, root: str) -> str | None:
        """The format of the table that a folder is, if it is one of those to look for."""
        wanted = {mark for mark, kind in LOG_FOLDERS.items() if READABLE.get(kind) in self.tables}
        if not wanted:
            return None
        inside = {key.rstrip("/").rpartition("/")[2] for key in self._names(root)}
        return READABLE[kind] if (kind := self._kind(root, wanted & inside)) else None

    def _kind(self, root: str, marks: Collection[str]) -> str | None:
        """The kind of table that a folder is, by the logs in folders of some names."""
        for mark in LOG_FOLDERS:
            below = self._names(f"{root.rstrip('/')}/{mark}") if mark in marks else ()
            if any(LOG_FILE.fullmatch(key.rstrip("/")) for key in below):
                return LOG_FOLDERS[mark]
        return None

    def _names(self, folder: str) -> list[str]:
        try:
            return list(map(str, self.filesystem.ls(folder, detail=False)))
        except OSError:  # the folder is missing or not readable
            return []

    def _require_no_table(self, root: str) -> None:
        """Raise DataError where a folder is a table whose files don't all count."""
        if kind := self._kind(root, LOG_FOLDERS):
            raise table_error(root, kind)

    def _walk(self, root: str) -> dict[str, Mapping[str, Any]]:
        """Entries of files in those directories that the conditions admit."""
        found: dict[str, Mapping[str, Any]] = {}
        level = [root] if self.chosen.admits(root) else []
        while level:
            listed = [entry for entries in for_each(level, self._list) for entry in entries]
            folders = [key for key, info in listed if info["type"] == "directory"]
            found |= {key: info for key, info in listed if info["type"] != "directory"}
            for key in folders:
                if key.rpartition("/")[2] in LOG_FOLDERS:
                    self._require_no_table(key.rpartition("/")[0])
            level = [key for key in folders if self.chosen.admits(key) and not _hidden(key, root)]
        return found

    def _list(self, folder: str) -> Iterable[Entry]:
        if self.chosen.settles(folder) or folder.endswith(".zarr"):
            return list(self.filesystem.find(folder, detail=True).items())
        entries = self.filesystem.ls(folder, detail=True)
        pairs = [(str(info["name"]).rstrip("/"), info) for info in entries]
        return [(key, info) for key, info in pairs if key != folder.rstrip("/")]

    def _files(self, entries: Iterable[Entry]) -> Iterator[InputFile]:
        """The files of a listing; those inside a store are taken together."""
        inside: dict[str, list[Entry]] = {}
        for key, info in entries:
            store = store_of(key)
            if store != key:
                inside.setdefault(store, []).append((key, info))
            else:
                yield self._file(key, info)
        for store, own in inside.items():
            yield store_file(self.filesystem, store, own)

    def _file(self, key: str, info: Mapping[str, Any], inner: str = "") -> InputFile:
        with input_errors(key):
            record = record_of(self.filesystem, key, info)
        return InputFile(record.naming(inner), key, self.filesystem, inner)


def _hidden(key: str, root: str) -> bool:
    """Whether a name below ``root`` starts with ``_`` or ``.``, as writers' own files do."""
    return any(name.startswith(("_", ".")) for name in key.removeprefix(root).split("/"))
