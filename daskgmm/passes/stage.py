"""What a stage is: decoded blocks of one fit's parts, in one process."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from daskgmm.data.source import Block


class NotStagedError(Exception):
    """The stage can't give this part, or not the rest of it."""


class Entry(ABC):
    """One part on its way into a stage; nothing is seen of it before `finish`.

    `add` and `finish` raise OSError or MemoryError where there is no room.
    """

    @abstractmethod
    def add(self, block: Block) -> None:
        """Copy the next block."""

    @abstractmethod
    def finish(self) -> None:
        """Make the part's blocks readable, all at once."""

    @abstractmethod
    def discard(self) -> None:
        """Forget what was added, unless it is finished."""


class Stage(ABC):
    """Decoded blocks of some parts of one fit.

    It is a cache: what it has lost, or never had, is decoded again.
    """

    @abstractmethod
    def load(self, position: int) -> Iterator[Block]:
        """Yield the blocks of the part at `position` in the source, as they were added.

        Raises
        ------
        NotStagedError
            They are not here; also after some of them, where the rest can't be read.
        """

    @abstractmethod
    def entry(self, position: int) -> Entry:
        """Where the blocks of a part are put.

        Raises
        ------
        OSError
            There is no room.
        """

    @abstractmethod
    def remove(self) -> None:
        """Remove all, also what other processes of this machine staged for the fit."""

    @abstractmethod
    def leave(self) -> None:
        """Remove all unless another process shares it: this one ends."""
