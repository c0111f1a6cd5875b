"""Rows held on a cluster during a fit, so that they are sent or decoded once and not in every pass.

The scheduler knows how each held value is computed, so nothing is lost with a worker that dies.
"""

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, TypeVar

from dask.sizeof import sizeof

from daskgmm.data.containers.arrays import ArrayPart
from daskgmm.data.containers.dask import InlinePart, is_future, require_complete
from daskgmm.data.containers.subgraph import closure, shared_tasks
from daskgmm.data.containers.task_spec import DataNode, GraphNode, Task
from daskgmm.data.source import Block, Part, Source, TextPart, aligned, text_at
from daskgmm.passes.cache.memory import copied, nbytes
from daskgmm.passes.engine.client import active_client
from daskgmm.passes.engine.execution import hold
from daskgmm.passes.engine.grouping import Bundle, bundled
from daskgmm.passes.engine.keys import Phase, counted, token
from daskgmm.passes.engine.leaves import cut_by_bytes
from daskgmm.passes.engine.work import read_part
from daskgmm.passes.engine.workers import explaining_losses
from daskgmm.passes.memory import rows_bytes

logger = logging.getLogger(__name__)

_SENT_BYTES = 2**22
"""Most bytes of rows in one graph: sending keeps the scheduler busy, and Dask warns over 10 MB."""

_CARRIED_BYTES = 2**16
"""A task that carries more bytes than this probably carries rows."""

_MOST_POINTS = 16
"""More values than this that all chunks need are rows, not a few means and scales."""

T = TypeVar("T")


@dataclass(frozen=True)
class HeldPart:
    """A part that a worker holds.

    Parameters
    ----------
    label : str
        Label of the part.
    inputs : tuple of str
        Key of the part on the cluster.
    text : TextPart or None
        The part itself, where it is of text.
    labels : tuple of str
        Labels of the parts that it joins, if it joins several.
    """

    label: str
    inputs: tuple[str, ...]
    text: TextPart | None = None
    labels: tuple[str, ...] = ()

    def text_at(self, row: int, feature: int | None = None) -> tuple[int, str] | None:
        """Line of a row and text of a feature, as `TextPart.text_at` returns; or ``None``."""
        return None if self.text is None else text_at(self.text, row, feature)

    def read(self, part: Part) -> Iterator[Block]:
        """Yield the blocks of the part that the worker holds."""
        yield from map(_aligned, part.read())


@dataclass(frozen=True, eq=False)
class DecodedPart:
    """A part with its blocks as they were decoded.

    Parameters
    ----------
    label : str
        Label of the part.
    blocks : tuple of Block
    inputs : tuple of hashable
        None: it holds its rows.
    labels : tuple of str
        Labels of the parts that it joins, if it joins several.
    """

    label: str
    blocks: tuple[Block, ...]
    inputs: tuple[Hashable, ...] = ()
    labels: tuple[str, ...] = ()

    def read(self, *inputs: Any) -> Iterator[Block]:  # noqa: ARG002  the protocol's signature
        """Yield the decoded blocks."""
        yield from map(_aligned, self.blocks)

    def __sizeof__(self) -> int:  # Dask counts it as memory of the worker
        return object.__sizeof__(self) + sum(map(nbytes, self.blocks))


def _aligned(block: Block) -> Block:
    weights = None if block.weights is None else aligned(block.weights)
    return replace(block, rows=aligned(block.rows), weights=weights)


def held(source: Source) -> Source:
    """The same rows, with those in this process's memory sent to the active cluster.

    Of a Dask collection, the cluster also keeps the values that all chunks need. Without a
    cluster the source is returned as it is.
    """
    if active_client() is None:
        require_complete(source)
        return source
    if source.graph:
        persisted = all(map(is_future, source.graph.values()))
        return source if persisted else _graph_held(source)
    if not all(isinstance(part, ArrayPart) for part in source.parts):
        return source
    suffix = token()
    keys = [f"gmm-init-rows-{suffix}-{index}" for index in range(len(source.parts))]
    graph: dict[Hashable, Any] = {}
    for start, stop in cut_by_bytes(source, range(len(keys)), _SENT_BYTES):
        own = dict(zip(keys[start:stop], source.parts[start:stop], strict=True))
        graph |= hold({key: Task(key, _itself, part) for key, part in own.items()}, list(own))
    parts = [HeldPart(part.label, (key,)) for part, key in zip(source.parts, keys, strict=True)]
    return replace(source, parts=parts, graph=graph)


