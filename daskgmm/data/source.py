"""What every source of rows looks like to the passes above it."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

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
        Columns carried along unread, for outputs that repeat them.
    """

    rows: Floats
    weights: Floats | None = None
    kept: Any = None


def aligned(values: NDArray[Any]) -> NDArray[Any]:
    """The same numbers, each at an address that suits its type.

    What Dask sends from worker to worker may lie anywhere, and NumPy's sums over such arrays
    round otherwise.
    """
    return np.require(values, requirements="A")


class Part(Protocol):
    """A stretch of rows that one worker reads in order: a chunk, a partition, a row group.

    Parts are small, immutable and picklable: they say where rows are and hold none.
    """

    @property
    def inputs(self) -> Sequence[Hashable]:
        """Keys of the graph that `read` needs the values of, in order."""

    @property
    def label(self) -> str:
        """How an error names this part, such as ``partition 3`` or ``a.parquet, row group 2``."""

    def read(self, *inputs: Any) -> Iterator[Block]:
        """Yield this part's blocks in order; an empty part yields none or empty ones.

        A block's arrays may be written over when the next one is asked for.
        """


@runtime_checkable
class TextPart(Part, Protocol):
    """A part of which values are written as text, in lines."""

    def text_at(self, row: int, feature: int | None = None) -> tuple[int, str] | None:
        """The line of a row, counted from 0, and the text of a feature there.

        ``None`` where nothing tells it, as where a line is too long.
        """


def text_at(part: Part, row: int, feature: int | None = None) -> tuple[int, str] | None:
    """The line of a row and the text of a feature, for errors, where there are any."""
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
        What the blocks' rows come as, float32 or float64.
    columns : tuple of str or None
        The features' names where the source has any.
    lengths : tuple of int or None
        Rows of each part, where known without reading.
    in_memory : bool
        Whether reading costs nothing: tasks are then cut by the arithmetic alone.
    decoded : bool
        Whether each read decodes or computes the rows anew: worth a cache.
    block_rows : int or None
        Most rows of a block, where that is not a whole part.
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
