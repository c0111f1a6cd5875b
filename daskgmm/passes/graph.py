"""A map over groups of parts, as a graph."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dask._task_spec import DataNode, Task, TaskRef

from daskgmm.data.source import Block, Part, Source
from daskgmm.passes.blas import one_thread


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


def _run(function: Callable[..., Any], stretch: Stretch, argument: Any, *inputs: Any) -> Any:
    with one_thread():
        return function(stretch.read(inputs), argument)


def map_groups(
    source: Source,
    groups: Sequence[range],
    function: Callable[..., Any],
    argument: Any,
    name: str,
) -> tuple[dict[Hashable, Any], list[Hashable]]:
    """Graph that applies ``function(stretch, argument)`` to each group, and its keys.

    The argument is one node with a key of its own, so it travels once to each worker.
    """
    prefix, _, suffix = name.rpartition("-")
    shared = f"{prefix}-argument-{suffix}"
    graph: dict[Hashable, Any] = dict(source.graph)
    graph[shared] = DataNode(shared, argument)
    keys: list[Hashable] = []
    for number, group in enumerate(groups):
        parts = tuple(source.parts[group.start : group.stop])
        inputs = [TaskRef(key) for part in parts for key in part.inputs]
        key = (name, number)
        graph[key] = Task(
            key, _run, function, Stretch(parts, group.start), TaskRef(shared), *inputs
        )
        keys.append(key)
    return graph, keys
