"""Tiny adjacent parts, read as one: a part costs more than the few rows that are in it.

What a pass finds hangs on its parts, so bundles are cut by the parts' lengths alone.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskgmm.data.source import Block, Part, Source
from daskgmm.passes.cache.memory import copied
from daskgmm.passes.groups import FEWEST_TASKS

_BYTES = 2**20
_ROWS = 2**14


@dataclass(frozen=True)
class Bundle:
    """Adjacent parts whose rows come as one block.

    Parameters
    ----------
    parts : tuple of Part
        Two or more.
    """

    parts: tuple[Part, ...]

    @property
    def inputs(self) -> Sequence[Hashable]:
        """Those of all parts, in order."""
        return [key for part in self.parts for key in part.inputs]

    @property
    def label(self) -> str:
        """The first and the last part."""
        return f"{self.parts[0].label} to {self.parts[-1].label}"

    def read(self, *inputs: Any) -> Iterator[Block]:
        """Yield all rows as one block; none if there are no rows."""
        values = iter(inputs)
        # A block's arrays may be written over when the next one is asked for.
        blocks = [
            copied(block)
            for part in self.parts
            for block in part.read(*(next(values) for _ in part.inputs))
            if block.rows.shape[1] > 0
        ]
        if blocks:
            yield joined(blocks)


def joined(blocks: Sequence[Block]) -> Block:
    """The rows of several blocks as one."""
    weights = None
    if any(block.weights is not None for block in blocks):
        weights = np.concatenate([_weights(block) for block in blocks])
    return Block(np.concatenate([block.rows for block in blocks], axis=1), weights)


def _weights(block: Block) -> Any:
    return np.ones(block.rows.shape[1]) if block.weights is None else block.weights


def bundled(source: Source, lengths: Sequence[int]) -> Source:
    """The same rows with tiny adjacent parts bundled, and the lengths of what is then a part.

    A bundle takes at most 16,384 rows and 1 MiB; nor so many parts that they would make fewer
    tasks than `FEWEST_TASKS`, for nobody knows what a part costs to read.
    """
    most_rows = min(_ROWS, _BYTES // (source.n_features * source.dtype.itemsize))
    most_parts = -(-len(lengths) // FEWEST_TASKS)
    runs = list(_runs(lengths, most_rows, most_parts))
    return replace(
        source,
        parts=[_one(source.parts[run.start : run.stop]) for run in runs],
        lengths=tuple(sum(lengths[run.start : run.stop]) for run in runs),
    )


def _one(parts: Sequence[Part]) -> Part:
    return parts[0] if len(parts) == 1 else Bundle(tuple(parts))


def _runs(lengths: Sequence[int], most_rows: int, most_parts: int) -> Iterator[range]:
    start, rows = 0, 0
    for end, length in enumerate(lengths):
        if end > start and (rows + length > most_rows or end - start == most_parts):
            yield range(start, end)
            start, rows = end, 0
        rows += length
    yield range(start, len(lengths))
