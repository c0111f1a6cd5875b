"""Files of checkpoints: path, time between writes, and content as bytes."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError, DataError
from daskgmm.fitting.progress import FitProgress, Progress, StartsProgress
from daskgmm.fitting.stored.tensors import (
    MALFORMED,
    Arrays,
    TensorFile,
    digest,
    from_plain,
    to_plain,
)
from daskgmm.passes.survey import Survey
from daskgmm.training.search_progress import Steps
from daskgmm.training.states import FitState

FORMAT = 4
"""Version of the format; in format 1, fields of fit states had other names, fits of format 2 began
from other starts, and searches of format 3 went on from other places."""


@dataclass(frozen=True, eq=False)
class CheckpointContent:
    """Content of a checkpoint: the facts that identify its fit, and the fit's progress.

    Parameters
    ----------
    fit : mapping
        Facts that identify the fit; see `daskgmm.fitting.stored.identity.Identity`.
    random : dict
        State of the user's random numbers.
    progress : FitProgress or StartsProgress
    """

    fit: Any
    random: dict[str, Any]
    progress: Progress

    def to_bytes(self) -> bytes:
        """Serialise, with a checksum."""
        arrays: Arrays = {}
        progress = to_plain(self.progress, "fit", arrays)
        content = {"fit": self.fit, "random": _listed(self.random), "progress": progress}
        metadata = {"checkpoint": content, "sha256": digest(content, arrays)}
        return TensorFile(arrays, metadata).to_bytes(FORMAT)

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> Self:
        """Parse a file's content; `name` is for errors.

        Raises
        ------
        DataError
            The content is damaged, not a checkpoint, or of another version's format.
        """
        try:
            file = TensorFile.from_bytes(content)
            file.require_known(FORMAT, name)
            found = file.metadata["checkpoint"]
            if digest(found, file.tensors) != file.metadata["sha256"]:
                raise ValueError("checksum")
            if file.metadata["format"] < FORMAT:
                raise _of_an_earlier_version(name, file.metadata)
            progress = from_plain(found["progress"], file.tensors)
            _require_sound(found, progress)
            return cls(found["fit"], found["random"], progress)
        except MALFORMED as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{name} is not a complete checkpoint of daskgmm ({type(error).__name__}).",
                "Remove it to fit from the beginning, or give another file.",
            ) from error


def _of_an_earlier_version(name: str, metadata: Mapping[str, Any]) -> DataError:
    return DataError(
        f"{name} is a checkpoint that daskgmm {metadata['version']} wrote in format "
        f"{metadata['format']}; this version reads format {FORMAT} only.",
        "Finish the fit with the version that began it, or begin it again: on the command line "
        "with --no-resume, in Python with another checkpoint, or after removing this file.",
    )


def _require_sound(found: Any, progress: Any) -> None:
    """Raise one of `MALFORMED` if a fit can't continue from this content."""
    np.random.RandomState().set_state(found["random"])
    if type(progress) is StartsProgress:
        if not all(type(one) is Steps for one in progress.searches):
            raise TypeError("kind")
        return
    parts = (progress, progress.survey, progress.state, found["fit"])
    if tuple(map(type, parts)) != (FitProgress, Survey, FitState, dict):
        raise TypeError("kind")
    for trace in progress.state.alive:
        trace.mixture.require_sound()


def _listed(state: Any) -> Any:
    """Copy the state of a RandomState, with lists in place of arrays."""
    if isinstance(state, dict):
        return {key: _listed(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state


def _unchecked() -> None:
    """Check nothing: no other process writes to the folder."""


@dataclass(frozen=True)
class CheckpointFile:
    """File in which a fit keeps its progress.

    Parameters
    ----------
    folder : Folder
    name : str
        Name in the folder.
    every : float
        Seconds between writes; 0 writes after each pass.
    stays : bool
        Keep the file when the fit ends, for a caller that removes it once the result is saved.
    check : callable
        Called before each write; raises OutputError if another process has taken the folder.
    """

    folder: Folder
    name: str
    every: float = 0.0
    stays: bool = False
    check: Callable[[], None] = field(default=_unchecked, repr=False, compare=False)

    @property
    def path(self) -> str:
        """Path, or URL without credentials, as errors show it."""
        return f"{self.folder.name}/{self.name}"

    def read(self) -> bytes | None:
        """Read the content; ``None`` if there is no file.

        Raises
        ------
        OutputError
            The file can't be read.
        """
        return self.folder.read(self.name)

    def write(self, content: bytes) -> None:
        """Write the file, completely or not at all.

        Raises
        ------
        OutputError
            The file can't be written.
        """
        self.check()
        self.folder.write(self.name, content)

    def remove(self) -> None:
        """Remove the file, if it exists, and unfinished ones that killed processes left."""
        self.folder.remove(self.name)
        self.folder.discard_unfinished(self.name)


def checkpoint_file(given: Any) -> CheckpointFile | None:
    """The file that the ``checkpoint`` parameter names.

    Raises
    ------
    ConfigurationError
        The parameter is not a path, URL or `CheckpointFile`, or names no file.
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
