"""What a source doesn't tell before it is read, for those who must know."""

from collections.abc import Iterator
from typing import Any

from daskgmm.data.source import Block, Part, Source
from daskgmm.data.storage.retry import retried
from daskgmm.passes.engine.client import compute
from daskgmm.passes.engine.graph import pass_graph
from daskgmm.passes.engine.grouping import group_unmeasured
from daskgmm.passes.engine.keys import Phase, token
from daskgmm.passes.engine.work import OnPart, Work


def lengths_of(source: Source) -> tuple[int, ...]:
    """Rows of each part, counted in a pass where the source doesn't know them."""
    if source.lengths is not None:
        return source.lengths
    groups = group_unmeasured(len(source.parts))
    graph, root = pass_graph(source, groups, Work(_begin, _join, None), "gmm-init", token())
    lengths: tuple[int, ...] = compute(graph, root, Phase.INITIALISATION)
    return lengths


@retried
def kept_columns(source: Source) -> Any:
    """The schema of the columns that blocks carry along, by the first rows that there are."""
    for part in source.parts:
        for block in part.read():
            if block.kept is None:
                return None
            if block.rows.shape[1]:
                return block.kept.schema
    return None


def _begin(argument: None) -> OnPart:
    del argument
    return _count


def _count(position: int, part: Part, blocks: Iterator[Block]) -> tuple[int, ...]:
    del position, part
    return (sum(block.rows.shape[1] for block in blocks),)


def _join(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return left + right
