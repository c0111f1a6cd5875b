"""The computation of a pass, without its graph; and the reading of a part."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias

from daskgmm.data.source import Block, Part
from daskgmm.data.storage.retry import read_persistently

Add: TypeAlias = Callable[[Any, Any], Any]


class OnPart(Protocol):
    """Computes the result of one part."""

    def __call__(self, position: int, part: Part, blocks: Iterator[Block]) -> Any:
        """Return the part's own result, to be added to its neighbours'."""


@dataclass(frozen=True, eq=False)
class Work:
    """A pass as a map and a sum.

    Each part is computed by itself and results are added in the order of the parts, so the
    total does not depend on how many parts a task takes.

    Parameters
    ----------
    begin : callable
        Given the argument, returns the `OnPart` of one task, with its work arrays.
    add : callable
        Adds two parts' results.
    argument : object
        Sent with each task where it is small, else once to each worker.
    result_bytes : int
        Bytes of a part's result, where they may be many.
    add_to : callable or None
        Likewise ``add``, in the place of the first result, which a task has made itself: new memory
        for each sum takes longer than to add. ``None`` for small results.
    """

    begin: Callable[[Any], OnPart]
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
