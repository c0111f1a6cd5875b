"""What passes read, told to a cluster once instead of in every pass.

The scheduler keeps what each held value is made from, so a worker that dies takes nothing along.
"""

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from dask._task_spec import Task, TaskRef

from daskgmm.data.arrays import ArrayPart
from daskgmm.data.collections import is_future
from daskgmm.data.source import Block, Source
from daskgmm.passes.engine import active_client, hold, token
from daskgmm.passes.graph import Group, HeldGroup, Leaf, Stretch, leaves_of, part_bytes

_GATHERED_BYTES = 2**28

T = TypeVar("T")


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
    """The same rows, those in this process's memory on the active cluster if there is one."""
    if active_client() is None or not all(isinstance(part, ArrayPart) for part in source.parts):
        return source
    suffix = token()
    keys = [f"gmm-init-rows-{suffix}-{index}" for index in range(len(source.parts))]
    tasks: dict[Hashable, Any] = {
        key: Task(key, _itself, part) for key, part in zip(keys, source.parts, strict=True)
    }
    parts = [HeldPart(part.label, (key,)) for part, key in zip(source.parts, keys, strict=True)]
    return replace(source, parts=parts, graph=hold(tasks, keys))


def _itself(value: T) -> T:
    return value


@dataclass(frozen=True)
class GatheredPart:
    """A part whose blocks a worker holds.

    Parameters
    ----------
    label : str
        The part's own.
    blocks : tuple of Block
    """

    label: str
    blocks: tuple[Block, ...]
    inputs: tuple[Hashable, ...] = ()

    def read(self) -> Iterator[Block]:
        """Yield the blocks."""
        yield from self.blocks


def held_groups(source: Source, groups: Sequence[Group]) -> tuple[Source, Sequence[Group]]:
    """The same rows and groups, with what each task reads told to the active cluster once.

    Tiny chunks that the cluster holds are gathered, those of one task onto one worker, as long
    as that takes no more than 256 MiB in all.
    """
    if active_client() is None:
        return source, groups
    tasks: dict[Hashable, Any] = {}
    keys: list[Hashable] = []
    suffix, known = token(), []
    room: float = _GATHERED_BYTES
    for group in groups:
        leaves = leaves_of(source, group)
        for index, leaf in enumerate(leaves):
            size = _gathered_bytes(source, leaf)
            if size <= room:
                key = f"gmm-init-group-{suffix}-{leaf.first}"
                keys.append(key)
                tasks |= _holding(source, key, leaf)
                leaves[index] = replace(leaf, stretch=TaskRef(key), inputs=())
                room -= size
        known.append(HeldGroup(group.start, group.stop, tuple(leaves)))
    waiting = any(leaf.inputs for group in known for leaf in group.leaves)
    graph = {**(source.graph if waiting else {}), **hold(tasks, keys)}
    return replace(source, graph=graph), known


def _gathered_bytes(source: Source, leaf: Leaf) -> float:
    """Memory that holding a task's rows would take; infinite where nothing would be gained."""
    if not leaf.inputs:
        return 0.0
    if len(leaf.inputs) == 1 or not all(is_future(source.graph[key]) for key in leaf.inputs):
        return math.inf
    return sum(part_bytes(source, position) for position in range(leaf.first, leaf.stop))


def _holding(source: Source, key: Hashable, leaf: Leaf) -> dict[Hashable, Any]:
    """The task whose value is what a leaf reads, with what it needs."""
    if not leaf.inputs:
        return {key: Task(key, _itself, leaf.stretch)}
    chunks = {name: source.graph[name] for name in leaf.inputs}
    return {**chunks, key: Task(key, _gathered, leaf.stretch, *map(TaskRef, leaf.inputs))}


def _gathered(stretch: Stretch, *inputs: Any) -> Stretch:
    parts = tuple(
        GatheredPart(part.label, tuple(blocks)) for _, part, blocks in stretch.read(inputs)
    )
    return Stretch(parts, stretch.first)
