"""Dask arrays and frames as sources: each chunk or partition is a part."""

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.base import flatten

from daskgmm.data.containers.arrays import float_type
from daskgmm.data.containers.chunks import DeclaredColumns, as_block
from daskgmm.data.containers.frames import is_real, require_distinct
from daskgmm.data.containers.subgraph import closure, evaluate
from daskgmm.data.containers.task_spec import Alias, DataNode, GraphNode, convert_legacy_graph
from daskgmm.data.source import Block, Source
from daskgmm.errors import ConfigurationError, DataError, InputTypeError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChunkPart:
    """A chunk that Dask computes, or holds in a worker's memory, and passes to the task.

    Parameters
    ----------
    index : int
        Which chunk.
    columns : DeclaredColumns
        Columns that the chunk must have.
    inputs : tuple of hashable
        Keys of the chunk and, if there are any, of its sample weights.
    """

    index: int
    columns: DeclaredColumns
    inputs: tuple[Hashable, ...]

    @property
    def label(self) -> str:
        """Name of the part in errors."""
        return f"partition {self.index}"

    def read(self, *inputs: Any) -> Iterator[Block]:
        """Yield the chunk as one block."""
        yield as_block(self.label, self.columns, *inputs)


@dataclass(frozen=True)
class InlinePart:
    """A chunk that shares no tasks with others and is evaluated in the task that reads it.

    So one task can go through many small chunks and holds one of them at a time.

    Parameters
    ----------
    index : int
        Which chunk.
    columns : DeclaredColumns
        Columns that the chunk must have.
    graph : Mapping
        All tasks that the chunk needs.
    keys : tuple of hashable
        Keys of the chunk and, if there are any, of its weights.
    inputs : tuple of hashable
        Keys of values on the cluster that the tasks need.
    """

    index: int
    columns: DeclaredColumns
    graph: Mapping[Hashable, GraphNode]
    keys: tuple[Hashable, ...]
    inputs: tuple[Hashable, ...] = ()

    @property
    def label(self) -> str:
        """Name of the part in errors."""
        return f"partition {self.index}"

    def read(self, *inputs: Any) -> Iterator[Block]:
        """Compute the chunk here and yield it as one block."""
        given = dict(zip(self.inputs, inputs, strict=True))
        yield as_block(self.label, self.columns, *evaluate(self.graph, self.keys, given))


def from_dask_array(array: Any, sample_weight: Any = None) -> Source:
    """Rows of a dask array of shape (n, D) in any row chunks, lengths known or not."""
    if array.ndim != 2:
        raise DataError(
            f"Expected 2D array, got {array.ndim}D array instead: shape={array.shape}.",
            "Reshape your data either using array.reshape(-1, 1) or array.reshape(1, -1).",
        )
    if array.dtype.kind not in "fiub":
        raise InputTypeError(f"X has dtype {array.dtype}.", "Convert it to numbers first.")
    if np.isnan(array.shape[1]):
        raise InputTypeError(
            "X is a dask array with an unknown number of columns.",
            "Call X.compute_chunk_sizes() first, or pass chunks= where it is made.",
        )
    columns = DeclaredColumns(int(array.shape[1]))
    _require_some(columns.count)
    array = in_one_column_chunk(array)
    lengths = tuple(array.chunks[0])
    known = not any(np.isnan(length) for length in lengths)
    parts, graph = parts_of(array, sample_weight, columns)
    return Source(
        parts,
        n_features=columns.count,
        dtype=array.dtype if array.dtype in (np.float32, np.float64) else np.dtype(np.float64),
        lengths=lengths if known else None,
        decoded=computed(parts),
        graph=graph,
    )


def in_one_column_chunk(array: Any) -> Any:
    """The same array with all columns of a row in one chunk."""
    if len(array.chunks[1]) == 1:
        return array
    logger.warning(
        "X has %d column chunks; rechunked so that each chunk holds whole rows. "
        "X.rechunk({1: -1}) beforehand, then persist, saves doing this in every pass.",
        len(array.chunks[1]),
    )
    return array.rechunk({1: -1})


def from_dask_frame(frame: Any, sample_weight: Any = None) -> Source:
    """Rows of a dask DataFrame; its partitions' lengths may be unknown."""
    if frame.ndim != 2:
        raise InputTypeError(
            f"X is a dask {type(frame).__name__}, not a frame of rows.",
            "Use .to_frame() if it is one feature.",
        )
    names = tuple(frame.columns)
    require_distinct(names)
    _require_some(len(names))
    require_numeric_columns(frame.dtypes)
    parts, graph = parts_of(frame, sample_weight, DeclaredColumns(len(names), names))
    double = any(float_type(kind) == np.float64 for kind in frame.dtypes)
    return Source(
        parts,
        n_features=len(names),
        dtype=np.dtype(np.float64 if double else np.float32),
        columns=names if all(isinstance(name, str) for name in names) else None,
        decoded=computed(parts),
        graph=graph,
    )


