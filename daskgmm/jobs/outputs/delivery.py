"""How an output comes to where it is wanted, and is at no time half there."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

from daskgmm.data.sinks import WrittenPart, WrittenParts
from daskgmm.data.storage.folder import Folder

SUCCESS = "_SUCCESS"
"""Readers of Hadoop's and Spark's kind wait for this file, and skip all names like it."""

Check: TypeAlias = Callable[[], None]
"""Raises OutputError where another process has taken the lock meanwhile."""


@dataclass(frozen=True)
class Committer(ABC):
    """Where an output is made, and how it gets from there to its target.

    Tasks never write at the target, nor in a folder that becomes it: one of a command that was
    killed may wake at any time, and nothing that it asked before it slept still holds.

    Parameters
    ----------
    target : Folder
    """

    target: Folder

    @abstractmethod
    def require_possible(self) -> None:
        """Raise OutputError where it can be seen before any work that nothing can be written."""

    @abstractmethod
    def alone(self) -> AbstractContextManager[Check]:
        """Let no other process write the same target in the block.

        Raises
        ------
        OutputError
            One does.
        """

    @property
    def aside(self) -> Folder:
        """The folder beside the target that has one for each run that is not complete.

        Raises
        ------
        OutputError
            The target is the root of a store.
        """
        return self.target.beside(f".{self.target.name.rpartition('/')[2]}.unfinished")

    @abstractmethod
    def discard(self, folder: Folder) -> None:
        """Remove a folder aside, such that tasks that still run can't hinder it."""

    @abstractmethod
    def deliver(self, made: WrittenParts, check: Check) -> Sequence[WrittenPart]:
        """Put a complete output into the place of what is there; return its parts.

        Raises
        ------
        OutputError
            It can't be; the same command tries again.
        """
