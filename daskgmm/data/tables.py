"""From Arrow's columns to blocks of rows."""

from typing import Any

import numpy as np
import pyarrow as pa

from daskgmm.data.selection import Selection
from daskgmm.data.source import Block, Floats
from daskgmm.errors import DataError

_BLOCK_BYTES = 2**24
_MOST_ROWS = 2**16


def block_rows_for(n_features: int) -> int:
    """Return the rows of a block: 65,536, or what takes 16 MiB as float64 if that is fewer."""
    return max(1, min(_MOST_ROWS, _BLOCK_BYTES // (8 * n_features)))


def to_block(
    batch: pa.RecordBatch, selection: Selection, dtype: np.dtype[Any], label: str, row: int
) -> Block:
    """Convert a batch of n rows; nulls become NaN.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Holds at least the selection's columns.
    selection : Selection
        Resolved: its features are known.
    dtype : dtype
        Of the block's rows.
    label : str
        The part, for errors.
    row : int
        Number of the batch's first row within the part, from 1, for errors.
    """
    rows = np.empty((len(selection.features), batch.num_rows), dtype)
    for feature, name in zip(rows, selection.features, strict=True):
        feature[:] = _floats(batch.column(name), pa.from_numpy_dtype(dtype))
    kept = pa.table({name: batch.column(name) for name in selection.keep})
    return Block(
        rows,
        _weights(batch, selection.weight, label, row),
        kept if selection.keep else None,
    )


def check_weights(weights: Floats, where: str, first: int) -> None:
    """Raise DataError unless weights of shape (n,) are finite and at least zero.

    ``where`` and ``first``, the number of the first row, say in the error which one isn't.
    """
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        index = int(wrong.argmax())
        cause = f"{where}, row {first + index}: the sample weight is {weights[index]}."
        raise DataError(cause, "Weights must be finite numbers of at least zero: correct it.")


def _weights(batch: pa.RecordBatch, name: str | None, label: str, row: int) -> Floats | None:
    if name is None:
        return None
    weights = _floats(batch.column(name), pa.float64())
    check_weights(weights, f"{label}, column {name!r}", row)
    return weights


def _floats(column: pa.Array, kind: pa.DataType) -> Floats:
    floats: Floats = column.cast(kind, safe=False).to_numpy(zero_copy_only=False)
    return floats
