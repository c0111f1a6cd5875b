"""What a checkpoint holds, as the content of a file.

Where a checkpoint lies, and how often it is written.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError, DataError
from daskgmm.fitting.progress import FitProgress
from daskgmm.fitting.tensors import SENSELESS, Arrays, TensorFile, digest, from_plain, to_plain
from daskgmm.passes.survey import Survey
from daskgmm.training.states import FitState

FORMAT = 1


@dataclass(frozen=True, eq=False)
class CheckpointContent:
    """What a checkpoint holds.

    Parameters
    ----------
    fit : mapping
        Facts of the fit that it belongs to; see `Identity`.
    random : dict
        State of the user's random numbers.
    progress : FitProgress
    """

    fit: Any
    random: dict[str, Any]
    progress: FitProgress

    def to_bytes(self) -> bytes:
        """The file's content."""
        arrays: Arrays = {}
        progress = to_plain(self.progress, "fit", arrays)
        content = {"fit": self.fit, "random": _listed(self.random), "progress": progress}
        metadata = {"checkpoint": content, "sha256": digest(content, arrays)}
        return TensorFile(arrays, metadata).to_bytes(FORMAT)

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> Self:
        """Read a file's content; `name` is for errors.

        Raises
        ------
        DataError
            It is damaged, no checkpoint, or of a later version.
        """
        try:
            file = TensorFile.from_bytes(content, name, FORMAT)
            found = file.metadata["checkpoint"]
            if digest(found, file.tensors) != file.metadata["sha256"]:
                raise ValueError("checksum")
            progress = from_plain(found["progress"], file.tensors)
            _require_sound(found, progress)
            return cls(found["fit"], found["random"], progress)
        except SENSELESS as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{name} is not a whole checkpoint of daskgmm ({type(error).__name__}).",
                "Remove it to fit from the start, or name another file.",
            ) from error


def _require_sound(found: Any, progress: Any) -> None:
    """Fail where a fit could not go on from this."""
    np.random.RandomState().set_state(found["random"])
    parts = (progress, progress.survey, progress.state, found["fit"])
    if tuple(map(type, parts)) != (FitProgress, Survey, FitState, dict):
        raise TypeError("kind")
    for trace in progress.state.alive:
        trace.mixture.require_sound()


def _listed(state: Any) -> Any:
    """A random state with lists in place of arrays."""
    if isinstance(state, dict):
        return {key: _listed(one) for key, one in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state


def _unchecked() -> None:
    """The folder is nobody else's."""


@dataclass(frozen=True)
class CheckpointFile:
    """A file that a fit keeps its progress in.

    Parameters
    ----------
    folder : Folder
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

    folder: Folder
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
    return CheckpointFile(*Folder.of_file(path, {}))
