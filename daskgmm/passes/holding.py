"""Rows that workers of a cluster hold: sent or decoded once instead of in every pass."""

import logging
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from daskgmm.data.arrays import ArrayPart
from daskgmm.data.source import Block, Part, Source, aligned
from daskgmm.passes.engine import active_client, token
from daskgmm.passes.memory import rows_bytes
from daskgmm.passes.stage_memory import copied, nbytes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldPart:
    """A part that a worker holds.

    Parameters
    ----------
    label : str
        The part's own.
    inputs : tuple of str
        Key of the part itself.
    """

    label: str
    inputs: tuple[str, ...]

    def read(self, part: "ArrayPart | DecodedPart") -> Iterator[Block]:
        """Yield the part's blocks."""
        for block in part.read():
            weights = None if block.weights is None else aligned(block.weights)
            yield Block(aligned(block.rows), weights)


@dataclass(frozen=True, eq=False)
class DecodedPart:
    """A part's blocks as they were decoded.

    Parameters
    ----------
    blocks : tuple of Block
    """

    blocks: tuple[Block, ...]

    def read(self) -> Iterator[Block]:
        """Yield the blocks."""
        yield from self.blocks

    def __sizeof__(self) -> int:  # what Dask counts as a worker's
        return object.__sizeof__(self) + sum(map(nbytes, self.blocks))


def held(source: Source) -> Source:
    """The same rows, on the workers of the active cluster if there is one.

    The scheduler keeps what each part is made from, so a worker that dies takes nothing along.
    """
    client = active_client()
    if client is None or not all(isinstance(part, ArrayPart) for part in source.parts):
        return source
    suffix = token()
    keys = [f"gmm-init-rows-{suffix}-{index}" for index in range(len(source.parts))]
    graph: dict[Hashable, Any] = {
        key: client.submit(_itself, part, key=key, pure=False)
        for key, part in zip(keys, source.parts, strict=True)
    }
    parts = [HeldPart(part.label, (key,)) for part, key in zip(source.parts, keys, strict=True)]
    return replace(source, parts=parts, graph=graph)


def _itself(part: ArrayPart) -> ArrayPart:
    return part


@contextmanager
def decoded(source: Source, client: Any, room: int) -> Iterator[Source]:
    """The same rows, decoded once by the cluster's workers, which hold them for the block.

    As Dask knows of them it sends tasks where their rows are, writes rows to disk where memory
    is short, decodes again what is lost with a worker, and forgets all if the client is killed.

    Parameters
    ----------
    source : Source
    client : distributed.Client
    room : int
        Bytes that may be held, if the source knows its lengths; other parts are decoded in
        each pass.
    """
    count = _fitting(source, room)
    suffix = token()
    keys = [f"gmm-init-decoded-{suffix}-{index}" for index in range(count)]
    futures = client.map(_decode, list(source.parts[:count]), key=keys, pure=False)
    held_parts = [
        HeldPart(part.label, (key,)) for part, key in zip(source.parts, keys, strict=False)
    ]
    graph: dict[Hashable, Any] = {**source.graph, **dict(zip(keys, futures, strict=True))}
    try:
        yield replace(source, parts=[*held_parts, *source.parts[count:]], graph=graph)
    finally:
        for future in futures:  # an error's traceback may hold this frame for long
            future.release()


def _fitting(source: Source, room: int) -> int:
    """How many parts from the first on fit."""
    wanted, lengths = rows_bytes(source), source.lengths
    if wanted is None or lengths is None or wanted <= room:
        return len(source.parts)
    ends = accumulate(length * wanted / sum(lengths) for length in lengths)
    count = sum(end <= room for end in ends)
    logger.warning(
        "Memory has room for the rows of %d of %d parts; the others are decoded in each pass.",
        count,
        len(lengths),
    )
    return count


def _decode(part: Part) -> DecodedPart:
    return DecodedPart(tuple(map(copied, part.read())))
