"""Rows in this process's memory, sent to a cluster once instead of in every pass."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from daskgmm.data.arrays import ArrayPart
from daskgmm.data.source import Block, Source
from daskgmm.passes.engine import active_client, token


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

    def read(self, part: ArrayPart) -> Iterator[Block]:
        """Yield the part's blocks."""
        yield from part.read()


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
