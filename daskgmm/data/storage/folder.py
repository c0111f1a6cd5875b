"""Output folders, local or in any store that fsspec writes to."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from daskgmm.data.storage.credentials import shown_address
from daskgmm.data.storage.durable import link, sync, unfinished_prefix, write_whole
from daskgmm.data.storage.errors import FailureKind, failure_kind, output_errors
from daskgmm.data.storage.scratch import Scratch
from daskgmm.data.storage.urls import address_of, file_system
from daskgmm.errors import OutputError


@dataclass(frozen=True)
class Folder:
    """A folder whose files appear whole or not at all.

    It pickles, so that workers can write into the same folder.

    Parameters
    ----------
    name : str
        Absolute path, or URL without credentials: how errors name it.
    root : str
        The folder, as the file system calls it.
    filesystem : AbstractFileSystem
    """

    name: str
    root: str = field(repr=False)
    filesystem: AbstractFileSystem = field(repr=False, compare=False)

    @classmethod
    def of(cls, path: str | os.PathLike[str], storage_options: Mapping[str, Any]) -> Self:
        """The folder of a path or URL; it need not exist.

        Raises
        ------
        ConfigurationError
            It is not a path, or the URL's protocol or the options are unknown.
        """
        text = address_of(path)
        shown = shown_address(text).rstrip("/")
        if "://" not in text:
            # Resolved, so that replacing a link's target leaves the link.
            text = shown = str(Path(text).resolve())
            storage_options = {}
        filesystem, root = file_system(text, storage_options)
        return cls(shown, root.rstrip("/"), filesystem)

    @classmethod
    def of_file(
        cls, path: str | os.PathLike[str], storage_options: Mapping[str, Any]
    ) -> tuple[Self, str]:
        """The folder that a file is in, and the file's name in it; see `of`."""
        address = address_of(path)
        folder, name = os.path.split(address)
        if "://" in address and folder.endswith(":"):
            folder += "//"  # the root of a store
        return cls.of(folder or ".", storage_options), name

    @property
    def local(self) -> Path | None:
        """The folder's path on this machine, ``None`` where it is in a store."""
        return Path(self.root) if isinstance(self.filesystem, LocalFileSystem) else None

    def inside(self, name: str) -> Self:
        """The folder of this name in this one."""
        return type(self)(f"{self.name}/{name}", self._key(name), self.filesystem)

    def beside(self, name: str) -> Self:
        """The folder of this name next to this one.

        Raises
        ------
        OutputError
            This one is the root of a store.
        """
        if "/" not in self.root:
            raise OutputError(
                f"{self.name} is the root of its store: no folder can be made beside it.",
                f"Choose a folder in it, such as {self.name}/labels.",
            )
        shown, key = (one.rpartition("/")[0] for one in (self.name, self.root))
        return type(self)(f"{shown}/{name}", f"{key}/{name}", self.filesystem)

    def check(self) -> None:
        """Raise unless a local folder's parent exists, before any work is done.

        Raises
        ------
        OutputError
            There is no such folder.
        """
        if self.local is not None:
            require_folder(self.local.parent)

    def make(self) -> None:
        """Make the folder if it is missing, but not its parents; stores need none.

        Raises
        ------
        OutputError
            It can't be made.
        """
        self.check()
        if self.local is not None:
            with self._explaining():
                self.local.mkdir(exist_ok=True)

    def write(self, name: str, content: bytes) -> None:
        """Write a file, in place of one that is there.

        Raises
        ------
        OutputError
            It can't be written.
        """
        with self._explaining(name):
            if self.local is not None:
                write_whole(self.local / name, content)
            else:  # stores show an object when its upload has ended
                self.filesystem.pipe_file(self._key(name), content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless there is one; return whether it was written.

        If several try at once, only one succeeds, where the store can decide (S3 can).

        Raises
        ------
        OutputError
            It can't be written.
        """
        with self._explaining(name):
            try:
                self.filesystem.pipe_file(self._key(name), content, mode="create")
            except FileExistsError:
                return False
        return True

    def modified(self, name: str) -> datetime | None:
        """Time of a file's last write by its store's clock, ``None`` if the store doesn't say."""
        self.filesystem.invalidate_cache(self.root)
        found: datetime | None = None
        with self._explaining(name, "read"), _IgnoreMissing(), suppress(NotImplementedError):
            found = self.filesystem.modified(self._key(name))
        return found

    def read(self, name: str) -> bytes | None:
        """A file's content, ``None`` where there is no such file.

        Raises
        ------
        OutputError
            It can't be read.
        ClusterError
            The store doesn't answer.
        """
        self.filesystem.invalidate_cache(self.root)
        with self._explaining(name, "read"), _IgnoreMissing():
            # s3fs would ask for the file's size first, to read a large one in parts at a time.
            at_once = {"max_concurrency": 1} if "s3" in self.filesystem.protocol else {}
            return bytes(self.filesystem.cat_file(self._key(name), **at_once))
        return None

    def discard_unfinished(self, name: str) -> None:
        """Remove unfinished files of killed writers; stores keep none."""
        if self.local is not None:
            for one in self.names():
                if one.startswith(unfinished_prefix(name)):
                    self.remove(one)

    def names(self) -> list[str]:
        """Names in the folder, sorted; none if there is no folder."""
        self.filesystem.invalidate_cache(self.root)
        keys = []
        with self._explaining(deed="read"), _IgnoreMissing():
            keys = self.filesystem.ls(self.root, detail=False)
        found = (key.rstrip("/").rpartition("/")[2] for key in keys)
        return sorted(name for name in found if name)

    def folders(self) -> list[str] | None:
        """Names of the folders in a local one, sorted, without links; ``None`` if it is missing."""
        path = self.local
        assert path is not None  # noqa: S101  a store's are known by the files in them
        with self._explaining(deed="read"), _IgnoreMissing():
            entries = (one for one in path.iterdir() if one.is_dir() and not one.is_symlink())
            return sorted(one.name for one in entries)
        return None

    def marks(self) -> dict[str, str | None]:
        """All files in the folder and below by their path in it, with their ETags if they have any.

        A file with the same ETag has the same content.
        """
        self.filesystem.invalidate_cache(self.root)
        with self._explaining(deed="read"):
            found = self.filesystem.find(self.root, detail=True)
        start = len(self.root) + 1
        return {key[start:]: info.get("ETag") or info.get("etag") for key, info in found.items()}

    def remove(self, name: str) -> None:
        """Remove a file or folder, if it is there.

        Raises
        ------
        OutputError
            It can't be removed.
        """
        with self._explaining(name, "removed"), suppress(FileNotFoundError):
            self.filesystem.rm(self._key(name), recursive=True)

    def remove_all(self, names: Sequence[str]) -> None:
        """Remove files and folders that are there, many at a time."""
        if names:
            with self._explaining(deed="removed"):
                self.filesystem.rm([self._key(name) for name in names], recursive=True)

    @contextmanager
    def open(self, name: str) -> Iterator[Any]:
        """Open a file for reading in the block."""
        self.filesystem.invalidate_cache(self.root)
        with (
            self._explaining(name, "read"),
            self.filesystem.open(self._key(name), "rb") as stream,
        ):
            yield stream

    @contextmanager
    def appearing(self, name: str) -> Iterator[Path]:
        """A path on this machine to write to; it becomes the file when the block ends well.

        Two may write the same file at a time: each has a path of its own until it is whole. What
        a killed process was about to send to a store, the machine's next process removes.

        Raises
        ------
        OutputError
            It can't be written.
        ClusterError
            The store doesn't answer.
        """
        mark = uuid4().hex
        scratch = None
        if self.local is None:
            with self._explaining(name):
                scratch = Scratch(f"part-{mark}")
        folder = self.local if scratch is None else scratch.folder
        assert folder is not None  # noqa: S101  one of the two is there
        unfinished = folder / f".{name}.{mark}"
        try:
            yield unfinished
            if unfinished.exists():
                with self._explaining(name):
                    self._take(unfinished, name)
        finally:
            unfinished.unlink(missing_ok=True)
            if scratch is not None:
                scratch.remove()

    def _take(self, file: Path, name: str) -> None:
        if self.local is None:
            self.filesystem.put_file(str(file), self._key(name))
            return
        sync(file)
        file.replace(self.local / name)

    def sizes(self) -> dict[str, int]:
        """All files in the folder and below by their path in it, with their sizes."""
        self.filesystem.invalidate_cache(self.root)
        with self._explaining(deed="read"):
            found = self.filesystem.find(self.root, detail=True)
        start = len(self.root) + 1
        return {key[start:]: int(info["size"]) for key, info in found.items()}

    def copy(self, name: str, target: Self, place: str) -> None:
        """Put a file of this folder at a place in another one of the same file system, as it is.

        A store copies it itself; on a disk it gets a second name, so that nothing is read.

        Raises
        ------
        OutputError
            It can't be written.
        ClusterError
            The store doesn't answer.
        """
        with target._explaining(place):
            if self.local is not None and target.local is not None:
                link(self.local / name, target.local / place)
            else:
                self.filesystem.cp_file(self._key(name), target._key(place))

    def _explaining(self, name: str = "", deed: str = "written") -> AbstractContextManager[None]:
        """Turn failures into our errors about a file, or about the folder itself."""
        return output_errors(f"{self.name}/{name}".rstrip("/"), deed)

    def _key(self, name: str) -> str:
        return f"{self.root}/{name}"


class _IgnoreMissing(AbstractContextManager[None]):
    """Ignores errors about missing files, but not a store that fails."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        return error is not None and failure_kind(error) is FailureKind.MISSING


def require_folder(folder: Path) -> None:
    """Raise OutputError unless a folder is there."""
    if not folder.is_dir():
        fact = "is not a folder" if folder.exists() else "does not exist"
        raise OutputError(f"The output's folder {folder} {fact}.", f"Make it: mkdir -p {folder}")
