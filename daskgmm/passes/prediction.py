"""Lazy results of the input's shape, and sums over rows.

Whether the rows of a single pass are worth loading a compiler for.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from dask._task_spec import DataNode, Task, TaskRef

from daskgmm.data.source import Block, Part, Source, text_at
from daskgmm.data.storage.retry import retried
from daskgmm.model.kernels.compiled import compile_densities_ahead
from daskgmm.model.prediction import NotFiniteError, Predictor
from daskgmm.model.scoring import Scorer, Scoring
from daskgmm.model.typing import Doubles
from daskgmm.passes.cost import seconds_a_row
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.client import compute
from daskgmm.passes.engine.graph import pass_graph
from daskgmm.passes.engine.grouping import group_measured
from daskgmm.passes.engine.keys import Phase, token
from daskgmm.passes.engine.work import OnPart, Work

USUAL_ROWS = 10_000
"""Of a part whose length nobody knows."""

Method = Callable[[Any, Any], Any]
Columns: TypeAlias = tuple[str, ...] | None
"""Names of the features, where they have any."""
_Shared: TypeAlias = tuple[Predictor, Columns]


@retried
def _apply(part: Part, method: Method, dtype: Any, shared: _Shared, *inputs: Any) -> Any:
    predictor, columns = shared
    with one_thread():
        apply = partial(explaining, method, predictor, columns)
        nothing = np.empty((0, predictor.mixture.n_features), dtype)
        results, first = [apply(nothing, part.label)], 0
        for block in part.read(*inputs):
            results.append(apply(block.rows.T, part.label, first, part))
            first += block.rows.shape[1]
        return np.concatenate(results)


def explaining(
    method: Method,
    predictor: Any,
    columns: Columns,
    rows: Any,
    where: str,
    first: int = 0,
    part: Part | None = None,
) -> Any:
    """Apply a method of the predictor, or of a scorer, to rows (n, D).

    An error says where the rows are from, and names the column if columns have names; of a part
    of text it also names the line.

    Raises
    ------
    DataError
        A value is not finite.
    """
    try:
        return method(predictor, rows)
    except NotFiniteError as error:
        flaw = error.flaw.after(first)
        written = None if part is None else text_at(part, flaw.row, flaw.feature)
        raise flaw.error(where, columns, written=written) from error


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
    graph[shared] = DataNode(shared, (predictor, source.columns))
    tail = () if columns is None else (0,)
    for index, part in enumerate(source.parts):
        key = (name, index, *tail)
        inputs = [TaskRef(wanted) for wanted in part.inputs]
        graph[key] = Task(key, _apply, part, method, source.dtype, TaskRef(shared), *inputs)
    lengths = source.lengths or (np.nan,) * len(source.parts)
    chunks = (lengths,) if columns is None else (lengths, (columns,))
    return da.Array(graph, name, chunks, dtype=dtype)


def _begin_totals(argument: tuple[Scoring, Columns]) -> OnPart:
    scoring, columns = argument
    scorer = Scorer(scoring)

    def on_part(position: int, part: Part, blocks: Iterator[Block]) -> Doubles:
        del position
        sums, first = np.zeros((len(scoring.mixtures), 4)), 0
        for block in blocks:
            method = partial(Scorer.totals, weights=block.weights)
            sums += explaining(method, scorer, columns, block.rows.T, part.label, first, part)
            first += block.rows.shape[1]
        return sums

    return on_part


def totals(source: Source, scoring: Scoring) -> Doubles:
    """`Scorer.totals` over all rows, in one pass."""
    # Lengths may be unknown: these stand for them, so that the grouping is always the same.
    lengths = source.lengths or (USUAL_ROWS,) * len(source.parts)
    n_components = sum(mixture.n_components for mixture in scoring.mixtures)
    cost = seconds_a_row(source.n_features, source.n_features**2, n_components)
    work = Work(_begin_totals, np.add, (scoring, source.columns))
    groups = group_measured(lengths, cost, in_memory=source.in_memory)
    graph, root = pass_graph(source, groups, work, "gmm-predict", token())
    return np.asarray(compute(graph, root, Phase.PREDICTION))


SECONDS_WORTH_COMPILING = 1.0
"""Of arithmetic in the pass: importing numba and loading the loop take nearly as long."""


def readied(predictor: Predictor, source: Source) -> Predictor:
    """The predictor for a pass over a source: compiled where its known rows are worth it.

    The predictor carries that to where rows are read: decided there, it would hang on the parts,
    and with it the last digits.
    """
    if source.lengths is None:
        return predictor
    mixture, n_features = predictor.mixture, source.n_features
    length = mixture.covariance.quadratic_length(n_features) + n_features + 1
    seconds = sum(source.lengths) * seconds_a_row(n_features, length, mixture.n_components)
    if seconds < SECONDS_WORTH_COMPILING:
        return predictor
    # Here, so that workers beside need not compile side by side.
    compile_densities_ahead(source.dtype, predictor.dtype or source.dtype)
    return replace(predictor, compiled=True)
