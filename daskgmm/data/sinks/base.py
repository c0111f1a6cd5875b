"""What every sink of rows looks like to the passes that write into it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from daskgmm.data.places import Place

Columns: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Field:
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
    fields : tuple of Field
    n_parts : int
        Of the input.
    lengths : tuple of int or None
        Rows of each of them.
    kept : pyarrow.Schema or None
        Of columns that are repeated.
    """

    fields: tuple[Field, ...]
    n_parts: int
    lengths: tuple[int, ...] | None = None
    kept: pa.Schema | None = None


@dataclass(frozen=True)
class Slice:
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
class Written:
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


class Writer(Protocol):
    """Writes one part."""

    def write(self, columns: Columns, kept: pa.Table | None) -> None:
        """Append rows."""

    def written(self) -> Written:
        """What was written, once the part is whole."""


@dataclass(frozen=True)
class Sink(ABC):
    """Where parts of an output go; it pickles, and a part appears whole or not at all.

    Parameters
    ----------
    place : Place
    layout : Layout
    """

    place: Place
    layout: Layout

    ending: ClassVar[str]
    """Of the names of outputs of this format."""
    needs_shape: ClassVar[bool]
    """Whether the layout must tell lengths and kept columns."""

    @classmethod
    @abstractmethod
    def owns(cls, name: str, columns: Sequence[str]) -> bool:
        """Whether a file or folder in an output with such columns is of its making."""

    @staticmethod
    @abstractmethod
    def names(fields: Sequence[Field]) -> list[str]:
        """What a reader finds them under."""

    @abstractmethod
    def begin(self) -> None:
        """Prepare the place for parts; what is there already stays.

        Raises
        ------
        OutputError
            It can't be written.
        """

    @abstractmethod
    def cut(self) -> list[tuple[Slice, ...]]:
        """The rows of each part of the output, in order."""

    @abstractmethod
    def numbers(self) -> set[int]:
        """Which parts are there."""

    @abstractmethod
    def whole(self) -> dict[int, Written]:
        """The parts that are there."""

    @abstractmethod
    def writer(self, number: int) -> AbstractContextManager[Writer]:
        """Write a part, which appears when the block ends well, unless it has no rows.

        Two workers may write the same one, where one of them was thought dead.

        Raises
        ------
        OutputError
            It cannot be written.
        ClusterError
            The store doesn't answer.
        """

    @abstractmethod
    def complete(self, parts: Mapping[int, Written]) -> list[Written]:
        """Add what is missing but rows, and return all parts in order."""
