"""A pass as a graph: a map over groups of parts, then a tree of sums."""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any, Protocol

from dask._task_spec import DataNode, List, Task, TaskRef

from daskgmm.data.source import Block, Part, Source
from daskgmm.data.storage.retry import retried
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.progress import tracked
from daskgmm.passes.engine.work import Add, OnPart, Work

FAN_IN = 16

TINY_BYTES = 2**20
"""Chunks that take no more together are moved to one task: several tasks would cost more."""


@dataclass(frozen=True)
class Stretch:
    """Adjacent parts that one task reads one after another.

    Parameters
    ----------
    parts : tuple of Part
    first : int
        Position of the first one in its source.
    """

    parts: tuple[Part, ...]
    first: int

    @property
    def inputs(self) -> list[Hashable]:
        """Keys of what the parts are computed from, in order."""
        return [key for part in self.parts for key in part.inputs]

    def read(self, inputs: Sequence[Any]) -> Iterator[tuple[int, Part, Iterator[Block]]]:
        """Yield each part's position, the part and its blocks."""
        values = iter(inputs)
        for position, part in enumerate(self.parts, start=self.first):
            yield position, part, part.read(*(next(values) for _ in part.inputs))


class Group(Protocol):
    """Adjacent parts whose results are added before others': a range, or one that is held."""

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
    stretch : Stretch or TaskRef
        What it reads, or the key by which the cluster knows that already.
    inputs : sequence of hashable
        Keys of the chunks that it waits for.
    """

    first: int
    stop: int
    stretch: Stretch | TaskRef
    inputs: Sequence[Hashable] = ()


@dataclass(frozen=True)
class HeldGroup:
    """A group whose tasks are laid out already.

    Parameters
    ----------
    start, stop : int
    leaves : tuple of Leaf
    """

    start: int
    stop: int
    leaves: tuple[Leaf, ...]


@retried
def _run(
    begin: Callable[[Any], OnPart], add: Add, stretch: Stretch, argument: Any, *inputs: Any
) -> Any:
    with one_thread():
        on_part = begin(argument)
        return reduce(add, (on_part(*part) for part in stretch.read(inputs)))


def _fold(add: Add, values: Sequence[Any]) -> Any:
    return reduce(add, values)


def pass_graph(
    source: Source, groups: Sequence[Group], work: Work, prefix: str, suffix: str
) -> tuple[dict[Hashable, Any], Hashable]:
    """Graph of a pass over groups of parts, and the key of its result.

    Whoever tracks passes is told of it.
    """
    work = tracked(work, prefix, suffix, len(source.parts))
    argument = f"{prefix}-argument-{suffix}"
    graph: dict[Hashable, Any] = {**source.graph, argument: DataNode(argument, work.argument)}
    leaves: list[Hashable] = []
    for number, group in enumerate(groups):
        members: list[Hashable] = []
        for leaf in group.leaves if isinstance(group, HeldGroup) else leaves_of(source, group):
            key = (f"{prefix}-{suffix}", leaf.first)
            told = (leaf.stretch, TaskRef(argument), *map(TaskRef, leaf.inputs))
            graph[key] = Task(key, _run, work.begin, work.add, *told)
            members.append(key)
        leaves.append(_sum(graph, members, work.add, (f"gmm-reduce-{suffix}", "group", number)))
    return graph, _tree(graph, leaves, work.add, suffix)


def leaves_of(source: Source, group: Group) -> list[Leaf]:
    """One task for a group's parts; where they wait for chunks computed by Dask, several.

    Chunks then stay where they are, unless they are known to be tiny.
    """
    parts = source.parts[group.start : group.stop]
    alone = any(part.inputs for part in parts)
    cuts = runs(source, group, TINY_BYTES) if alone else [(group.start, group.stop)]
    stretches = [Stretch(tuple(source.parts[first:stop]), first) for first, stop in cuts]
    return [Leaf(*cut, own, own.inputs) for cut, own in zip(cuts, stretches, strict=True)]


def runs(source: Source, group: Group, most: int) -> list[tuple[int, int]]:
    """Cut a group where the rows of its parts would take more bytes together than `most`."""
    sizes = [part_bytes(source, position) for position in range(group.start, group.stop)]
    edges, size = [group.start], 0.0
    for position, own in enumerate(sizes, group.start):
        if position > group.start and size + own > most:
            edges.append(position)
            size = 0.0
        size += own
    return list(pairwise([*edges, group.stop]))


def part_bytes(source: Source, position: int) -> float:
    """What a part's rows take in memory, infinite where nobody knows."""
    if source.lengths is None:
        return math.inf
    return source.lengths[position] * source.n_features * source.dtype.itemsize


def _sum(
    graph: dict[Hashable, Any], members: Sequence[Hashable], add: Add, key: Hashable
) -> Hashable:
    if len(members) == 1:
        return members[0]
    graph[key] = Task(key, _fold, add, List(*(TaskRef(member) for member in members)))
    return key


def _tree(
    graph: dict[Hashable, Any], leaves: Sequence[Hashable], add: Add, suffix: str
) -> Hashable:
    level, depth = list(leaves), 0
    while len(level) > 1:
        bunches = [level[start : start + FAN_IN] for start in range(0, len(level), FAN_IN)]
        level = [
            _sum(graph, bunch, add, (f"gmm-reduce-{suffix}", depth, number))
            for number, bunch in enumerate(bunches)
        ]
        depth += 1
    return level[0]
