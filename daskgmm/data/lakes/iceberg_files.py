"""Files of Iceberg tables in any store that fsspec knows, for the package ``pyiceberg``."""

from collections.abc import Callable
from typing import Any, NoReturn

from fsspec import AbstractFileSystem
from pyiceberg.io import FileIO, InputFile, OutputFile


class StoreFile(InputFile):
    """A file to read.

    Parameters
    ----------
    location : str
    filesystem : AbstractFileSystem
    key : str
        The file's path in its file system.
    """

    def __init__(self, location: str, filesystem: AbstractFileSystem, key: str) -> None:
        super().__init__(location)
        self._filesystem, self._key = filesystem, key

    def __len__(self) -> int:
        return int(self._filesystem.size(self._key))

    def exists(self) -> bool:
        """Whether the file exists."""
        return bool(self._filesystem.exists(self._key))

    def open(self, seekable: bool = True) -> Any:  # noqa: ARG002  the base's
        """Open the file for reading bytes."""
        return self._filesystem.open(self._key, "rb")


class StoreFiles(FileIO):
    """Opens the files that a table's metadata name, for reading only.

    Parameters
    ----------
    open_file : callable
        Gives the file system of a file's address, and the path within it.
    """

    def __init__(self, open_file: Callable[[str], tuple[AbstractFileSystem, str]]) -> None:
        super().__init__()
        self._open = open_file

    def new_input(self, location: str) -> StoreFile:
        """The file of an address."""
        return StoreFile(location, *self._open(location))

    def new_output(self, location: str) -> NoReturn:
        """Refuse: tables are inputs."""
        raise NotImplementedError(location)

    def delete(self, location: str | InputFile | OutputFile) -> NoReturn:
        """Refuse: tables are inputs."""
        raise NotImplementedError(str(location))
