"""Where a checkpoint lies, and how often it is written."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from daskgmm.data.storage.folder import Place
from daskgmm.errors import ConfigurationError


def _unchecked() -> None:
    """The folder is nobody else's."""


@dataclass(frozen=True)
class CheckpointFile:
    """A file that a fit keeps its progress in.

    Parameters
    ----------
    folder : Place
    name : str
        In the folder.
    every : float
        Seconds between writings; 0 writes after each pass.
    stays : bool
        Left for the caller to remove when the fit has ended: the result isn't saved by then.
    check : callable
        Raises OutputError where the folder now belongs to another process; called before each
        writing.
    """

    folder: Place
    name: str
    every: float = 0.0
    stays: bool = False
    check: Callable[[], None] = field(default=_unchecked, repr=False, compare=False)

    @property
    def path(self) -> str:
        """Path, or URL without credentials: how errors name it."""
        return f"{self.folder.name}/{self.name}"

    def read(self) -> bytes | None:
        """The content, ``None`` where there is none; `OutputError` where it can't be read."""
        return self.folder.read(self.name)

    def write(self, content: bytes) -> None:
        """Write the file, whole or not at all; `OutputError` where that can't be done."""
        self.check()
        self.folder.write(self.name, content)

    def remove(self) -> None:
        """Remove the file, if it is there, and what killed processes left of it."""
        self.folder.remove(self.name)
        self.folder.discard_unfinished(self.name)


def checkpoint_file(given: Any) -> CheckpointFile | None:
    """What the ``checkpoint`` parameter stands for.

    Raises
    ------
    ConfigurationError
        It is no path, URL or `CheckpointFile`, or names no file.
    """
    if given is None or isinstance(given, CheckpointFile):
        return given
    path = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(path, str) or not os.path.basename(path):  # noqa: PTH119  URLs too
        raise ConfigurationError(
            f"The 'checkpoint' parameter is {given!r}.",
            "Give the path or URL of a file to keep, or None.",
        )
    return CheckpointFile(*Place.of_file(path, {}))
