"""Sums as a tree of fixed fan-in: nothing is added in order of arrival."""

from collections.abc import Callable, Hashable, Sequence
from functools import reduce
from typing import Any

from dask._task_spec import List, Task, TaskRef

FAN_IN = 16


def _fold(add: Callable[[Any, Any], Any], values: Sequence[Any]) -> Any:
    return reduce(add, values)


def tree(
    leaves: Sequence[Hashable], add: Callable[[Any, Any], Any], suffix: str
) -> tuple[dict[Hashable, Any], Hashable]:
    """Graph that adds the values of `leaves` up in order, and the key of the sum."""
    graph: dict[Hashable, Any] = {}
    level, depth = list(leaves), 0
    while len(level) > 1:
        above: list[Hashable] = []
        for start in range(0, len(level), FAN_IN):
            key = (f"gmm-reduce-{suffix}", depth, start // FAN_IN)
            values = List(*(TaskRef(leaf) for leaf in level[start : start + FAN_IN]))
            graph[key] = Task(key, _fold, add, values)
            above.append(key)
        level, depth = above, depth + 1
    return graph, level[0]