def require_numeric_columns(dtypes: Any) -> None:
    """Raise InputTypeError for the first column that is not numeric."""
    real = ", ".join(repr(name) for name, kind in dtypes.items() if is_real(kind)) or "none"
    for name, kind in dtypes.items():
        if not is_real(kind):
            raise InputTypeError(
                f"Column {name!r} has type {kind}, which is not a real number.",
                f"Drop it, or convert it to numbers; real numbers are in {real}.",
            )


def _require_some(n_features: int) -> None:
    if n_features == 0:
        raise DataError("X has no columns.", "Pass at least one feature.")


def parts_of(
    collection: Any, sample_weight: Any, columns: DeclaredColumns
) -> tuple[list[ChunkPart] | list[InlinePart], Mapping[Hashable, Any]]:
    """Parts of a collection, inlined if no two of them share a task."""
    graph, keys = lowered(collection)
    wanted: list[tuple[Hashable, ...]] = [(key,) for key in keys]
    if sample_weight is not None:
        weight_graph, weight_keys = _weights(sample_weight, len(keys))
        graph = {**graph, **weight_graph}
        wanted = list(zip(keys, weight_keys, strict=True))
    closures = [closure(graph, own) for own in wanted]
    if _independent(graph, closures):
        return [
            InlinePart(index, columns, {key: graph[key] for key in needed}, own)
            for index, (needed, own) in enumerate(zip(closures, wanted, strict=True))
        ], {}
    return [ChunkPart(index, columns, own) for index, own in enumerate(wanted)], graph


def computed(parts: Sequence[ChunkPart] | Sequence[InlinePart]) -> bool:
    """Whether reading some part computes tasks inside the reading task."""
    return any(
        not isinstance(node, DataNode)
        for part in parts
        if isinstance(part, InlinePart)
        for node in part.graph.values()
    )


def lowered(collection: Any) -> tuple[dict[Hashable, Any], list[Hashable]]:
    """A collection's optimised graph, and the keys of its chunks in row order.

    Chunks that a cluster holds stand in the graph as futures.
    """
    if hasattr(collection, "optimize"):  # each optimisation gives a frame new keys
        collection = collection.optimize()
        graph = dict(collection.__dask_graph__())
    else:
        before, ends = collection.__dask_graph__(), collection.__dask_keys__()
        if all(map(is_future, dict(before).values())):  # persisted: there is nothing to optimise
            return dict(before), list(flatten(ends))
        graph = dict(collection.__dask_optimize__(before, ends))
        # Optimisation of arrays forgets the futures that keep persisted chunks alive.
        graph |= {key: value for key, value in dict(before).items() if is_future(value)}
    held = {key: value for key, value in graph.items() if is_future(value)}
    rest = {key: value for key, value in graph.items() if key not in held}
    graph = convert_legacy_graph(rest) | held
    keys = [_renamed(graph, key) for key in flatten(collection.__dask_keys__())]
    if all(is_future(graph.get(key)) for key in keys):
        return {key: graph[key] for key in keys}, keys
    return graph, keys


def _renamed(graph: Mapping[Hashable, Any], key: Hashable) -> Hashable:
    """The key that a key is only another name of, as those of persisted frames are; or itself."""
    while isinstance(node := graph.get(key), Alias):
        key = node.target
    return key


def require_complete(source: Source) -> None:
    """Raise if rows need values of a cluster; called when there is no client.

    Raises
    ------
    ConfigurationError
        Some task needs a key that is not in the graph, or a future.
    """
    needed = {key for task in source.graph.values() for key in getattr(task, "dependencies", ())}
    if not needed <= source.graph.keys() or any(map(is_future, source.graph.values())):
        raise ConfigurationError(
            "X is made of values that a Dask cluster holds, and no client is active.",
            "Call it while the Client that persisted them is open.",
        )


def is_future(value: Any) -> bool:
    """Whether a value in a graph is a future."""
    return type(value).__name__ == "Future" and hasattr(value, "key")


def _weights(sample_weight: Any, n_parts: int) -> tuple[dict[Hashable, Any], list[Hashable]]:
    if not hasattr(sample_weight, "__dask_graph__") or not hasattr(type(sample_weight), "ndim"):
        raise ConfigurationError(
            f"sample_weight is a {type(sample_weight).__name__} while X is a Dask collection.",
            "Give a dask array or Series with the same chunks as X.",
        )
    shape: tuple[Any, ...] = getattr(sample_weight, "shape", ())
    if len(shape) == 2:
        # Without this check, column chunks would pass for row chunks.
        if shape[1] != 1:
            raise DataError(
                f"sample_weight has {shape[1]} columns.", "Give one number for each row of X."
            )
    elif len(shape) > 2:
        raise DataError(
            f"sample_weight has {len(shape)} dimensions.", "Give one number for each row of X."
        )
    graph, keys = lowered(sample_weight)
    if len(keys) != n_parts:
        raise DataError(
            f"X has {n_parts} partitions but sample_weight has {len(keys)}.",
            "Give sample_weight the same chunks as X.",
        )
    return graph, keys


def _independent(graph: Mapping[Hashable, Any], closures: Sequence[set[Hashable]]) -> bool:
    together = set().union(*closures)
    shared = sum(map(len, closures)) > len(together)
    return not shared and not any(key not in graph or is_future(graph[key]) for key in together)
