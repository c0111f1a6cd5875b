"""Each task's list of parts, sent to a cluster once, with the tiny chunks that it reads."""

import logging
import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

from dask.utils import format_bytes

from daskgmm.data.containers.dask import InlinePart, is_future
from daskgmm.data.containers.task_spec import Task, TaskRef
from daskgmm.data.source import Part, Source, labels_of
from daskgmm.passes.engine.client import active_client
from daskgmm.passes.engine.graph import (
    Group,
    HeldGroup,
    Leaf,
    Stretch,
    hold,
    leaves_of,
    part_bytes,
)
from daskgmm.passes.engine.keys import token
from daskgmm.passes.engine.persist import DecodedPart

logger = logging.getLogger(__name__)

_GATHERED_BYTES = 2**28
"""Most bytes of tiny chunks that are gathered onto workers, in all."""


def held_groups(source: Source, groups: Sequence[Group]) -> tuple[Source, Sequence[Group]]:
    """The same rows and groups, with each task's list of parts sent to the active cluster once.

    Tiny chunks that the cluster holds are gathered, those of one task onto one worker, up to
    256 MiB in all, which are then held twice. Others are read where they are, in place.
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
            elif any(map(_has_tasks, source.parts[leaf.first : leaf.stop])):
                key = f"gmm-init-group-{suffix}-{leaf.first}"
                keys.append(key)
                tasks[key] = Task(key, _unchanged, leaf.stretch)
                leaves[index] = replace(leaf, stretch=TaskRef(key))
        known.append(HeldGroup(group.start, group.stop, tuple(leaves)))
    if room < _GATHERED_BYTES:
        logger.info(
            "Small chunks that the cluster holds, %s in all, are held a second time during the "
            "fit, those of a task together. Larger chunks are not: X.rechunk() saves the memory.",
            format_bytes(_GATHERED_BYTES - room),
        )
    waiting = any(leaf.inputs for group in known for leaf in group.leaves)
    graph = {**(source.graph if waiting else {}), **hold(tasks, keys)}
    return replace(source, graph=graph), known


def _gathered_bytes(source: Source, leaf: Leaf) -> float:
    """Bytes that gathering a task's chunks takes; infinite where that gains nothing."""
    if not leaf.inputs:
        return 0.0
    if len(leaf.inputs) == 1 or not all(is_future(source.graph.get(key)) for key in leaf.inputs):
        return math.inf
    if leaf.stop - leaf.first == 1 and isinstance(source.parts[leaf.first], InlinePart):
        return math.inf
    return sum(part_bytes(source, position) for position in range(leaf.first, leaf.stop))


def _has_tasks(part: Part) -> bool:
    return any(isinstance(one, InlinePart) for one in getattr(part, "parts", (part,)))


def _holding(source: Source, key: Hashable, leaf: Leaf) -> dict[Hashable, Any]:
    """Graph of a task that returns the parts that a leaf reads."""
    if not leaf.inputs:
        return {key: Task(key, _unchanged, leaf.stretch)}
    chunks = {name: source.graph[name] for name in leaf.inputs}
    return {**chunks, key: Task(key, _gathered, leaf.stretch, *map(TaskRef, leaf.inputs))}


def _gathered(stretch: Stretch, *inputs: Any) -> Stretch:
    parts = tuple(
        DecodedPart(part.label, tuple(blocks), labels=labels_of(part))
        for _, part, blocks in stretch.read(inputs)
    )
    return Stretch(parts, stretch.first)


def _unchanged(stretch: Stretch) -> Stretch:
    return stretch
