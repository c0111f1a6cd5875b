"""What every sink of rows looks like to the passes that write into it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from daskgmm.data.storage.folder import Folder
from daskgmm.errors import OutputError

RECORD = "daskgmm"
"""Key of what an output says about itself in the metadata of its files."""

_WANTED_MARK = "_wanted"
"""File in a folder that tasks write parts into, as long as a command waits for them."""

_COPIES_AT_ONCE = 16

OutputColumns: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class OutputField:
    """One thing that is said of each row.

    Parameters
    ----------
    name : str
        Of an array with all of it.
    dtype : dtype
    columns : tuple of str
        Names of a table's columns with it.
    vector : bool
        Whether it is a vector, not one value.
    """

    name: str
    dtype: np.dtype[Any]
    columns: tuple[str, ...]
    vector: bool = False


@dataclass(frozen=True)
class Layout:
    """What is to be written, as far as it is known before.

    Parameters
    ----------
    fields : tuple of OutputField
    n_parts : int
        Of the input.
    lengths : tuple of int or None
        Rows of each of them.
    kept : pyarrow.Schema or None
        Of columns that are repeated.
    record : mapping
        Plain values that say which run an output is of; each file of it has them.
    """

    fields: tuple[OutputField, ...]
    n_parts: int
    lengths: tuple[int, ...] | None = None
    kept: pa.Schema | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RowRange:
    """Rows of one part of the input.

    Parameters
    ----------
    part : int
        Its position.
    start : int
        The first row.
    stop : int or None
        The row after the last; ``None`` for all that follow.
    """

    part: int
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class WrittenPart:
    """A part of the output that is whole.

    Parameters
    ----------
    name : str
    rows : int
    bytes : int or None
        Where it is a file.
    """

    name: str
    rows: int
    bytes: int | None = None


@dataclass(frozen=True)
class ExistingOutput:
    """An output of ours in a folder, whole or not.

    Parameters
    ----------
    record : mapping
        What it says about itself.
    names : frozenset of str
        Files and folders that belong to it.
    parts : tuple of WrittenPart or None
        ``None`` where some are missing, damaged or of another run.
    """

    record: Mapping[str, Any]
    names: frozenset[str]
    parts: tuple[WrittenPart, ...] | None = None


class Writer(Protocol):
    """Writes one part."""

    def write(self, columns: OutputColumns, kept: pa.Table | None) -> None:
        """Append rows."""

    def written(self) -> WrittenPart:
        """What was written, once the part is whole."""


@dataclass(frozen=True)
class Sink(ABC):
    """A folder that parts of an output go to; it pickles, and a part appears whole or not at all.

    Parameters
    ----------
    folder : Folder
    layout : Layout
    """

    folder: Folder
    layout: Layout

    ending: ClassVar[str]
    """Of the names of outputs of this format."""
    needs_shape: ClassVar[bool]
    """Whether the layout must tell lengths and kept columns."""

    @classmethod
    @abstractmethod
    def found(cls, folder: Folder) -> ExistingOutput | None:
        """The output in a folder, by the metadata of its files; ``None`` where none is ours."""

    @classmethod
    @abstractmethod
    def owns(cls, name: str, columns: Sequence[str]) -> bool:
        """Whether a file or folder in an output with such columns has a name that it gives."""

    @staticmethod
    @abstractmethod
    def names(fields: Sequence[OutputField]) -> list[str]:
        """Names of the columns or arrays that a reader finds."""

    def begin(self) -> None:
        """Prepare the folder for tasks that write parts.

        Raises
        ------
        OutputError
            It can't be written.
        """
        self.prepare()
        self.folder.write(_WANTED_MARK, b"")

    @abstractmethod
    def prepare(self) -> None:
        """Make the folder, and what must be in it before a part is."""

    @abstractmethod
    def cut(self) -> list[tuple[RowRange, ...]]:
        """The rows of each part of the output, in order."""

    @abstractmethod
    def numbers(self) -> set[int]:
        """Which parts are there."""

    @abstractmethod
    def whole(self) -> dict[int, WrittenPart]:
        """The parts of this very run that are there."""

    @abstractmethod
    def files(self, numbers: Collection[int]) -> list[str]:
        """The files that hold whole parts, by their paths in the folder."""

    @contextmanager
    def writer(self, number: int) -> Iterator[Writer]:
        """Write a part, which appears when the block ends well, unless it has no rows.

        Two workers may write the same one, where one of them was thought dead.

        Raises
        ------
        OutputError
            It cannot be written, or no command waits for it any more.
        ClusterError
            The store doesn't answer.
        """
        with self.part(number) as writer:
            yield writer
            self.require_wanted()

    @abstractmethod
    def part(self, number: int) -> AbstractContextManager[Writer]:
        """Write a part, whoever wants it."""

    def require_wanted(self) -> None:
        """Raise OutputError where the command is gone that would take the parts.

        It only keeps late tasks from leaving files behind. What they write has no way into an
        output: commands take parts from folders of their own runs alone.
        """
        if self.folder.read(_WANTED_MARK) is None:
            raise OutputError(
                f"The parts in {self.folder.name} are no longer wanted: the command that asked for "
                "them ended, or gave them up.",
                "Run the command again if its output is not complete.",
            )

    @abstractmethod
    def complete(self, parts: Mapping[int, WrittenPart]) -> list[WrittenPart]:
        """Add what is missing but rows, and return all parts in order."""


@dataclass(frozen=True)
class WrittenParts:
    """All parts of an output, each in the folder that its task wrote it into.

    Parameters
    ----------
    sink : Sink
        Of the last attempt.
    parts : mapping of int to (Sink, Written)
    """

    sink: Sink
    parts: Mapping[int, tuple[Sink, WrittenPart]]

    def bring(self, folder: Folder, check: Callable[[], None]) -> list[WrittenPart]:
        """Copy all parts into a folder where no task writes, and add what is missing but rows.

        Parameters
        ----------
        folder : Folder
        check : callable
            Raises where this process may no longer write there; called before each file.
        """

        def copy(source: Folder, name: str) -> None:
            check()
            source.copy(name, folder)

        sink = replace(self.sink, folder=folder)
        sink.prepare()
        sources = {own.folder.name: own for own, _ in self.parts.values()}
        with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
            for own in sources.values():
                mine = [number for number, (other, _) in self.parts.items() if other == own]
                names = own.files(mine)
                list(pool.map(copy, [own.folder] * len(names), names))
        return sink.complete({number: written for number, (_, written) in self.parts.items()})
