"""What a pass computes, whatever graph that becomes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from daskgmm.data.source import Block, Part

Add: TypeAlias = Callable[[Any, Any], Any]


class OnPart(Protocol):
    """What a pass does with one part."""

    def __call__(self, position: int, part: Part, blocks: Iterator[Block]) -> Any:
        """Return the part's own result, to be added to its neighbours'."""


@dataclass(frozen=True, eq=False)
class Work:
    """What a pass computes.

    Parts are computed each by itself and added in their order, whether one task takes several
    or each has its own: the result hangs on the parts alone.

    Parameters
    ----------
    begin : callable
        Given the argument, returns the `OnPart` of one task, with its work arrays.
    add : callable
        Adds two parts' results.
    argument : object
        Travels once to each worker.
    """

    begin: Callable[[Any], OnPart]
    add: Add
    argument: Any
