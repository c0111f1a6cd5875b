"""Predictions of the input's kind."""

from typing import Any

import numpy as np

from daskgmm.estimators.inputs import as_source, in_memory_rows, kind_of, names_of
from daskgmm.estimators.validation import require_fitted
from daskgmm.model.prediction import Predictor
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.prediction import Method, explaining, lazily

_NAME = "gmm-predict"


def predict_rows(estimator: Any, X: Any, method: Method) -> Any:
    """What `method` of the estimator's predictor says of each row of X.

    Returns
    -------
    ndarray, dask array, dask Series or dask DataFrame
        NumPy for what is in memory; a frame with the same divisions for a frame; else an
        array with the same chunks.
    """
    require_fitted(estimator)
    predictor: Predictor = estimator._predictor  # noqa: SLF001  the estimator's own helper
    kind = kind_of(X)
    if kind == "memory":
        rows = in_memory_rows(estimator, X, reset=False)
        with one_thread():
            return explaining(method, predictor, names_of(estimator), rows, "the array or frame")
    source = as_source(estimator, X, reset=False)
    example = method(predictor, np.zeros((1, source.n_features), source.dtype))
    if kind == "frame":
        return _like_frame(X, predictor, method, example)
    columns = None if example.ndim == 1 else example.shape[1]
    return lazily(source, predictor, method, columns, example.dtype)


def _like_frame(frame: Any, predictor: Predictor, method: Method, example: Any) -> Any:
    from dask import delayed

    meta = _as_frame(example[:0], None)
    shared = delayed(predictor, pure=False, name=None, traverse=False)
    return frame.map_partitions(
        _predict_frame,
        method,
        shared,
        tuple(frame.columns),
        meta=meta,
        token=_NAME,
        enforce_metadata=False,
    )


def _predict_frame(
    frame: Any,
    method: Method,
    predictor: Predictor,
    names: tuple[Any, ...],
    partition_info: Any = None,
) -> Any:
    from daskgmm.data.containers.dask import Columns

    with one_thread():
        # Dask tells the partition's number, but not while it finds out what comes back.
        where = f"partition {partition_info['number']}" if partition_info else "the frame"
        rows = Columns(len(names), names).rows_of(frame, where)
        index = getattr(frame, "index", None)  # whoever made the partition may have made an array
        return _as_frame(explaining(method, predictor, tuple(map(str, names)), rows, where), index)


def _as_frame(values: np.ndarray[Any, Any], index: Any) -> Any:
    import pandas as pd

    return pd.Series(values, index) if values.ndim == 1 else pd.DataFrame(values, index)