def _graph_held(source: Source) -> Source:
    """The same chunks, holding the rows that their tasks carry and the values that all need.

    Tasks that only one chunk needs go into its part. Chunks may share other tasks, as after a
    rechunk: the values of those may be as large as all rows, so each pass computes them anew.
    """
    graph, wanted = dict(source.graph), [part.inputs for part in source.parts]
    needed = closure(graph, [key for own in wanted for key in own])
    graph = {key: graph[key] for key in graph if key in needed}
    _hold_all(graph, [key for key in _carrying(graph, _CARRIED_BYTES) if not _needs(graph, key)])
    points, shared = shared_tasks(graph, wanted)
    if len(points) > _MOST_POINTS or _shuffles(graph):
        points, shared = [], True
    _hold_all(graph, points)
    _hold_all(graph, _carrying(graph, _CARRIED_BYTES))
    if shared:
        _hold_all(graph, [key for key, node in graph.items() if isinstance(node, DataNode)])
    parts = source.parts if shared else [_own(graph, part) for part in source.parts]
    needed = closure(graph, [key for part in parts for key in part.inputs])
    graph = {key: graph[key] for key in graph if key in needed}
    return replace(source, parts=parts, graph=graph)


def _own(graph: Mapping[Hashable, Any], part: Any) -> Part:
    """A chunk's part with the tasks that only it needs inside."""
    needed = sorted(closure(graph, part.inputs), key=str)
    tasks = {key: graph[key] for key in needed if key in graph and not is_future(graph[key])}
    inputs = tuple(key for key in needed if key not in tasks)
    if not tasks or not inputs:  # without inputs the sums would have another shape
        unchanged: Part = part
        return unchanged
    return InlinePart(part.index, part.columns, tasks, part.inputs, inputs)


def _hold_all(graph: dict[Hashable, Any], keys: Sequence[Hashable]) -> None:
    """Compute some keys of a graph on the cluster, and put the futures in their place.

    Keys are sent in several graphs, so that none carries many bytes.
    """
    batch: list[Hashable] = []
    size = 0
    for key in keys:
        own = sizeof(graph[key])
        if batch and size + own > _SENT_BYTES:
            _hold_together(graph, batch)
            batch, size = [], 0
        batch.append(key)
        size += own
    if batch:
        _hold_together(graph, batch)


def _hold_together(graph: dict[Hashable, Any], keys: Sequence[Hashable]) -> None:
    needed = closure(graph, keys)
    graph |= hold({key: graph[key] for key in graph if key in needed}, keys)


def _carrying(graph: Mapping[Hashable, Any], n_bytes: int) -> list[Hashable]:
    """Keys of tasks that carry more bytes than this in their arguments."""
    return [
        key for key, node in graph.items() if isinstance(node, GraphNode) and sizeof(node) > n_bytes
    ]


def _needs(graph: Mapping[Hashable, Any], key: Hashable) -> bool:
    return bool(graph[key].dependencies)


def _shuffles(graph: Mapping[Hashable, Any]) -> bool:
    """Whether a shuffle moves rows between partitions: its tasks can't run separately."""
    functions = (getattr(node, "func", None) for node in graph.values())
    return any("shuffle" in (getattr(one, "__module__", None) or "") for one in functions)


def _itself(value: T) -> T:
    return value


@contextmanager
def decoded(source: Source, client: Any, room: int) -> Iterator[Source]:
    """The same rows, decoded once by the cluster's workers, which hold them during the block.

    Dask then sends tasks to their rows, spills rows to disk where memory is short, decodes
    again the blocks lost with a worker, and releases everything if the client is killed. Tiny
    parts are bundled, and each bundle is decoded by one task, where the source knows its lengths.

    Parameters
    ----------
    source : Source
    client : distributed.Client
    room : int
        Bytes that may be held, if the source knows its lengths. Parts beyond are decoded in each
        pass.
    """
    source = source if source.lengths is None else bundled(source, source.lengths)
    count = _fitting(source, room)
    suffix = token()
    keys = [f"gmm-init-decoded-{suffix}-{index}" for index in range(count)]
    with explaining_losses(), counted(Phase.INITIALISATION):
        futures = client.map(_decode, list(source.parts[:count]), key=keys, pure=False)
    graph: dict[Hashable, Any] = {**source.graph, **dict(zip(keys, futures, strict=True))}
    try:
        yield replace(held_as(source, keys), graph=graph)
    finally:
        for future in futures:  # an error's traceback may hold this frame for long
            future.release()


def held_as(source: Source, keys: Sequence[str]) -> Source:
    """The same rows, with the first parts as values that a cluster has under these keys."""
    held_parts = [
        HeldPart(
            part.label,
            (key,),
            part if isinstance(part, TextPart) else None,
            part.labels if isinstance(part, Bundle) else (),
        )
        for part, key in zip(source.parts, keys, strict=False)
    ]
    return replace(source, parts=[*held_parts, *source.parts[len(keys) :]])


def _fitting(source: Source, room: int) -> int:
    """Number of leading parts with rows that fit together."""
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
    return DecodedPart(part.label, tuple(map(_once_copied, read_part(part, ()))))


def _once_copied(block: Block) -> Block:
    return block if block.lengths else copied(block)  # a bundle's block is a copy
