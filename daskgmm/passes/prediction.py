"""Predictions for rows: lazy arrays and frames of the input's shape, and sums over all rows."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from daskgmm.data.containers.chunks import DeclaredColumns
from daskgmm.data.containers.task_spec import DataNode, Task, TaskRef
from daskgmm.data.source import Block, Part, Source, text_at
from daskgmm.model.kernels.compiled import compile_densities_ahead
from daskgmm.model.parallel import each
from daskgmm.model.prediction import NotFiniteError, Predictor
from daskgmm.model.scoring import Scorer, Scoring
from daskgmm.model.typing import Doubles
from daskgmm.passes import cost
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.graph import run_pass
from daskgmm.passes.engine.grouping import group_by_cost
from daskgmm.passes.engine.keys import Phase, shared_key, token
from daskgmm.passes.engine.threads import spare_threads, threads_each
from daskgmm.passes.engine.work import OnStretch, Work, each_part, read_part

_ROWS_TOGETHER = 2**15
"""Rows in memory that a thread predicts for at a time."""

Method = Callable[[Any, Any], Any]
Columns: TypeAlias = tuple[str, ...] | None
"""Names of the features, where they have any."""
_Shared: TypeAlias = tuple[Predictor, Columns]


def _apply(part: Part, method: Method, dtype: Any, shared: _Shared, *inputs: Any) -> Any:
    predictor, columns = shared
    with one_thread():
        apply = partial(explaining, method, predictor, columns)
        no_rows = np.empty((0, predictor.mixture.n_features), dtype)
        results, first = [apply(no_rows, part.label)], 0
        for block in read_part(part, inputs):
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
    """Apply a method of a predictor or scorer to rows (n, D), with errors that name the value.

    They name the part and row, the column if columns have names, and the line in files of text.

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


def predict_in_memory(
    rows: Any, predictor: Predictor, method: Method, columns: Columns
) -> np.ndarray[Any, Any]:
    """Results of `method` for rows (n, D) in memory, computed in threads of this process.

    Raises
    ------
    DataError
        A value is not finite.
    """
    predictor = readied(predictor, len(rows), rows.dtype)
    example = method(predictor, np.zeros((1, rows.shape[1]), rows.dtype))
    found = np.empty((len(rows), *example.shape[1:]), example.dtype)

    def write(window: slice) -> None:
        own = explaining(
            method, predictor, columns, rows[window], "the array or frame", window.start
        )
        found[window] = own

    windows = [
        slice(start, min(start + _ROWS_TOGETHER, len(rows)))
        for start in range(0, max(len(rows), 1), _ROWS_TOGETHER)
    ]
    with one_thread(), spare_threads(threads_each(1)):
        each(write, windows)
    return found


def predict_lazily(
    source: Source, predictor: Predictor, method: Method, columns: int | None, dtype: Any
) -> Any:
    """Dask array of the results of `method` for each row, one chunk a part.

    Parameters
    ----------
    source : Source
    predictor : Predictor
    method : callable
        A method of `Predictor` that returns a value, or a row of values, for each row.
    columns : int or None
        Number of values for each row, or ``None`` where the results are one-dimensional.
    dtype : dtype
        Type of the results.
    """
    import dask.array as da

    predictor = readied_for(predictor, source, now=False)
    name = f"gmm-predict-{token()}"
    shared = shared_key("gmm-predict", token())
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


def predict_frame(
    frame: Any, predictor: Predictor, method: Method, example: Any, *, named: bool = False
) -> Any:
    """Dask Series or DataFrame of the results of `method` for each row of a dask DataFrame.

    Parameters
    ----------
    frame : dask DataFrame
        Rows with features only; divisions and index stay as they are.
    predictor : Predictor
    method : callable
        A method of `Predictor` that returns a value, or a row of values, for each row.
    example : ndarray
        Example of the method's result, which shows its type.
    named : bool
        Whether there is a value for each of the frame's columns, which then gives it its name.
    """
    from dask import delayed

    predictor = readied(predictor, None, example.dtype, now=False)
    shared = delayed(predictor, pure=False, name=None, traverse=False)
    result_names = list(frame.columns) if named else None
    return frame.map_partitions(
        _predict_partition,
        method,
        shared,
        tuple(frame.columns),
        result_names,
        meta=_as_frame(example[:0], None, result_names),
        token=Phase.PREDICTION.prefix,
        enforce_metadata=False,
    )


def _predict_partition(
    frame: Any,
    method: Method,
    predictor: Predictor,
    names: tuple[Any, ...],
    result_names: list[Any] | None,
    partition_info: Any = None,
) -> Any:
    with one_thread():
        # Dask passes the partition's number, but not while it infers the result's type.
        where = f"partition {partition_info['number']}" if partition_info else "the frame"
        rows = DeclaredColumns(len(names), names).rows_of(frame, where)
        index = getattr(frame, "index", None)  # a partition may turn out to be an array
        found = explaining(method, predictor, tuple(map(str, names)), rows, where)
        return _as_frame(found, index, result_names)


def _as_frame(values: np.ndarray[Any, Any], index: Any, names: list[Any] | None) -> Any:
    import pandas as pd

    return pd.Series(values, index) if values.ndim == 1 else pd.DataFrame(values, index, names)


def _begin_totals(argument: tuple[Scoring, Columns]) -> OnStretch:
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

    return each_part(on_part, np.add)


def totals(source: Source, scoring: Scoring) -> Doubles:
    """`Scorer.totals` over all rows, in one pass."""
    n_components = sum(mixture.n_components for mixture in scoring.mixtures)
    cost_a_row = cost.scoring_seconds_a_row(source.n_features, n_components)
    work = Work(_begin_totals, np.add, (scoring, source.columns))
    return np.asarray(run_pass(source, group_by_cost(source, cost_a_row), work, Phase.PREDICTION))


def readied(
    predictor: Predictor, n_rows: int | None, dtype: np.dtype[Any], *, now: bool = True
) -> Predictor:
    """The predictor for a pass over rows, with compiled kernels if they are worth that.

    It is decided here and carried to the workers: decided there it would depend on the part, and
    so would the last digits of the results.

    Parameters
    ----------
    predictor : Predictor
    n_rows : int or None
        ``None`` where that is not known.
    dtype : dtype
        Type of the rows.
    now : bool
        Whether the pass follows: then they are compiled here first, and not by all workers at the
        same time.
    """
    mixture = predictor.mixture
    length = mixture.covariance.feature_length(mixture.n_features)
    if not cost.worth_compiling(n_rows, mixture.n_features, length, mixture.n_components):
        return predictor
    if now:
        compile_densities_ahead(dtype, predictor.dtype or dtype)
    return replace(predictor, compiled=True)


def readied_for(predictor: Predictor, source: Source, *, now: bool = True) -> Predictor:
    """The predictor for a pass over a source, which follows `now` or later."""
    n_rows = None if source.lengths is None else sum(source.lengths)
    return readied(predictor, n_rows, source.dtype, now=now)
