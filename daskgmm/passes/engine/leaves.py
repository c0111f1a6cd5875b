"""What the tasks of a pass read: groups of adjacent parts, in stretches.

Where the parts wait for chunks that Dask computes, a group has several tasks.
"""

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

from daskgmm.data.containers.task_spec import TaskRef
from daskgmm.data.source import Part, Source
from daskgmm.passes.engine.work import PartRead, read_part

TINY_BYTES = 2**20
"""Rows that take no more together are one task's: several tasks would cost more."""


@dataclass(frozen=True)
class Stretch:
    """Adjacent parts whose result is computed at once, as one task reads one after another.

    Parameters
    ----------
    parts : tuple of Part
    first : int
        Position of the first one in the source.
    """

    parts: tuple[Part, ...]
    first: int

    @property
    def stop(self) -> int:
        """Position after the last one."""
        return self.first + len(self.parts)

    @property
    def inputs(self) -> list[Hashable]:
        """Keys of the chunks that the parts are read from, in order."""
        return [key for part in self.parts for key in part.inputs]

    def read(self, values: Iterator[Any]) -> Iterator[PartRead]:
        """Yield each part's position, the part and its blocks, given the values of `inputs`."""
        for position, part in enumerate(self.parts, start=self.first):
            yield position, part, read_part(part, [next(values) for _ in part.inputs])


Stretches: TypeAlias = tuple[tuple[Stretch, ...], ...]
"""Stretches of several groups."""


class Group(Protocol):
    """Adjacent parts whose results are added first: a range of positions, or a `HeldGroup`."""

    @property
    def start(self) -> int:
        """Position of the first part."""

    @property
    def stop(self) -> int:
        """Position after the last part."""


@dataclass(frozen=True)
class Leaf:
    """One task of a pass.

    Parameters
    ----------
    first, stop : int
        Positions of its first part and after its last one.
    stretches : Stretches or TaskRef
        The parts that it reads, or the key of a value on the cluster that lists them. It adds up
        each group's stretches, then their sums.
    inputs : sequence of hashable
        Keys of the chunks that it waits for.
    """

    first: int
    stop: int
    stretches: Stretches | TaskRef
    inputs: Sequence[Hashable] = ()


@dataclass(frozen=True)
class HeldGroup:
    """A group whose tasks are known to the cluster already.

    Parameters
    ----------
    start, stop : int
    leaves : tuple of Leaf
    joined : int
        Number of groups that its one task adds up, in place of the tree's first task of them.
    """

    start: int
    stop: int
    leaves: tuple[Leaf, ...]
    joined: int = 1


def leaves_of(source: Source, group: Group, result_bytes: int) -> list[Leaf]:
    """The tasks of a group: one, or one a stretch where parts wait for chunks computed by Dask.

    With several tasks, chunks need not move to one worker, but those of a stretch.
    """
    stretches = stretches_of(source, group, result_bytes)
    if not any(stretch.inputs for stretch in stretches):
        return [Leaf(group.start, group.stop, (stretches,))]
    return [Leaf(own.first, own.stop, ((own,),), own.inputs) for own in stretches]


def stretches_of(source: Source, group: Group, result_bytes: int) -> tuple[Stretch, ...]:
    """The stretches of a group: their rows are tiny, or take no more bytes than their result.

    To make and to move more results would take longer than to move rows.
    """
    cuts = cut_by_bytes(source, group, max(TINY_BYTES, result_bytes))
    return tuple(Stretch(tuple(source.parts[first:stop]), first) for first, stop in cuts)


def cut_by_bytes(source: Source, group: Group, most: int) -> list[tuple[int, int]]:
    """Cut a group into runs of parts whose rows take at most `most` bytes together."""
    sizes = [part_bytes(source, position) for position in range(group.start, group.stop)]
    edges, size = [group.start], 0.0
    for position, own in enumerate(sizes, group.start):
        if position > group.start and size + own > most:
            edges.append(position)
            size = 0.0
        size += own
    return list(pairwise([*edges, group.stop]))


def part_bytes(source: Source, position: int) -> float:
    """Bytes of a part's rows in memory; infinite where its length is not known."""
    if source.lengths is None:
        return math.inf
    return source.lengths[position] * source.n_features * source.dtype.itemsize
