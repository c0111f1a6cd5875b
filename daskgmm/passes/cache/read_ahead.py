"""Reading of staged parts, of which each block is read while the one before is worked on."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from daskgmm.data.source import Block
from daskgmm.passes.cache.block_file import BlockFile, Buffers

_First: TypeAlias = tuple[BlockFile, Block | None]


@dataclass
class _Wait:
    """What a thread holds between two parts.

    Parameters
    ----------
    buffers : Buffers
    position : int or None
        Part whose first block is being read into one of them.
    first : Future or None
    """

    buffers: Buffers
    position: int | None = None
    first: Future[_First] | None = None


class _Lane(threading.local):
    """The part that a thread has read last, and what it holds until it reads another."""

    last: int | None = None
    wait: _Wait | None = None


class ReadAhead:
    """Reads files of blocks, one block ahead of each thread that works on them.

    Within a file the next block is known. From file to file it is taken to be the one that was
    read next in the pass before; another is read when it is asked for. A thread has memory for two
    blocks.

    Parameters
    ----------
    path_of : callable
        Maps the position of a part to its file.
    """

    def __init__(self, path_of: Callable[[int], Path]) -> None:
        self._path_of, self._pool = path_of, ThreadPoolExecutor()
        self._following: dict[int, int] = {}
        self._lane = _Lane()

    def blocks(self, position: int) -> Iterator[Block]:
        """Yield the blocks of a part, each until the next one is asked for.

        Errors are those of `BlockFile`, or a RuntimeError after `close`.
        """
        lane = self._lane
        if lane.last is not None:
            self._following[lane.last] = position
        lane.last = position
        buffers, first = self._begun(position)
        file, block = first.result()
        for number in range(1, len(file)):
            coming = self._pool.submit(file.read, number, buffers)
            if block is not None:
                yield block
            block = coming.result()
        lane.wait = self._wait_after(position, buffers)
        if block is not None:
            yield block

    def close(self) -> None:
        """Read nothing more."""
        self._pool.shutdown(cancel_futures=True)

    def _begun(self, position: int) -> tuple[Buffers, Future[_First]]:
        """Begin to read a part, unless the thread has begun."""
        wait, self._lane.wait = self._lane.wait, None
        if wait is None or wait.first is None:
            buffers = Buffers() if wait is None else wait.buffers
            return buffers, self._submit(position, buffers)
        if wait.position == position:
            return wait.buffers, wait.first
        wait.first.exception()  # it fills one of the buffers
        return wait.buffers, self._submit(position, wait.buffers)

    def _wait_after(self, position: int, buffers: Buffers) -> _Wait:
        following = self._following.get(position)
        if following is None:
            return _Wait(buffers)
        return _Wait(buffers, following, self._submit(following, buffers))

    def _submit(self, position: int, buffers: Buffers) -> Future[_First]:
        return self._pool.submit(_first, self._path_of(position), buffers)


def _first(path: Path, buffers: Buffers) -> _First:
    file = BlockFile(path)
    return file, file.read(0, buffers) if len(file) else None
