"""Each task's list of parts, sent to a cluster once, with the tiny chunks that it reads."""

import logging
import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from dask.utils import format_bytes

from daskgmm.data.containers.dask import InlinePart, is_future
from daskgmm.data.containers.task_spec import Task, TaskRef
from daskgmm.data.source import Part, Source, labels_of
from daskgmm.passes.engine.client import active_client
from daskgmm.passes.engine.execution import hold
from daskgmm.passes.engine.graph import FAN_IN, fan_in
from daskgmm.passes.engine.grouping import SECONDS_A_TASK
from daskgmm.passes.engine.keys import token
from daskgmm.passes.engine.leaves import (
    TINY_BYTES,
    Group,
    HeldGroup,
    Leaf,
    Stretch,
    Stretches,
    leaves_of,
    part_bytes,
    stretches_of,
)
from daskgmm.passes.engine.persist import DecodedPart

logger = logging.getLogger(__name__)

_FEWEST_BUNCHES = 4
"""Tasks of joined groups are more than these, so that workers share them out about evenly."""

_GATHERED_BYTES = 2**28
"""Most bytes of tiny chunks that are gathered onto workers, in all."""


def held_groups(
    source: Source,
    groups: Sequence[Group],
    cost_a_row: float = math.inf,
    result_bytes: int = 0,
) -> tuple[Source, Sequence[Group]]:
    """The same rows and groups, with each task's list of parts sent to the active cluster once.

    Tiny chunks that the cluster holds are gathered, those of one task onto one worker, up to
    256 MiB in all, which are then held twice. Others are read where they are, in place. Where so
    little is to be computed that tasks are not worth their overhead, one task takes the groups
    that the tree's first task adds up, and adds them as the tree does.

    Parameters
    ----------
    source : Source
    groups : sequence of Group
    cost_a_row : float
        Cost of a row in a pass, in seconds.
    result_bytes : int
        Bytes of a part's result.
    """
    if active_client() is None:
        return source, groups
    sending = _Sending(source)
    worth_joining = _worth_joining(groups, result_bytes)
    for start in range(0, len(groups), FAN_IN):
        bunch = groups[start : start + FAN_IN]
        whole = [leaves_of(source, group, result_bytes) for group in bunch]
        if not (worth_joining and sending.join(whole, SECONDS_A_TASK / cost_a_row, result_bytes)):
            for group, leaves in zip(bunch, whole, strict=True):
                sending.send(group, leaves)
    if sending.room < _GATHERED_BYTES:
        logger.info(
            "Small chunks that the cluster holds, %s in all, are held a second time during the "
            "fit, those of a task together. Larger chunks are not: X.rechunk() saves the memory.",
            format_bytes(_GATHERED_BYTES - sending.room),
        )
    known = sending.groups
    waiting = any(leaf.inputs for group in known for leaf in group.leaves)
    graph = {**(source.graph if waiting else {}), **hold(sending.tasks, sending.keys)}
    return replace(source, graph=graph), known


def joined_groups(
    source: Source, groups: Sequence[Group], cost_a_row: float, result_bytes: int
) -> list[Group]:
    """The groups as `held_groups` would join them if a cluster held all rows."""
    if not _worth_joining(groups, result_bytes):
        return list(groups)
    found: list[Group] = []
    room: float = _GATHERED_BYTES
    for start in range(0, len(groups), FAN_IN):
        bunch = groups[start : start + FAN_IN]
        whole = [leaves_of(source, group, result_bytes) for group in bunch]
        leaf = _one_leaf(source, whole, SECONDS_A_TASK / cost_a_row, result_bytes)
        size = math.inf if leaf is None else _bytes_of(source, leaf)
        if leaf is None or size > room:
            found += bunch
        else:
            room -= size
            found.append(HeldGroup(leaf.first, leaf.stop, (leaf,), len(whole)))
    return found


def _worth_joining(groups: Sequence[Group], result_bytes: int) -> bool:
    return len(groups) > _FEWEST_BUNCHES * FAN_IN and fan_in(result_bytes) == FAN_IN


def _one_leaf(
    source: Source, whole: Sequence[Sequence[Leaf]], most_rows: float, result_bytes: int
) -> Leaf | None:
    """One task in place of those of some groups; ``None`` if their rows are not known to be few."""
    leaves, lengths = [leaf for group in whole for leaf in group], source.lengths
    first, stop = leaves[0].first, leaves[-1].stop
    if lengths is None or sum(lengths[first:stop]) > most_rows:
        return None
    spans = [range(group[0].first, group[-1].stop) for group in whole]
    stretches = tuple(stretches_of(source, span, result_bytes) for span in spans)
    return Leaf(first, stop, stretches, [key for one in leaves for key in one.inputs])


