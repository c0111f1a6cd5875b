"""The tasks of a Dask graph that chunks need, and their evaluation without a scheduler.

Dask's schedulers, and tasks that Dask fused from several, order a graph and set up its state each
time. For small chunks that takes longer than the work.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from daskgmm.data.containers.task_spec import GraphNode, Task

Piece: TypeAlias = Mapping[Hashable, GraphNode]

_SEVERAL = -1
"""Stands for the chunks that need a task, if they are several but not all."""


def closure(graph: Mapping[Hashable, Any], keys: Sequence[Hashable]) -> set[Hashable]:
    """Keys of all tasks that some keys of a graph need, these keys included.

    A frame made of a persisted array has no futures in its graph: keys missing from it are those
    of values on the cluster.
    """
    found: set[Hashable] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting.extend(getattr(graph.get(key), "dependencies", ()))
    return found


def shared_tasks(
    graph: Mapping[Hashable, Any], wanted: Sequence[Sequence[Hashable]]
) -> tuple[list[Hashable], bool]:
    """Tasks whose values all chunks need, and whether some chunks share other tasks besides.

    Tasks that only such a task needs do not count: a mean that all chunks need depends on the rows
    of all chunks.

    Parameters
    ----------
    graph : mapping
        Other values than tasks have no dependencies.
    wanted : sequence of sequence of hashable
        Keys of each chunk.
    """
    together = closure(graph, [key for own in wanted for key in own])
    needs = {key: getattr(graph.get(key), "dependencies", ()) for key in together}
    users = Counter(needed for own in needs.values() for needed in own)
    owners: defaultdict[Hashable, set[int]] = defaultdict(set)
    for index, own in enumerate(wanted):
        for key in own:
            owners[key].add(index)
    everyone, shared = [], False
    ready = [key for key in together if not users[key]]
    while ready:
        key = ready.pop()
        found = owners.pop(key, set())
        if isinstance(graph.get(key), GraphNode):
            if len(found) == len(wanted) > 1 and _SEVERAL not in found:
                everyone.append(key)
                found = set()
            elif len(found) > 1 or _SEVERAL in found:
                shared, found = True, {_SEVERAL}
        for needed in needs[key]:
            owners[needed] |= found
            users[needed] -= 1
            if not users[needed]:
                ready.append(needed)
    return everyone, shared


def evaluate(
    piece: Piece, keys: Sequence[Hashable], given: Mapping[Hashable, Any] | None = None
) -> list[Any]:
    """Values of some keys of a piece; other values are released after their last use.

    Parameters
    ----------
    piece : Mapping
        Tasks that need only each other and the given values.
    keys : sequence of hashable
    given : Mapping, optional
        Values that are known already.
    """
    values = dict(given or ())
    uses = Counter(needed for task in piece.values() for needed in task.dependencies)
    uses.update(keys)
    done, waiting = set(values), list(keys)
    while waiting:
        key = waiting[-1]
        task = piece[key] if key not in done else None
        missing = [] if task is None else [one for one in task.dependencies if one not in done]
        if missing:
            waiting.extend(missing)
            continue
        waiting.pop()
        if task is not None:
            values[key] = _run(task, values)
            done.add(key)
            _release(task.dependencies, uses, values)
    return [values[key] for key in keys]


def _run(task: GraphNode, values: Mapping[Hashable, Any]) -> Any:
    if isinstance(task, Task) and task.has_subgraph():
        task = Task(task.key, _evaluate_fused, *task.args)
    return task(values)


def _evaluate_fused(piece: Piece, out: Hashable, names: Sequence[Hashable], *values: Any) -> Any:
    return evaluate(piece, [out], dict(zip(names, values, strict=True)))[0]


def _release(
    used: Iterable[Hashable], uses: Counter[Hashable], values: dict[Hashable, Any]
) -> None:
    for key in used:
        uses[key] -= 1
        if not uses[key]:
            del values[key]
