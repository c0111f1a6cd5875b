"""From Arrow's columns to blocks of rows."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from daskgmm.data.selection import Selection
from daskgmm.data.source import Block, Floats
from daskgmm.errors import DataError

_BLOCK_BYTES = 2**21
_MOST_ROWS = 2**16


def block_rows_for(n_features: int) -> int:
    """Return the rows of a block: 65,536, or what takes 2 MiB as float64 if that is fewer."""
    return max(1, min(_MOST_ROWS, _BLOCK_BYTES // (8 * n_features)))


class Decoder:
    """Turns a part's batches into blocks; nulls become NaN.

    All blocks share one array: where Dask's nanny runs, memory that is allocated anew for each
    of them would be mapped and faulted in anew, which took as long as decoding.

    Parameters
    ----------
    selection : Selection
        Resolved: its features are known.
    dtype : dtype
        Of the blocks' rows.
    label : str
        The part, for errors.
    block_rows : int
        Most rows of a batch.
    """

    def __init__(
        self, selection: Selection, dtype: np.dtype[Any], label: str, block_rows: int
    ) -> None:
        self.selection = selection
        self.label = label
        self.kind = pa.from_numpy_dtype(dtype)
        self.rows = np.empty((len(selection.features), block_rows), dtype)

    def block(self, batch: pa.RecordBatch, row: int) -> Block:
        """Convert a batch, of which the first row is the part's ``row``-th, from 1."""
        rows = self.rows[:, : batch.num_rows]
        for feature, name in zip(rows, self.selection.features, strict=True):
            feature[:] = _floats(batch.column(name), self.kind)
        kept = pa.table({name: batch.column(name) for name in self.selection.keep})
        return Block(
            rows,
            _weights(batch, self.selection.weight, self.label, row),
            kept if self.selection.keep else None,
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


def require_finite_sum(weight: float) -> None:
    """Raise DataError if the sum of all sample weights, each of them finite, is not."""
    if not np.isfinite(weight):
        raise DataError(
            "The sample weights are so large that their sum overflows.",
            "Divide them all by the same number: results stay the same.",
        )


def _weights(batch: pa.RecordBatch, name: str | None, label: str, row: int) -> Floats | None:
    if name is None:
        return None
    weights = _floats(batch.column(name), pa.float64())
    check_weights(weights, f"{label}, column {name!r}", row)
    return weights


def _floats(column: pa.Array, kind: pa.DataType) -> Floats:
    plain = column.cast(kind, safe=False)
    if not plain.null_count:  # to_numpy imports pandas, which takes longer than a small file
        found: NDArray[Any] = np.from_dlpack(plain)
        return found
    floats: Floats = plain.to_numpy(zero_copy_only=False)
    return floats
