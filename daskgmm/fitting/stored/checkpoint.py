"""Checkpoints: a fit's progress, kept in a file so that another attempt can resume it."""

import logging
import math
import time
from abc import ABC, abstractmethod
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self

import numpy as np

from daskgmm.data.storage.deadline import try_after_error
from daskgmm.errors import ClusterError, ConfigurationError, OutputError
from daskgmm.fitting.progress import FitProgress, Progress, StartsProgress
from daskgmm.fitting.stored.checkpoint_file import (
    CheckpointContent,
    CheckpointFile,
    checkpoint_file,
)
from daskgmm.fitting.stored.identity import Identity


class Checkpoint(ABC):
    """Keeps a fit's progress while a ``with`` block runs.

    Parameters
    ----------
    progress : FitProgress or None
        Progress of an earlier attempt at the same fit.
    starts : StartsProgress or None
        Progress of an earlier attempt that had not found its starts.
    keeps : bool
        Whether progress is kept.
    seed : int, RandomState or None
        The candidates' ``random_state``, from the earlier attempt if there was one.
    """

    progress: FitProgress | None
    starts: StartsProgress | None
    keeps: bool
    seed: Any

    @abstractmethod
    def save(self, progress: Progress) -> None:
        """Keep the fit's progress."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the progress, as the fit has ended."""

    @abstractmethod
    def flush(self) -> None:
        """Write the latest progress, as the fit has failed or was interrupted."""

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
            self.remove()
        else:
            try_after_error(error, self.flush)


class NoCheckpoint(Checkpoint):
    """Checkpoint of a fit without a file: it keeps nothing.

    Parameters
    ----------
    identity : Identity
        Identity of the fit.
    """

    def __init__(self, identity: Identity) -> None:
        self.progress = self.starts = None
        self.keeps = False
        self.seed = identity.seed

    def save(self, progress: Progress) -> None:
        """Do nothing."""

    def remove(self) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""


logger = logging.getLogger(__name__)


def open_checkpoint(
    checkpoint: Any, identity: Identity, random: np.random.RandomState
) -> Checkpoint:
    """Open the file that the ``checkpoint`` parameter names, and read the progress in it.

    Parameters
    ----------
    checkpoint : path, URL, CheckpointFile or None
    identity : Identity
        Identity of the fit to come.
    random : RandomState
        Random numbers of the user, set to the state that an earlier attempt left.

    Raises
    ------
    ConfigurationError
        The file is another fit's checkpoint, or the parameter is invalid.
    DataError
        The file is damaged, no checkpoint, or of another version's format.
    OutputError
        The file can't be read.
    ClusterError
        The file's store doesn't answer.
    """
    file = checkpoint_file(checkpoint)
    return NoCheckpoint(identity) if file is None else FileCheckpoint(file, identity, random)


class FileCheckpoint(Checkpoint):
    """Keeps a fit's progress in a file.

    Parameters
    ----------
    file : CheckpointFile
    identity : Identity
    random : RandomState
        Random numbers of the user.
    """

    def __init__(
        self, file: CheckpointFile, identity: Identity, random: np.random.RandomState
    ) -> None:
        self.progress = self.starts = None
        self.keeps = True
        self._file, self._facts, self._random = file, identity.facts, random
        self._unsaved: Progress | None = None
        self._written = -math.inf
        content = file.read()
        if content is not None:
            self._go_on_from(CheckpointContent.from_bytes(content, file.path), identity)
        self.seed = self._facts["random_state"]

    def _go_on_from(self, content: CheckpointContent, identity: Identity) -> None:
        differences = identity.differences(content.fit)
        if differences:
            raise ConfigurationError(
                f"{self._file.path} is the checkpoint of another fit, which differs in "
                f"{', '.join(differences)}.",
                "Remove it, or give this fit another checkpoint.",
            )
        self._facts = content.fit
        self._random.set_state(content.random)
        if isinstance(content.progress, FitProgress):
            self.progress = content.progress
            passes = self.progress.state.iteration
            logger.info("The fit continues after pass %d, from %s.", passes, self._file.path)
        elif content.progress.version == version("daskgmm"):
            self.starts = content.progress
            logger.info("The search for starts continues, from %s.", self._file.path)
        else:
            logger.info(
                "The search for starts begins again: the one in %s is by daskgmm %s.",
                self._file.path, content.progress.version,
            )  # fmt: skip

    def save(self, progress: Progress) -> None:
        """Write the progress, unless the last write was less than `every` seconds ago.

        Raises
        ------
        OutputError
            The file can't be written.
        """
        self._unsaved = progress
        if time.monotonic() - self._written >= self._file.every:
            self._write(progress)

    def remove(self) -> None:
        """Remove the file, or write the last progress to it if it stays.

        A file that can't be removed does no harm, so it is only logged.
        """
        if self._file.stays:
            self.flush()
            return
        try:
            self._file.remove()
        except OSError as error:
            logger.warning("The checkpoint %s can't be removed: %s", self._file.path, error)

    def flush(self) -> None:
        """Write the latest progress, unless it is written already."""
        if self._unsaved is None:
            return
        try:
            self._write(self._unsaved)
        except (OutputError, ClusterError) as error:  # the error that ended the fit matters more
            logger.warning("The progress since the last checkpoint is lost. %s", error)

    def _write(self, progress: Progress) -> None:
        state = self._random.get_state(legacy=False)
        content = CheckpointContent(self._facts, state, progress).to_bytes()
        try:
            self._file.write(content)
        except (OutputError, ClusterError):
            self._unsaved = None  # another try would fail as well
            raise
        self._unsaved, self._written = None, time.monotonic()
