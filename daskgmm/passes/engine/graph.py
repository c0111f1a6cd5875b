"""A pass as a graph: a map over groups of parts, then a tree of sums.

`run_pass` builds the graph and runs it; each of its tasks is a call of `_sum_parts`.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate, groupby
from typing import Any

from dask.sizeof import sizeof

from daskgmm.data.containers.task_spec import DataNode, List, Task, TaskRef
from daskgmm.data.source import Source
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.client import active_client
from daskgmm.passes.engine.execution import compute, sent, sent_bytes
from daskgmm.passes.engine.keys import Phase, shared_key, token
from daskgmm.passes.engine.leaves import Group, HeldGroup, Stretches, leaves_of
from daskgmm.passes.engine.progress import tracked
from daskgmm.passes.engine.work import Add, OnStretch, Work

FAN_IN = 16
"""Most results that one task of the tree adds up."""

ADDED_BYTES = 2**26
"""Bytes of results that one task of the tree adds up, unless two take more."""

REPEATED_BYTES = 2**20
"""Bytes of a pass's argument over all tasks that are sent with each of them, at most. A node of
its own takes a round trip more before the first task: about 10 ms."""

SENT_BYTES = 2**22
"""Bytes of a pass's argument above which it is sent ahead of the graph."""


def fan_in(result_bytes: int) -> int:
    """Number of results of this size that one task of the tree adds up."""
    return min(max(ADDED_BYTES // max(result_bytes, 1), 2), FAN_IN)


@dataclass(frozen=True, eq=False)
class Shared:
    """A pass's argument as all tasks have it from one node.

    Dask reckons with what a task has to fetch, and would let the one worker that has a large
    argument do nearly all tasks. Each worker fetches it once for all of its own, so that it counts
    as a task's share of it.

    Parameters
    ----------
    value : object
    tasks : int
        Number of tasks of the pass.
    """

    value: Any
    tasks: int

    def __sizeof__(self) -> int:
        return int(sizeof(self.value)) // self.tasks


def _sum_parts(
    begin: Callable[[Any], OnStretch],
    add_to: Add,
    stretches: Stretches,
    argument: Any,
    *inputs: Any,
) -> Any:
    """The sum of the results of a task's stretches, group by group."""
    with one_thread():
        on_stretch = begin(argument.value if isinstance(argument, Shared) else argument)
        values = iter(inputs)
        return reduce(
            add_to,
            (
                reduce(add_to, (on_stretch(stretch.read(values)) for stretch in group))
                for group in stretches
            ),
        )


def _add_all(add: Add, add_to: Add, values: Sequence[Any]) -> Any:
    """The sum of values that others may hold."""
    first, second, *others = values
    return reduce(add_to, others, add(first, second))


def run_pass(
    source: Source,
    groups: Sequence[Group],
    work: Work,
    phase: Phase,
) -> Any:
    """Make one pass over a source and return the sum of all parts' results.

    Parameters
    ----------
    source : Source
    groups : sequence of Group
        The parts of each task.
    work : Work
    phase : Phase
        Gives the tasks' prefix and the span that a cluster counts the pass to.

    Raises
    ------
    ClusterError
        Workers died under the tasks, or the scheduler or a store can't be reached.
    ConfigurationError
        The scheduler can't load the tasks.
    """
    graph, root = pass_graph(source, groups, work, phase.prefix, token())
    return compute(graph, root, phase)


def pass_graph(
    source: Source, groups: Sequence[Group], work: Work, prefix: str, suffix: str
) -> tuple[dict[Hashable, Any], Hashable]:
    """Graph of a pass over groups of parts, and the key of its result.

    The pass is announced to those who track progress.
    """
    work = tracked(work, prefix, suffix, len(source.parts))
    leaves_by_group = [
        group.leaves
        if isinstance(group, HeldGroup)
        else leaves_of(source, group, work.result_bytes)
        for group in groups
    ]
    graph: dict[Hashable, Any] = dict(source.graph)
    tasks = sum(map(len, leaves_by_group))
    argument = _argument(graph, work, shared_key(prefix, suffix), tasks)
    sums: list[Hashable] = []
    for number, leaves in enumerate(leaves_by_group):
        members: list[Hashable] = []
        for leaf in leaves:
            key = (f"{prefix}-{suffix}", leaf.first)
            read = (leaf.stretches, argument, *map(TaskRef, leaf.inputs))
            graph[key] = Task(key, _sum_parts, work.begin, work.add_in_task, *read)
            members.append(key)
        sums.append(_chain(graph, members, work, suffix, number))
    joined = [group.joined if isinstance(group, HeldGroup) else 1 for group in groups]
    return graph, _tree(graph, sums, joined, work, suffix)


def _argument(graph: dict[Hashable, Any], work: Work, key: str, tasks: int) -> Any:
    """The argument as tasks of a pass take it: itself where it is small, else a node of its own."""
    size = 0 if active_client() is None else sent_bytes(work.argument)
    if 0 < size * tasks <= REPEATED_BYTES:
        return work.argument
    shared = Shared(work.argument, max(tasks, 1))
    graph |= sent(key, shared) if size > SENT_BYTES else {key: DataNode(key, shared)}
    return TaskRef(key)


def _sum(
    graph: dict[Hashable, Any], members: Sequence[Hashable], work: Work, key: Hashable
) -> Hashable:
    if len(members) == 1:
        return members[0]
    values = List(*(TaskRef(member) for member in members))
    graph[key] = Task(key, _add_all, work.add, work.add_in_task, values)
    return key


def _chain(
    graph: dict[Hashable, Any], members: Sequence[Hashable], work: Work, suffix: str, group: int
) -> Hashable:
    """Add up a group's results from the first to the last, as one task of all its parts does."""
    most, found = fan_in(work.result_bytes), members[0]
    for step, start in enumerate(range(1, len(members), most - 1)):
        bunch = [found, *members[start : start + most - 1]]
        found = _sum(graph, bunch, work, (f"gmm-reduce-{suffix}", "group", group, step))
    return found


def _tree(
    graph: dict[Hashable, Any],
    leaves: Sequence[Hashable],
    joined: Sequence[int],
    work: Work,
    suffix: str,
) -> Hashable:
    """Add up the groups' results, of which some are the sums of several groups already."""
    most = fan_in(work.result_bytes)
    firsts = accumulate(joined, initial=0)
    by_bunch = groupby(zip(firsts, leaves, strict=False), lambda pair: pair[0] // most)
    bunches, depth = [[key for _, key in bunch] for _, bunch in by_bunch], 0
    while True:
        level = [
            _sum(graph, bunch, work, (f"gmm-reduce-{suffix}", depth, number))
            for number, bunch in enumerate(bunches)
        ]
        if len(level) == 1:
            return level[0]
        bunches = [level[start : start + most] for start in range(0, len(level), most)]
        depth += 1
