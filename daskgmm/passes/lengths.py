"""Lengths of parts and types of columns that only reading the rows shows."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from daskgmm.data.containers.dask import ChunkPart, is_future
from daskgmm.data.source import Block, Part, Source
from daskgmm.passes.engine.client import active_client
from daskgmm.passes.engine.graph import run_pass
from daskgmm.passes.engine.grouping import group_unmeasured
from daskgmm.passes.engine.keys import Phase
from daskgmm.passes.engine.work import OnStretch, Work, each_part, read_part


def lengths_of(source: Source) -> tuple[int, ...]:
    """Rows of each part, counted in a pass where the source does not know them."""
    if source.lengths is not None:
        return source.lengths
    groups, work = group_unmeasured(len(source.parts)), Work(_begin, _join, None)
    lengths: tuple[int, ...] = run_pass(source, groups, work, Phase.INITIALISATION)
    return lengths


def counted_if_persisted(source: Source) -> Source:
    """The same rows, their lengths counted if the cluster holds all chunks of unknown lengths.

    Passes over them can then be grouped, and tiny chunks gathered, from the first pass on.
    """
    if source.lengths is not None or not source.parts or not all(map(_is_chunk, source.parts)):
        return source
    if active_client() is None or not all(map(is_future, source.graph.values())):
        return source
    keys = [part.inputs[0] for part in source.parts]
    found = _counted_in_place([source.graph[key] for key in keys])
    known = all(key in found for key in keys)
    lengths = tuple(found[key] for key in keys) if known else lengths_of(source)
    return replace(source, lengths=lengths)


def _is_chunk(part: Part) -> bool:
    return isinstance(part, ChunkPart)


def _counted_in_place(futures: Sequence[Any]) -> dict[Hashable, int]:
    """Rows of the chunks that lie in workers' memory, without a task for each of them."""
    if not all(future.status == "finished" for future in futures):
        return {}
    client, keys = active_client(), [future.key for future in futures]
    found: dict[Hashable, int] = {}
    for own in client.run(_rows_in_memory, keys, on_error="ignore").values():
        found |= own
    return found


def _rows_in_memory(keys: Sequence[Hashable], dask_worker: Any) -> dict[Hashable, int]:
    """Rows of those chunks that a worker has in memory; it reads none back from its disk."""
    held = getattr(dask_worker.data, "memory", dask_worker.data)
    return {key: len(held[key]) for key in keys if key in held}


def kept_columns(source: Source) -> Any:
    """The schema of the columns that blocks carry along, taken from the first rows; or None."""
    for part in source.parts:
        for block in read_part(part, ()):
            if block.kept is None:
                return None
            if block.rows.shape[1]:
                return block.kept.schema
    return None


def _begin(argument: None) -> OnStretch:
    del argument
    return each_part(_count, _join)


def _count(position: int, part: Part, blocks: Iterator[Block]) -> tuple[int, ...]:
    del position, part
    return (sum(block.rows.shape[1] for block in blocks),)


def _join(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return left + right
