"""Lengths of parts and types of columns that only reading the rows shows."""

from collections.abc import Iterator
from typing import Any

from daskgmm.data.source import Block, Part, Source
from daskgmm.passes.engine.graph import run_pass
from daskgmm.passes.engine.grouping import group_unmeasured
from daskgmm.passes.engine.keys import Phase
from daskgmm.passes.engine.work import OnPart, Work, read_part


def lengths_of(source: Source) -> tuple[int, ...]:
    """Rows of each part, counted in a pass where the source does not know them."""
    if source.lengths is not None:
        return source.lengths
    groups, work = group_unmeasured(len(source.parts)), Work(_begin, _join, None)
    lengths: tuple[int, ...] = run_pass(source, groups, work, Phase.INITIALISATION)
    return lengths


def kept_columns(source: Source) -> Any:
    """The schema of the columns that blocks carry along, taken from the first rows; or None."""
    for part in source.parts:
        for block in read_part(part, ()):
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
