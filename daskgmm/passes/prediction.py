"""Lazy results of the input's shape, and sums over rows."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from dask._task_spec import DataNode, Task, TaskRef

from daskgmm.data.source import Block, Part, Source
from daskgmm.errors import DataError
from daskgmm.model.prediction import Predictor
from daskgmm.model.typing import Doubles
from daskgmm.passes.blas import one_thread
from daskgmm.passes.engine import compute, token
from daskgmm.passes.graph import map_groups
from daskgmm.passes.groups import seconds_a_row
from daskgmm.passes.survey import pass_groups
from daskgmm.passes.tree import tree

Method = Callable[[Predictor, Any], Any]


def _apply(part: Part, method: Method, predictor: Predictor, *inputs: Any) -> Any:
    with one_thread():
        found = []
        for block in part.read(*inputs):
            found.append(_apply_to_block(part, method, predictor, block))
        return np.concatenate(found)


def _apply_to_block(part: Part, method: Method, predictor: Predictor, block: Block) -> Any:
    try:
        return method(predictor, block.rows.T)
    except DataError as error:
        raise DataError(f"{part.label}: {error.cause}", error.remedy) from error


def lazily(
    source: Source, predictor: Predictor, method: Method, columns: int | None, dtype: Any
) -> Any:
    """Dask array of what `method` says of each row, one chunk a part.

    Parameters
    ----------
    source : Source
    predictor : Predictor
    method : callable
        A method of `Predictor` that gives one value or row a row.
    columns : int or None
        Length of each result row, or ``None`` for single values.
    dtype : dtype
        Of the results.
    """
    import dask.array as da

    name = f"gmm-predict-{token()}"
    shared = f"gmm-predict-argument-{token()}"
    graph: dict[Any, Any] = dict(source.graph)
    graph[shared] = DataNode(shared, predictor)
    tail = () if columns is None else (0,)
    for index, part in enumerate(source.parts):
        key = (name, index, *tail)
        inputs = [TaskRef(wanted) for wanted in part.inputs]
        graph[key] = Task(key, _apply, part, method, TaskRef(shared), *inputs)
    lengths = source.lengths or (np.nan,) * len(source.parts)
    chunks = (lengths,) if columns is None else (lengths, (columns,))
    return da.Array(graph, name, chunks, dtype=dtype)


def _totals(
    stretch: Iterator[tuple[int, Part, Iterator[Block]]], predictor: Predictor
) -> Doubles:
    sums = np.zeros(4)
    for _, part, blocks in stretch:
        for block in blocks:
            weights = None if block.weights is None else block.weights.astype(np.float64)
            totals = Predictor.totals
            found = _apply_to_block(
                part, lambda one, rows, w=weights: totals(one, rows, w), predictor, block
            )
            sums += found
    return sums


def totals(source: Source, predictor: Predictor) -> Doubles:
    """`Predictor.totals` summed over all rows, in one pass."""
    suffix = token()
    mixture = predictor.mixture
    cost = seconds_a_row(source.n_features, source.n_features**2, mixture.n_components)
    lengths = source.lengths or (10_000,) * len(source.parts)
    groups = pass_groups(source, lengths, cost)
    graph, leaves = map_groups(source, groups, _totals, predictor, f"gmm-predict-{suffix}")
    sums, root = tree(leaves, np.add, suffix)
    return np.asarray(compute(graph | sums, root))
