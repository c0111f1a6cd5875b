"""A value that stays where it was computed, for functions that run there."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from daskgmm.data.containers.dask import is_future
from daskgmm.data.containers.task_spec import DataNode, Task, TaskRef
from daskgmm.passes.engine.client import active_client
from daskgmm.passes.engine.graph import compute, hold
from daskgmm.passes.engine.keys import Phase

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Held:
    """A key of a graph and its value, or on a cluster its future, which keeps it there.

    Parameters
    ----------
    key : hashable
    value : object
    """

    key: Hashable
    value: Any

    @classmethod
    def of(cls, graph: Mapping[Hashable, Any], key: Hashable) -> Self:
        """Compute a key of a graph for the initialisation of a fit.

        On a cluster this returns at once, and the functions' results have its errors.
        """
        if active_client() is None:
            return cls(key, compute(graph, key, Phase.INITIALISATION))
        return cls(key, hold(graph, [key])[key])

    def apply(self, functions: Sequence[Callable[[Any], T]], keys: Sequence[Hashable]) -> list[T]:
        """Results of functions of the value, each computed by a task with one of the keys."""
        node = self.value if is_future(self.value) else DataNode(self.key, self.value)
        graph: dict[Hashable, Any] = {self.key: node}
        for key, function in zip(keys, functions, strict=True):
            graph[key] = Task(key, function, TaskRef(self.key))
        return list(compute(graph, list(keys), Phase.INITIALISATION))
