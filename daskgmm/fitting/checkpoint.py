"""A fit's progress kept in a file, so that another attempt goes on from there.

What a fit tells of its progress to, and hears from of an earlier attempt's.
"""

import logging
import math
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

import numpy as np

from daskgmm.data.storage.deadline import try_after_error
from daskgmm.errors import ClusterError, ConfigurationError, OutputError
from daskgmm.fitting.checkpoint_file import CheckpointContent, CheckpointFile, checkpoint_file
from daskgmm.fitting.identity import Identity
from daskgmm.fitting.progress import FitProgress


class Memory(ABC):
    """Keeps a fit's progress for the length of a ``with`` block.

    Parameters
    ----------
    before : FitProgress or None
        What an earlier attempt at the same fit came to.
    seed : int, RandomState or None
        The candidates' ``random_state``, of that attempt where there was one.
    """

    before: FitProgress | None
    seed: Any

    @abstractmethod
    def keep(self, progress: FitProgress) -> None:
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
            try_after_error(error, self.settle)


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

    def keep(self, progress: FitProgress) -> None:
        """Nothing."""

    def forget(self) -> None:
        """Nothing."""

    def settle(self) -> None:
        """Nothing."""


logger = logging.getLogger(__name__)


def remember(checkpoint: Any, identity: Identity, random: np.random.RandomState) -> Memory:
    """The memory that the ``checkpoint`` parameter stands for, with what is in it already.

    Parameters
    ----------
    checkpoint : path, URL, CheckpointFile or None
    identity : Identity
        Of the fit to come.
    random : RandomState
        The user's. Brought to where an earlier attempt has left it.

    Raises
    ------
    ConfigurationError
        The file is another fit's checkpoint, or the parameter has no meaning.
    DataError
        The file is damaged, no checkpoint, or of a later version.
    OutputError
        It can't be read.
    ClusterError
        Its store doesn't answer.
    """
    file = checkpoint_file(checkpoint)
    return Forgetful(identity) if file is None else Checkpoint(file, identity, random)


class Checkpoint(Memory):
    """Keeps a fit's progress in a file.

    Parameters
    ----------
    file : CheckpointFile
    identity : Identity
    random : RandomState
        The user's.
    """

    def __init__(
        self, file: CheckpointFile, identity: Identity, random: np.random.RandomState
    ) -> None:
        self.before = None
        self._file, self._facts, self._random = file, identity.facts, random
        self._noted: FitProgress | None = None
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
        self.before, self._facts = content.progress, content.fit
        self._random.set_state(content.random)
        passes = self.before.state.iteration
        logger.info("The fit goes on after pass %d, from %s.", passes, self._file.path)

    def keep(self, progress: FitProgress) -> None:
        """Write the progress, unless it is too early; `OutputError` where that can't be done."""
        self._noted = progress
        if time.monotonic() - self._written >= self._file.every:
            self._write(progress)

    def forget(self) -> None:
        """Remove the file. What is left of it does no harm, so the fit doesn't fail for that."""
        if self._file.stays:
            self.settle()
            return
        try:
            self._file.remove()
        except OSError as error:
            logger.warning("The checkpoint %s can't be removed: %s", self._file.path, error)

    def settle(self) -> None:
        """Write what was noted last, if it isn't written yet."""
        if self._noted is None:
            return
        try:
            self._write(self._noted)
        except (OutputError, ClusterError) as error:  # which must not hide what ended the fit
            logger.warning("The last passes are lost. %s", error)

    def _write(self, progress: FitProgress) -> None:
        state = self._random.get_state(legacy=False)
        content = CheckpointContent(self._facts, state, progress).to_bytes()
        try:
            self._file.write(content)
        except (OutputError, ClusterError):
            self._noted = None  # another try would fail as well
            raise
        self._noted, self._written = None, time.monotonic()
