"""What a fit tells of its progress to, and hears from of an earlier attempt's."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

from daskgmm.data.storage.deadline import last_words
from daskgmm.fitting.identity import Identity
from daskgmm.fitting.progress import Progress


class Memory(ABC):
    """Keeps a fit's progress for the length of a ``with`` block.

    Parameters
    ----------
    before : Progress or None
        What an earlier attempt at the same fit came to.
    seed : int, RandomState or None
        The candidates' ``random_state``, of that attempt where there was one.
    """

    before: Progress | None
    seed: Any

    @abstractmethod
    def keep(self, progress: Progress) -> None:
        """Take note of how far the fit has come now."""

    @abstractmethod
    def forget(self) -> None:
        """The fit has ended, and nobody will go on with it."""

    @abstractmethod
    def settle(self) -> None:
        """The fit has failed or was interrupted: save what was noted last."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del kind, traceback
        if error is None:
            self.forget()
        else:
            last_words(error, self.settle)


class Forgetful(Memory):
    """Keeps nothing.

    Parameters
    ----------
    identity : Identity
        Of the fit.
    """

    def __init__(self, identity: Identity) -> None:
        self.before = None
        self.seed = identity.seed

    def keep(self, progress: Progress) -> None:
        """Nothing."""

    def forget(self) -> None:
        """Nothing."""

    def settle(self) -> None:
        """Nothing."""
