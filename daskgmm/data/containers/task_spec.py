"""The names of Dask's private module `dask._task_spec` that graphs here are made of.

This is the only import of that module, so a release of Dask that moves or changes it affects
one place. `Task` is a call: a key, a function and its arguments; `TaskRef` among the arguments
stands for another key's value, `List` for a list with such references in it; `DataNode` is a key
with a constant; `Alias` is another name of a key; `GraphNode` is the base class of all values of
a graph, which has ``dependencies``; `convert_legacy_graph` turns tuples of older graphs into
these.
"""

from dask._task_spec import Alias, DataNode, GraphNode, List, Task, TaskRef, convert_legacy_graph

__all__ = ["Alias", "DataNode", "GraphNode", "List", "Task", "TaskRef", "convert_legacy_graph"]
