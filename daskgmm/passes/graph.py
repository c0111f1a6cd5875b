"""A pass as a graph: a map over groups of parts, then a tree of sums."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, TypeAlias

from dask._task_spec import DataNode, List, Task, TaskRef

from daskgmm.data.source import Block, Part, Source
from daskgmm.passes.blas import one_thread

FAN_IN = 16

Add: TypeAlias = Callable[[Any, Any], Any]


class OnPart(Protocol):
    """What a pass does with one part."""

    def __call__(self, position: int, part: Part, blocks: Iterator[Block]) -> Any:
        """Return the part's own result, to be added to its neighbours'."""


@dataclass(frozen=True, eq=False)
class Work:
    """What a pass computes.

    Parts are computed each by itself and added in their order, whether one task takes several
    or each has its own: the result hangs on the parts alone.

    Parameters
    ----------
    begin : callable
        Given the argument, returns the `OnPart` of one task, with its work arrays.
    add : callable
        Adds two parts' results.
    argument : object
        Travels once to each worker.
    """

    begin: Callable[[Any], OnPart]
    add: Add
    argument: Any


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

    def read(self, inputs: Sequence[Any]) -> Iterator[tuple[int, Part, Iterator[Block]]]:
        """Yield each part's position, the part and its blocks."""
        values = iter(inputs)
        for position, part in enumerate(self.parts, start=self.first):
            yield position, part, part.read(*(next(values) for _ in part.inputs))


def _run(
    begin: Callable[[Any], OnPart], add: Add, stretch: Stretch, argument: Any, *inputs: Any
) -> Any:
    with one_thread():
        on_part = begin(argument)
        return reduce(add, (on_part(*part) for part in stretch.read(inputs)))


def _fold(add: Add, values: Sequence[Any]) -> Any:
    return reduce(add, values)


def pass_graph(
    source: Source, groups: Sequence[range], work: Work, prefix: str, suffix: str
) -> tuple[dict[Hashable, Any], Hashable]:
    """Graph of a pass over groups of parts, and the key of its result.

    Parts that wait for chunks computed by Dask get tasks of their own, so that chunks stay
    where they are, and are added group by group all the same.
    """
    argument = f"{prefix}-argument-{suffix}"
    graph: dict[Hashable, Any] = {**source.graph, argument: DataNode(argument, work.argument)}
    leaves: list[Hashable] = []
    for number, group in enumerate(groups):
        parts = tuple(source.parts[group.start : group.stop])
        alone = any(part.inputs for part in parts)
        stretches = [Stretch((part,), i) for i, part in zip(group, parts, strict=True)]
        members: list[Hashable] = []
        for stretch in stretches if alone else [Stretch(parts, group.start)]:
            key = (f"{prefix}-{suffix}", stretch.first)
            inputs = [TaskRef(wanted) for part in stretch.parts for wanted in part.inputs]
            graph[key] = Task(key, _run, work.begin, work.add, stretch, TaskRef(argument), *inputs)
            members.append(key)
        leaves.append(_sum(graph, members, work.add, (f"gmm-reduce-{suffix}", "group", number)))
    return graph, _tree(graph, leaves, work.add, suffix)


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
