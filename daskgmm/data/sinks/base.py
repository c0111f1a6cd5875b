"""`Sink`, `Writer` and their values: the interface between passes and outputs of rows."""

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
"""Key of an output's record in the metadata of its files."""

_WANTED_MARK = "_wanted"
"""File in the folder of parts that exists as long as a command waits for them."""

_COPIES_AT_ONCE = 16

OutputColumns: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class OutputField:
    """One value or vector per row of an output.

    Parameters
    ----------
    name : str
        Name of the array, in formats with arrays.
    dtype : dtype
    columns : tuple of str
        Names of the columns, in formats with tables.
    vector : bool
        Whether it is a vector, not one value.
    """

    name: str
    dtype: np.dtype[Any]
    columns: tuple[str, ...]
    vector: bool = False


@dataclass(frozen=True)
class Layout:
    """The layout of an output, as far as it is known before writing.

    Parameters
    ----------
    fields : tuple of OutputField
    n_parts : int
        Number of parts of the input.
    lengths : tuple of int or None
        Rows of each part.
    kept : pyarrow.Schema or None
        Schema of the kept columns.
    record : mapping
        Plain values that identify the run; each file of the output has them.
    partition_by : tuple of str
        Kept columns whose values choose the directories that rows go to.
    """

    fields: tuple[OutputField, ...]
    n_parts: int
    lengths: tuple[int, ...] | None = None
    kept: pa.Schema | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    partition_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowRange:
    """Rows of one part of the input.

    Parameters
    ----------
    part : int
        Position of the part.
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
    """A complete part of the output.

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
    """An output of this package in a folder, complete or not.

    Parameters
    ----------
    record : mapping
        Metadata of the output.
    names : frozenset of str
        Files and folders that belong to it.
    parts : tuple of WrittenPart or None
        ``None`` if some are missing, damaged or of another run.
    """

    record: Mapping[str, Any]
    names: frozenset[str]
    parts: tuple[WrittenPart, ...] | None = None


class Writer(Protocol):
    """Writes one part of an output."""

    def write(self, columns: OutputColumns, kept: pa.Table | None) -> None:
        """Append rows to the part."""

    def written(self) -> WrittenPart:
        """The part as written, once it is complete."""


@dataclass(frozen=True)
class Sink(ABC):
    """A folder where each part of an output appears whole or not at all; it pickles.

    Parameters
    ----------
    folder : Folder
    layout : Layout
    """

    folder: Folder
    layout: Layout

    ending: ClassVar[str]
    """Ending of the names of outputs of this format."""
    needs_shape: ClassVar[bool]
    """Whether the layout must have lengths and kept columns."""
    holds_text: ClassVar[bool]
    """Whether columns can hold text, not only numbers."""
    takes_keys: ClassVar[bool]
    """Whether rows can go to directories by the values of keys."""
    shared: ClassVar[bool]
    """Whether several runs write to one output, which then is a table with a commit of each."""

    @classmethod
    @abstractmethod
    def found(cls, folder: Folder, run_id: str | None = None) -> ExistingOutput | None:
        """The output in a folder, by its files' metadata; ``None`` if none is of this package.

        Where several runs share an output, it is that of `run_id`, or by default of the newest.
        """

    @classmethod
    @abstractmethod
    def owns(cls, name: str, columns: Sequence[str]) -> bool:
        """Whether this format uses a name for files or folders of an output with such columns."""

    @staticmethod
    @abstractmethod
    def names(fields: Sequence[OutputField]) -> list[str]:
        """Names of the output's columns or arrays, as a reader finds them."""

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
        """Make the folder, and the files that must exist before any part."""

    @abstractmethod
    def cut(self) -> list[tuple[RowRange, ...]]:
        """The rows of each part of the output, in order."""

    @abstractmethod
    def numbers(self) -> set[int]:
        """Numbers of the parts in the folder."""

    @abstractmethod
    def whole(self) -> dict[int, WrittenPart]:
        """The complete parts of this run in the folder."""

    @abstractmethod
    def files(self, numbers: Collection[int]) -> list[str]:
        """The files that hold whole parts, by their paths in the folder."""

    @abstractmethod
    def places(self, files: Sequence[tuple[Folder, str]]) -> list[str]:
        """Paths in the complete output of files of parts, each given by its folder and name."""

    @contextmanager
    def writer(self, number: int) -> Iterator[Writer]:
        """Write a part, which appears when the block ends well, unless it has no rows.

        Two workers may write the same part if one of them was thought dead.

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
        """Write a part without checking that a command waits for it."""

    def require_wanted(self) -> None:
        """Raise OutputError if the command that waited for the parts has ended.

        This only keeps late tasks from leaving files behind. Their parts can't get into an
        output: commands take parts only from folders of their own runs.
        """
        if self.folder.read(_WANTED_MARK) is None:
            raise OutputError(
                f"The parts in {self.folder.name} are no longer needed: the command that waited "
                "for them has ended or gave up.",
                "Run the command again if its output is not complete.",
            )

    @abstractmethod
    def complete(self, parts: Mapping[int, WrittenPart]) -> list[WrittenPart]:
        """Add missing files that hold no rows, and return all parts in order."""


@dataclass(frozen=True)
class WrittenParts:
    """All parts of an output, each in the folder that its task wrote it into.

    Parameters
    ----------
    sink : Sink
        Sink of the last attempt.
    parts : mapping of int to (Sink, WrittenPart)
    """

    sink: Sink
    parts: Mapping[int, tuple[Sink, WrittenPart]]

    def bring(self, folder: Folder, check: Callable[[], None]) -> list[WrittenPart]:
        """Copy all parts into a folder that no task writes to, and complete the output there.

        Parameters
        ----------
        folder : Folder
        check : callable
            Raises where this process may no longer write there; called before each file.
        """

        def copy(file: tuple[Folder, str], place: str) -> None:
            check()
            file[0].copy(file[1], folder, place)

        sink = replace(self.sink, folder=folder)
        sink.prepare()
        sources = {own.folder.name: own for own, _ in self.parts.values()}
        files: list[tuple[Folder, str]] = []
        for own in sources.values():
            mine = [number for number, (other, _) in self.parts.items() if other == own]
            files += [(own.folder, name) for name in own.files(mine)]
        with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
            list(pool.map(copy, files, sink.places(files)))
        return sink.complete({number: written for number, (_, written) in self.parts.items()})
