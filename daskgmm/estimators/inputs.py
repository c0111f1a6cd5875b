"""Argument X of estimators: its checks, and its rows as a source."""

import os
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from daskgmm.data.containers.arrays import from_numpy, masked_as_nan, real_values
from daskgmm.data.containers.frames import from_frame, require_distinct
from daskgmm.data.source import Source
from daskgmm.errors import ConfigurationError, DataError, InputTypeError
from daskgmm.estimators.validation import as_data_error
from daskgmm.fitting.protocols import NamedColumns


def kind_of(X: Any) -> str:
    """Kind of X: ``"memory"``, ``"array"`` or ``"frame"`` (Dask's), or ``"dataset"``.

    Raises
    ------
    InputTypeError
        X is a Dask collection other than an array or frame, a path, or a table that only Arrow
        reads.
    """
    if isinstance(X, str | os.PathLike):
        path = os.fspath(X)
        raise InputTypeError(
            f"X is a path, {path!r}, not rows.", f"Pass open_dataset({path!r}, columns=[...])."
        )
    if hasattr(X, "__dask_graph__"):
        if not hasattr(type(X), "ndim"):
            raise InputTypeError(
                f"X is a dask {type(X).__name__}, not an array or frame of rows.",
                "Pass a dask array or DataFrame.",
            )
        return "frame" if hasattr(X, "divisions") else "array"
    # The attributes of the type count, as a frame has its columns as attributes.
    kind = type(X)
    if hasattr(kind, "__arrow_c_stream__") and not hasattr(kind, "__array__"):
        raise InputTypeError(
            f"X is a {kind.__name__}, which is no array of rows.",
            "Read its rows first: daskgmm.open_table(X).",
        )
    return "dataset" if hasattr(type(X), "source") else "memory"


def as_source(estimator: NamedColumns, X: Any, sample_weight: Any = None, *, reset: bool) -> Source:
    """Read X as a source of rows.

    With `reset` the estimator stores the feature names and their number; without, they must
    agree with those stored.

    Raises
    ------
    DataError
        X is not a table of numbers, or its columns differ from those that were fitted.
    """
    kind = kind_of(X)
    if kind == "memory":
        source = _in_memory(estimator, X, sample_weight, reset=reset)
    else:
        source = _lazy_source(kind, estimator, X, sample_weight, reset=reset)
        _agree_on_columns(estimator, source, reset=reset)
    named = reset or source.columns is not None
    return source if named else replace(source, columns=names_of(estimator))


def _in_memory(estimator: NamedColumns, X: Any, sample_weight: Any, *, reset: bool) -> Source:
    if is_frame(X):
        source = from_frame(X, sample_weight)
        require_distinct(X.columns)
        with as_data_error(reset=reset):
            validate_data(estimator, X, reset=reset, skip_check_array=True)
        return source
    return from_numpy(in_memory_rows(estimator, X, reset=reset), sample_weight)


def marks_of(X: Any, sample_weight: Any) -> dict[str, Any]:
    """Facts that identify the rows of X, as far as X knows them, as JSON values."""
    if kind_of(X) != "dataset":
        return {"sample_weight": sample_weight is not None, "files": None}
    return {"sample_weight": X.weight_column, "files": [file.mark for file in X.files]}


def require_unchanged(X: Any) -> None:
    """Check that the files of a dataset are still those that were opened.

    Raises
    ------
    DataError
        A file has changed.
    MissingInputError
        A file no longer exists.
    """
    if kind_of(X) == "dataset":
        X.require_unchanged()


def in_memory_rows(estimator: NamedColumns, X: Any, *, reset: bool) -> np.ndarray[Any, Any]:
    """Rows (n, D) of an array or frame in memory; NaN and infinity are allowed."""
    if is_frame(X):
        parts: Any = _in_memory(estimator, X, None, reset=reset).parts
        return np.concatenate([part.rows for part in parts], axis=1).T
    with as_data_error(reset=reset):
        X = masked_as_nan(X)
        real_values(X, "X")  # validate_data would drop imaginary parts and dates
        rows: np.ndarray[Any, Any] = validate_data(
            estimator,
            X,
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,
            ensure_min_samples=2 if reset else 1,
            reset=reset,
        )
    return rows


def is_frame(X: Any) -> bool:
    """Whether X is a pandas or Polars frame."""
    # scikit-learn checks arrays, and single columns of pandas or Polars.
    return type(X).__name__ in ("DataFrame", "LazyFrame")


def _lazy_source(
    kind: str, estimator: NamedColumns, X: Any, sample_weight: Any, *, reset: bool
) -> Source:
    from daskgmm.data.containers import dask

    if kind != "dataset":
        read = dask.from_dask_array if kind == "array" else dask.from_dask_frame
        return read(X, sample_weight)
    if sample_weight is not None:
        raise ConfigurationError(
            "sample_weight was given for a dataset on disk.",
            "Name the column instead: open_dataset(..., sample_weight='column').",
        )
    names = None if reset else names_of(estimator)
    source: Source = X.source(columns=names)
    return source


def names_of(estimator: NamedColumns) -> tuple[str, ...] | None:
    """Names of the features that an estimator was fitted on; ``None`` if they have none."""
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else tuple(names)


def _agree_on_columns(estimator: NamedColumns, source: Source, *, reset: bool) -> None:
    if reset:
        estimator.n_features_in_ = source.n_features
        if source.columns is not None:
            estimator.feature_names_in_ = np.asarray(source.columns, dtype=object)
        elif hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
        return
    fitted = names_of(estimator)
    if source.n_features != estimator.n_features_in_:
        raise DataError(
            f"X has {source.n_features} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input.",
            "Select the columns that the model was fitted on.",
        )
    if fitted is not None and source.columns is not None and fitted != source.columns:
        raise DataError(
            f"The feature names should match those that were passed during fit: {fitted}; "
            f"got {source.columns}.",
            "Select the same columns in the same order.",
        )
