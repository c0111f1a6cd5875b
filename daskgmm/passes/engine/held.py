"""A value that stays where it was computed, for functions that run there."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from daskgmm.data.containers.dask import is_future
from daskgmm.data.containers.task_spec import DataNode, Task, TaskRef
from daskgmm.passes.engine.client import active_client
from daskgmm.passes.engine.execution import compute, graphs_without_rows, hold
from daskgmm.passes.engine.keys import Phase, token

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Held:
    """A value, or on a cluster its future, which keeps it there.

    Parameters
    ----------
    value : object
    """

    value: Any

    @classmethod
    def of(cls, graph: Mapping[Hashable, Any], root: Hashable) -> Self:
        """Compute a key of a graph for the initialisation of a fit.

        On a cluster this returns at once, and the functions' results have its errors.
        """
        if active_client() is None:
            return cls(compute(graph, root, Phase.INITIALISATION))
        key = _fresh_key()  # no task of a pass, which would be counted again with each graph
        return cls(hold({**graph, key: Task(key, _itself, TaskRef(root))}, [key])[key])

    def apply(self, functions: Sequence[Callable[[Any], T]], keys: Sequence[Hashable]) -> list[T]:
        """Results of functions of the value, each computed by a task with one of the keys."""
        own = self.value.key if is_future(self.value) else _fresh_key()
        node = self.value if is_future(self.value) else DataNode(own, self.value)
        graph: dict[Hashable, Any] = {own: node}
        for key, function in zip(keys, functions, strict=True):
            graph[key] = Task(key, function, TaskRef(own))
        with graphs_without_rows() if is_future(self.value) else nullcontext():
            return list(compute(graph, list(keys), Phase.INITIALISATION))


def _fresh_key() -> str:
    return f"gmm-init-held-{token()}"


def _itself(value: Any) -> Any:
    return value
