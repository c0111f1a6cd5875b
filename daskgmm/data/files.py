"""Input files wherever fsspec reaches: finding them, opening them, saying what went wrong."""

import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from glob import has_magic
from io import BytesIO
from typing import Any

import pyarrow as pa
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from daskgmm.data.credentials import shown_address, without_credentials
from daskgmm.errors import (
    ClusterError,
    ConfigurationError,
    DaskGMMError,
    DataError,
    MissingInputError,
)

_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_ETAGS = ("ETag", "etag")


@dataclass(frozen=True)
class FileRecord:
    """What tells one version of a file from another; plain values only.

    Parameters
    ----------
    path : str
        Absolute path or URL, without credentials.
    bytes : int or None
        Size, where the store tells it.
    rows : int or None
        Rows, where known without reading.
    modified : str or None
        Time of the last change, ISO 8601, where the store tells it.
    etag : str or None
        The store's own mark of the version.
    """

    path: str
    bytes: int | None
    rows: int | None = None
    modified: str | None = None
    etag: str | None = None


@dataclass(frozen=True)
class InputFile:
    """A file to read: its record, and what opens it.

    The file system carries credentials, so neither it nor the key it opens is shown; and it is
    another object in each thread, so it has no part in whether two files are the same.
    """

    record: FileRecord
    key: str = field(repr=False)
    filesystem: AbstractFileSystem = field(repr=False, compare=False)

    @property
    def path(self) -> str:
        """How errors name this file."""
        return self.record.path

    def open(self, **options: Any) -> Any:
        """Open for reading bytes; ``options`` go to the file system."""
        stream = self.filesystem.open(self.key, "rb", **options)
        # memory:// hands its one stream to every reader: two threads would move each other.
        return BytesIO(stream.getvalue()) if isinstance(stream, BytesIO) else stream


@dataclass(frozen=True)
class Found:
    """What one path stands for; ``listed`` where a directory or pattern named the files."""

    files: tuple[InputFile, ...]
    listed: bool


def find_files(path: str, storage_options: Mapping[str, Any]) -> Found:
    """Return the files that a path, directory, pattern or URL stands for.

    Raises
    ------
    MissingInputError
        Nothing is there, or it can't be listed.
    ConfigurationError
        The URL's protocol is unknown or its package isn't installed.
    """
    name = shown_address(path)
    try:
        filesystem, root = url_to_fs(path, **storage_options)
    except (ImportError, ValueError) as error:
        cause = f"{name} can't be opened: {first_line(error)}."
        remedy = "Check the URL's protocol and install the package that reads it."
        raise ConfigurationError(cause, remedy) from error
    try:
        with explained(name):
            return _find(filesystem, root)
    except DaskGMMError:
        raise
    except Exception as error:  # each store's package has errors of its own
        cause = f"{name} can't be listed: {type(error).__name__}: {first_line(error)}."
        remedy = "Check the URL and the storage options, such as the credentials."
        raise MissingInputError(cause, remedy) from error


def _find(filesystem: AbstractFileSystem, root: str) -> Found:
    """Tell a file from a directory from a pattern; a name may hold a pattern's characters."""
    try:
        info = filesystem.info(root)
    except FileNotFoundError:
        if not has_magic(root):
            raise
        return Found(tuple(_matches(filesystem, root)), listed=True)
    if info["type"] == "directory":
        return Found(tuple(_listing(filesystem, root)), listed=True)
    return Found((_input_file(filesystem, root, info),), listed=False)


def _matches(filesystem: AbstractFileSystem, pattern: str) -> Iterator[InputFile]:
    parent = re.split(r"[*?[]", pattern, maxsplit=1)[0].rpartition("/")[0]
    skip_hidden = not _hidden(pattern, parent)  # a pattern may ask for hidden names
    for key, info in filesystem.glob(pattern, detail=True).items():
        if skip_hidden and _hidden(key, parent):
            continue
        if info["type"] == "directory":
            yield from _listing(filesystem, key)
        else:
            yield _input_file(filesystem, key, info)


def _listing(filesystem: AbstractFileSystem, root: str) -> Iterator[InputFile]:
    for key, info in filesystem.find(root, detail=True).items():
        if not _hidden(key, root):
            yield _input_file(filesystem, key, info)


def _hidden(key: str, root: str) -> bool:
    """Whether a name below ``root`` starts as those that writers keep for themselves do."""
    return any(name.startswith(("_", ".")) for name in key.removeprefix(root).split("/"))


def _input_file(filesystem: AbstractFileSystem, key: str, info: Mapping[str, Any]) -> InputFile:
    local = isinstance(filesystem, LocalFileSystem)
    path = key if local else shown_address(str(filesystem.unstrip_protocol(key)))
    etag = next((str(info[name]) for name in _ETAGS if info.get(name)), None)
    record = FileRecord(path, info.get("size"), modified=_modified(info), etag=etag)
    return InputFile(record, key, filesystem)


def _modified(info: Mapping[str, Any]) -> str | None:
    time = next((info[name] for name in _TIMES if info.get(name) is not None), None)
    if isinstance(time, int | float):
        time = datetime.fromtimestamp(time, UTC)
    if isinstance(time, datetime):
        return time.isoformat()
    return None if time is None else str(time)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn failures of storage or decoding into our errors about the file ``name``."""
    try:
        yield
    except DaskGMMError:
        raise
    except FileNotFoundError as error:
        raise MissingInputError(f"{name} does not exist.", "Check the path.") from error
    except PermissionError as error:
        remedy = "Ask for leave to read it, or check the credentials in the storage options."
        raise MissingInputError(f"{name} can't be read: permission denied.", remedy) from error
    except (ConnectionError, TimeoutError) as error:
        cause = f"{name} can't be reached: {first_line(error)}."
        raise ClusterError(cause, "Check the network and run it again.") from error
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> Exception:
    """Tell a device that fails (it sets ``errno``) from bytes that make no sense."""
    if isinstance(error, MemoryError):
        return error
    if getattr(error, "errno", None) is not None:
        cause = f"{name} can't be read: {first_line(error)}."
        return MissingInputError(cause, "Check the file and the disk or store that holds it.")
    remedy = "It may be cut short or still being written: write it again or leave it out."
    return DataError(f"{name} is damaged or of another format: {first_line(error)}.", remedy)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, without credentials nor a full stop."""
    text = str(error).strip() or type(error).__name__
    return without_credentials(text.splitlines()[0]).rstrip(".")
