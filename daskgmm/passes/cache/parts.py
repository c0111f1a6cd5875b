"""Parts that are decoded once: in later passes a stage gives their blocks.

Each process that reads rows for a fit opens a stage for it when it first needs one. Tasks may
move between processes from pass to pass, and processes may die: a part that isn't staged where
it is read is decoded there, so stages never have a say in the result.

What a stage is: decoded blocks of one fit's parts, in one process.
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
    """The stage can't give this part, or not the rest of it."""


class CachedPart(ABC):
    """One part on its way into a stage; nothing is seen of it before `finish`.

    `add` and `finish` raise OSError or MemoryError where there is no room.
    """

    @abstractmethod
    def add(self, block: Block) -> None:
        """Copy the next block."""

    @abstractmethod
    def finish(self) -> None:
        """Make the part's blocks readable, all at once."""

    @abstractmethod
    def discard(self) -> None:
        """Forget what was added, unless it is finished."""


class Stage(ABC):
    """Decoded blocks of some parts of one fit.

    It is a cache: what it has lost, or never had, is decoded again.
    """

    @abstractmethod
    def load(self, position: int) -> Iterator[Block]:
        """Yield the blocks of the part at `position` in the source, as they were added.

        Raises
        ------
        NotStagedError
            They are not here; also after some of them, where the rest can't be read.
        """

    @abstractmethod
    def entry(self, position: int) -> CachedPart:
        """Where the blocks of a part are put.

        Raises
        ------
        OSError
            There is no room.
        """

    @abstractmethod
    def remove(self) -> None:
        """Remove all, also what other processes of this machine staged for the fit."""

    @abstractmethod
    def leave(self) -> None:
        """Remove all unless another process shares it: this one ends."""


logger = logging.getLogger(__name__)

IDLE_SECONDS = 24 * 3600
"""A stage that nobody reads for so long belongs to a fit whose client was killed."""


@dataclass(frozen=True)
class Staging:
    """A fit's stages, one in each process.

    Parameters
    ----------
    token : str
        The fit's own.
    begin : callable
        Given the token, returns a process's stage; raises OSError where it can't be made.
    """

    token: str
    begin: Callable[[str], Stage]


@dataclass(frozen=True)
class StagedPart:
    """A part that is read from this process's stage if that has it, else staged there.

    Parameters
    ----------
    part : Part
    position : int
        In its source.
    staging : Staging
    """

    part: Part
    position: int
    staging: Staging

    @property
    def inputs(self) -> Sequence[Hashable]:
        """The part's own."""
        return self.part.inputs

    @property
    def label(self) -> str:
        """The part's own."""
        return self.part.label

    def text_at(self, row: int, feature: int | None = None) -> tuple[int, str] | None:
        """As the part has it, if it is of text."""
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
    """A stage, as this process uses it."""

    token: str
    stage: Stage
    used: float
    full: bool = False

    def save(self, position: int, blocks: Iterator[Block]) -> Iterator[Block]:
        """Yield the blocks, staged as they pass if there is room."""
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
        """Call it unless there is no room; the first time that is found it is said."""
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
    """The fit's stage in this process; None where it can't have one, or the fit has ended."""
    with _lock:
        now, found = time.monotonic(), _open.get(staging.token)
        if found is not None:
            found.used = now
        elif staging.token not in _ended:  # late tasks must not revive it
            for token in [one for one, other in _open.items() if now - other.used > IDLE_SECONDS]:
                _end(token)
            found = _begun(staging, now)
        return found


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
