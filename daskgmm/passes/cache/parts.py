"""Parts that are decoded once; in later passes their blocks come from a stage.

A stage holds the decoded blocks of a fit's parts for one process, which opens it when it first
reads a part. Tasks may move between processes from pass to pass, and processes may die: a part
that is not staged where it is read is decoded there, so stages never change a result.
"""

import atexit
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from daskgmm.data.source import Block, Part, text_at


class NotStagedError(Exception):
    """The stage does not have this part, or can't read the rest of it."""


class CachedPart(ABC):
    """A part while it is written into a stage; it can be read only after `finish`.

    `add` and `finish` raise OSError or MemoryError if there is no space.
    """

    @abstractmethod
    def add(self, block: Block) -> None:
        """Copy the next block."""

    @abstractmethod
    def finish(self) -> None:
        """Make the part's blocks readable, all at once."""

    @abstractmethod
    def discard(self) -> None:
        """Remove the added blocks, unless the part is finished."""


class Stage(ABC):
    """Decoded blocks of some parts of one fit.

    It is a cache: a part that it has lost, or never had, is decoded again.
    """

    @abstractmethod
    def load(self, position: int) -> Iterator[Block]:
        """Yield the blocks of the part at `position` in the source, as they were added.

        Raises
        ------
        NotStagedError
            The blocks are not here; also after some blocks, where the rest can't be read.
        """

    @abstractmethod
    def entry(self, position: int) -> CachedPart:
        """Open a part for writing.

        Raises
        ------
        OSError
            There is no space.
        """

    @abstractmethod
    def remove(self) -> None:
        """Remove all staged parts of the fit, also those of this machine's other processes."""

    @abstractmethod
    def leave(self) -> None:
        """Remove the stage when this process ends, unless another process shares it."""


logger = logging.getLogger(__name__)

IDLE_SECONDS = 24 * 3600
"""A stage that is not read for so long belongs to a fit whose client was killed."""


@dataclass(frozen=True)
class Staging:
    """How each process opens its stage for a fit.

    Parameters
    ----------
    token : str
        Unique to the fit.
    begin : callable
        Given the token, returns a new stage; raises OSError where it can't be made.
    """

    token: str
    begin: Callable[[str], Stage]


@dataclass(frozen=True)
class StagedPart:
    """A part that is read from this process's stage, or decoded and staged if it is not there.

    Parameters
    ----------
    part : Part
    position : int
        Position of the part in its source.
    staging : Staging
    """

    part: Part
    position: int
    staging: Staging

    @property
    def inputs(self) -> Sequence[Hashable]:
        """Keys of the chunks that the part is read from."""
        return self.part.inputs

    @property
    def label(self) -> str:
        """Name of the part in errors."""
        return self.part.label

    def text_at(self, row: int, feature: int | None = None) -> tuple[int, str] | None:
        """Line of a row and text of a feature, as `TextPart.text_at` returns; or ``None``."""
        return text_at(self.part, row, feature)

    def read(self, *inputs: Any) -> Iterator[Block]:
        """Yield the part's blocks."""
        opened = _opened(self.staging)
        if opened is None:
            yield from self.part.read(*inputs)
            return
        done = 0
        try:
            for block in opened.stage.load(self.position):
                yield block
                done += 1
        except NotStagedError:
            decoded = self.part.read(*inputs)
            yield from islice(opened.save(self.position, decoded), done, None)


@dataclass
class _Opened:
    """A stage that this process has opened."""

    token: str
    stage: Stage
    used: float
    full: bool = False

    def save(self, position: int, blocks: Iterator[Block]) -> Iterator[Block]:
        """Yield the blocks, and stage them on the way if there is space."""
        entry: CachedPart | None = self._attempt(self.stage.entry, position)
        try:
            for block in blocks:
                if entry is not None:
                    self._attempt(entry.add, block)
                yield block
            if entry is not None:
                self._attempt(entry.finish)
        finally:
            if entry is not None:
                entry.discard()

    def _attempt(self, action: Callable[..., Any], *arguments: Any) -> Any:
        """Call `action` unless the stage is full; log a warning when it first turns out full."""
        if self.full:
            return None
        try:
            return action(*arguments)
        except (OSError, MemoryError) as error:
            self.full = True
            if self.token not in _ended:
                logger.warning("The cache takes no more rows: %s. They are decoded again.", error)
            return None


_lock = threading.Lock()
_open: dict[str, _Opened] = {}
_ended: set[str] = set()


def _opened(staging: Staging) -> _Opened | None:
    """The fit's stage in this process; None if it can't be opened or the fit has ended."""
    with _lock:
        now, opened = time.monotonic(), _open.get(staging.token)
        if opened is not None:
            opened.used = now
        elif staging.token not in _ended:  # late tasks must not open it again
            for token in [one for one, other in _open.items() if now - other.used > IDLE_SECONDS]:
                _end(token)
            opened = _begun(staging, now)
        return opened


def _begun(staging: Staging, now: float) -> _Opened | None:
    try:
        opened = _Opened(staging.token, staging.begin(staging.token), now)
    except OSError as error:
        logger.warning("There is no cache: %s. Rows are decoded again.", error)
        _ended.add(staging.token)
        return None
    _open[staging.token] = opened
    return opened


def end(token: str) -> None:
    """Remove this process's stage of a fit for good."""
    with _lock:
        _end(token)


def _end(token: str) -> None:
    _ended.add(token)
    opened = _open.pop(token, None)
    if opened is not None:
        opened.stage.remove()


@atexit.register
def _leave() -> None:
    with _lock:
        for opened in _open.values():
            opened.stage.leave()
        _open.clear()
