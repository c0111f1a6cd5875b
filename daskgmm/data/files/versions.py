"""Input files in any file system of fsspec: opening them, and their versions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Self, TypeVar

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from daskgmm.data.storage.credentials import shown_address
from daskgmm.data.storage.errors import changed, input_errors

T = TypeVar("T")
R = TypeVar("R")

_THREADS = 16  # metadata is small: most of its cost is latency
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_ETAGS = ("ETag", "etag")


@dataclass(frozen=True)
class FileRecord:
    """A version of a file, as plain values.

    Parameters
    ----------
    path : str
        Absolute path or URL, without credentials.
    bytes : int or None
        Size, if the store reports it.
    rows : int or None
        Rows, where known without reading.
    modified : str or None
        Time of the last change, ISO 8601, if the store reports it.
    etag : str or None
        The store's identifier of the version.
    """

    path: str
    bytes: int | None
    rows: int | None = None
    modified: str | None = None
    etag: str | None = None

    @property
    def mark(self) -> tuple[Any, ...]:
        """The values by which this version differs from others."""
        return self.path, self.bytes, self.modified, self.etag

    def naming(self, inner: str) -> Self:
        """The same version, with the name of an array in the file, if any, as part of the path."""
        return replace(self, path=f"{self.path}/{inner}") if inner else self

    def differs(self, other: "FileRecord") -> bool:
        """Whether the other record is of another version, by the values that both have."""
        pairs = [(self.bytes, other.bytes), (self.etag, other.etag)]
        if None in pairs[1]:  # some stores report seconds, others milliseconds
            pairs.append((self.modified, other.modified))
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)


@dataclass(frozen=True)
class InputFile:
    """A file to read: its record, and the file system that opens it.

    The file system holds credentials, so neither it nor the key is shown. It is another object in
    each thread, so it is left out of comparisons.

    Parameters
    ----------
    record : FileRecord
    key : str
        The file's path in its file system.
    filesystem : AbstractFileSystem
    inner : str
        Name of an array inside the file, where one was chosen.
    catalogued : bool
        Whether it is the name of a table in a catalog, and no path.
    """

    record: FileRecord
    key: str = field(repr=False)
    filesystem: AbstractFileSystem = field(repr=False, compare=False)
    inner: str = ""
    catalogued: bool = False

    @property
    def path(self) -> str:
        """Name in errors of this file and of the array inside it."""
        return self.record.path

    @property
    def name(self) -> str:
        """Path of the file without an array inside it; its ending shows the format."""
        return self.path.removesuffix(f"/{self.inner}") if self.inner else self.path

    @property
    def local(self) -> Path | None:
        """The file's path on this machine, ``None`` where it is in a store."""
        return Path(self.key) if isinstance(self.filesystem, LocalFileSystem) else None

    def open(self, **options: Any) -> Any:
        """Open for reading bytes; ``options`` go to the file system."""
        stream = self.filesystem.open(self.key, "rb", **options)
        # memory:// hands one stream to all readers: threads would move each other's position.
        return BytesIO(stream.getvalue()) if isinstance(stream, BytesIO) else stream

    @contextmanager
    def reading(self, **options: Any) -> Iterator[Any]:
        """Open the version that was listed for reading bytes; ``options`` go to a store.

        Raises
        ------
        DataError
            It is gone or has changed, which may be the cause of other errors in the block.
        MissingInputError
            It can't be read.
        ClusterError
            It can't be reached.
        """
        with input_errors(self.path):
            if self.local is not None:
                with self.unchanged(), self.open() as stream:
                    yield stream
                return
            self.filesystem.invalidate_cache(self.key)
            with self.open(**options) as stream:
                # Stores that know versions then send bytes of this version only.
                self._compare(record_of(self.filesystem, self.key, _details(stream)))
                yield stream

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Check before and after the block that a local file is the version that was listed."""
        self._check()
        try:
            yield
        except Exception:
            self._check()
            raise
        self._check()

    def require_unchanged(self) -> None:
        """Raise unless the file still is the version that was listed.

        Raises
        ------
        DataError
            It has changed or is gone.
        """
        with input_errors(self.path):
            self._check()

    def _check(self) -> None:
        self._compare(record_of(self.filesystem, self.key))

    def _compare(self, now: FileRecord) -> None:
        if self.record.differs(now):
            raise changed(self.path)


def for_each(paths: Sequence[T], read: Callable[[T], R]) -> list[R]:
    """Results of a function that reads the metadata of files or folders, in their order."""
    with ThreadPoolExecutor(min(_THREADS, max(len(paths), 1))) as pool:
        return list(pool.map(read, paths))


def _details(stream: Any) -> Mapping[str, Any] | None:
    """The store's description of a file, from opening it."""
    details: Mapping[str, Any] | None = getattr(stream, "details", None)
    return details


def record_of(
    filesystem: AbstractFileSystem, key: str, info: Mapping[str, Any] | None = None
) -> FileRecord:
    """The record of a file; ``info`` is its entry in a listing."""
    if isinstance(filesystem, LocalFileSystem):
        # A listing has the time a link was made, not the time its target changed.
        status = Path(key).stat()
        return FileRecord(key, status.st_size, modified=_iso(status.st_mtime))
    details = filesystem.info(key) if info is None else info
    path = shown_address(str(filesystem.unstrip_protocol(key)))
    etag = next((str(details[name]) for name in _ETAGS if details.get(name)), None)
    return FileRecord(path, details.get("size"), modified=_modified(details), etag=etag)


def folder_file(filesystem: AbstractFileSystem, key: str) -> InputFile:
    """A folder that is read as one input, whose content knows its version."""
    local = isinstance(filesystem, LocalFileSystem)
    path = key if local else shown_address(str(filesystem.unstrip_protocol(key)))
    return InputFile(FileRecord(path.rstrip("/") or path, None), key.rstrip("/") or key, filesystem)


def _modified(info: Mapping[str, Any]) -> str | None:
    return _iso(next((info[name] for name in _TIMES if info.get(name) is not None), None))


def _iso(moment: Any) -> str | None:
    if isinstance(moment, int | float):
        moment = datetime.fromtimestamp(moment, UTC)
    if isinstance(moment, datetime):
        return moment.isoformat()
    return None if moment is None else str(moment)
