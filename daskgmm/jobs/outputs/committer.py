"""Move a finished output to its target, where readers never see half of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

from daskgmm.data.sinks import WrittenPart, WrittenParts
from daskgmm.data.storage.folder import Folder

SUCCESS = "_SUCCESS"
"""File that marks an output as complete; readers like Hadoop and Spark skip such names."""

Check: TypeAlias = Callable[[], None]
"""Function that raises OutputError if another process has taken the lock meanwhile."""


@dataclass(frozen=True)
class Committer(ABC):
    """Makes an output beside its target and moves it there when it is complete.

    Tasks never write to the target, nor to a folder that becomes the target: a task of a killed
    command may go on at any time, when its earlier checks no longer hold.

    Parameters
    ----------
    target : Folder
    """

    target: Folder

    @abstractmethod
    def require_possible(self) -> None:
        """Raise OutputError, before any work, if the target can't be written to."""

    @abstractmethod
    def locked(self) -> AbstractContextManager[Check]:
        """Keep other processes from writing the same target within the block.

        Raises
        ------
        OutputError
            Another process is writing it.
        """

    @property
    def unfinished(self) -> Folder:
        """The folder beside the target with a folder for each unfinished run.

        Raises
        ------
        OutputError
            The target is the root of a store.
        """
        return self.target.beside(f".{self.target.name.rpartition('/')[2]}.unfinished")

    @abstractmethod
    def discard(self, folder: Folder) -> None:
        """Remove the folder of an unfinished run, even while its tasks still write there."""

    @abstractmethod
    def commit(
        self, made: WrittenParts, check: Check, *, force: bool = False
    ) -> Sequence[WrittenPart]:
        """Replace the target by a complete output; return the output's parts.

        A table that several runs share gets more rows instead, unless `force` is set.

        Raises
        ------
        OutputError
            The output can't be moved; the same command will try again.
        """
