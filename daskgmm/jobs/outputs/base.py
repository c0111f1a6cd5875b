"""How an output comes to where it is wanted, and is at no time half there."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass

from daskgmm.data.places import Place
from daskgmm.jobs.outputs.manifest import Manifest


@dataclass(frozen=True)
class Delivery(ABC):
    """Where an output is made, and how it gets from there to its target.

    Parameters
    ----------
    target : Place
    """

    target: Place

    @abstractmethod
    def require_possible(self) -> None:
        """Raise OutputError where it can be seen before any work that nothing can be written."""

    @abstractmethod
    def alone(self) -> AbstractContextManager[object]:
        """Let no other process write the same target in the block.

        Raises
        ------
        OutputError
            One does.
        """

    @property
    @abstractmethod
    def aside(self) -> Place:
        """The folder that is no part of what is at the target."""

    @abstractmethod
    def workshop(self, run_id: str, *, force: bool) -> Place:
        """The folder to make the output in."""

    @abstractmethod
    def clear(self, workshop: Place) -> None:
        """Remove what an output left in a workshop."""

    @abstractmethod
    def deliver(self, workshop: Place, manifest: Manifest) -> None:
        """Put a complete output into the place of what is there.

        Raises
        ------
        OutputError
            It can't be; the same command tries again.
        """
