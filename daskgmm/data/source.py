"""`Source`, `Part` and `Block`: the interface between sources of rows and passes over them.

Sample weights are finite and at least zero, each of them and their sum.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import DataError

Floats: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Block:
    """Rows that lie in memory together.

    Parameters
    ----------
    rows : ndarray of shape (D, n)
        Features first, float32 or float64, in any memory layout.
    weights : ndarray of shape (n,) or None
        The rows' sample weights; ``None`` means one each.
    kept : pyarrow.Table or None
        Columns that are not features but repeated in the output.
    lengths : tuple of int
        Rows of each part, where the block joins the rows of several; else empty.
    """

    rows: Floats
    weights: Floats | None = None
    kept: Any = None
    lengths: tuple[int, ...] = ()


def aligned(values: NDArray[Any]) -> NDArray[Any]:
    """The same array in memory that is aligned for its type.

    Arrays that Dask sends between workers may be unaligned, and NumPy rounds sums over those
    differently.
    """
    return np.require(values, requirements="A")


class Part(Protocol):
    """A stretch of rows that one worker reads in order: a chunk, a partition, a row group.

    Parts are small, immutable and picklable: they describe where the rows are and hold none.
    """

    @property
    def inputs(self) -> Sequence[Hashable]:
        """Keys of the graph whose values `read` needs, in order."""

    @property
    def label(self) -> str:
        """How an error names this part, such as ``partition 3`` or ``a.parquet, row group 2``."""

    def read(self, *inputs: Any) -> Iterator[Block]:
        """Yield this part's blocks in order; an empty part yields none or empty ones.

        A block's arrays may be overwritten when the next block is read.
        """


def labels_of(part: Part) -> tuple[str, ...]:
    """Labels of the parts that a part joins, as its ``labels`` say; or its own."""
    return getattr(part, "labels", ()) or (part.label,)


class SelfContainedPart(ABC):
    """A part that reads files or holds its rows, and so needs no value of the graph."""

    @property
    def inputs(self) -> Sequence[Hashable]:
        """No keys."""
        return ()

    @property
    @abstractmethod
    def label(self) -> str:
        """How an error names this part; see `Part.label`."""

    def read(self, *inputs: Any) -> Iterator[Block]:  # noqa: ARG002  the protocol's signature
        """Yield this part's blocks in order; see `Part.read`."""
        return self.blocks()

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """Yield this part's blocks in order, as `read` does."""


@runtime_checkable
class TextPart(Part, Protocol):
    """A part of a text file, whose values can be shown as they are written."""

    def text_at(self, row: int, feature: int | None = None) -> tuple[int, str] | None:
        """The line of a row, which is counted from 0, and the text of a feature in it.

        ``None`` if it can't be found, as in a very long line.
        """


def text_at(part: Part, row: int, feature: int | None = None) -> tuple[int, str] | None:
    """The line of a row and the text of a feature, for errors; ``None`` if the part has no text."""
    return part.text_at(row, feature) if isinstance(part, TextPart) else None


@dataclass(frozen=True)
class Source:
    """Rows in parts.

    Parameters
    ----------
    parts : sequence of Part
        In row order.
    n_features : int
        D.
    dtype : dtype
        Type of the blocks' rows, float32 or float64.
    columns : tuple of str or None
        The features' names, if the source has any.
    lengths : tuple of int or None
        Rows of each part, where known without reading.
    in_memory : bool
        Whether reading costs nothing, so that only the arithmetic decides the size of tasks.
    decoded : bool
        Whether each read decodes or computes the rows again, so that a cache pays.
    block_rows : int or None
        Most rows of a block, if a block is not a whole part.
    graph : mapping
        Tasks that the parts' ``inputs`` name; merged into every pass.
    """

    parts: Sequence[Part]
    n_features: int
    dtype: np.dtype[Any]
    columns: tuple[str, ...] | None = None
    lengths: tuple[int, ...] | None = None
    in_memory: bool = False
    decoded: bool = False
    block_rows: int | None = None
    graph: Mapping[Hashable, Any] = field(default_factory=dict)


def check_weights(
    weights: Floats, where: str, first: int, line_of: Callable[[int], int | None] = lambda _: None
) -> None:
    """Raise DataError unless weights of shape (n,) are finite and at least zero.

    For the error, ``where`` names the weights, ``first`` is the number of the first row, and
    ``line_of`` gives the line of a row in a text file.
    """
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        index = int(wrong.argmax())
        row = first + index
        line = line_of(row)
        location = f"row {row}" if line is None else f"row {row} (line {line})"
        cause = (
            f"{where}, {location}: the sample weight is {weights[index]}. Rows are counted from 0."
        )
        raise DataError(cause, "Weights must be finite numbers of at least zero: correct it.")


def require_finite_sum(weight: float) -> None:
    """Raise DataError if the sum of all sample weights, each of them finite, is not."""
    if not np.isfinite(weight):
        raise DataError(
            "The sample weights are so large that their sum overflows.",
            "Divide them all by the same number: results stay the same.",
        )