class _Sending:
    """Groups whose lists of parts are to be sent to the cluster.

    Parameters
    ----------
    source : Source
    """

    def __init__(self, source: Source) -> None:
        self._source, self._suffix = source, token()
        self.tasks: dict[Hashable, Any] = {}
        self.keys: list[Hashable] = []
        self.groups: list[HeldGroup] = []
        self.room: float = _GATHERED_BYTES

    def join(self, whole: Sequence[Sequence[Leaf]], most_rows: float, result_bytes: int) -> bool:
        """Add some groups as one task, if their rows are few and all held in memory."""
        leaf = _one_leaf(self._source, whole, most_rows, result_bytes)
        if leaf is None:
            return False
        size = _held_bytes(self._source, leaf)
        if size > self.room:
            return False
        held = self._gather(leaf, size)
        self.groups.append(HeldGroup(leaf.first, leaf.stop, (held,), len(whole)))
        return True

    def send(self, group: Group, leaves: list[Leaf]) -> None:
        """Add a group with its tasks as they are."""
        parts = self._source.parts
        for index, leaf in enumerate(leaves):
            size = _gathered_bytes(self._source, leaf)
            if size <= self.room:
                leaves[index] = self._gather(leaf, size)
            elif any(map(_has_tasks, parts[leaf.first : leaf.stop])):
                key = self._key(leaf)
                self.tasks[key] = Task(key, _unchanged, leaf.stretches)
                leaves[index] = replace(leaf, stretches=TaskRef(key))
        self.groups.append(HeldGroup(group.start, group.stop, tuple(leaves)))

    def _gather(self, leaf: Leaf, size: float) -> Leaf:
        key = self._key(leaf)
        self.tasks |= _holding(key, leaf)
        self.room -= size
        return replace(leaf, stretches=TaskRef(key), inputs=())

    def _key(self, leaf: Leaf) -> Hashable:
        key = f"gmm-init-group-{self._suffix}-{leaf.first}"
        self.keys.append(key)
        return key


def _held_bytes(source: Source, leaf: Leaf) -> float:
    """Bytes of a task's rows; infinite unless the cluster holds all of them."""
    parts = source.parts[leaf.first : leaf.stop]
    if any(map(_has_tasks, parts)) or not all(part.inputs for part in parts):
        return math.inf
    if not all(is_future(source.graph.get(key)) for key in leaf.inputs):
        return math.inf
    return _bytes_of(source, leaf)


def _bytes_of(source: Source, leaf: Leaf) -> float:
    return sum(part_bytes(source, position) for position in range(leaf.first, leaf.stop))


def _gathered_bytes(source: Source, leaf: Leaf) -> float:
    """Bytes that gathering a task's chunks takes; infinite where that gains nothing."""
    if not leaf.inputs:
        return 0.0
    if len(leaf.inputs) == 1 or not all(is_future(source.graph.get(key)) for key in leaf.inputs):
        return math.inf
    if leaf.stop - leaf.first == 1 and isinstance(source.parts[leaf.first], InlinePart):
        return math.inf
    size = _bytes_of(source, leaf)
    return size if size <= TINY_BYTES else math.inf


def _has_tasks(part: Part) -> bool:
    return any(isinstance(one, InlinePart) for one in getattr(part, "parts", (part,)))


def _holding(key: Hashable, leaf: Leaf) -> dict[Hashable, Any]:
    """Graph of a task that returns the parts that a leaf reads, of chunks that a cluster holds."""
    if not leaf.inputs:
        return {key: Task(key, _unchanged, leaf.stretches)}
    return {key: Task(key, _gathered, leaf.stretches, *map(TaskRef, leaf.inputs))}


def _gathered(stretches: Stretches, *inputs: Any) -> Stretches:
    values = iter(inputs)
    return tuple(tuple(_decoded(stretch, values) for stretch in group) for group in stretches)


def _decoded(stretch: Stretch, values: Iterator[Any]) -> Stretch:
    parts = tuple(
        DecodedPart(part.label, tuple(blocks), labels=labels_of(part))
        for _, part, blocks in stretch.read(values)
    )
    return Stretch(parts, stretch.first)


def _unchanged(stretches: Stretches) -> Stretches:
    return stretches
