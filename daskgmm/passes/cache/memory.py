"""Decoded blocks in this process's memory."""

import threading
from collections.abc import Iterator
from typing import final

import numpy as np

from daskgmm.data.source import Block
from daskgmm.passes.cache.parts import CachedPart, NotStagedError, Stage
from daskgmm.passes.memory import SHARE, available_memory


@final
class MemoryStage(Stage):
    """A stage that copies blocks into memory, up to a share of the memory free at the start.

    Parameters
    ----------
    token : str
        Unique to the fit.
    """

    def __init__(self, token: str) -> None:
        del token  # no other process sees this memory
        self.room = int(available_memory() * SHARE)
        self.lock = threading.Lock()
        self.parts: dict[int, tuple[Block, ...]] = {}

    def load(self, position: int) -> Iterator[Block]:
        """Yield a part's blocks."""
        if position not in self.parts:
            raise NotStagedError
        return iter(self.parts[position])

    def entry(self, position: int) -> CachedPart:
        """Open a part for writing."""
        return _MemoryEntry(self, position)

    def take(self, wanted: int) -> None:
        """Reserve bytes of the stage's memory; a negative number gives some back.

        Raises
        ------
        MemoryError
            Fewer bytes are left.
        """
        with self.lock:
            if wanted > self.room:
                raise MemoryError(f"{SHARE:.0%} of the memory that was free is used")
            self.room -= wanted

    def remove(self) -> None:
        """Remove all blocks of the stage."""
        self.parts = {}

    def leave(self) -> None:
        """Remove all blocks of the stage, which no other process can share."""
        self.remove()


@final
class _MemoryEntry(CachedPart):
    def __init__(self, stage: MemoryStage, position: int) -> None:
        self.stage = stage
        self.position = position
        self.blocks: list[Block] = []

    def add(self, block: Block) -> None:
        self.stage.take(nbytes(block))
        self.blocks.append(copied(block))

    def finish(self) -> None:
        self.stage.parts[self.position] = tuple(self.blocks)
        self.blocks = []

    def discard(self) -> None:
        self.stage.take(-sum(map(nbytes, self.blocks)))
        self.blocks = []


def copied(block: Block) -> Block:
    """A copy of the block, without the columns that only outputs need."""
    weights = None if block.weights is None else block.weights.copy()
    return Block(np.array(block.rows, order="C"), weights, lengths=block.lengths)


def nbytes(block: Block) -> int:
    """Bytes of a block's arrays."""
    return block.rows.nbytes + (0 if block.weights is None else block.weights.nbytes)
