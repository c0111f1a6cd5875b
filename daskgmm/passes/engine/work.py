"""The computation of a pass, without its graph; and the reading of a part."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, Protocol, TypeAlias

from daskgmm.data.source import Block, Part
from daskgmm.data.storage.retry import read_persistently

Add: TypeAlias = Callable[[Any, Any], Any]


PartRead: TypeAlias = tuple[int, Part, Iterator[Block]]
"""A part's position in the source, the part, and its blocks, which are read as they are taken."""


class OnStretch(Protocol):
    """Computes the result of adjacent parts."""

    def __call__(self, parts: Iterator[PartRead]) -> Any:
        """Return the parts' own result, to be added to that of the parts beside them."""


class OnPart(Protocol):
    """Computes the result of one part."""

    def __call__(self, position: int, part: Part, blocks: Iterator[Block]) -> Any:
        """Return the part's own result, to be added to its neighbours'."""


def each_part(on_part: OnPart, add: Add) -> OnStretch:
    """Compute each part by itself, and add up the results in order."""

    def on_stretch(parts: Iterator[PartRead]) -> Any:
        return reduce(add, (on_part(*part) for part in parts))

    return on_stretch


@dataclass(frozen=True, eq=False)
class Work:
    """A pass as a map and a sum.

    Stretches of parts follow from the rows and the result's size alone, and their results are added
    in the order of the parts, so the total does not depend on how many stretches a task takes.

    Parameters
    ----------
    begin : callable
        Given the argument, returns the `OnStretch` of one task, with its work arrays.
    add : callable
        Adds two results.
    argument : object
        Sent with each task where it is small, else once to each worker.
    result_bytes : int
        Bytes of a result, where they may be many.
    add_to : callable or None
        Likewise ``add``, in the place of the first result, which a task has made itself: new memory
        for each sum takes longer than to add. ``None`` for small results.
    """

    begin: Callable[[Any], OnStretch]
    add: Add
    argument: Any
    result_bytes: int = 0
    add_to: Add | None = None

    @property
    def add_in_task(self) -> Add:
        """Adds to a first result that the task has made itself."""
        return self.add_to or self.add


def read_part(part: Part, inputs: Sequence[Any]) -> Iterator[Block]:
    """Blocks of a part; where storage fails in passing, the rest is read again.

    Only reading is repeated: blocks that a pass has worked through stay counted.

    Parameters
    ----------
    part : Part
    inputs : sequence
        Values of the part's ``inputs``.
    """
    return read_persistently(partial(part.read, *inputs))
